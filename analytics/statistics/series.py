"""The statistics of series as they stand: read from what is stored, computed by `analytics.statistics.formulas`. A pure
function of what is stored: no clock decides a value, so who computes it again has the same.

Of the tick-wise ones only minutes are read whose candle says that they changed; what the others gave lies in Redis, and
is made anew where it is missing. Prices and volumes of earlier dates are adjusted for splits, stock dividends and
rights (`analytics.series.adjustment`).
"""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgpack
import msgspec
import numpy as np
import redis

from analytics.series import adjustment, day_statistics, index_closes, latest, snapshots, timeframes, trading_days
from analytics.series.adjustment import Factor
from analytics.series.index_closes import Closes
from analytics.series.trading_days import Dates
from analytics.statistics import betas, indices
from analytics.statistics.figures import exact, number
from analytics.statistics.formulas import books, flows, profiles, volatility
from analytics.statistics.formulas.flows import Flows
from analytics.statistics.formulas.profiles import Profile
from analytics.statistics.indices import Index
from marketdata.calendar import trading_dates
from marketdata.models import Symbol
from marketdata.realtime import stats
from marketdata.reference import corporate_actions
from marketdata.reference.corporate_actions import Held
from marketdata.storage import storage
from marketdata.storage.base import Latest
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.categories import category_of
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import ABSENT, PRICE_UNIT, SIZE_UNIT, Ticks
from marketdata.types.units import DAY_US, EPOCH_DATE, MINUTE_US, date_of, day_of
from terminals import wire

