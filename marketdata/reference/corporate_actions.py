"""Corporate actions by symbol, and the codes that a share had."""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from marketdata.models import AdjustmentFactor, Symbol, SymbolRename
from marketdata.models.corporate_actions import RATE_DIGITS, RATE_PLACES
from marketdata.models.reference import SYMBOL_MEANING, SYMBOL_PATTERN
from marketdata.storage import storage
from terminals.wire import tables

Kind = AdjustmentFactor.Kind
OF_SPLIT = (Kind.SPLIT, Kind.STOCK_DIVIDEND, Kind.RIGHTS)
KINDS: dict[str, tuple[Kind, ...]] = {"split": OF_SPLIT, "dividend": (Kind.DIVIDEND,), "all": tuple(Kind)}
"""What `adjustment` of the API adjusts for; `raw` adjusts for nothing."""
OF_SIZES = (Kind.SPLIT, Kind.STOCK_DIVIDEND)
"""After which there are more shares or fewer, so that sizes change as well."""
COLUMNS = ("symbol", "ex_date", "kind", "old_rate", "new_rate")
MORE = ("cash", "source")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?", re.ASCII)


def actions(
    symbols: Iterable[str] | None = None,
    *,
    kinds: Iterable[str] | None = None,
    start: datetime.date | None = None,
    end: datetime.date | None = None,
) -> list[AdjustmentFactor]:
    """Corporate actions by ex-date (both ends included), then symbol: of these symbols and kinds, or of all."""
    return list(chosen(symbols, kinds=kinds, start=start, end=end).order_by("ex_date", "symbol", "kind"))


def chosen(
    symbols: Iterable[str] | None = None,
    *,
    kinds: Iterable[str] | None = None,
    start: datetime.date | None = None,
    end: datetime.date | None = None,
) -> QuerySet[AdjustmentFactor]:
    """The same corporate actions, in no order and not read yet."""
    rows = AdjustmentFactor.objects.all()
    if symbols is not None:
        rows = rows.filter(symbol__in=list(symbols))
    if kinds is not None:
        rows = rows.filter(kind__in=list(kinds))
    if start is not None:
        rows = rows.filter(ex_date__gte=start)
    if end is not None:
        rows = rows.filter(ex_date__lte=end)
    return rows


@dataclass(frozen=True, slots=True)
class Held:
    """A code that a share had on the trading dates start <= date < end; None is without bound."""

    code: str
    start: datetime.date | None
    end: datetime.date | None


def renames() -> list[SymbolRename]:
    """All of them, oldest first; there are a few a year."""
    return list(SymbolRename.objects.order_by("since", "pk"))


def held(symbol: str, on: datetime.date, known: Sequence[SymbolRename]) -> list[Held]:
    """The codes of the share that was called `symbol` on a date, oldest first, from `renames`."""
    after = [one for one in known if one.old == symbol and one.since > on]
    end = after[0].since if after else None
    start, before = _taken(symbol, [one for one in known if one.since <= on])
    found = [Held(symbol, start, end)]
    while before is not None and start is not None:
        first, earlier = _taken(before, [one for one in known if one.since < start])
        found.insert(0, Held(before, first, start))
        start, before = first, earlier
    while end is not None:
        code = after[0].new
        after = [one for one in known if one.old == code and one.since > end]
        found.append(Held(code, end, after[0].since if after else None))
        end = found[-1].end
    return found


def ratios(row: AdjustmentFactor) -> tuple[Fraction, Fraction]:
    """What prices and sizes of earlier trading dates are multiplied by."""
    price = Fraction(row.old_rate) / Fraction(row.new_rate)
    return price, 1 / price if row.kind in OF_SIZES else Fraction(1)


def concerns(codes: Sequence[Held], code: str, ex_date: datetime.date) -> bool:
    """Whether an action under a code is of the share that had `codes` (none: its own alone): not once the code is
    another one's. What was entered under a code for a time before the share bore it is the share's."""
    stretches = [held for held in codes if held.code == code]
    return (
        not stretches
        or all(held.start is not None and ex_date < held.start for held in stretches)
        or any(
            (held.start is None or held.start <= ex_date) and (held.end is None or ex_date <= held.end)
            for held in stretches
        )
    )


def _taken(code: str, known: Sequence[SymbolRename]) -> tuple[datetime.date | None, str | None]:
    """(since when the share that has a code after these renames has it, None from the beginning; the code that it had
    before, if any). A code that a share gave up for another is since then somebody else's."""
    came = [one for one in known if one.new == code]
    went = [one for one in known if one.old == code]
    if came and (not went or came[-1].since >= went[-1].since):
        return came[-1].since, came[-1].old
    return (went[-1].since if went else None), None


