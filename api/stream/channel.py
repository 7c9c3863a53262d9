"""One feed in this process: who listens to it, and giving each listener what it wants. Each message is encoded once,
not per socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from api.auth import access
from api.rest import jsontext
from api.stream import candles, encoding
from api.stream.candles import Candles, Reading, Row
from api.stream.encoding import DayLimits, Form, Piece
from api.stream.kept_entries import Kept, KeptEntries, kept
from api.stream.newest import Newest
from api.stream.recent_ticks import RecentTicks
from api.stream.send_queue import Chunk
from api.stream.stored_pages import Cut, Had, Left, Stored
from api.stream.subscriber import Subscriber
from marketdata.realtime.feed import CANCELLED, FeedEntry
from marketdata.realtime.records_feed import Notice
from marketdata.realtime.stats import Statistics
from marketdata.types.minute_bars import COLUMNS, Bars
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.tick_arrays import Int64, Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

_TIME = COLUMNS.index("time_us")
PIECE_ROWS = 128
RECENT_TICKS = 100_000  # 1.6 MB a feed
_NO_IDS: Int64 = np.zeros(0, np.int64)
_BARS = ("bars", "updatedBars")
_NAMES = {"b": "bars", "u": "updatedBars", "d": "dailyBars"}
Read = Callable[[str, Reading], Awaitable[Bars]]  # the minute candles of a feed, from the database
ReadNewest = Callable[[str, str, Sequence[str]], Awaitable[Mapping[str, Any]]]  # channel, feed, symbols: their states
NEWEST = {
    "dailyBars": (1_000_000, 200), "orderbooks": (250_000, 200), "stats": (1_000_000, 200), "lulds": (2_000_000, 500),
}  # fmt: skip
"""Channels that tell the newest state of a symbol: how often it is read at most, in microseconds, and of how many
symbols at once."""


class Channel:
    """`delivered` is the offset up to which everything was handed to the listeners; None until that is known.
    `committed_us` is when the last of it was committed, None when the feed has nothing."""

    def __init__(self, feed: str, *, grace_us: int) -> None:
        self.feed = feed
        self.delivered: int | None = None
        self.committed_us: int | None = None
        self.setting_out: asyncio.Task[None] | None = None  # while `delivered` is being found out
        self.cut: Cut | None = None  # the newest that a replay from the database made
        self.cutting = asyncio.Lock()  # held while it is made
        self.kept = KeptEntries()
        self.recalling = asyncio.Lock()  # held while older entries are read into `kept`
        self.left = Left("", _NO_IDS, _NO_IDS)
        self._recent = RecentTicks(RECENT_TICKS)
        self._had_since: Had | None = None  # those of the epoch that is now, until more is delivered
        self.candles = Candles(grace_us=grace_us)
        self.newest: dict[str, Newest[Any]] = {
            name: Newest(every_us=every_us, most=most) for name, (every_us, most) in NEWEST.items()
        }
        self.records: str | None = None  # up to which entry of the feed's records everything was handed on
        self.subscribers: set[Subscriber] = set()

    def deliver(self, entry: FeedEntry, now_us: int) -> None:
        """Hand an entry to everybody who is live."""
        live = [one for one in self.subscribers if one.live]
        cancelled = entry.ticks.kind == CANCELLED
        if cancelled.any():
            give_cancels(entry.ticks, live)
            ticks = entry.ticks.take(cancelled)
            names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
            touched = set(zip(names, (ticks.time_us // MINUTE_US * MINUTE_US).tolist(), strict=True))
            self.candles.correct(entry.bars, sorted(touched), self.watched())
            self._touch("dailyBars", names)
            self._delivered(kept(entry), entry.ticks)
            return
        mine = kept(entry)
        give_trades(mine, entry.ticks, [one for one in live if one.channels["trades"]])
        _give_quotes(entry, [one for one in live if one.channels["quotes"]])
        if len(entry.bars):
            self.candles.absorb(entry.bars, latest_us(entry), now_us, self.watched())
            traded = [entry.bars.symbols[index] for index in np.unique(entry.bars.symbol)]
            self._touch("dailyBars", traded)
            self._touch("lulds", traded)
        self._delivered(mine, entry.ticks)

    def recent(self) -> Had:
        """What whoever was live has had last, of the epoch that is now."""
        if self._had_since is None:
            offsets, ids = self._recent.all()
            self._had_since = Had(np.sort(ids[offsets > 0]))
        return self._had_since

    def leave(self, epoch: str) -> None:
        """This epoch is over; offsets are counted anew, and who has some of the next has had all of this one."""
        offsets, ids = self._recent.all()
        self.left = Left(epoch, ids, offsets)
        self._recent.forget_offsets()
        self._had_since = None

    def _delivered(self, entry: Kept, ticks: Ticks) -> None:
        self.delivered = entry.last
        self.kept.append(entry)
        self._had_since = None
        self._recent.append(entry.first, ticks.tick_id)
        self.committed_us = max(entry.committed_us, self.committed_us or 0)

    @property
    def committed_at(self) -> str | None:
        """When what was delivered had been committed, as a client is told."""
        return None if self.committed_us is None else jsontext.time(self.committed_us)

    def begin(self, delivered: int, newest: Sequence[FeedEntry], now_us: int) -> None:
        """Set out behind offset `delivered`; the newest entries before it tell the feed's time."""
        times = [latest_us(entry) for entry in newest if len(entry.bars)]
        self.committed_us = max((entry.committed_us for entry in newest), default=None)
        self.candles.begin(max(times, default=None), now_us)
        self.delivered = delivered
        self.kept.clear(delivered)
        self.kept.prepend([kept(entry) for entry in reversed(newest) if entry.last <= delivered])

    def missed(self, delivered: int) -> None:
        """A part of the feed was not seen: go on behind offset `delivered`."""
        self.delivered = delivered
        self.kept.clear(delivered)
        self.candles.missed()
        for name, newest in self.newest.items():
            newest.missed(self._codes(name))

    def watched(self) -> set[str]:
        """The symbols whose candles somebody listens to; "*" for all."""
        return self._codes(*_BARS)

    def _codes(self, *names: str) -> set[str]:
        return set(chain.from_iterable(one.channels[name] for one in self.subscribers for name in names))

    def _touch(self, name: str, symbols: Iterable[str]) -> None:
        self.newest[name].touch(symbols, self._codes(name))

    def retell(self, lists: Mapping[str, Iterable[str]]) -> None:
        """Somebody subscribed to these symbols of channels: what has a newest state is told as it is now."""
        for name, newest in self.newest.items():
            newest.retell(code for code in lists[name] if code != candles.ALL)

    async def announce_newest(self, read: ReadNewest, now_us: int) -> None:
        """Tell the states that changed, as `read` finds them. What `read` raises is passed on, and they stay due."""
        for name, newest in self.newest.items():
            symbols = newest.due(self._codes(name), now_us)
            if not symbols:
                continue
            try:
                found = await read(name, self.feed, symbols)
            except BaseException:
                newest.failed(symbols)
                raise
            news = newest.done(found)
            if name == "orderbooks":
                give_books(news, self.subscribers)
            elif name == "stats":
                give_stats(news, self.subscribers)
            elif name == "lulds":
                give_limits(news, self.subscribers)
            else:
                for over in (True, False):
                    self.give_bars([row for row, is_over in news if is_over is over], kind="d", closed=over)

    def follow_records(self, place: str) -> None:
        """Set out behind an entry of the feed's records, unless that happened meanwhile."""
        if self.records is None:
            self.records = place

    def deliver_records(self, notice: Notice) -> None:
        """Hand statuses to everybody who listens, and note which order books and candles are to be read."""
        self._touch("orderbooks", notice.books)
        self._touch("stats", notice.stats)
        if notice.candles:
            self.candles.reread(notice.candles, self.watched())
            self._touch("dailyBars", (symbol for symbol, _ in notice.candles))
        if notice.statuses:
            give_statuses(notice.statuses, self.subscribers)
        for told in notice.alerts:
            give_alert(told, self.subscribers)

    async def announce(self, read: Read, now_us: int) -> None:
        """Tell the candles whose minute is over and those that changed since, as `read` finds them. What `read` raises
        is passed on, and what it was to read stays due."""
        self.candles.advance(now_us)
        while (reading := self.candles.due(self.watched())) is not None:
            try:
                found = await read(self.feed, reading)
            except BaseException:
                self.candles.failed(reading)
                raise
            change = self.candles.done(reading, found)
            self.give_bars(change.closed, kind="b", closed=True)
            self.give_bars(change.updated, kind="u", closed=True)
        if self.candles.overflowed:
            self.candles.overflowed = False
            message = "more closed candles changed than could be read; fetch them by REST"
            for one in self.subscribers:
                one.tell(T="error", code=461, msg=message, o=self.delivered)

    def give_forming(self) -> None:
        """Announce the open candles that changed, to those who asked for them."""
        rows = self.candles.formed()
        if any(one.forming for one in self.subscribers):
            self.give_bars(rows, kind="b", closed=False)

    def give_bars(self, rows: list[Row], *, kind: str, closed: bool, to: Iterable[Subscriber] | None = None) -> None:
        """Candles to those who subscribed to their kind, of all or of these."""
        name = _NAMES[kind]
        listeners = [
            one
            for one in (self.subscribers if to is None else to)
            if one.listening and one.channels[name] and (closed or kind == "d" or one.forming)
        ]
        wanted = set(chain.from_iterable(one.channels[name] for one in listeners))
        rows = rows if "*" in wanted else [row for row in rows if row[0] in wanted]
        if not rows or not listeners:
            return
        found = candles.bars_of(self.feed, rows)
        pieces: dict[bool, list[Piece]] = {}
        for one in listeners:
            if one.form.packed not in pieces:
                pieces[one.form.packed] = encoding.bars(one.form, found, kind=kind, closed=closed)
            codes = one.channels[name]
            for row, piece in zip(rows, pieces[one.form.packed], strict=True):
                if "*" in codes or row[0] in codes:
                    one.send_queue.put_latest((kind, row[0], row[_TIME]), piece)


