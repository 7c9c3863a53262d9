"""Tables for machine learning: candles, indicators and what is made of them, each row of only what was known at its
time. Arrays in, arrays out."""
