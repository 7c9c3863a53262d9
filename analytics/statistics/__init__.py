"""Statistics as they stand: `due` says of which series, `series` and `market` read what they are made of, `screener`
ranks shares when it is asked. The arithmetic is in `formulas`."""
