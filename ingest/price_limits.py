"""Trades at prices that the market does not allow that day: stored like others, counted, and told as an alarm.

They are not refused (docs/adr/0024): limits are asked of a vendor in the morning, and where those are wrong, what is
traded at the true limit would be what is refused.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
from django.db import DatabaseError, InterfaceError
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms, connections, metrics
from marketdata.reference.symbols import PriceLimits, Rules
from marketdata.types.tick_arrays import Mask, Ticks, decimal_text, trades
from terminals.wire import PRICE_SCALE

log = logging.getLogger(__name__)

CODE: Final = "outside_limits"
_NONE: Final = PriceLimits(lower=0, upper=0, day=-(2**31))
"""Of a symbol without limits: of a day that no tick has."""
_NAMED: Final = 5


def outside(ticks: Ticks, rules: Mapping[str, Rules]) -> Mask | None:
    """Which trades are below the lower or above the upper limit that their symbol has on their trading date; None if
    no symbol has limits. Of a symbol without limits, or with those of another date, nothing is said."""
    limits = [None if (of_symbol := rules.get(code)) is None else of_symbol.limits for code in ticks.symbols]
    if not any(limits):
        return None
    lower, upper, day = np.array([one or _NONE for one in limits], np.int64).T
    of_day = trades(ticks) & (day[ticks.symbol] == ticks.trade_date)
    found: Mask = of_day & ((ticks.price < lower[ticks.symbol]) | (ticks.price > upper[ticks.symbol]))
    return found


def watch(stored: Iterable[Ticks], find: Callable[[list[str]], Mapping[str, Rules]]) -> None:
    """Count and tell what of these ticks lies outside. What cannot be told, because the database is away, is in the
    log."""
    for ticks in stored:
        try:
            rules = connections.steadily(functools.partial(find, ticks.symbols))
            rows = outside(ticks, rules)
            if rows is not None and rows.any():
                metrics.OUTSIDE_LIMITS.labels(ticks.feed).inc(int(rows.sum()))
                _tell(ticks.take(rows), rules)
        except (DatabaseError, InterfaceError) as error:
            log.warning("price limits not looked at feed=%s error=%s", ticks.feed, type(error).__name__)


def _tell(ticks: Ticks, rules: Mapping[str, Rules]) -> None:
    named: dict[str, str] = {}
    for index, price in zip(ticks.symbol.tolist(), ticks.price.tolist(), strict=True):
        code = ticks.symbols[index]
        limits = rules[code].limits
        if code not in named and limits is not None and len(named) < _NAMED:
            texts = [decimal_text(one, PRICE_SCALE) for one in (price, limits.lower, limits.upper)]
            named[code] = "{} {} ({}–{})".format(code, *texts)
    message = format_lazy(
        _(
            "Trades of {feed} outside the price limits of their day, stored all the same: {trades}."
            " Compare with the exchange: void the trades if they are wrong, else the limits are"
        ),
        feed=ticks.feed,
        trades=", ".join(named.values()),
    )
    alarms.raise_often(CODE, message, subject=ticks.feed)
