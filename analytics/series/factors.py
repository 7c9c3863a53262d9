"""Which factors adjust the candles of shares now: those of the corporate actions under all codes that a share had."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from analytics.series.adjustment import Factor
from marketdata.calendar import trading_dates
from marketdata.reference import corporate_actions
from marketdata.reference.corporate_actions import Held
from marketdata.types.units import day_of

Shares = Mapping[str, tuple[str, Sequence[Held]]]
"""By symbol: the market of a share and the codes that it had; no codes where it has always been called so."""


def in_force(shares: Shares, adjustment: str, now_us: int) -> dict[str, tuple[Factor, ...]]:
    """By symbol what candles are adjusted for: factors under all codes of the share whose ex-date has come in its
    market. `adjustment` is one of `corporate_actions.KINDS`; symbols without a factor are left out."""
    codes = {symbol: list(dict.fromkeys(one.code for one in held)) or [symbol] for symbol, (_, held) in shares.items()}
    asked = {code for of in codes.values() for code in of}
    known: dict[str, list[tuple[datetime.date, Factor]]] = {}
    for row in corporate_actions.actions(asked, kinds=corporate_actions.KINDS[adjustment]) if asked else ():
        factor = Factor(day_of(row.ex_date), *corporate_actions.ratios(row))
        known.setdefault(row.symbol, []).append((row.ex_date, factor))
    if not known:
        return {}
    markets = {market for market, _ in shares.values()}
    today = {market: trading_dates.calendar(market).trade_date(now_us) for market in markets}
    found = {
        symbol: tuple(
            factor
            for code in codes[symbol]
            for ex_date, factor in known.get(code, ())
            if ex_date <= today[market] and corporate_actions.concerns(held, code, ex_date)
        )
        for symbol, (market, held) in shares.items()
    }
    return {symbol: factors for symbol, factors in found.items() if factors}
