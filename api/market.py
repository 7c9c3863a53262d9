"""Where each symbol of a feed stands on the newest trading date, for whoever looks at the whole market: kept by each
web process and brought up to date by what changed, so that a look costs what changed since the look before.

An answer has a mark: the Redis that it is of, what its names and date are, and the order of its newest result. Whoever
brings it is given what came after it, from any web process.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import redis

from analytics.statistics import market
from analytics.statistics.figures import exact, number
from analytics.statistics.formulas import standings
from analytics.statistics.formulas.standings import Standing
from api.rest import jsontext
from marketdata.models import Symbol
from marketdata.realtime import feed as feed_stream
from marketdata.realtime import live_state, stats
from marketdata.realtime.stats import Statistics
from marketdata.storage import storage
from marketdata.types import categories
from terminals import wire

KEEP_S = 1.0
"""However many look at the market, it is asked for once a second."""
NAMES_S = 60.0
MARK = r"\A[0-9a-f]{1,40}\.[0-9a-f]{8}\.[0-9]{1,17}\Z"
_MARK = re.compile(MARK)
_STORED_TOGETHER = 500  # rows of cache_stats_data that are read at a time while Redis is away


class _Figures(msgspec.Struct):
    """What is shown of the statistics of a symbol, as they were written."""

    last: msgspec.Raw
    change: msgspec.Raw
    changeRate: msgspec.Raw  # noqa: N815 - as the results have it
    volume: msgspec.Raw
    turnover: msgspec.Raw
    trades: msgspec.Raw
    open: msgspec.Raw = msgspec.Raw(b"null")  # what was computed before it was told has none


_figures = msgspec.json.Decoder(_Figures)


class _Group(NamedTuple):
    market: str
    category: str


@dataclass(frozen=True, slots=True)
class _Names:
    """Of every registered symbol but indices: the group that it is in, and the JSON of what it is called. `shape` is
    another one whenever any of this is."""

    groups: dict[str, _Group]
    texts: dict[str, bytes]
    shape: int


@dataclass(frozen=True, slots=True)
class _Row:
    """A result, when it was put, and (unless it tells nothing) its trading date, figures and sums."""

    order: int
    revision: int
    date: str = ""
    figures: bytes = b""
    standing: Standing | None = None


def _row(one: Statistics, order: int) -> _Row:
    if one.body == stats.NOTHING:
        return _Row(order, one.revision)
    known = market.decoder.decode(one.body)
    figures = msgspec.json.encode(_figures.decode(one.body))
    return _Row(order, one.revision, known.td, figures[1:], market.standing(one.symbol, known))


class Board:
    """The rows of one feed. Its methods may be called by several threads."""

    def __init__(self, feed: str) -> None:
        self._feed, self._lock = feed, threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._epoch, self._order, self._read_s = "", 0, float("-inf")
        self._date, self._sums = "", dict[str, Any]()
        self._names = _Names({}, {}, 0)

    def answer(self, since: str | None) -> dict[str, Any] | None:
        """What is to be told to who has the answer with this mark; all of it (`whole`) to who has none, or one of
        another date, Redis or set of names. None when no symbol has statistics."""
        with self._lock:
            if time.monotonic() - self._read_s > KEEP_S:
                self._read()
                self._read_s = time.monotonic()
            if not self._date:
                return None
            place = f"{self._epoch}.{zlib.crc32(self._date.encode(), self._names.shape):08x}"
            whole = since is None or since.rpartition(".")[0] != place or not self._epoch
            after = -1 if whole or since is None else int(since.rpartition(".")[2])
            told = [(symbol, self._rows[symbol]) for symbol in sorted(self._rows) if self._rows[symbol].order > after]
            shown = [(symbol, row) for symbol, row in told if row.date == self._date]
            return {
                "feed": self._feed, "td": self._date,
                "t": jsontext.time(max(row.revision for row in self._rows.values() if row.standing)),
                "mark": f"{place}.{self._order}" if self._epoch else None, "whole": whole,
                **self._sums,
                "symbols": msgspec.Raw(b"[" + b",".join(self._text(symbol, row) for symbol, row in shown) + b"]"),
                "gone": [] if whole else [symbol for symbol, row in told if row.date != self._date],
            }  # fmt: skip

    def _text(self, symbol: str, row: _Row) -> bytes:
        return self._names.texts[symbol] + row.figures

    def _read(self) -> None:
        try:
            changed = self._from_redis()
        except redis.RedisError:
            changed = not self._rows and self._from_database()
        names = names_of_symbols()
        if changed or names is not self._names:
            self._names = names
            self._sum()

    def _from_redis(self) -> bool:
        """Whether something changed."""
        connection = live_state.connection()
        epoch = feed_stream.current_epoch(connection)
        if epoch != self._epoch and not stats.is_seeded(connection):  # emptied: what is known stays until it is filled
            return not self._rows and self._from_database()
        if epoch != self._epoch:  # another Redis, whose order is another one
            put = stats.put_since(connection, self._feed, 0)
            found = stats.all_results(connection, self._feed)
            self._rows.clear()
            self._epoch, self._order = epoch, 0
        else:
            put = stats.put_since(connection, self._feed, self._order)
            found = stats.all_results(connection, self._feed, list(put))
        found.pop(stats.MARKET, None)
        self._rows |= {symbol: _row(one, put.get(symbol, 0)) for symbol, one in found.items()}
        self._order = max(put.values(), default=self._order)
        return bool(found)

    def _from_database(self) -> bool:
        """All rows, of a process that has none, while Redis is away."""
        symbols = sorted(symbol for symbol, feed in storage().stats_series() if feed == self._feed and symbol)
        for start in range(0, len(symbols), _STORED_TOGETHER):
            for row in storage().read_stats(self._feed, stats.ROWS, symbols[start : start + _STORED_TOGETHER]):
                self._rows[row.symbol] = _row(Statistics(row.symbol, row.at_us, row.body.encode()), 0)
        return bool(symbols)

    def _sum(self) -> None:
        """The newest date of any symbol that is registered, and the sums of those that traded on it."""
        for symbol in self._rows.keys() - self._names.groups.keys():
            self._rows[symbol] = _Row(self._rows[symbol].order, self._rows[symbol].revision)
        self._date = max((row.date for row in self._rows.values()), default="")
        found = sorted(
            ((self._names.groups[symbol], row.standing) for symbol, row in self._rows.items()
             if row.standing is not None and row.date == self._date),
            key=lambda pair: pair[0],
        )  # fmt: skip
        groups = [
            {"market": group.market, "category": group.category, **_sums(list(part))}
            for group, part in groupby(found, key=lambda pair: pair[0])
        ]
        self._sums = {"all": _sums(found), "groups": groups}


def _sums(found: Sequence[tuple[_Group, Standing]]) -> dict[str, Any]:
    """Sums are of all; counts and mean changes of the shares among them, and of all where there is none."""
    listed = [standing for _, standing in found]
    shares = [standing for group, standing in found if categories.is_share(group.category)]
    whole, counts, unit = standings.breadth(listed), standings.breadth(shares or listed), 10**market.PERCENT_SCALE
    return {
        "symbols": len(listed), "shares": len(shares), "advancing": counts.advancing, "declining": counts.declining,
        "unchanged": counts.unchanged, "breadth": number(counts.ratio),
        "turnover": exact(whole.turnover, wire.VALUE_SCALE), "upVolume": exact(whole.up, wire.SIZE_SCALE),
        "downVolume": exact(whole.down, wire.SIZE_SCALE),
        "meanChange": number(None if counts.mean is None else counts.mean / unit),
        "weightedChange": number(None if counts.weighted is None else counts.weighted / unit),
    }  # fmt: skip


_lock = threading.Lock()
_boards: dict[str, Board] = {}  # as many as there are feeds, which have a quota
_names: tuple[float, _Names] = (float("-inf"), _Names({}, {}, 0))


def board(feed: str) -> Board:
    """Of a feed that there is."""
    with _lock:
        return _boards.setdefault(feed, Board(feed))


def forget() -> None:
    """Let everything be read anew."""
    global _names
    with _lock:
        _boards.clear()
        _names = (float("-inf"), _Names({}, {}, 0))


def names_of_symbols() -> _Names:
    """At most `NAMES_S` old; the same object as long as nothing changed."""
    global _names
    with _lock:
        read_s, known = _names
        if time.monotonic() - read_s > NAMES_S:
            read = _read_names()
            known = known if read.shape == known.shape else read
            _names = (time.monotonic(), known)
        return known


def _read_names() -> _Names:
    rows = (
        Symbol.objects.exclude(category=categories.INDEX)
        .order_by("code")
        .values_list("code", "name", "name_en", "market_id", "category", "market__timezone")
    )
    groups: dict[str, _Group] = {}
    texts: dict[str, bytes] = {}
    shape = 0
    for code, name, name_en, market_code, category, timezone in rows:
        group = _Group(market_code, categories.category_of(category, market=market_code, timezone=timezone))
        told = {"symbol": code, "name": name, "name_en": name_en, "market": group.market, "category": group.category}
        groups[code], texts[code] = group, msgspec.json.encode(told)[:-1] + b","
        shape = zlib.crc32(texts[code], shape)
    return _Names(groups, texts, shape)
