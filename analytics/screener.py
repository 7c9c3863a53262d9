"""Which symbols traded most and moved most on the newest trading date, over all that are collected. It reads the days
of every symbol, so an answer is kept for `KEEP_S`."""

from __future__ import annotations

import datetime
import threading
import time
from dataclasses import dataclass
from itertools import groupby

from analytics import latest, series_days, snapshots, statistics
from marketdata.models import Symbol

KEEP_S = 30.0
TOGETHER = 200  # symbols read at a time


@dataclass(frozen=True, slots=True)
class Standing:
    """A symbol's newest trading date on its primary feed: volume in 1e-6, number of trades, the last price and the
    close of the day before in 1e-8 (None where one is not known)."""

    symbol: str
    feed: str
    volume: int
    trades: int
    price: int | None
    prev_close: int | None

    @property
    def change(self) -> int | None:
        """In 1e-8; None where it is not known."""
        return None if self.price is None or self.prev_close is None else self.price - self.prev_close

    @property
    def percent(self) -> int | None:
        """As `statistics.percent`; None where it is not known, too."""
        if self.change is None or self.prev_close is None:
            return None
        return statistics.percent(self.change, self.prev_close)


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


def forget() -> None:
    """Read anew at the next question."""
    global _kept
    _kept = None


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
    known = snapshots.dates(datetime.datetime.now(datetime.UTC))
    rows = Symbol.objects.filter(is_active=True).order_by("primary_feed", "code")
    chosen = list(rows.values_list("primary_feed", "code", "market_id"))
    made: list[tuple[int, Standing]] = []
    for feed, part in groupby(chosen, key=lambda row: row[0]):
        markets = {code: market for _, code, market in part}
        codes = sorted(markets)
        for start in range(0, len(codes), TOGETHER):
            some = {code: markets[code] for code in codes[start : start + TOGETHER]}
            made += _of_feed(feed, some, known)
    newest = max((day for day, _ in made), default=0)
    return Standings([one for day, one in made if day == newest], time.time_ns() // 1000)


def _of_feed(feed: str, symbols: dict[str, str], known: series_days.Dates) -> list[tuple[int, Standing]]:
    """(trading date, standing) of these symbols, whose markets are given."""
    days = series_days.newest(feed, symbols, known, 2)
    traded = latest.trades([(code, feed) for code in days])
    found = []
    for code, bars in days.items():
        trade, closes = traded.get((code, feed)), bars.close.tolist()
        before = closes[1] if len(closes) > 1 else None
        standing = Standing(code, feed, int(bars.volume[0]), int(bars.n[0]), trade.price if trade else None, before)
        found.append((int(bars.trade_date[0]), standing))
    return found
