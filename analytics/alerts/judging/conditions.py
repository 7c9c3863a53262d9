"""The conditions of alert rules: read from what a person entered, exact, with an error for each field that is wrong."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext as _

from terminals import wire


class Kind(StrEnum):
    """What a rule looks at."""

    PRICE = "price"
    CHANGE = "change"
    LIMIT = "limit"
    VOLUME = "volume"
    STATUS = "status"
    STALE = "stale"
    GAP = "gap"
    TERMINAL = "terminal"
    ALARM = "alarm"
    QUEUE = "queue"


class Direction(StrEnum):
    """When a level counts as reached: `above` and `below` as long as it is so, `crossing` when it comes to be so."""

    ABOVE = "above"
    BELOW = "below"
    CROSSING = "crossing"


class ConditionError(ValueError):
    """What is wrong with a condition, by field."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = dict(fields)


@dataclass(frozen=True, slots=True)
class Condition:
    """`level` and `band` are integers in 10**-scale of the kind: prices in 1e-8, per cent and multiples in 1e-4. A
    limit has no level of its own: that is the symbol's of the day. Silence, absence and gaps are in whole seconds, and
    so is for how long a queue has to be that full, with the messages in `depth` and `band`. `subject` is the client,
    the code of the alarm, the queue, or which status. Of a volume `minutes` are the newest ones that count, 0 all of
    the day's."""

    kind: Kind
    direction: Direction
    level: int = 0
    band: int = 0
    subject: str = ""
    depth: int = 0
    minutes: int = 0


SCALES: Mapping[Kind, int] = MappingProxyType(
    {
        Kind.PRICE: wire.PRICE_SCALE, Kind.CHANGE: 4, Kind.LIMIT: wire.PRICE_SCALE, Kind.VOLUME: 4,
        Kind.STATUS: 0, Kind.STALE: 0, Kind.GAP: 0, Kind.TERMINAL: 0, Kind.ALARM: 0, Kind.QUEUE: 0,
    }
)  # fmt: skip
STANDING = frozenset({Kind.STALE, Kind.GAP, Kind.TERMINAL, Kind.ALARM, Kind.QUEUE})
"""What no commit brings: looked at by timetable, as it stands."""
OF_THE_SYSTEM = frozenset({Kind.TERMINAL, Kind.ALARM, Kind.QUEUE})
"""What is about no symbol, market or feed."""
STATUSES = ("vi", "halt")
"""Kinds of events that a rule looks at: a volatility interruption, a trading halt."""
LEAST_S, MOST_S = 10, 86_400
"""Seconds that silence, absence and a full queue may be waited for."""
MOST_MINUTES = 30
"""Newest minutes whose volume may be compared."""
MOST_WAITING = 10_000_000
"""Messages of a queue."""
_LARGEST = 10**17
_CLIENT, _CODE, _WHOLE = re.compile(r"\S{1,32}"), re.compile(r"[a-z][a-z0-9_]{0,31}"), re.compile(r"[0-9]{1,9}")
_QUEUE, _STATUS = re.compile(r"[a-z][a-z0-9_-]{0,31}"), re.compile("|".join(STATUSES))
_SUBJECTS: Mapping[Kind, str] = MappingProxyType(
    {Kind.TERMINAL: "client", Kind.ALARM: "code", Kind.QUEUE: "queue", Kind.STATUS: "status"}
)
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,8})?")


def read(kind: str, parameters: Any) -> Condition:
    """The condition of a rule of this kind. ConditionError says which field is wrong and what would be right."""
    if kind not in Kind.__members__.values():
        raise ConditionError({"kind": _("is one of {names}").format(names=", ".join(Kind))})
    if not isinstance(parameters, Mapping):
        raise ConditionError({"parameters": _("is an object with the members of its kind")})
    return _READERS[Kind(kind)](_Fields(Kind(kind), parameters))


