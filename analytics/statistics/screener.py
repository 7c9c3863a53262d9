"""Which symbols traded most and moved most on the newest trading date, over all that are collected but
indices. It reads the days of every symbol, so an answer is kept for `KEEP_S`."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from analytics.series import adjustment, day_statistics, factors, snapshots, trading_days
from analytics.series.adjustment import Factor
from marketdata.calendar import trading_dates
from marketdata.models import Symbol
from marketdata.reference import corporate_actions
from marketdata.reference.corporate_actions import Held
from marketdata.types.categories import INDEX, KRX_SHARES
from marketdata.types.daily_bars import DailyBars
from marketdata.types.units import EPOCH_DATE, date_of

KEEP_S = 30.0
TOGETHER = 200  # symbols read at a time
_DAYS = 2  # of each: the newest one, and the one before that it is compared with
_BASE_PARTS = 50  # by so small a part of the close before the base price may differ from it: limits are whole ticks
_KRX = "KRX"
_MOST_PERCENT = 30  # KRX's price limit since 2015-06-15 (KOSPI Market Business Regulation, article 20)
_LIMITED = ("", *KRX_SHARES)  # a leveraged fund has more, a right none


@dataclass(frozen=True, slots=True)
class Standing:
    """A share's newest trading date on its primary feed, under whichever code: volume in 1e-6, number of trades, the
    last price and the close of the day before in 1e-8, that one adjusted for splits and the like (None where it is not
    known, or the day cannot have begun from it)."""

    symbol: str
    feed: str
    volume: int
    trades: int
    price: int
    prev_close: int | None

    @property
    def change(self) -> int | None:
        """In 1e-8; None where it is not known."""
        return None if self.prev_close is None else self.price - self.prev_close

    @property
    def percent(self) -> int | None:
        """As `statistics.percent`; None where it is not known, too."""
        if self.change is None or self.prev_close is None:
            return None
        return day_statistics.percent(self.change, self.prev_close)


@dataclass(frozen=True, slots=True)
class Standings:
    """The symbols that traded on the newest trading date of any of them, and when that was read."""

    found: list[Standing]
    read_us: int


_lock = threading.Lock()
_kept: tuple[float, Standings] | None = None


def standings() -> Standings:
    """At most `KEEP_S` old; one thread of a process reads at a time."""
    global _kept
    with _lock:
        if _kept is None or time.monotonic() - _kept[0] > KEEP_S:
            made = _read()
            _kept = (time.monotonic(), made)
        return _kept[1]


def most_active(found: list[Standing], *, by_trades: bool, top: int) -> list[Standing]:
    """Those that traded most, by volume or by number of trades."""
    return sorted(found, key=lambda one: (-(one.trades if by_trades else one.volume), one.symbol))[:top]


def movers(found: list[Standing], *, top: int) -> tuple[list[Standing], list[Standing]]:
    """(those that rose most, those that fell most), in per cent of the close before."""
    changed = sorted(((one.percent, one) for one in found if one.percent), key=lambda pair: (pair[0], pair[1].symbol))
    losers = [one for percent, one in changed if percent < 0]
    gainers = [one for percent, one in reversed(changed) if percent > 0]
    return gainers[:top], losers[:top]


def _read() -> Standings:
    now = datetime.datetime.now(datetime.UTC)
    known, held = snapshots.dates(now), _held(now)
    made: list[tuple[int, Standing]] = []
    chosen = Symbol.objects.filter(is_active=True).exclude(category=INDEX).order_by("primary_feed", "code")
    for feed, part in groupby(chosen, key=lambda symbol: symbol.primary_feed):
        symbols = {symbol.code: symbol for symbol in part}
        markets = {code: symbol.market_id for code, symbol in symbols.items()}
        days_of: dict[str, DailyBars] = {}
        codes = sorted(markets.keys() - held.keys())
        for start in range(0, len(codes), TOGETHER):
            some = {code: markets[code] for code in codes[start : start + TOGETHER]}
            days_of |= trading_days.newest(feed, some, known, _DAYS)
        for code in sorted(markets.keys() & held.keys()):
            days, _ = trading_days.read_held(
                held[code], feed, markets[code], known, EPOCH_DATE, datetime.date.max, limit=_DAYS, ascending=False
            )
            days_of |= {code: days} if len(days) else {}
        shares = {code: (markets[code], held.get(code, ())) for code in days_of}
        told = factors.in_force(shares, "split", int(now.timestamp()) * 1_000_000)
        made += [_standing(symbols[code], days, told.get(code, ())) for code, days in days_of.items()]
    newest = max((day for day, _ in made), default=0)
    return Standings([one for day, one in made if day == newest], time.time_ns() // 1000)


def _held(now: datetime.datetime) -> dict[str, list[Held]]:
    """By what a share is called now, the codes that it had, where it or its code was ever renamed."""
    renames = corporate_actions.renames()
    named = Symbol.objects.filter(code__in={code for one in renames for code in (one.old, one.new)})
    now_us = int(now.timestamp()) * 1_000_000
    return {
        code: corporate_actions.held(code, trading_dates.calendar(market).trade_date(now_us), renames)
        for code, market in named.values_list("code", "market_id")
    }


def _standing(symbol: Symbol, days: DailyBars, of_share: Sequence[Factor]) -> tuple[int, Standing]:
    """(trading date, standing) of a share from its newest daily candles, newest first."""
    day, price = int(days.trade_date[0]), int(days.last[0])
    before = adjustment.close_before(days, of_share)
    if before is not None and not _may_begin_from(before, price, date_of(day), symbol):
        before = None
    return day, Standing(symbol.code, days.feed, int(days.volume[0]), int(days.n[0]), price, before)


def _may_begin_from(before: int, price: int, date: datetime.date, symbol: Symbol) -> bool:
    """Whether a share that stands at a price on a date can have begun it from this close. Not if something happened to
    it that nobody entered: the exchange's limits of the date, which lie around its base price, are around another one,
    or the price is beyond any limit. Of other markets, and of what has no such limit, everything is believed."""
    if symbol.limits_on == date and symbol.lower_limit is not None and symbol.upper_limit is not None:
        return abs(symbol.lower_limit + symbol.upper_limit - 2 * before) * _BASE_PARTS <= 2 * before
    if symbol.market_id != _KRX or symbol.category not in _LIMITED or symbol.is_in_liquidation:
        return True
    return abs(price - before) * 100 <= _MOST_PERCENT * before
