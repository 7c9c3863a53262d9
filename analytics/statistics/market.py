"""Statistics of the market as a whole, by feed: from where its symbols stand (their newest results in Redis) and the
days of the most traded ones."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import redis

from analytics.series import snapshots
from analytics.statistics.figures import exact, number
from analytics.statistics.formulas import comovement, standings, volatility
from analytics.statistics.formulas.standings import Standing
from analytics.statistics.series import LONG, Reader
from marketdata.models import Symbol
from marketdata.realtime import stats
from marketdata.types import categories
from marketdata.types.categories import INDEX
from marketdata.types.daily_bars import DailyBars
from marketdata.types.tick_arrays import PRICE_UNIT
from terminals import wire

TOP = 20
PERCENT_SCALE = 4


class Known(msgspec.Struct):
    """What the market's statistics use of a symbol's."""

    td: str
    turnover: Decimal
    changeRate: Decimal | None = None  # noqa: N815 - as the results have it
    upVolume: Decimal | None = None  # noqa: N815
    downVolume: Decimal | None = None  # noqa: N815


decoder = msgspec.json.Decoder(Known)


def body(feed: str, connection: redis.Redis, now: datetime.datetime) -> bytes | None:
    """As JSON, of the symbols that traded on the newest trading date of any of them, indices left out; None when there
    is no result. Breadth is of the shares among them, and of all where there is none."""
    known = {
        symbol: decoder.decode(one.body)
        for symbol, one in stats.results(connection, feed).items()
        if symbol != stats.MARKET
    }
    others = _others()
    for symbol in [symbol for symbol, category in others.items() if category == INDEX]:
        known.pop(symbol, None)
    if not known:
        return None
    date = max(one.td for one in known.values())
    found = [standing(symbol, one) for symbol, one in sorted(known.items()) if one.td == date]
    whole, (gainers, losers) = standings.breadth(found), standings.movers(found, TOP)
    shares = [one for one in found if categories.is_share(others.get(one.symbol, categories.UNKNOWN))]
    counts = standings.breadth(shares or found)
    most = standings.most_traded(found, TOP)
    together = correlation([(one.symbol, feed) for one in most], now)
    return msgspec.json.encode(
        {
            "feed": feed, "td": date, "symbols": len(found), "shares": len(shares),
            "advancing": counts.advancing, "declining": counts.declining, "unchanged": counts.unchanged,
            "breadth": number(counts.ratio),
            "turnover": exact(whole.turnover, wire.VALUE_SCALE), "upVolume": exact(whole.up, wire.SIZE_SCALE),
            "downVolume": exact(whole.down, wire.SIZE_SCALE),
            "gainers": _shown(gainers), "losers": _shown(losers), "mostTraded": _shown(most),
            "correlation": together,
        }
    )  # fmt: skip


def _others() -> dict[str, str]:
    """The category of each symbol that is not registered as a share of a market of Korea."""
    rows = Symbol.objects.exclude(category__in=categories.KRX_SHARES)
    return {
        code: categories.category_of(category, market=market, timezone=timezone)
        for code, category, market, timezone in rows.values_list("code", "category", "market_id", "market__timezone")
    }


def correlation(series: Sequence[tuple[str, str]], now: datetime.datetime) -> dict[str, Any]:
    """Pearson's, of the daily returns of these (symbol, feed) over `LONG` dates: `matrix` by `symbols`, which are those
    that have days, in the same order; None for a pair of which one lacks a date. Each symbol comes once."""
    known = snapshots.dates(now)
    days: dict[str, DailyBars] = {}
    for feed in sorted({feed for _, feed in series}):
        days |= Reader(feed, [symbol for symbol, its in series if its == feed], now, known).days
    codes = [symbol for symbol, _ in series if symbol in days]
    matrix = comovement.correlation(aligned([days[code] for code in codes]), LONG)
    return {"symbols": codes, "days": LONG, "matrix": [[number(one) for one in row] for row in matrix.tolist()]}


def aligned(series: Sequence[DailyBars]) -> volatility.Floats:
    """Daily returns of several series by the trading dates of all of them, a row each; NaN where one has no close of
    that date or of the one before."""
    dates = np.unique(np.concatenate([one.trade_date for one in series])) if series else np.zeros(0, np.int32)
    closes = np.full((len(series), len(dates)), np.nan)
    for row, one in enumerate(series):
        closes[row, np.searchsorted(dates, one.trade_date)] = one.close / PRICE_UNIT
    return np.array([volatility.log_returns(row)[1:] for row in closes]).reshape(len(series), max(len(dates) - 1, 0))


def standing(symbol: str, one: Known) -> Standing:
    """A symbol as the sums of the market take it."""

    def scaled(value: Decimal | None, places: int) -> int:
        return 0 if value is None else int(value.scaleb(places))

    return Standing(
        symbol=symbol,
        percent=None if one.changeRate is None else scaled(one.changeRate, PERCENT_SCALE),
        turnover=scaled(one.turnover, wire.VALUE_SCALE),
        up=scaled(one.upVolume, wire.SIZE_SCALE),
        down=scaled(one.downVolume, wire.SIZE_SCALE),
    )


def _shown(found: Sequence[Standing]) -> list[dict[str, Any]]:
    return [
        {
            "symbol": one.symbol, "changeRate": exact(one.percent, PERCENT_SCALE),
            "turnover": exact(one.turnover, wire.VALUE_SCALE),
        }
        for one in found
    ]  # fmt: skip
