"""How good the data of a trading date is: figures by symbol and feed, and a grade by plain rules (docs/quality.md).

`grades` has the rules, `session_minutes` what is missing of a session, `agreement` whether two sources tell the same;
all three are arithmetic. `series` reads the figures, `days` what the ledger tells of a whole date, and `due` keeps the
table `quality_day` up to date.
"""