def latest_us(entry: FeedEntry) -> int:
    """The feed's time at an entry: candles come from trades, so their clock does too."""
    return int(entry.bars.close_time.max())


def give_cancels(ticks: Ticks, listeners: list[Subscriber]) -> None:
    """Tell which trades of an entry were taken back. In order with the trades; an entry has only such."""
    cancelled = ticks.kind == CANCELLED
    if not cancelled.any():
        return
    ticks = ticks.take(cancelled)
    pieces: dict[bool, list[Piece]] = {}
    for one in listeners:
        codes, packed = one.codes("cancelErrors"), one.form.packed
        if not codes:
            continue
        if packed not in pieces:
            pieces[packed] = encoding.cancels(one.form, ticks)
        for index, piece in zip(ticks.symbol.tolist(), pieces[packed], strict=True):
            if "*" in codes or ticks.symbols[index] in codes:
                one.send_queue.put(piece)


def give_books(found: Sequence[OrderBook], subscribers: Iterable[Subscriber]) -> None:
    """Order books to those who subscribed to them, in place of older ones that wait."""
    for one, book, piece in _for_each(found, "orderbooks", encoding.books, subscribers):
        one.send_queue.put_latest(("o", book.symbol), piece)


def give_stats(found: Sequence[Statistics], subscribers: Iterable[Subscriber]) -> None:
    """Statistics to those who subscribed to them, in place of older ones that wait."""
    for one, told, piece in _for_each(found, "stats", encoding.stats, subscribers):
        one.send_queue.put_latest(("s", told.symbol), piece)