PROFILE_DAYS = 20
RECENT_MINUTES = 30
SHORT, LONG = 20, 60  # trading dates of the rolling figures
SPARE = 10
"""Of the dates that are read, how many a symbol or its index may lack without a beta being lost for it."""
DAYS = LONG + 1 + SPARE
TOGETHER = 10
"""Symbols whose minutes are read at once: rows take several times the memory of the arrays that are made of them, and
there are more of them with each minute of the day."""
_READ = ("price", "size", "side")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A registered symbol: its category (`category_of`), the market and time zone it has, the codes that it had, and
    its factors."""

    code: str
    category: str
    market: str
    timezone: str
    held: tuple[Held, ...]
    factors: tuple[Factor, ...]


class Reader:
    """What the statistics of several series of one feed are computed from, at one moment."""

    def __init__(self, feed: str, symbols: Sequence[str], now: datetime.datetime, known: Dates) -> None:
        self.feed, self.known = feed, known
        self.shares = _shares(symbols, now)

    @cached_property
    def days(self) -> dict[str, DailyBars]:
        """The newest daily candles of each share that has one, adjusted, oldest first."""
        plain = {code: one.market for code, one in self.shares.items() if not one.held}
        found = trading_days.newest(self.feed, plain, self.known, DAYS)
        for code, one in self.shares.items():
            if one.held:
                days, _ = trading_days.read_held(
                    one.held, self.feed, one.market, self.known, EPOCH_DATE, datetime.date.max,
                    limit=DAYS, ascending=False,
                )  # fmt: skip
                found |= {code: days} if len(days) else {}
        return {
            code: adjustment.adjusted(days.take(slice(None, None, -1)), self.shares[code].factors)
            for code, days in found.items()
        }

    @cached_property
    def minutes(self) -> dict[str, Bars]:
        """The minute candles of each share's newest trading date, in order."""
        by_date: dict[tuple[int, str], list[str]] = {}
        for code, days in self.days.items():
            by_date.setdefault((int(days.trade_date[-1]), self.shares[code].timezone), []).append(code)
        found: dict[str, Bars] = {}
        for (day, timezone), codes in by_date.items():
            midnight, ordered = timeframes.midnight_us(day, timezone), sorted(codes)
            for start in range(0, len(ordered), TOGETHER):
                some = ordered[start : start + TOGETHER]
                read = storage().read_minutes_of(some, self.feed, midnight - DAY_US, midnight + 2 * DAY_US)
                read = read.take(read.trade_date == day)
                for index, code in enumerate(read.symbols):
                    found[code] = read.take(read.symbol == index)
        return found

    def books(self) -> dict[str, Ticks | OrderBook]:
        """The newest order book of each share that traded, or its newest quote; looked for from a day before its last
        trade on."""
        traded = {
            (code, self.feed): Latest(
                symbol=code, feed=self.feed, time_us=int(bars.time_us[-1]) if len(bars) else 0, tick_id=0, price=0,
                size=None,
            )
            for code, bars in self.minutes.items()
        }  # fmt: skip
        pairs = [(code, self.feed) for code in self.days]
        found = latest.books(pairs, traded)
        bare = [pair for pair in pairs if pair not in found]
        quotes = latest.quotes(bare, traded) if bare else {}
        return {code: one for (code, _), one in {**quotes, **found}.items()}

    def flows(self, connection: redis.Redis) -> dict[str, Flows]:
        """The active volume of each minute of each share's newest date; only minutes that changed are read."""
        key = stats.FLOWS + self.feed
        kept = stats.kept(connection, key, list(self.minutes))
        found: dict[str, Flows] = {}
        with stats.Notes(connection, key) as notes:
            for code, candles in self.minutes.items():
                before = _noted(kept.get(code), int(candles.trade_date[0]))
                made = found[code] = self._day_flows(code, candles, before)
                if made is not before:
                    notes.add(code, zlib.compress(flows.pack(made, int(candles.trade_date[0])), 1))
        return found

    def _day_flows(self, code: str, candles: Bars, before: Flows) -> Flows:
        """Of these candles' minutes: what is known `before`, and what is read of those that changed since."""
        stale = np.flatnonzero(flows.changed(before, candles))
        if not len(stale) and len(before) == len(candles):
            return before
        made = flows.merged(before, flows.empty(), candles.time_us)
        for stretch in _stretches(stale) if len(stale) else ():
            part = candles.take(stretch)
            trades = self._trades(code, part, int(candles.trade_date[0]))
            made = flows.merged(made, flows.of_trades(trades, part), candles.time_us)
        return made

    def _trades(self, code: str, candles: Bars, day: int) -> Ticks:
        start, end = int(candles.time_us[0]), int(candles.time_us[-1]) + MINUTE_US
        read = storage().read_ticks(
            code, self.feed, start, end, kind=wire.Kind.TRADE, columns=(*_READ, "kind", "trade_date")
        )
        return read.take(tick_arrays.trades(read) & (read.trade_date == day))

    def profiles(self, connection: redis.Redis) -> dict[str, Profile]:
        """The volume by the time of day of each share over the `PROFILE_DAYS` trading dates before its newest."""
        key, found = stats.PROFILES + self.feed, dict[str, Profile]()
        kept = stats.kept(connection, key, list(self.days))
        with stats.Notes(connection, key) as notes:
            for code, days in self.days.items():
                before = days.take(slice(max(len(days) - 1 - PROFILE_DAYS, 0), len(days) - 1))
                dates = before.trade_date.tolist()
                made_of = [dates, before.volume.tolist(), before.n.tolist()]  # adjusted, so factors are in it as well
                if code in kept:
                    tag, times, volumes = msgpack.unpackb(zlib.decompress(kept[code]))
                    if tag == made_of:
                        found[code] = Profile(len(dates), np.frombuffer(times, "<i8"), np.frombuffer(volumes, "<i8"))
                        continue
                made = found[code] = self._profile(self.shares[code], dates)
                columns = [made.time_us.astype("<i8").tobytes(), made.volume.astype("<i8").tobytes()]
                notes.add(code, zlib.compress(msgpack.packb([made_of, *columns]), 1))
        return found

    def _profile(self, one: Share, days: list[int]) -> Profile:
        bars = adjustment.adjusted(self._history(one, days), one.factors)
        midnights = {day: timeframes.midnight_us(day, one.timezone) for day in days}
        since = [at - midnights[day] for at, day in zip(bars.time_us.tolist(), bars.trade_date.tolist(), strict=True)]
        return profiles.build(np.array(since, np.int64), bars.volume, len(days))

    def _history(self, one: Share, days: list[int]) -> Bars:
        dates = [date_of(day) for day in days]
        stretches = one.held or (Held(one.code, None, None),)
        parts = [
            storage().minutes_of_dates(held.code, self.feed, [
                date for date in dates
                if (held.start is None or held.start <= date) and (held.end is None or date < held.end)
            ])
            for held in stretches
        ]  # fmt: skip
        return minute_bars.joined([replace(part, symbols=[one.code]) for part in parts])


def bodies(
    feed: str, symbols: Sequence[str], connection: redis.Redis, now: datetime.datetime, *, index: str
) -> dict[str, bytes]:
    """The statistics of these symbols of a feed as JSON; of one that is not registered or never traded there is
    nothing. `index` is the symbol to which betas are ("": an index that is collected or told), `now` says which
    factors are in force."""
    reader = Reader(feed, symbols, now, snapshots.dates(now))
    markets = _markets(reader, index, now)
    shown, split, usual = reader.books(), reader.flows(connection), reader.profiles(connection)
    _note_recent(connection, reader, usual)
    return {
        code: msgspec.json.encode(
            {"symbol": code, "feed": feed}
            | _of_days(days)
            | _of_market(days, reader.shares[code].category, index, markets.get(code))
            | _of_minutes(days, reader.minutes.get(code), reader.shares[code].timezone, usual[code])
            | _of_flows(split.get(code), reader.minutes.get(code))
            | _of_book(shown.get(code))
        )
        for code, days in reader.days.items()
    }


