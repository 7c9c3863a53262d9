"""What an alert says, from the catalogues."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise, lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from analytics.alerts.judging.conditions import SCALES, Condition, Direction, Kind, number_text
from marketdata.types import titles

_TEXTS: dict[tuple[Kind, Direction], Promise] = {
    (Kind.PRICE, Direction.ABOVE): _("{symbol} trades at {value}: at or above {level}"),
    (Kind.PRICE, Direction.BELOW): _("{symbol} trades at {value}: at or below {level}"),
    (Kind.PRICE, Direction.CROSSING): _("{symbol} trades at {value}: it crossed {level}"),
    (Kind.CHANGE, Direction.ABOVE): _("{symbol} is {value} % from its previous close: at or above {level} %"),
    (Kind.CHANGE, Direction.BELOW): _("{symbol} is {value} % from its previous close: at or below {level} %"),
    (Kind.LIMIT, Direction.ABOVE): _("{symbol} trades at {value}: it reached its upper price limit {level}"),
    (Kind.LIMIT, Direction.BELOW): _("{symbol} trades at {value}: it reached its lower price limit {level}"),
    (Kind.VOLUME, Direction.ABOVE): _("{symbol} has traded {value} times what is usual by this time of day"),
    (Kind.STATUS, Direction.ABOVE): _("{symbol}: {status}"),
    (Kind.STALE, Direction.ABOVE): _("{symbol} has had no trade for {value} s while its market is open"),
    (Kind.TERMINAL, Direction.ABOVE): _("Terminal {symbol} has not been connected for {value} s"),
}
_OF_MINUTES: Promise = _("{symbol} has traded {value} times what is usual in {minutes} minutes at this time of day")
STATUSES: dict[str, Promise] = {"vi": _("volatility interruption (VI)"), "halt": _("trading halt")}


def text(condition: Condition, symbol: str, value: int, level: int) -> Promise:
    """Of a symbol, with value and level in the units of the kind."""
    scale = SCALES[condition.kind]
    template: Any = _OF_MINUTES if condition.minutes else _TEXTS[condition.kind, condition.direction]
    return format_lazy(
        template, symbol=symbol, value=number_text(value, scale),
        level=number_text(level, scale), status=STATUSES.get(condition.subject, ""), minutes=condition.minutes,
    )  # fmt: skip


def of_gaps(place: str, gaps: int, seconds: int, rows: int) -> Promise:
    """Of gaps that were found together in what a place (a symbol or a market) had to send."""
    template: Any = _("{place}: data missing, {gaps} gaps, the longest {seconds} s, {rows} rows")
    return format_lazy(template, place=place, gaps=gaps, seconds=seconds, rows=rows)


def of_queue(queue: str, depth: int, seconds: int) -> Promise:
    """Of a queue that has been full for so long."""
    template: Any = _("Queue {queue}: {depth} messages wait, too many for {seconds} s")
    named = lazy(titles.queue, str)(queue)
    return format_lazy(template, queue=named, depth=depth, seconds=seconds)


def of_alarm(code: str, subject: str) -> Promise:
    """Of an alarm; its own message may name addresses, and is for who operates."""
    template: Any = _("Alarm of the system: {named}")
    named = lazy(titles.alarm, str)(code)
    return format_lazy(template, named=format_lazy("{} ({})", named, subject) if subject else named)