def members(kind: Kind) -> frozenset[str]:
    """The names of what a condition of this kind is made of."""
    fields = _Fields(kind, {})
    with contextlib.suppress(ConditionError):  # for nothing is given
        _READERS[kind](fields)
    return fields.known


def parameters(condition: Condition) -> dict[str, str]:
    """As `read` takes it, in its shortest form."""
    if condition.kind in STANDING or condition.kind is Kind.STATUS:
        name = _SUBJECTS.get(condition.kind)
        told = {name: condition.subject} if name else {}
        if condition.kind is Kind.QUEUE:
            told |= {"level": str(condition.depth)} | ({"band": str(condition.band)} if condition.band else {})
        if condition.kind not in (Kind.ALARM, Kind.STATUS):
            told["seconds"] = str(condition.level)
        return told
    scale = SCALES[condition.kind]
    told = {} if condition.kind is Kind.VOLUME else {"direction": str(condition.direction)}
    if condition.kind is not Kind.LIMIT:
        told["level"] = number_text(condition.level, scale)
    if condition.band:
        told["band"] = number_text(condition.band, scale)
    return told | ({"minutes": str(condition.minutes)} if condition.minutes else {})


def number_text(value: int, scale: int) -> str:
    """An integer in 10**-scale as people write it."""
    text = format(Decimal(value).scaleb(-scale), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


class _Fields:
    """Takes fields of what was entered; `done` tells all that is wrong at once."""

    def __init__(self, kind: Kind, given: Mapping[str, Any]) -> None:
        self._kind, self._given = kind, given
        self._names: set[str] = set()
        self._wrong: dict[str, str] = {}

    @property
    def known(self) -> frozenset[str]:
        """The fields that were asked for."""
        return frozenset(self._names)

    def choice(self, name: str, *allowed: Direction) -> Direction:
        self._names.add(name)
        value = self._given.get(name)
        if value not in allowed:
            self._wrong[name] = _("is one of {names}").format(names=", ".join(allowed))
            return allowed[0]
        return Direction(value)

    def number(
        self, name: str, *, default: int | None = None, least: int | None = None, more_than: int | None = None
    ) -> int:
        """In 10**-scale; text or an integer, so that no binary fraction comes in."""
        self._names.add(name)
        scale = SCALES[self._kind]
        value = self._given.get(name)
        if value in (None, "") and default is not None:
            return default
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not _NUMBER.fullmatch(text):
            told = _('is a number written as text, such as "70000", with at most {scale} decimals')
            self._wrong[name] = told.format(scale=scale)
            return 0
        try:
            exact = Decimal(text).scaleb(scale)
        except InvalidOperation:  # the pattern lets none through
            exact = Decimal("0.5")
        if exact != int(exact) or abs(exact) > _LARGEST:
            told = _("has at most {scale} decimals, and at most {most:,} is a level")
            self._wrong[name] = told.format(scale=scale, most=_LARGEST // 10**scale)
        elif least is not None and exact < least:
            self._wrong[name] = _("is at least {least}").format(least=number_text(least, scale))
        elif more_than is not None and exact <= more_than:
            self._wrong[name] = _("is more than {least}").format(least=number_text(more_than, scale))
        return int(exact)

    def seconds(self, *, least: int = LEAST_S) -> int:
        """Whole seconds, to MOST_S."""
        return self.whole("seconds", _("is a whole number of seconds, {least} to {most}"), least, MOST_S)

    def whole(self, name: str, right: str, least: int, most: int, *, default: int | None = None) -> int:
        """A whole number from `least` to `most`; `right` says of what."""
        self._names.add(name)
        value = self._given.get(name)
        if value in (None, "") and default is not None:
            return default
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
            self._wrong[name] = right.format(least=least, most=most)
            return least
        return int(text)

    def word(self, name: str, pattern: re.Pattern[str], right: str) -> str:
        """A name of this pattern; `right` says of what."""
        self._names.add(name)
        value = self._given.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value.strip()):
            self._wrong[name] = right
            return ""
        return value.strip()

    def done(self) -> None:
        """ConditionError if anything was wrong."""
        unknown = [str(name)[:40] for name in self._given if name not in self._names]
        if unknown:
            told = _("has {unknown}, which {kind} does not know; it has {known}")
            self._wrong["parameters"] = told.format(
                unknown=", ".join(sorted(unknown)[:5]), kind=self._kind, known=", ".join(sorted(self._names))
            )
        if self._wrong:
            raise ConditionError(self._wrong)


def _price(fields: _Fields) -> Condition:
    direction = fields.choice("direction", *Direction)
    made = Condition(Kind.PRICE, direction, fields.number("level"), fields.number("band", default=0, least=0))
    fields.done()
    return made


def _change(fields: _Fields) -> Condition:
    direction = fields.choice("direction", Direction.ABOVE, Direction.BELOW)
    made = Condition(Kind.CHANGE, direction, fields.number("level"), fields.number("band", default=0, least=0))
    fields.done()
    return made


def _limit(fields: _Fields) -> Condition:
    direction = fields.choice("direction", Direction.ABOVE, Direction.BELOW)
    made = Condition(Kind.LIMIT, direction, 0, fields.number("band", default=0, least=0))
    fields.done()
    return made


def _volume(fields: _Fields) -> Condition:
    level = fields.number("level", more_than=0)
    band = fields.number("band", default=0, least=0)
    right = _("is a whole number of minutes, {least} to {most}; empty: the whole day so far")
    minutes = fields.whole("minutes", right, 1, MOST_MINUTES, default=0)
    fields.done()
    return Condition(Kind.VOLUME, Direction.ABOVE, level, band, minutes=minutes)


def _status(fields: _Fields) -> Condition:
    status = fields.word("status", _STATUS, _("is one of {names}").format(names=", ".join(STATUSES)))
    fields.done()
    return Condition(Kind.STATUS, Direction.ABOVE, 1, subject=status)


def _stale(fields: _Fields) -> Condition:
    seconds = fields.seconds()
    fields.done()
    return Condition(Kind.STALE, Direction.ABOVE, seconds)


def _gap(fields: _Fields) -> Condition:
    seconds = fields.seconds(least=0)
    fields.done()
    return Condition(Kind.GAP, Direction.ABOVE, seconds)


def _terminal(fields: _Fields) -> Condition:
    client, seconds = fields.word("client", _CLIENT, _("is the name of a client that sends")), fields.seconds()
    fields.done()
    return Condition(Kind.TERMINAL, Direction.ABOVE, seconds, subject=client)


def _alarm(fields: _Fields) -> Condition:
    right = _('is the code of an alarm, such as "rollover_failed" (docs/operations.md)')
    code = fields.word("code", _CODE, right)
    fields.done()
    return Condition(Kind.ALARM, Direction.ABOVE, 1, subject=code)


def _queue(fields: _Fields) -> Condition:
    queue = fields.word("queue", _QUEUE, _('is the name of a queue, such as "raw_market_data"'))
    right = _("is a whole number of messages, {least} to {most}")
    depth = fields.whole("level", right, 1, MOST_WAITING)
    band = fields.whole("band", right, 0, MOST_WAITING, default=0)
    seconds = fields.seconds()
    fields.done()
    return Condition(Kind.QUEUE, Direction.ABOVE, seconds, band, queue, depth)


_READERS: Mapping[Kind, Callable[[_Fields], Condition]] = MappingProxyType(
    {
        Kind.PRICE: _price, Kind.CHANGE: _change, Kind.LIMIT: _limit, Kind.VOLUME: _volume,
        Kind.STATUS: _status, Kind.STALE: _stale, Kind.GAP: _gap, Kind.TERMINAL: _terminal, Kind.ALARM: _alarm,
        Kind.QUEUE: _queue,
    }
)  # fmt: skip