def give_limits(found: Sequence[DayLimits], subscribers: Iterable[Subscriber]) -> None:
    """Price limits to those who subscribed to them, in place of older ones that wait."""
    for one, limits, piece in _for_each(found, "lulds", encoding.limits, subscribers):
        one.send_queue.put_latest(("l", limits.symbol), piece)


def give_statuses(found: Sequence[MarketEvent], subscribers: Iterable[Subscriber]) -> None:
    """Statuses in their order; one of no symbol is for those who listen to all."""
    for one, _, piece in _for_each(found, "statuses", encoding.statuses, subscribers):
        one.send_queue.put(piece)


def give_alert(told: Mapping[str, Any], subscribers: Iterable[Subscriber]) -> None:
    """An alert to those who subscribed to its symbol and may be told of its owner's; one of no symbol is for those who
    listen to all."""
    pieces: dict[bool, Piece] = {}
    for one in subscribers:
        codes = one.channels["alerts"]
        if not one.listening or not (candles.ALL in codes or told["symbol"] in codes):
            continue
        if one.alerts_of in (access.EVERYBODY, told["owner"]):
            if one.form.packed not in pieces:
                pieces[one.form.packed] = encoding.alert(one.form, told)
            one.send_queue.put(pieces[one.form.packed])


Record = TypeVar("Record", OrderBook, MarketEvent, Statistics, DayLimits)