# --- from a file ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file would change: rows that are new, that say something else than what is known (with that before), and
    how many say nothing new. With `wrong`, texts of lines that cannot be used, nothing may be taken over."""

    new: list[AdjustmentFactor]
    changed: list[tuple[AdjustmentFactor, AdjustmentFactor]]
    unchanged: int
    wrong: list[str]


def plan(text: str) -> Plan:
    """Read a table (CSV) of corporate actions: a heading with the columns COLUMNS, and MORE if there are."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(tables.SEPARATORS, key=first.count)
    reader = csv.DictReader(text.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines(), delimiter=separator)
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS if name not in names]
    unknown = [name for name in names if name not in (*COLUMNS, *MORE)]
    if missing or unknown or len(set(names)) < len(names):
        told = _("line 1: the heading must have {needed} and may have {known}; it has {there}").format(
            needed=", ".join(COLUMNS), known=", ".join(MORE), there=", ".join(names)
        )
        return Plan(new=[], changed=[], unchanged=0, wrong=[told])
    reader.fieldnames = names
    wrong: list[str] = []
    given: dict[tuple[str, datetime.date, str], AdjustmentFactor] = {}
    try:
        for row in reader:
            try:
                one = _row(row)
            except ValueError as error:
                wrong.append(_("line {number}: {error}").format(number=reader.line_num, error=error))
                continue
            key = (one.symbol, one.ex_date, one.kind)
            if key in given:
                told = _("line {number}: {symbol} {date} {kind} is there twice")
                wrong.append(
                    told.format(number=reader.line_num, symbol=one.symbol, date=one.ex_date, kind=str(one.kind))
                )
            given[key] = one
    except csv.Error as error:
        wrong.append(_("line {number}: {error}").format(number=reader.line_num, error=error))
    if not given and not wrong:
        wrong.append(_("there is no row below the heading"))
    registered = set(Symbol.objects.filter(code__in={key[0] for key in given}).values_list("code", flat=True))
    told = _("{symbol} is not registered")
    wrong += [told.format(symbol=symbol) for symbol in sorted({key[0] for key in given} - registered)]
    known = {(one.symbol, one.ex_date, one.kind): one for one in actions({key[0] for key in given})}
    new = [one for key, one in given.items() if key not in known]
    changed = [(known[key], one) for key, one in given.items() if key in known and _said(known[key]) != _said(one)]
    return Plan(new=new, changed=changed, unchanged=len(given) - len(new) - len(changed), wrong=wrong)


def take(planned: Plan) -> None:
    """Write what a plan found, in one transaction. ValueError when something in it is wrong."""
    if planned.wrong:
        raise ValueError(planned.wrong[0])
    with storage().transaction():
        AdjustmentFactor.objects.bulk_create(planned.new, batch_size=500)
        for before, one in planned.changed:
            one.pk = before.pk
            one.save()


def _said(one: AdjustmentFactor) -> tuple[Any, ...]:
    return (one.old_rate, one.new_rate, one.cash, one.source)


def _row(row: dict[str, Any]) -> AdjustmentFactor:
    if None in row or None in row.values():
        raise ValueError(_("it has another number of columns than the heading"))
    cells = {name: value.strip() for name, value in row.items()}
    if not re.fullmatch(SYMBOL_PATTERN, cells["symbol"]):
        told = _("{code!r} is no symbol code ({meaning})")
        raise ValueError(told.format(code=cells["symbol"], meaning=SYMBOL_MEANING))
    if not _DATE.fullmatch(cells["ex_date"]):
        raise ValueError(_("ex_date {date!r} is no date such as 2026-11-20").format(date=cells["ex_date"]))
    if cells["kind"] not in Kind.values:
        raise ValueError(_("kind {kind!r} is none of {known}").format(kind=cells["kind"], known=", ".join(Kind.values)))
    if len(cells.get("source", "")) > 200:
        raise ValueError(_("source is longer than 200 characters"))
    return AdjustmentFactor(
        symbol=cells["symbol"],
        ex_date=datetime.date.fromisoformat(cells["ex_date"]),
        kind=cells["kind"],
        old_rate=_decimal("old_rate", cells["old_rate"], positive=True),
        new_rate=_decimal("new_rate", cells["new_rate"], positive=True),
        cash=_decimal("cash", cells["cash"]) if cells.get("cash") else None,
        source=cells.get("source", ""),
    )


def _decimal(name: str, text: str, *, positive: bool = False) -> Decimal:
    try:
        value = Decimal(text) if _DECIMAL.fullmatch(text) else None
    except InvalidOperation:
        value = None
    if value is None or (positive and value == 0):
        told = (
            _("{name} {text!r} is no number above 0 with at most {before} digits before and {behind} behind the point")
            if positive
            else _("{name} {text!r} is no number with at most {before} digits before and {behind} behind the point")
        )
        raise ValueError(told.format(name=name, text=text, before=RATE_DIGITS - RATE_PLACES, behind=RATE_PLACES))
    return value
