"""What a vendor's master files say, taken over into `symbol`: names, base prices, halts and the like. New, renamed and
vanished symbols are kept as changes (`symbol_change`). No symbol is ever deleted, for its ticks lie under its code."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.models import Symbol, SymbolChange
from marketdata.storage import storage
from marketdata.types.units import SEOUL

What = SymbolChange.What
log = logging.getLogger(__name__)

REFUSED, FAILED, LIMITS_FAILED = "masters_refused", "masters_failed", "limits_failed"
MOST_GONE, MOST_GONE_SHARE = 10, 0.02
"""So many symbols of a file may be gone at once, or this share of it. KRX delists a few shares a month: what lacks
more is no whole file, or another one."""
_CHUNK = 500
_FACTS = (
    "name", "isin", "security_group", "base_price", "previous_volume", "market_cap", "listed_on", "is_halted",
    "is_administrative", "is_in_liquidation", "warning", "category", "master",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One line of a master file: what it says of a symbol. Prices in 1e-8, sizes in 1e-6, market value in the
    currency; None where the file does not say."""

    code: str
    name: str
    isin: str = ""
    security_group: str = ""
    base_price: int | None = None
    previous_volume: int | None = None
    market_cap: int | None = None
    listed_on: datetime.date | None = None
    is_halted: bool = False
    is_administrative: bool = False
    is_in_liquidation: bool = False
    warning: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master file that was read: its name, the market of what it lists. `wrong` are lines that could not be read,
    told as text; with any, the file is not whole. `left_out` has the codes that are none of its market's."""

    name: str
    market: str
    feed: str
    listings: tuple[Listing, ...]
    wrong: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    most_gone: float = MOST_GONE_SHARE
    """Of the symbols that it listed before at most this share may be gone at once."""


@dataclass(slots=True, kw_only=True)
class Taken:
    """What a master file changed. Each list has (code, before, after)."""

    name: str
    listed: list[tuple[str, str, str]] = field(default_factory=list)
    renamed: list[tuple[str, str, str]] = field(default_factory=list)
    returned: list[tuple[str, str, str]] = field(default_factory=list)
    delisted: list[tuple[str, str, str]] = field(default_factory=list)
    updated: int = 0
    refused: str = ""  # why no symbol was taken for delisted


def take(masters: Sequence[Master], now: datetime.datetime, *, accept_gone: bool = False) -> list[Taken]:
    """Take files over, in one transaction; what moved from one to another is in both. A symbol that is in its file no
    more is not collected any longer, unless the file had lines that could not be read or too many are gone at once:
    then nothing of it is taken for delisted and `Taken.refused` says why, with an alarm. `accept_gone` takes it all
    the same, for a person who has looked."""
    found = [Taken(name=master.name) for master in masters]
    with storage().transaction():
        for master, taken in zip(masters, found, strict=True):
            _write(master, taken, now)
        for master, taken in zip(masters, found, strict=True):
            _retire(master, taken, now, accept_gone=accept_gone)
        SymbolChange.objects.bulk_create(
            [
                SymbolChange(symbol=code, what=what, before=before, after=after, found_at=now)
                for taken in found
                for what, code, before, after in changes(taken)
            ],
            batch_size=_CHUNK,
        )
    for master, taken in zip(masters, found, strict=True):
        if master.left_out:
            log.warning(
                "symbols left out file=%s count=%d first=%s", master.name, len(master.left_out), master.left_out[0]
            )
        for what, code, before, after in changes(taken):
            log.info("symbol changed file=%s what=%s code=%s before=%s after=%s", taken.name, what, code, before, after)
        if taken.refused:
            alarms.raise_alarm(REFUSED, taken.refused, subject=taken.name)
        else:
            alarms.resolve(REFUSED, subject=taken.name)
    return found


def changes(taken: Taken) -> Iterator[tuple[str, str, str, str]]:
    """(what, code, before, after) of everything a person may want to hear of."""
    for what, found in (
        (What.LISTED, taken.listed), (What.RENAMED, taken.renamed),
        (What.RETURNED, taken.returned), (What.DELISTED, taken.delisted),
    ):  # fmt: skip
        for change in found:
            yield what.value, *change


def to_ask_limits() -> list[str]:
    """The codes whose price limits are worth asking for: what the files list as shares and funds."""
    symbols = Symbol.objects.filter(delisted_on=None, is_active=True, base_price__isnull=False).exclude(master="")
    return list(symbols.order_by("code").values_list("code", flat=True))


