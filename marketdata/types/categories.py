"""What kind of thing a symbol is, in one word: the category that a row of stock_prices is stored with."""

from __future__ import annotations

PATTERN = r"\A[a-z0-9_]{1,16}\Z"
KNOWN = ("kospi", "kosdaq", "konex", "etf", "etn", "elw", "index", "fx", "futures", "options", "overseas")
"""The words that are used here; others may be."""
INDEX = "index"
"""Of what is computed from the prices of others, and so counts in no sum, breadth or ranking of a market."""
UNKNOWN = "unknown"
"""Of a symbol of which nothing better is known."""


def category_of(category: str, *, market: str, timezone: str) -> str:
    """A symbol's own category, or what its market says of it: CME trades futures, a symbol of another market abroad is
    overseas, and of a Korean one without a category nothing is known."""
    if category:
        return category
    if market == "CME":
        return "futures"
    return UNKNOWN if timezone == "Asia/Seoul" else "overseas"
