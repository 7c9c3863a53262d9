"""Alerts of people: their rules, what these find, and how it gets to them (docs/alerts.md).

`judging` is what a rule means, in arithmetic. `rules` and `targets` are what people enter, `rule_index` the rules as
they are judged; `due` looks at what was committed, `statuses`, `standing` and `gaps` at what no trade brings;
`findings` stores what was found, within `limits`; `announcements` and `deliveries` tell of it.
"""