def _markets(reader: Reader, chosen: str, now: datetime.datetime) -> dict[str, tuple[str, Closes | None]]:
    """Of each share the code of the index that its beta is to, and its closes, None if it has none: of one that is
    collected on the same feed, where it has no days there on its primary one, else of one that is told as events."""
    oldest = min((int(days.trade_date[0]) for days in reader.days.values()), default=None)
    closes = {} if oldest is None else index_closes.since(date_of(oldest))
    found = indices.read(chosen, closes)
    of_share = _indices(reader, found, chosen)
    wanted = {one.code: one.feed for one in of_share.values() if not one.is_told}
    days = Reader(reader.feed, sorted(wanted), now, reader.known).days if wanted else {}
    for feed in sorted({feed for code, feed in wanted.items() if code not in days} - {reader.feed}):
        elsewhere = [code for code, primary in wanted.items() if primary == feed and code not in days]
        days = days | Reader(feed, elsewhere, now, reader.known).days
    closes |= {code: Closes(one.trade_date, one.close) for code, one in days.items()}
    if wanted.keys() - days.keys():
        of_share |= _indices(reader, [one for one in found if one.is_told or one.code in days], chosen)
    return {code: (one.code, closes.get(one.code)) for code, one in of_share.items()}


def _indices(reader: Reader, found: Sequence[Index], chosen: str) -> dict[str, Index]:
    of_each = {
        code: indices.of_symbol(one.category, one.market, found, chosen=chosen) for code, one in reader.shares.items()
    }
    return {code: one for code, one in of_each.items() if one is not None}


def _note_recent(connection: redis.Redis, reader: Reader, usual: Mapping[str, Profile]) -> None:
    """Note how the newest minutes of each share compare with usual ones, for rules on alerts."""
    with stats.Notes(connection, stats.RECENT + reader.feed) as notes:
        for code, minutes in reader.minutes.items():
            if usual[code].days < PROFILE_DAYS or not len(minutes):
                continue
            day = int(minutes.trade_date[-1])
            since = minutes.time_us - timeframes.midnight_us(day, reader.shares[code].timezone)
            ratios = profiles.recent_ratios(usual[code], since, minutes.volume, PROFILE_DAYS, RECENT_MINUTES)
            scaled = [None if np.isnan(one) else int(one * stats.RATIO_UNIT) for one in ratios.tolist()]
            notes.add(code, stats.recent_note(day, scaled))


def _of_days(days: DailyBars) -> dict[str, Any]:
    now, before = int(days.last[-1]), int(days.close[-2]) if len(days) > 1 else None
    change = None if before is None else now - before
    regular = days.regular_open != ABSENT
    open_, high, low = (
        np.where(regular, getattr(days, f"regular_{name}"), getattr(days, name)) / PRICE_UNIT
        for name in ("open", "high", "low")
    )
    close = days.close / PRICE_UNIT
    rate = None if change is None or before is None else day_statistics.percent(change, before)
    return {
        "td": (date_of(int(days.trade_date[-1]))).isoformat(),
        "open": exact(int(days.open[-1]), wire.PRICE_SCALE),
        "last": exact(now, wire.PRICE_SCALE), "prevClose": exact(before, wire.PRICE_SCALE),
        "change": exact(change, wire.PRICE_SCALE), "changeRate": exact(rate, 4),
        **{f"return{span}d": number(volatility.log_returns(close, span)[-1]) for span in (1, 5, SHORT, LONG)},
        "volatilityClose": number(volatility.close_to_close(close, SHORT)[-1]),
        "volatilityParkinson": number(volatility.parkinson(high, low, SHORT)[-1]),
        "volatilityGarmanKlass": number(volatility.garman_klass(open_, high, low, close, SHORT)[-1]),
    }  # fmt: skip


def _of_market(days: DailyBars, category: str, chosen: str, found: tuple[str, Closes | None] | None) -> dict[str, Any]:
    index, market = found or (None, None)
    return betas.of_symbol(days, category, chosen=chosen, index=index, market=market, window=LONG)