def take_limits(limits: Mapping[str, tuple[int, int]], date: datetime.date) -> int:
    """Keep the lower and upper limit (1e-8) of these codes for a trading date; returns of how many. Limits that do not
    enclose the base price of the master file are those of another day and are left out."""
    changed = []
    codes = list(limits)
    for at in range(0, len(codes), _CHUNK):
        for symbol in Symbol.objects.filter(code__in=codes[at : at + _CHUNK]):
            lower, upper = limits[symbol.code]
            if symbol.base_price is not None and lower < symbol.base_price < upper:
                symbol.lower_limit, symbol.upper_limit, symbol.limits_on = lower, upper, date
                changed.append(symbol)
    Symbol.objects.bulk_update(changed, ["lower_limit", "upper_limit", "limits_on"], batch_size=_CHUNK)
    return len(changed)


def summary(taken: Taken) -> Promise:
    """What a file changed, in a few words."""
    return format_lazy(
        _("{name}: {listed} new, {renamed} renamed, {returned} returned, {gone} gone, {updated} with other facts"),
        name=taken.name, listed=len(taken.listed), renamed=len(taken.renamed), returned=len(taken.returned),
        gone=len(taken.delisted), updated=taken.updated,
    )  # fmt: skip


def _known(master: Master) -> dict[str, Symbol]:
    codes = [one.code for one in master.listings]
    found: dict[str, Symbol] = {}
    for at in range(0, len(codes), _CHUNK):
        found |= {one.code: one for one in Symbol.objects.filter(code__in=codes[at : at + _CHUNK])}
    return found


def _facts(master: Master, listing: Listing) -> dict[str, Any]:
    facts = asdict(listing) | {"master": master.name}
    del facts["code"]
    return facts


def _write(master: Master, taken: Taken, now: datetime.datetime) -> None:
    """Every symbol that the file lists, as it lists it."""
    known = _known(master)
    written = []
    for listing in master.listings:
        facts = _facts(master, listing)
        symbol = known.get(listing.code)
        if symbol is None:
            symbol = Symbol(code=listing.code, market_id=master.market, primary_feed=master.feed)
            taken.listed.append((symbol.code, "", listing.name))
        else:
            if symbol.name not in ("", listing.name):
                taken.renamed.append((symbol.code, symbol.name, listing.name))
            if symbol.delisted_on is not None:  # what we switched off we switch on again; what a person did stays
                taken.returned.append((symbol.code, symbol.name, listing.name))
                symbol.is_active, symbol.delisted_on = True, None
            taken.updated += any(getattr(symbol, name) != value for name, value in facts.items())
        for name, value in facts.items():
            setattr(symbol, name, value)
        symbol.mastered_at = now
        written.append(symbol)
    # MariaDB finds the conflicting key by itself and refuses to be told.
    unique = ["code"] if connection.features.supports_update_conflicts_with_target else None
    Symbol.objects.bulk_create(
        written,
        update_conflicts=True,
        update_fields=[*_FACTS, "is_active", "delisted_on", "mastered_at"],
        unique_fields=unique,
        batch_size=_CHUNK,
    )


def _retire(master: Master, taken: Taken, now: datetime.datetime, *, accept_gone: bool) -> None:
    """Switch off what the file listed before and does not now."""
    listed = {one.code for one in master.listings}
    before = Symbol.objects.filter(master=master.name, delisted_on=None).values_list("code", "name")
    gone = [(code, name) for code, name in before if code not in listed]
    if not gone:
        taken.refused = _unread(master)
        return
    share = len(gone) / max(len(before), 1)
    if not accept_gone:
        if master.wrong:
            taken.refused = f"{_unread(master)}; {len(gone)} symbols that it does not list stay as they are"
        elif len(gone) > max(MOST_GONE, master.most_gone * len(before)):
            taken.refused = (
                f"{master.name} lists {len(gone)} of {len(before)} symbols no more ({share:.0%}), more than a market"
                " drops in a day; none was switched off. If it is so: manage.py load_masters --accept-gone"
            )
        if taken.refused:
            return
    codes, today = [code for code, _ in gone], now.astimezone(SEOUL).date()
    for at in range(0, len(codes), _CHUNK):
        Symbol.objects.filter(code__in=codes[at : at + _CHUNK]).update(is_active=False, delisted_on=today)
    taken.delisted = [(code, name, "") for code, name in gone]


def _unread(master: Master) -> str:
    return (
        f"{len(master.wrong)} lines of {master.name} cannot be read, first: {master.wrong[0]}" if master.wrong else ""
    )