def _for_each(
    found: Sequence[Record],
    name: str,
    encode: Callable[[Form, Sequence[Record]], list[Piece]],
    subscribers: Iterable[Subscriber],
) -> Iterator[tuple[Subscriber, Record, Piece]]:
    """Which listener of a channel is to be given which of these, encoded once for all."""
    pieces: dict[bool, list[Piece]] = {}
    for one in subscribers:
        codes = one.channels[name]
        if not codes or not one.listening:
            continue
        if one.form.packed not in pieces:
            pieces[one.form.packed] = encode(one.form, found)
        for record, piece in zip(found, pieces[one.form.packed], strict=True):
            if candles.ALL in codes or record.symbol in codes:
                yield one, record, piece


def give_trades(entry: Kept, ticks: Ticks, listeners: list[Subscriber]) -> None:
    """An entry's trades, of its ticks, to these listeners: by symbol, or for numbered ones strictly in the order of
    offsets. What those who listen to all are sent stays with the entry, for the next of them."""
    left = []
    for one in listeners:
        if one.after < entry.first and "*" in one.channels["trades"] and one.form in entry.whole:
            one.send_queue.put_trades(entry.whole[one.form])
        else:
            left.append(one)
    listeners = left
    rows = _rows(ticks, wire.Kind.TRADE, listeners, "trades")
    if not len(rows):
        return
    ticks = ticks if len(rows) == len(ticks) else ticks.take(rows)
    places = {} if all("*" in one.channels["trades"] for one in listeners) else _places(ticks)
    offsets = (rows + entry.first).tolist()
    encoded: dict[Form, list[bytes]] = {}
    ready: dict[tuple[Form, str], list[Chunk]] = {}

    def chunks(form: Form, positions: Iterable[int]) -> list[Chunk]:
        if form not in encoded:
            encoded[form] = encoding.trades(form, ticks, offsets)
        return _chunks(form, encoded[form], offsets, list(positions))

    for one in listeners:
        codes = one.channels["trades"]
        if one.after >= entry.first:  # it has a part of this entry from its replay
            mine = range(len(rows)) if "*" in codes else sorted(chain.from_iterable(places.get(c, ()) for c in codes))
            given = chunks(one.form, (place for place in mine if offsets[place] > one.after))
        elif "*" in codes:
            if one.form not in entry.whole:
                entry.whole[one.form] = chunks(one.form, range(len(rows)))
            given = entry.whole[one.form]
        elif one.form.numbered:
            given = chunks(one.form, sorted(chain.from_iterable(places[code] for code in places.keys() & codes)))
        else:
            given = list(chain.from_iterable(
                _once(ready, (one.form, code), lambda form=one.form, code=code: chunks(form, places[code]))  # type: ignore[misc]
                for code in places.keys() & codes
            ))  # fmt: skip
        one.send_queue.put_trades(given)