def _of_minutes(days: DailyBars, minutes: Bars | None, timezone: str, usual: Profile) -> dict[str, Any]:
    volume = int(days.volume[-1])
    turnover = int(days.value[-1]) * VALUE_UNIT + int(days.value_frac[-1])
    mean = turnover // volume if volume > 0 else None  # of 1e-14 by 1e-6
    away = None if mean is None or mean <= 0 else int(days.last[-1]) / mean - 1
    ratio = float("nan")
    if minutes is not None and len(minutes):
        since = int(minutes.time_us[-1]) - timeframes.midnight_us(int(days.trade_date[-1]), timezone)
        ratio = profiles.ratio(usual, since, int(minutes.volume.sum()), PROFILE_DAYS)
    return {
        "volume": exact(volume, wire.SIZE_SCALE), "turnover": exact(turnover, wire.VALUE_SCALE),
        "trades": int(days.n[-1]), "vwap": exact(mean, wire.PRICE_SCALE), "vwapDeviation": number(away),
        "volatilityIntraday": number(None if minutes is None else volatility.realised(minutes.close / PRICE_UNIT)),
        "volumeRatio": number(ratio),
    }  # fmt: skip


def _of_flows(found: Flows | None, minutes: Bars | None) -> dict[str, Any]:
    if found is None or minutes is None or found.classes.sum() < minutes.n.sum():  # retention took ticks
        return {"upVolume": None, "downVolume": None, "flow": None, "tradeSizes": None}
    up, down = flows.split(found, minutes.open, minutes.close)
    return {
        "upVolume": exact(up, wire.SIZE_SCALE), "downVolume": exact(down, wire.SIZE_SCALE),
        "flow": number((up - down) / (up + down) if up + down else None),
        "tradeSizes": found.classes.sum(axis=0).tolist(),
    }  # fmt: skip


def _of_book(found: Ticks | OrderBook | None) -> dict[str, Any]:
    if isinstance(found, OrderBook):
        bids, asks = (
            [(_scaled(p, PRICE_UNIT), _scaled(s, SIZE_UNIT)) for p, s in side] for side in (found.bids, found.asks)
        )
    elif found is not None:
        bids, asks = (
            [] if price == ABSENT else [(price, 0 if size == ABSENT else size)]
            for price, size in (
                (int(found.bid[0]), int(found.bid_size[0])),
                (int(found.ask[0]), int(found.ask_size[0])),
            )
        )
    else:
        bids, asks = [], []
    told = books.liquidity(bids, asks)
    return {
        "spread": exact(told.spread, wire.PRICE_SCALE), "spreadShare": number(told.spread_share),
        "bidDepth": exact(told.bid_depth, wire.SIZE_SCALE), "askDepth": exact(told.ask_depth, wire.SIZE_SCALE),
        "imbalance": number(told.imbalance),
    }  # fmt: skip


def _shares(symbols: Sequence[str], now: datetime.datetime) -> dict[str, Share]:
    rows = list(
        Symbol.objects.filter(code__in=symbols)
        .order_by("code")
        .values_list("code", "category", "market_id", "market__timezone")
    )
    now_us, renames = int(now.timestamp()) * 1_000_000, corporate_actions.renames()
    renamed = {code for one in renames for code in (one.old, one.new)}
    markets = {market for _, _, market, _ in rows}
    today = {market: trading_dates.calendar(market).trade_date(now_us) for market in markets}
    held = {
        code: tuple(corporate_actions.held(code, today[market], renames)) if code in renamed else ()
        for code, _, market, _ in rows
    }
    codes = {one.code for stretches in held.values() for one in stretches} | held.keys()
    actions = corporate_actions.actions(codes, kinds=corporate_actions.KINDS["split"]) if codes else []
    return {
        code: Share(
            code=code, category=category_of(category, market=market, timezone=timezone), market=market,
            timezone=timezone, held=held[code],
            factors=tuple(
                Factor(day_of(row.ex_date), *corporate_actions.ratios(row))
                for row in actions
                if row.symbol in {code, *(one.code for one in held[code])} and row.ex_date <= today[market]
                and corporate_actions.concerns(held[code], row.symbol, row.ex_date)
            ),
        )
        for code, category, market, timezone in rows
    }  # fmt: skip


def _noted(note: bytes | None, day: int) -> Flows:
    """What was noted of a trading date; nothing where that was another one."""
    found, of_day = (flows.empty(), day) if note is None else flows.unpack(zlib.decompress(note))
    return found if of_day == day else flows.empty()


def _stretches(places: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Places that follow each other, together."""
    yield from np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)


def _scaled(text: str, unit: int) -> int:
    return int(Decimal(text) * unit)
