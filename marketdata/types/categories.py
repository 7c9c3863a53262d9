"""What kind of thing a symbol is, in one word: the category that a row of stock_prices is stored with."""

from __future__ import annotations

PATTERN = r"\A[a-z0-9_]{1,16}\Z"
KRX_SHARES = ("kospi", "kosdaq", "konex")
"""Shares, by the market of the exchange on which they are listed."""
FUNDS = ("etf", "etn", "elw")
"""What is listed beside shares and made of them: funds, notes that follow an index, warrants."""
INDEX = "index"
"""Of what is computed from the prices of others, and so counts in no sum, breadth or ranking of a market."""
KNOWN = (*KRX_SHARES, *FUNDS, INDEX, "fx", "futures", "options", "overseas")
"""The words that are used here; others may be."""
UNKNOWN = "unknown"
"""Of a symbol of which nothing better is known."""
_NO_SHARES = frozenset((*FUNDS, INDEX, "fx", "futures", "options"))


def is_share(category: str) -> bool:
    """Whether a symbol of this category (`category_of`) counts where shares are counted, as the exchange does when it
    says how many rose and fell: also shares abroad, and what nothing is known of."""
    return category not in _NO_SHARES


def category_of(category: str, *, market: str, timezone: str) -> str:
    """A symbol's own category, or what its market says of it: CME trades futures, a symbol of another market abroad is
    overseas, and of a Korean one without a category nothing is known."""
    if category:
        return category
    if market == "CME":
        return "futures"
    return UNKNOWN if timezone == "Asia/Seoul" else "overseas"
