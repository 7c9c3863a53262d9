"""Whether what was sent is what is stored: rows one by one, candles computed anew. Plain arithmetic on whole numbers.

Deliberately none of the product's arithmetic: a mistake in that must not hide itself here.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

MINUTE_US = 60_000_000
TRADE = 1
EXAMPLES = 10

Key = tuple[int, int, int]
"""(stream, seq, index in the batch): the name of a row that its terminal gave it."""


class Tick(NamedTuple):
    """All a terminal can say of an event. Prices in 1e-8, sizes in 1e-6, None where nothing was said."""

    feed: str
    symbol: str
    time_us: int
    kind: int
    price: int | None
    size: int | None
    side: int | None
    seq: int | None
    bid: int | None
    ask: int | None
    bid_size: int | None
    ask_size: int | None
    cum_volume: int | None
    day: tuple[int | None, ...] | None = None
    """Of a snapshot that tells of it: open, high, low, close before, limits, change and value."""


class OrderBook(NamedTuple):
    """All a terminal can say of an order book: levels as (price, size), best first."""

    feed: str
    symbol: str
    time_us: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    figures: tuple[int | None, ...]
    """Totals of both sides, expected price and size, volume of the day, middle."""


class Event(NamedTuple):
    """All a terminal can say of an event; `body` as JSON with its names in order."""

    feed: str
    symbol: str
    time_us: int
    word: str
    body: str


Row = Tick | OrderBook | Event


class Candle(NamedTuple):
    """Prices in 1e-8, volume in 1e-6, value in 1e-14."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int
    n: int


class Series(NamedTuple):
    """What one candle is about."""

    symbol: str
    feed: str
    minute_us: int
    trade_date: str


@dataclass(slots=True)
class Rows:
    """The account of rows; `examples` name the first that are wrong."""

    sent: int
    stored: int = 0
    lost: int = 0
    duplicated: int = 0
    rejected: int = 0
    excused: int = 0
    examples: list[str] = field(default_factory=list)

    def _note(self, what: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(what)


def of_key(tick_id: int) -> Key:
    """The name inside a stored row's `tick_id`."""
    return tick_id >> 45, tick_id >> 13 & 0xFFFFFFFF, tick_id & 0x1FFF


def rows(
    sent: Mapping[Key, Row],
    stored: Iterable[tuple[Key, Row]],
    refused: Collection[Key] = (),
    *,
    excused: Collection[tuple[int, int]] = (),
    overwritten: Mapping[tuple[int, int], Mapping[Key, Row]] = MappingProxyType({}),
) -> Rows:
    """Lost: sent, and neither stored as it was sent nor refused with a reason, nor in a batch (stream, seq) that is
    `excused`: its disk was taken away before the server had it.

    Duplicated: stored once more, stored although refused, or stored though no terminal has it with that content.

    Of a batch whose number another one has since, `overwritten` has the rows: the server must have one of both whole.
    """
    held: dict[tuple[int, int], list[tuple[Key, Row]]] = {batch: [] for batch in overwritten}
    stored = list(_apart(stored, held)) if held else stored
    for batch, found_rows in held.items():
        if found_rows and dict(found_rows) == overwritten[batch]:
            sent = {key: row for key, row in sent.items() if key[:2] != batch} | dict(overwritten[batch])
    account = Rows(sent=len(sent))
    found: set[Key] = set()
    refusals, excuses = set(refused), set(excused)
    for key, row in itertools.chain(stored, *held.values()):
        account.stored += 1
        if key in found or key in refusals or sent.get(key) != row:
            account.duplicated += 1
            account._note(f"stored and not sent, or once more: {key} {row}, sent: {sent.get(key)}")
        else:
            found.add(key)
    for key in sent:
        if key in refusals:
            account.rejected += 1
        elif key not in found and key[:2] in excuses:
            account.excused += 1
        elif key not in found:
            account.lost += 1
            account._note(f"lost: {key} {sent[key]}")
    return account


def _apart(
    stored: Iterable[tuple[Key, Row]], held: Mapping[tuple[int, int], list[tuple[Key, Row]]]
) -> Iterator[tuple[Key, Row]]:
    """The rows of all other batches; those of a batch of `held` are added to its list."""
    for key, row in stored:
        if key[:2] in held:
            held[key[:2]].append((key, row))
        else:
            yield key, row


class Candles:
    """Minute candles, one trade at a time, in any order."""

    def __init__(self) -> None:
        self._open: dict[Series, tuple[tuple[int, Key], int]] = {}
        self._close: dict[Series, tuple[tuple[int, Key], int]] = {}
        self._rest: dict[Series, list[int]] = {}

    def add(self, key: Key, trade_date: str, tick: Tick) -> None:
        """Only trades count. The first and the last are decided by time, then by key."""
        if tick.kind != TRADE or tick.price is None:
            return
        series = Series(tick.symbol, tick.feed, tick.time_us // MINUTE_US * MINUTE_US, trade_date)
        place, price, size = (tick.time_us, key), tick.price, tick.size or 0
        rest = self._rest.get(series)
        if rest is None:
            self._open[series] = self._close[series] = place, price
            self._rest[series] = [price, price, size, price * size, 1]
            return
        self._open[series] = min(self._open[series], (place, price))
        self._close[series] = max(self._close[series], (place, price))
        rest[0], rest[1] = max(rest[0], price), min(rest[1], price)
        rest[2] += size
        rest[3] += price * size
        rest[4] += 1

    def all(self) -> dict[Series, Candle]:
        """What the trades so far make."""
        made = {}
        for series, (high, low, volume, value, n) in self._rest.items():
            made[series] = Candle(self._open[series][1], high, low, self._close[series][1], volume, value, n)
        return made


def through(stored: Iterable[tuple[Key, str, Tick]], candles: Candles) -> Iterator[tuple[Key, Tick]]:
    """Hand stored rows on to `rows` and into `candles` in one reading."""
    for key, trade_date, tick in stored:
        candles.add(key, trade_date, tick)
        yield key, tick


def mismatches(expected: Mapping[Series, Candle], stored: Iterable[tuple[Series, Candle]]) -> list[str]:
    """One line for each candle that is missing, stored twice, different, or of no trade."""
    wrong, seen = [], set()
    for series, candle in stored:
        if series in seen or expected.get(series) != candle:
            wrong.append(f"{series}: stored {candle}, the ticks say {expected.get(series)}")
        seen.add(series)
    missing = [series for series in expected if series not in seen]
    return wrong + [f"{series}: not stored, the ticks say {expected[series]}" for series in missing]


def turned_back(numbers: Iterable[int | None]) -> int:
    """How often a source's own numbering did not go on upwards."""
    count, last = 0, 0
    for number in numbers:
        count += number is None or number <= last
        last = last if number is None else number
    return count


def breaks(numbers: Iterable[int | None], *, first: int = 1) -> int:
    """How often a source's own numbering, counted from `first`, did not go on by one."""
    count, due = 0, first
    for number in numbers:
        count += number != due
        due = (due if number is None else number) + 1
    return count


def longest_pause_us(moments: Iterable[int], *, begin: int, end: int) -> int:
    """The longest time within begin..end in which nothing happened."""
    longest, last = 0, begin
    for moment in sorted(moments):
        if begin <= moment <= end:
            longest, last = max(longest, moment - last), moment
    return max(longest, end - last)
