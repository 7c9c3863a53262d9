"""Candles of series (a symbol on a feed), and where series stand.

`candles`, `daily_candles`, `day_statistics` and `adjustment` are arithmetic; `timeframes` and `sessions` know the
calendar besides.
`trading_days`, `factors`, `latest` and `snapshots` read.
"""
