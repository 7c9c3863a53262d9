"""The newest statistics of symbols and of the market, as workers made them: from Redis, and from cache_stats_data while
Redis is away or was emptied and not filled again."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec
import redis

from api.rest import jsontext
from api.rest.exports import Batch, Column
from api.rest.paging import Series
from marketdata.realtime import live_state, stats
from marketdata.realtime.stats import Statistics
from marketdata.storage import storage

NAMES = (
    "last", "prevClose", "change", "changeRate", "return1d", "return5d", "return20d", "return60d",
    "volatilityClose", "volatilityParkinson", "volatilityGarmanKlass", "volatilityIntraday", "beta", "volume",
    "turnover", "trades", "vwap", "vwapDeviation", "volumeRatio", "upVolume", "downVolume", "flow", "spread",
    "spreadShare", "bidDepth", "askDepth", "imbalance",
)  # fmt: skip
"""What the statistics of a symbol have beside `symbol`, `feed`, the time `t`, the trading date `td`, the list
`tradeSizes`, and `betaIndex` and what follows it."""
SIZES = ("below_10", "below_100", "below_1000", "below_10000", "below_100000", "larger")
COLUMNS = (
    Column("symbol"), Column("feed"), Column("time", "time"), Column("trading_date", "date"),
    *(Column(re.sub("([A-Z])", r"_\1", name).lower(), "decimal", 14) for name in NAMES),
    *(Column(f"trades_{name}", "integer") for name in SIZES), Column("beta_index"), Column("beta_dates", "integer"),
    Column("beta_missing"),
)  # fmt: skip


def newest(feed: str, symbols: Sequence[str]) -> dict[str, Statistics]:
    """The newest statistics of these symbols of a feed that have some ("": of the market)."""
    try:
        connection = live_state.connection()
        found = stats.results(connection, feed, list(symbols))
        missing = [symbol for symbol in symbols if symbol not in found]
        return found if not missing or stats.is_seeded(connection) else _stored(feed, missing) | found
    except redis.RedisError:
        return _stored(feed, symbols)


def _stored(feed: str, symbols: Sequence[str]) -> dict[str, Statistics]:
    found = {}
    for name, wanted in (
        (stats.ROWS, [symbol for symbol in symbols if symbol != stats.MARKET]),
        (stats.MARKET_ROW, [symbol for symbol in symbols if symbol == stats.MARKET]),
    ):
        for row in storage().read_stats(feed, name, wanted):
            if (body := row.body.encode()) != stats.NOTHING:
                found[row.symbol] = Statistics(row.symbol, row.at_us, body)
    return found


def of_series(found: Sequence[Series]) -> dict[str, Statistics]:
    """The newest statistics of each series that has some, by symbol."""
    told: dict[str, Statistics] = {}
    for feed, part in groupby(sorted(found, key=lambda one: one.feed), key=lambda one: one.feed):
        told |= newest(feed, [one.symbol for one in part])
    return told


def text(one: Statistics) -> msgspec.Raw:
    """As JSON, with the time `t` up to which they have everything that was committed."""
    return msgspec.Raw(f'{{"t":"{jsontext.time(one.revision)}",'.encode() + one.body.lstrip()[1:])


def rows(found: Sequence[Statistics]) -> Batch:
    """As rows of COLUMNS."""
    return [_row(json.loads(bytes(text(one)), parse_float=Decimal)) for one in found]


def _row(content: dict[str, Any]) -> tuple[Any, ...]:
    sizes = content["tradeSizes"] or [None] * len(SIZES)
    return (
        content["symbol"], content["feed"], content["t"], content["td"],
        *(_plain(content[name]) for name in NAMES), *(_plain(one) for one in sizes), content.get("betaIndex") or "",
        _plain(content.get("betaDates")), content.get("betaMissing") or "",
    )  # fmt: skip


def _plain(value: Any) -> str | None:
    """A number without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else None if value is None else str(value)
