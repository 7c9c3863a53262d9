"""Records as rows: what a trade, an expected price, a book, a status of KIS is in our columns. An expected price is
never a trade. What cannot be right in one record costs that record alone.
"""

import itertools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from terminals import exact
from terminals.batcher import Row
from terminals.sources.kis import exchange_zones, korean_time
from terminals.sources.kis.conditions import Conditions
from terminals.sources.kis.field_changes import FieldChanges
from terminals.sources.kis.frames import Frame
from terminals.sources.kis.layouts import KIS_NIGHT, LAYOUTS, Content, Layout, place_of
from terminals.wire import PRICE_SCALE, SIZE_SCALE, Kind, Side

_SIZE: Final = 10**SIZE_SCALE
_REMEMBERED: Final = 200_000
_SIDES: Final = {"1": Side.BUY, "5": Side.SELL}
_NOTHING: Final = ("", "(null)")
_IN_SESSION: Final = "0"
_TRADE: Final = Kind.TRADE  # in Python 3.11 each look at a member of an enum is a call
_UNKNOWN: Final = Side.UNKNOWN


class _Numbers(dict[str, int]):
    """Decimal numbers as integers of 10^-scale, each text read once; ValueError for what is none."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self._scale = scale

    def __missing__(self, text: str) -> int:
        value, _noisy = exact.read(text, self._scale)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = value
        return value


@dataclass(frozen=True, slots=True)
class Wrong:
    """A record that is no row: `reason` is a word to count by, `values` the record as it came."""

    reason: str
    values: list[str]


class Rows:
    """What a frame gave: `rows` of `feed`, `delayed` ones of a feed of their own."""

    __slots__ = ("delayed", "events", "feed", "rows", "without_price", "wrong")

    def __init__(self, feed: str) -> None:
        # By hand: one is made for each frame, and a dataclass takes three times as long.
        self.feed = feed
        self.rows: list[Row] = []
        self.delayed: list[Row] = []
        self.events: list[Row] = []
        """What changed beside the rows."""
        self.wrong: list[Wrong] = []
        self.without_price = 0
        """Indications that said that there is none."""


class Converter:
    """Makes rows of frames and numbers them from `first_seq`. Not thread-safe."""

    def __init__(self, *, first_seq: int = 1) -> None:
        self._seq = itertools.count(first_seq)
        self._prices, self._sizes = _Numbers(PRICE_SCALE), _Numbers(SIZE_SCALE)
        self._times, self._dates = korean_time.Times(), korean_time.Dates()
        self._conditions = Conditions()
        self._field_changes = FieldChanges()
        self._columns: dict[str, tuple[int, ...]] = {}
        self._picks: dict[str, Callable[[list[str]], tuple[str, ...]]] = {}
        by_content: dict[Content, Callable[[Frame, int, Rows], None]] = {
            Content.TRADE: self._trades,
            Content.EXPECTED: self._expected,
            Content.BOOK: self._books,
            Content.MARKET_STATUS: self._statuses,
            Content.INDEX: self._indices,
            Content.FUTURES_TRADE: self._futures,
            Content.OVERSEAS_TRADE: self._overseas_trades,
            Content.OVERSEAS_BOOK: self._overseas_books,
        }
        self._by_tr = {layout.tr_id: by_content[layout.content] for layout in LAYOUTS.values()}

    def convert(self, frame: Frame, now_us: int) -> Rows:
        """The rows of a frame that came at `now_us`, by which records without a date are dated."""
        made = Rows(frame.layout.feed)
        self._by_tr[frame.layout.tr_id](frame, now_us, made)
        changes = self._field_changes.of(frame, now_us)
        if changes:
            for symbol, fields in changes:
                body: dict[str, object] = {"tr": frame.layout.tr_id, **fields}
                made.events.append(self.event("fields", now_us=now_us, symbol=symbol, body=body))
        return made

    def event(self, name: str, *, now_us: int, body: dict[str, object], symbol: str | None = None) -> Row:
        """A row of an event that is seen now."""
        return {
            "symbol": symbol,
            "time_us": now_us,
            "kind": Kind.STATUS,
            "seq": next(self._seq),
            "trade_date": korean_time.date_of(now_us),
            "event": name,
            "body": body,
        }

    def _trades(self, frame: Frame, now_us: int, made: Rows) -> None:
        # The busiest code of a terminal: what is looked up once stands before the loop.
        pick = self._picks.get(frame.layout.tr_id) or self._pick_of(frame.layout)
        prices, sizes, dates, times, seq = self._prices, self._sizes, self._dates, self._times, self._seq
        conditions, append = self._conditions, made.rows.append
        for record in (frame.values,) if frame.width == len(frame.values) else _records(frame):
            symbol, hour, price_text, size_text, side, cum, date, hour_class, halted, bid, ask, bs, as_ = pick(record)
            try:
                days, midnight_us = dates[date]
                time_us = midnight_us + times[hour]
                price = prices[price_text]
                size = sizes[size_text]
                cum_volume = int(cum) * _SIZE if cum.isdigit() else sizes[cum]
                if halted != "N" or conditions.halted:
                    made.rows.extend(self._halts(made.feed, symbol, halted, time_us, days))
                if hour_class != _IN_SESSION and not (hour_class == "" and 0 < size <= cum_volume):
                    if price <= 0:
                        made.without_price += 1
                    else:
                        append(_expected(symbol, time_us, price, size, next(seq), days))
                    continue
                if price <= 0 or size <= 0 or cum_volume < size:
                    made.wrong.append(Wrong("not_a_trade", record))
                    continue
                append(
                    {
                        "symbol": symbol,
                        "time_us": time_us,
                        "kind": _TRADE,
                        "price": price,
                        "size": size,
                        "side": _SIDES.get(side, _UNKNOWN),
                        "seq": next(seq),
                        "bid": prices[bid] or None if bid else None,
                        "ask": prices[ask] or None if ask else None,
                        "bid_size": sizes[bs] if bs else None,
                        "ask_size": sizes[as_] if as_ else None,
                        "cum_volume": cum_volume,
                        "trade_date": days,
                    }
                )
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))

    def _pick_of(self, layout: Layout) -> Callable[[list[str]], tuple[str, ...]]:
        """Takes the fields of a trade out of a record."""
        side = "CCLD_DVSN" if "CCLD_DVSN" in layout.names else "CNTG_CLS_CODE"
        names = (
            *("MKSC_SHRN_ISCD", "STCK_CNTG_HOUR", "STCK_PRPR", "CNTG_VOL", side, "ACML_VOL", "BSOP_DATE"),
            *("HOUR_CLS_CODE", "TRHT_YN", "BIDP1", "ASKP1", "BIDP_RSQN1", "ASKP_RSQN1"),
        )
        found = self._picks[layout.tr_id] = operator.itemgetter(*(layout.at(name) for name in names))
        return found

    def _expected(self, frame: Frame, now_us: int, made: Rows) -> None:
        places = self._places(frame.layout, "MKSC_SHRN_ISCD", "STCK_CNTG_HOUR", "STCK_PRPR", "CNTG_VOL", "BSOP_DATE")
        for record in _records(frame):
            symbol, hour, price_text, size, date = (record[place] for place in places)
            try:
                days, midnight_us = self._dates[date]
                price = self._prices[price_text]
                if price <= 0:
                    made.without_price += 1
                    continue
                time_us = midnight_us + self._times[hour]
                made.rows.append(_expected(symbol, time_us, price, self._size(size) or 0, next(self._seq), days))
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))

    def _books(self, frame: Frame, now_us: int, made: Rows) -> None:
        layout = frame.layout
        asks, bids, ask_sizes, bid_sizes = _levels(layout, frame.width)
        named = {name: place for place, name in enumerate(layout.names[: frame.width])}
        mid = named.get("MID_PRC", named.get("KMID_PRC"))
        for record in _records(frame):
            try:
                days, time_us = korean_time.nearest(self._times[record[named["BSOP_HOUR"]]], now_us)
                expected_price = self._price(record, named.get("ANTC_CNPR"))
                made.rows.append(
                    {
                        "symbol": record[0],
                        "time_us": time_us,
                        "kind": Kind.BOOK,
                        "seq": next(self._seq),
                        "trade_date": None if layout.feed == KIS_NIGHT else days,
                        "bids": self._side(record, bids, bid_sizes),
                        "asks": self._side(record, asks, ask_sizes),
                        "bid_total": self._size(record[named["TOTAL_BIDP_RSQN"]]),
                        "ask_total": self._size(record[named["TOTAL_ASKP_RSQN"]]),
                        "expected_price": expected_price,
                        "expected_size": self._size(record[named["ANTC_CNQN"]]) if expected_price else None,
                        "cum_volume": self._size(record[named["ACML_VOL"]]) if "ACML_VOL" in named else None,
                        "mid_price": self._price(record, mid),
                    }
                )
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))

    def _statuses(self, frame: Frame, now_us: int, made: Rows) -> None:
        for index, record in enumerate(_records(frame)):
            symbol, fields = record[0], _given(frame, index)
            body: dict[str, object] = {"halted": record[1] == "Y", **fields}
            made.rows.append(self.event("market_status", now_us=now_us, symbol=symbol, body=body))
            days = korean_time.date_of(now_us)
            made.rows.extend(self._halts(made.feed, symbol, record[1], now_us, days))
            code = fields.get("vi_cls_code", "")
            before = self._conditions.vi(made.feed, symbol, code)
            if before is not None:
                body = {"vi": code, "before": before}
                made.rows.append(self.event("vi", now_us=now_us, symbol=symbol, body=body))

    def _indices(self, frame: Frame, now_us: int, made: Rows) -> None:
        for index, record in enumerate(_records(frame)):
            try:
                days, time_us = korean_time.nearest(self._times[record[1]], now_us)
                self._prices[record[2]]  # a value that is no number makes the record wrong
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))
                continue
            # An index is no symbol of the market: its code is in the body.
            row = self.event("index", now_us=time_us, body={"index": record[0], **_given(frame, index)})
            made.rows.append({**row, "trade_date": days})

    def _futures(self, frame: Frame, now_us: int, made: Rows) -> None:
        names = frame.layout.names
        # Futures, options and stock futures call them otherwise.
        price_name, bid_name, ask_name = (
            next(name for name in (f"FUTS_{one}", f"OPTN_{one}", f"STCK_{one}", one) if name in names)
            for one in ("PRPR", "BIDP1", "ASKP1")
        )
        places = self._places(
            frame.layout,
            *(names[0], "BSOP_HOUR", price_name, "LAST_CNQN", "ACML_VOL"),
            *(bid_name, ask_name, "BIDP_RSQN1", "ASKP_RSQN1"),
        )
        for record in _records(frame):
            symbol, hour, price_text, size_text, cum, bid, ask, bid_size, ask_size = (record[one] for one in places)
            try:
                days, time_us = korean_time.nearest(self._times[hour], now_us)
                price, size, cum_volume = self._prices[price_text], self._sizes[size_text], self._sizes[cum]
                if price <= 0 or size <= 0 or cum_volume < size:
                    made.wrong.append(Wrong("not_a_trade", record))
                    continue
                made.rows.append(
                    {
                        "symbol": symbol,
                        "time_us": time_us,
                        "kind": Kind.TRADE,
                        "price": price,
                        "size": size,
                        "side": Side.UNKNOWN,
                        "seq": next(self._seq),
                        "bid": self._prices[bid] or None if bid else None,
                        "ask": self._prices[ask] or None if ask else None,
                        "bid_size": self._size(bid_size),
                        "ask_size": self._size(ask_size),
                        "cum_volume": cum_volume,
                        # A night counts for the next trading day, which the server knows.
                        "trade_date": None if frame.layout.feed == KIS_NIGHT else days,
                    }
                )
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))

    def _overseas_trades(self, frame: Frame, now_us: int, made: Rows) -> None:
        places = self._places(frame.layout, "RSYM", "TYMD", "LAST", "EVOL", "TVOL", "PBID", "PASK", "VBID", "VASK")
        for record in _records(frame):
            key, business, price_text, size_text, cum, bid, ask, bid_size, ask_size = (
                record[place] for place in places
            )
            try:
                price, size, cum_volume = self._prices[price_text], self._sizes[size_text], self._sizes[cum]
                if price <= 0 or size <= 0:
                    made.wrong.append(Wrong("not_a_trade", record))
                    continue
                feed, symbol = place_of(frame.layout, key)
                row: Row = {
                    "symbol": symbol,
                    "time_us": self._overseas_time(frame.layout, record),
                    "kind": Kind.TRADE,
                    "price": price,
                    "size": size,
                    "side": Side.UNKNOWN,
                    "seq": next(self._seq),
                    "bid": self._prices[bid] or None if bid else None,
                    "ask": self._prices[ask] or None if ask else None,
                    "bid_size": self._size(bid_size),
                    "ask_size": self._size(ask_size),
                    "cum_volume": cum_volume,
                    "trade_date": self._dates[business][0],
                }
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))
                continue
            (made.rows if feed == made.feed else made.delayed).append(row)

    def _overseas_books(self, frame: Frame, now_us: int, made: Rows) -> None:
        named = {name: place for place, name in enumerate(frame.layout.names[: frame.width])}
        asks, bids, ask_sizes, bid_sizes = (
            [named[f"{name}{level}"] for level in range(1, 11) if f"{name}{level}" in named]
            for name in ("PASK", "PBID", "VASK", "VBID")
        )
        for record in _records(frame):
            try:
                feed, symbol = place_of(frame.layout, record[0])
                row: Row = {
                    "symbol": symbol,
                    "time_us": self._overseas_time(frame.layout, record),
                    "kind": Kind.BOOK,
                    "seq": next(self._seq),
                    "trade_date": self._dates[record[named["XYMD"]]][0],
                    "bids": self._side(record, bids, bid_sizes),
                    "asks": self._side(record, asks, ask_sizes),
                    "bid_total": self._size(record[named["BVOL"]]),
                    "ask_total": self._size(record[named["AVOL"]]),
                }
            except ValueError:
                made.wrong.append(Wrong("bad_field", record))
                continue
            (made.rows if feed == made.feed else made.delayed).append(row)

    def _overseas_time(self, layout: Layout, record: list[str]) -> int:
        # The Korean stamp has one meaning all year; the exchange's own clock shows an hour twice when its daylight
        # saving time ends. The trading date is the exchange's in any case.
        korean_date, korean_time_, local_date, local_time = (
            record[place] for place in self._places(layout, "KYMD", "KHMS", "XYMD", "XHMS")
        )
        if korean_date not in _NOTHING:
            return self._dates[korean_date][1] + self._times[korean_time_]
        return exchange_zones.utc_us(record[0][1:4], local_date, local_time)

    def _halts(self, feed: str, symbol: str, flag: str, time_us: int, days: int) -> Iterator[Row]:
        changed = self._conditions.halt(feed, symbol, flag)
        if changed is not None:
            row = self.event("halt", now_us=time_us, symbol=symbol, body={"halted": changed})
            yield {**row, "trade_date": days}

    def _places(self, layout: Layout, *names: str) -> tuple[int, ...]:
        key = f"{layout.tr_id} {names[0]}"
        found = self._columns.get(key)
        if found is None:
            found = self._columns[key] = tuple(layout.at(name) for name in names)
        return found

    def _side(self, record: list[str], prices: list[int], sizes: list[int]) -> list[tuple[int, int]]:
        levels = [
            (self._prices[record[at]], self._sizes[record[size_at]])
            for at, size_at in zip(prices, sizes, strict=True)
            if record[at] not in _NOTHING and record[size_at] not in _NOTHING
        ]
        return [level for level in levels if level[0] and level[1]]

    def _price(self, record: list[str], place: int | None) -> int | None:
        """None where there is no such field, or nothing in it; 0 is nothing."""
        text = "" if place is None else record[place]
        return None if text in _NOTHING else self._prices[text] or None

    def _size(self, text: str) -> int | None:
        return None if text in _NOTHING else self._sizes[text]


def _expected(symbol: str, time_us: int, price: int, size: int, seq: int, days: int) -> Row:
    return {
        "symbol": symbol,
        "time_us": time_us,
        "kind": Kind.EXPECTED,
        "price": price,
        "size": size,
        "seq": seq,
        "trade_date": days,
    }


def _records(frame: Frame) -> Iterator[list[str]]:
    for start in range(0, len(frame.values), frame.width):
        yield frame.values[start : start + frame.width]


def _levels(layout: Layout, width: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """The places of asks, bids and their sizes."""
    names = layout.names[:width]
    prefix = next(one for one in ("FUTS_", "OPTN_", "") if f"{one}ASKP1" in names)
    asks, bids, ask_sizes, bid_sizes = (
        [names.index(f"{name}{level}") for level in range(1, 11) if f"{name}{level}" in names]
        for name in (f"{prefix}ASKP", f"{prefix}BIDP", "ASKP_RSQN", "BIDP_RSQN")
    )
    return asks, bids, ask_sizes, bid_sizes


def _given(frame: Frame, index: int) -> dict[str, str]:
    """The fields of a record that hold something, without its code and time, under KIS's names in small letters."""
    skipped = (frame.layout.names[0], frame.layout.time_field)
    return {
        name.lower(): text for name, text in frame.record(index).items() if name not in skipped and text not in _NOTHING
    }