def _once(
    ready: dict[tuple[Form, str], list[Chunk]], key: tuple[Form, str], make: Callable[[], list[Chunk]]
) -> list[Chunk]:
    if key not in ready:
        ready[key] = make()
    return ready[key]


def _chunks(form: Form, messages: list[bytes], offsets: list[int], positions: list[int]) -> list[Chunk]:
    parts = [positions[start : start + PIECE_ROWS] for start in range(0, len(positions), PIECE_ROWS)]
    return [
        (encoding.together(form, [messages[place] for place in part]), offsets[part[0]], offsets[part[-1]])
        for part in parts
    ]


def give_stored(part: Stored, one: Subscriber) -> None:
    """Trades that the database gave, to one listener. They have no offsets. What those who listen to all are sent stays
    with the part."""
    form = Form(packed=one.form.packed)
    if "*" in one.channels["trades"] and form in part.whole:
        one.send_queue.put_trades(part.whole[form])
        return
    rows = _rows(part.ticks, wire.Kind.TRADE, [one], "trades")
    offsets = [0] * len(rows)
    messages = encoding.trades(form, part.ticks.take(rows), offsets) if len(rows) else []
    given = _chunks(form, messages, offsets, list(range(len(rows))))
    if "*" in one.channels["trades"]:
        part.whole[form] = given
    one.send_queue.put_trades(given)


def give_newest_quotes(ticks: Ticks, one: Subscriber) -> None:
    """Of each symbol the newest of these quotes, in place of an older one that waits."""
    if not one.channels["quotes"]:
        return
    ticks = ticks.take(_rows(ticks, wire.Kind.QUOTE, [one], "quotes"))
    chosen = {code: mine[-1] for code, mine in _places(ticks).items()}
    if chosen:
        pieces = encoding.quotes(one.form, ticks.take(np.array(list(chosen.values()), np.int64)))
        for code, piece in zip(chosen, pieces, strict=True):
            one.send_queue.put_latest(("q", code), piece)


def _give_quotes(entry: FeedEntry, listeners: list[Subscriber]) -> None:
    rows = _rows(entry.ticks, wire.Kind.QUOTE, listeners, "quotes")
    if not len(rows):
        return
    ticks = entry.ticks.take(rows)
    places = _places(ticks)
    ready: dict[tuple[bool, str], tuple[Piece, Piece]] = {}
    encoded: dict[bool, list[Piece]] = {}
    for one in listeners:
        packed, codes = one.form.packed, one.channels["quotes"]
        if packed not in encoded:
            encoded[packed] = encoding.quotes(one.form, ticks)
        for code in places if "*" in codes else places.keys() & codes:
            if (packed, code) not in ready:
                mine = [encoded[packed][place] for place in places[code]]
                ready[packed, code] = (encoding.join(one.form, mine), mine[-1])
            one.send_queue.put_quotes(code, *ready[packed, code])


def _rows(ticks: Ticks, kind: wire.Kind, listeners: list[Subscriber], name: str) -> Int64:
    """The rows of a kind that somebody wants."""
    rows = np.flatnonzero((ticks.kind == kind) & (ticks.symbol >= 0)) if listeners else np.zeros(0, np.int64)
    if len(rows):
        wanted = set(chain.from_iterable(one.channels[name] for one in listeners))
        if "*" not in wanted:
            rows = rows[np.array([code in wanted for code in ticks.symbols], np.bool_)[ticks.symbol[rows]]]
    return rows


def _places(ticks: Ticks) -> dict[str, list[int]]:
    """For each symbol the places of its rows."""
    places: dict[str, list[int]] = {}
    for place, index in enumerate(ticks.symbol.tolist()):
        places.setdefault(ticks.symbols[index], []).append(place)
    return places
