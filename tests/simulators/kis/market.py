"""A made-up Korean market behind the KIS simulator: its WebSocket and its REST answers are two views of this one state.
Deterministic by its seed; the times are the caller's. Prices are whole won, volumes whole shares.
"""

import bisect
import datetime
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from terminals.sources.market import LIMIT_PERCENT, on_grid, tick_size

KST: Final = datetime.timezone(datetime.timedelta(hours=9))
KRX, NXT = "krx", "nxt"
LEVELS: Final = 10
# Codes of the kinds that KIS has: digits, newer listings with letters, an ETN with its Q.
_SPECIAL: Final = ("0126Z0", "0007C0", "Q500001")
_HEADS: Final = ("가람", "나래", "다온", "라온", "마루", "바른", "새솔", "아라", "자람", "초롱")
_TAILS: Final = ("전자", "화학", "제약", "식품", "통신", "건설", "증권", "물산", "모터스", "소재")


@dataclass
class Minute:
    """One minute of a venue's trades."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int


@dataclass
class Day:
    """What a venue has traded in one stock on one date; all 0 before the first trade."""

    open: int = 0
    high: int = 0
    low: int = 0
    last: int = 0
    volume: int = 0
    value: int = 0
    buys: int = 0
    sells: int = 0
    bought: int = 0
    sold: int = 0
    open_time: str = ""
    high_time: str = ""
    low_time: str = ""
    minutes: dict[str, Minute] = field(default_factory=dict)
    """By HHMM, Seoul time."""


@dataclass
class Stock:
    """A listed security; `on_nxt` says whether NXT trades it too."""

    code: str
    name: str
    market: str
    base: int
    lower: int
    upper: int
    on_nxt: bool
    price: int
    halted: bool = False
    days: dict[tuple[str, datetime.date], Day] = field(default_factory=dict)

    def day(self, venue: str, date: datetime.date) -> Day:
        """The day of a venue; it begins when it is first asked for."""
        return self.days.setdefault((venue, date), Day())


@dataclass(frozen=True)
class Trade:
    """One print. `volume` and `value` are the day's after it, as the venue counts them."""

    code: str
    venue: str
    date: datetime.date
    time: str
    """HHMMSS."""
    price: int
    size: int
    buyer: bool
    """Whether the buyer was the aggressor."""
    volume: int
    value: int


@dataclass(frozen=True)
class Book:
    """Ten levels a side, best first: (price, volume)."""

    asks: Sequence[tuple[int, int]]
    bids: Sequence[tuple[int, int]]


class Market:
    """Stocks and their days. Not thread-safe: it belongs to one event loop."""

    def __init__(self, *, seed: int, symbols: int, nxt_share: float = 0.5) -> None:
        self.rng = random.Random(seed)
        self.stocks = {one.code: one for one in (self._stock(number, nxt_share) for number in range(symbols))}
        self._codes = list(self.stocks)
        weights = [1.0 / (rank + 3) for rank in range(symbols)]
        self._busy = list(itertools.accumulate(weights))

    def choose(self) -> Stock:
        """A stock, the busy ones more often."""
        return self.stocks[self._codes[bisect.bisect(self._busy, self.rng.random() * self._busy[-1])]]

    def trade(self, stock: Stock, moment: datetime.datetime, venue: str = KRX) -> Trade:
        """Let one trade happen at `moment` (any zone)."""
        local = moment.astimezone(KST)
        buyer = self.rng.random() < 0.5
        step = tick_size(stock.price)
        moved = stock.price + self.rng.choice((-step, 0, 0, step))
        stock.price = min(max(moved, stock.lower), stock.upper)
        size = max(1, min(int(self.rng.lognormvariate(2.6, 1.3)), 100_000))
        day, at = stock.day(venue, local.date()), local.strftime("%H%M%S")
        _count(day, at, stock.price, size, buyer=buyer)
        return Trade(stock.code, venue, local.date(), at, stock.price, size, buyer, day.volume, day.value)

    def book(self, stock: Stock) -> Book:
        """The book around the last price; at a limit a side has fewer levels, the others are (0, 0)."""
        asks, bids, price = [], [], stock.price
        for _ in range(LEVELS):
            price += tick_size(price)
            asks.append((price, self._resting()) if price <= stock.upper else (0, 0))
        price = stock.price
        for _ in range(LEVELS):
            bids.append((price, self._resting()) if price >= stock.lower else (0, 0))
            price -= tick_size(max(1, price - 1))
        return Book(asks, bids)

    def _resting(self) -> int:
        return int(self.rng.lognormvariate(5.0, 1.0)) + 1

    def _stock(self, number: int, nxt_share: float) -> Stock:
        code = _SPECIAL[number] if number < len(_SPECIAL) else f"{(number + 1) * 10:06d}"
        again = number // (len(_HEADS) * len(_TAILS))
        head, tail = _HEADS[number % len(_HEADS)], _TAILS[number // len(_HEADS) % len(_TAILS)]
        base = on_grid(10 ** self.rng.uniform(3.2, 5.8))
        lower, upper = limits(base)
        market = "KOSDAQ" if number % 3 == 2 else "KOSPI"
        on_nxt = not code.startswith("Q") and self.rng.random() < nxt_share
        return Stock(code, f"{head}{tail}{again or ''}", market, base, lower, upper, on_nxt, base)


def limits(base: int) -> tuple[int, int]:
    """The lowest and highest price of a day, inside 30 % of the base and on the grid."""
    lowest, highest = -(-base * (100 - LIMIT_PERCENT) // 100), base * (100 + LIMIT_PERCENT) // 100
    step = tick_size(lowest)
    return -(-lowest // step) * step, highest - highest % tick_size(highest)


def _count(day: Day, at: str, price: int, size: int, *, buyer: bool) -> None:
    if not day.volume:
        day.open, day.open_time = price, at
    if price > day.high:
        day.high, day.high_time = price, at
    if not day.low or price < day.low:
        day.low, day.low_time = price, at
    day.last = price
    day.volume += size
    day.value += price * size
    if buyer:
        day.buys, day.bought = day.buys + 1, day.bought + size
    else:
        day.sells, day.sold = day.sells + 1, day.sold + size
    minute = day.minutes.get(at[:4])
    if minute is None:
        day.minutes[at[:4]] = Minute(price, price, price, price, size, price * size)
        return
    minute.high, minute.low, minute.close = max(minute.high, price), min(minute.low, price), price
    minute.volume += size
    minute.value += price * size
