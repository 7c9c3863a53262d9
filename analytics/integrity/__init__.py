"""Whether a stored day is what it should be: recounted (`consistency`), compared (`differences`, which is pure), and
its candles put right (`repair`)."""
