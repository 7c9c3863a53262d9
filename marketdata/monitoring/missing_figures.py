"""What is missing although every program is well, as figures: gaps in which rows were lost on our own side, and symbols
that somebody asked for and that nobody collects."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import BigIntegerField, Count, F, Q
from django.db.models.functions import Cast
from prometheus_client import Metric

from marketdata.calendar import trading_dates
from marketdata.models import AlertRule, FeedOwner, Gap, IngestStream, QualityDay, Symbol, Watchlist
from marketdata.monitoring import figures
from marketdata.types.categories import INDEX
from marketdata.types.tick_arrays import SEQ_BITS
from marketdata.types.units import microseconds
from terminals.wire import OTHER_KINDS, gap_reasons

KEEP_S: Final = 60.0
"""Both ask for much, and change slowly."""
RECENT: Final = datetime.timedelta(days=1)
SESSIONS: Final = 5
"""Somebody collects what was stored, or first sent, within so many trading dates and today."""
LOST: Final = (
    gap_reasons.SPOOL_FULL,
    gap_reasons.SPOOL_DAMAGED,
    gap_reasons.NOT_TAKEN,
    gap_reasons.NO_ROOM,
    gap_reasons.BLOOMBERG_DATA_LOSS,
    gap_reasons.BLOOMBERG_SLOW_CONSUMER,
)
"""Why rows that had come were lost between a vendor's connection and a spool. Other gaps are of what never came."""
MOST_REASONS: Final = 10_000
WATCHLIST, ALERT_RULE, REGISTERED = "watchlist", "alert_rule", "registered"
_PIECE: Final = 500


class Kept:
    """A look whose answer is given again for a minute. Asked by one thread at a time."""

    def __init__(
        self,
        look: Callable[[datetime.datetime], Iterable[Metric]],
        *,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._keep_s, self._clock = look, keep_s, clock
        self._looked_at = float("-inf")
        self._answer: list[Metric] = []

    def __call__(self) -> Iterator[Metric]:
        """For `Looks`."""
        if self._clock() - self._looked_at > self._keep_s:
            self._answer = list(self._look(datetime.datetime.now(datetime.UTC)))
            self._looked_at = self._clock()
        yield from self._answer


def gaps(now: datetime.datetime) -> Iterator[Metric]:
    """How many gaps each client told within a day of rows that were lost, by the bare reason."""
    exact = [kind + reason for kind in ("", *OTHER_KINDS) for reason in LOST]
    chosen = Q(reason__in=exact) | Q(reason__startswith=gap_reasons.SPOOL_DAMAGED)
    stream = Cast(F("batch").bitrightshift(SEQ_BITS), BigIntegerField())
    told = (
        Gap.objects.filter(chosen, created_at__gt=now - RECENT)
        .order_by()
        .annotate(stream=stream)
        .values_list("stream", "reason")
        .annotate(told=Count("pk"))
    )
    rows = list(told[:MOST_REASONS])
    streams = IngestStream.objects.filter(pk__in={number for number, _reason, _told in rows})
    names = dict(streams.values_list("pk", "client__name"))
    found: Counter[tuple[str, str]] = Counter()
    for number, reason, count in rows:
        if number in names:
            found[names[number], _code(reason)] += count
    yield figures.RECENT_GAPS.family({labels: float(count) for labels, count in sorted(found.items())})


def _code(reason: str) -> str:
    for kind in OTHER_KINDS:
        reason = reason.removeprefix(kind)
    return reason.partition(":")[0]


def symbols(now: datetime.datetime) -> Iterator[Metric]:
    """How many symbols nobody collects, by how somebody asked for them."""
    yield figures.UNCOLLECTED.family({(kind,): float(len(codes)) for kind, codes in uncollected(now).items()})


def uncollected(now: datetime.datetime) -> dict[str, set[str]]:
    """The active symbols of which nothing was stored for SESSIONS trading dates, of any feed, and that nobody has begun
    to send since; by how somebody asked for them. A new symbol is given a whole session first. That a master file
    lists one is no wish for it."""
    asked: dict[str, set[str]] = {WATCHLIST: set(), ALERT_RULE: set(), REGISTERED: set()}
    for codes in Watchlist.objects.order_by().values_list("symbols", flat=True).iterator():
        asked[WATCHLIST].update(_texts(codes))
    rules = AlertRule.objects.filter(enabled=True, owner__is_active=True)
    for codes in rules.order_by().values_list("symbols", flat=True).iterator():
        asked[ALERT_RULE].update(_texts(codes))
    by_hand = Symbol.objects.filter(is_active=True, master="")
    asked[REGISTERED].update(by_hand.order_by().values_list("code", flat=True))
    left = _without_data(sorted(set().union(*asked.values())), now)
    return {kind: codes & left for kind, codes in asked.items()}


def _texts(codes: object) -> set[str]:
    return {code for code in codes if isinstance(code, str)} if isinstance(codes, list) else set()


def _without_data(codes: list[str], now: datetime.datetime) -> set[str]:
    found = set[str]()
    known: dict[str, _Sessions | None] = {}
    for start in range(0, len(codes), _PIECE):
        chosen = Symbol.objects.filter(code__in=codes[start : start + _PIECE], is_active=True, is_halted=False)
        rows = list(chosen.order_by().values_list("code", "market_id", "category", "created_at"))
        for market in {row[1] for row in rows} - known.keys():
            known[market] = _sessions(market, microseconds(now))
        waited: dict[str, str] = {}
        since: list[datetime.date] = []
        for code, market, category, created_at in rows:
            held = known[market]
            if held is not None and microseconds(created_at) < held.last_began_us:
                waited[code] = category
                since.append(held.since)
        if waited:
            found |= waited.keys() - _collected(waited, min(since))
    return found


def _collected(categories: Mapping[str, str], since: datetime.date) -> set[str]:
    """Those of these symbols (with their categories) of which something came since then. The values of an index may
    come as events, which no day counts."""
    stored = QualityDay.objects.filter(symbol__in=list(categories), trade_date__gte=since, stored__gt=0)
    owned = FeedOwner.objects.filter(symbol__in=list(categories), client__is_active=True, client__may_send=True)
    since_us = microseconds(datetime.datetime.combine(since, datetime.time(), datetime.UTC))
    return {
        *stored.order_by().values_list("symbol", flat=True).distinct(),
        *(
            symbol
            for symbol, changed_us in owned.order_by().values_list("symbol", "changed_us")
            if changed_us >= since_us or categories.get(symbol) == INDEX
        ),
    }


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Of a market: when the last trading date that is over began, and the first of those that are looked at."""

    last_began_us: int
    since: datetime.date


def _sessions(market: str, now_us: int) -> _Sessions | None:
    """None where there are too few trading dates to say."""
    calendar = trading_dates.calendar(market)
    dates = [calendar.trade_date(now_us)]
    try:
        for _number in range(SESSIONS):
            dates.append(calendar.previous_session(dates[-1]))
    except LookupError:
        return None
    return _Sessions(calendar.ends_us(dates[1] - datetime.timedelta(days=1)), dates[-1])
