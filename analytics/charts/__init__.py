"""Candles of the trading day for readers in SQL, in cache_chart_data: `bodies` is arithmetic, `due` says when and of
what."""
