"""Whether statistics have an index to which betas are."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level
from marketdata.models import IndexClose, Symbol
from marketdata.storage import storage
from marketdata.types import told_indices
from marketdata.types.categories import FUNDS, INDEX, is_share

MOST_SHOWN = 5
_REMEDY = _(
    "have KIS's terminal send indices (feed index, codes 0001 and 1001: docs/terminals/kis.md), or register one that is"
    " collected with category index, or set STATS_INDEX to a symbol with candles, such as 069500"
)


def betas() -> Iterator[Finding]:
    """Nothing where there is no share or fund that could have a beta."""
    categories = set(Symbol.objects.filter(is_active=True).values_list("category", flat=True))
    if not any(is_share(one) or one in FUNDS for one in categories):
        return
    chosen = settings.STATS_INDEX
    rows = Symbol.objects.filter(code=chosen) if chosen else Symbol.objects.filter(category=INDEX, is_active=True)
    found = [
        *_with_candles(list(rows.order_by("code").values_list("code", "primary_feed"))),
        *(
            format_lazy(_("{name}: closes of {number} dates"), name=told_indices.NAMES[code], number=number)
            for code, number in _told()
            if chosen in ("", code)
        ),
    ]
    yield Finding(
        what="STATS_INDEX" if chosen else _("index of betas"),
        value=format_lazy("{}" + ", {}" * (len(found[:MOST_SHOWN]) - 1), *found[:MOST_SHOWN]) if found
        else format_lazy(_("{code}: without candles"), code=chosen) if chosen else _("none"),
        wanted=_("one with closes"), level=Level.OK if found else Level.WARNING, remedy=_REMEDY,
    )  # fmt: skip


def _with_candles(pairs: list[tuple[str, str]]) -> list[str]:
    """The codes of those series that have a candle, of minutes or days."""
    minutes = {code for part in storage().newest_minutes(pairs).values() for code in part.symbols} if pairs else set()
    return [code for code, feed in pairs if code in minutes or storage().newest_daily(feed, [code], 1)]


def _told() -> list[tuple[str, int]]:
    """The indices that were told as events, and of how many dates their closes are kept."""
    counted = IndexClose.objects.values_list("code").annotate(number=Count("pk")).order_by("code")
    return [(code, number) for code, number in counted if code in told_indices.NAMES]
