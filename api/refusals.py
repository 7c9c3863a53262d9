"""Why rows and batches lie aside and what is missing, in words for who reads the pages. The codes themselves are public
(docs/protocol.md) and stand beside them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketdata.ledger import gap_reasons

ROWS: dict[str, Promise] = {
    "not_an_object": _("the row is no JSON object"),
    "symbol_missing": _("no symbol"),
    "symbol_unknown": _("the symbol is not registered"),
    "symbol_inactive": _("the symbol was switched off"),
    "time_missing": _("no time"),
    "time_malformed": _("the time cannot be read, or has no offset"),
    "time_future": _("the time lies in the future"),
    "time_past": _("the time lies further back than its source may send"),
    "kind_unknown": _("a kind that is none"),
    "side_unknown": _("a side that is neither buy nor sell"),
    "price_missing": _("no price"),
    "price_not_a_number": _("the price is no number"),
    "price_not_finite": _("the price is NaN or infinite"),
    "price_not_positive": _("a price of 0 or less, which its market has not"),
    "price_out_of_range": _("a price beyond what is believed"),
    "price_too_precise": _("a price with too many decimal places"),
    "size_missing": _("no size"),
    "size_not_a_number": _("the size is no number"),
    "size_not_finite": _("the size is NaN or infinite"),
    "size_negative": _("a size below 0"),
    "size_out_of_range": _("a size beyond what is believed"),
    "size_too_precise": _("a size with too many decimal places"),
    "seq_malformed": _("the number of the trade is no whole number"),
    "trade_date_malformed": _("the trading date cannot be read, or is far from the time"),
    "quote_empty": _("a quote without bid and ask"),
    "quota_reached": _("a new name, and its client may make no more"),
    "feed_refused": _("the feed or symbol belongs to another client"),
    "market_refused": _("the client may not send this market"),
    "kind_refused": _("the client may not send this kind"),
    "repeated_record": _("the trade is stored already"),
    "sum_out_of_range": _("the sum of its minute would be beyond what a candle holds"),
    "change_rate_malformed": _("the change rate cannot be read"),
    "change_rate_out_of_range": _("a change rate beyond what is believed"),
    "value_malformed": _("the traded value cannot be read"),
    "value_out_of_range": _("a traded value beyond what is believed"),
    "range_inverted": _("a low above its high, or limits the wrong way round"),
    "level_incomplete": _("a level with a price alone, or a size alone"),
    "book_unordered": _("the levels of the order book are out of order"),
    "event_malformed": _("the name of the event cannot be read"),
    "body_malformed": _("the content of the event cannot be read, or is too large"),
}
"""By the reason of a row."""
BATCHES: dict[str, Promise] = {
    "bad_batch": _("the batch cannot be read: its client is wrong"),
    "too_many_rows": _("more rows than a batch may have"),
    "checksum_mismatch": _("other content under a number that is stored"),
    "dead_letter": _("not stored in ten attempts"),
    "feed_refused": ROWS["feed_refused"],
    "quota_reached": ROWS["quota_reached"],
}
"""By the code of a dead letter."""
WORDS = ROWS | BATCHES | gap_reasons.WORDS


def words(reasons: str) -> str:
    """Of each of these codes, in their order and with a blank between them, the words; of one that has none itself."""
    return ", ".join(str(WORDS.get(code, code)) for code in reasons.split())
