"""Which news of which symbols is wanted: from the command line, or from [[symbols]] in the file of --config."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from terminals.sources.contract import WrongInput
from terminals.sources.kis.planner import FEEDS, Kind, Wish, registration_of
from terminals.wire.language import gettext as _

MODES: Final = ("setup", "test", "realtime", "production")
_DEFAULT: Final = {"index": (Kind.INDEX,)}
_KNOWN: Final = ("codes", "feed", "kinds", "priority")
_CODE: Final = re.compile(r"[0-9A-Za-z./-]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One symbol. The lower `priority`, the more wanted."""

    symbol: str
    feed: str
    kinds: tuple[Kind, ...]
    priority: int


def read_wanted(codes: str | None, tables: Mapping[str, Any], chosen: Sequence[Wanted] = ()) -> list[Wanted]:
    """`codes` with commas between are stocks of KRX, before those of `tables["symbols"]`, before those `chosen` that
    are not among them. WrongInput if there are none, or something in them is wrong."""
    found = [Wanted(code, "krx", (Kind.TRADE, Kind.BOOK), 0) for code in _codes((codes or "").split(","), "--symbols")]
    listed = tables.get("symbols", [])
    if not isinstance(listed, list):
        raise WrongInput(_("symbols must be tables: [[symbols]]"))
    for number, table in enumerate(listed, 1):
        found += _table(table, f"[[symbols]] {number}")
    named = {(one.symbol, one.feed) for one in found}
    found += [one for one in chosen if (one.symbol, one.feed) not in named]
    if not found:
        raise WrongInput(_("no symbols: give --symbols, or [[symbols]] or [[masters]] in the file of --config"))
    return list(dict.fromkeys(found))


def wishes(wanted: Iterable[Wanted]) -> list[Wish]:
    """What to register for them; a kind that KIS does not push is left out."""
    found = []
    for one in wanted:
        for kind in one.kinds:
            registration = registration_of(one.symbol, kind, one.feed)
            if registration is not None:
                found.append(Wish(registration, one.symbol, kind, one.priority))
    return found


def read_table(
    table: object, where: str, *, known: Sequence[str], feeds: Sequence[str] = FEEDS
) -> tuple[str, tuple[Kind, ...], int]:
    """Feed, kinds and priority of a table that has only what is `known`. WrongInput."""
    if not isinstance(table, dict) or set(table) - set(known):
        raise WrongInput(_("{where}: known are {names}").format(where=where, names=", ".join(known)))
    feed, priority = table.get("feed", "krx"), table.get("priority", 100)
    if feed not in feeds:
        raise WrongInput(_("{where}: feed must be one of {names}").format(where=where, names=", ".join(feeds)))
    if type(priority) is not int or not 0 <= priority <= 1_000_000:
        raise WrongInput(_("{where}: priority must be a whole number from 0").format(where=where))
    default = _DEFAULT.get(feed, (Kind.TRADE, Kind.BOOK))
    named = table.get("kinds", [kind.value for kind in default])
    try:
        kinds = tuple(Kind(kind) for kind in named)
    except (ValueError, TypeError):
        names = ", ".join(kind.value for kind in Kind)
        raise WrongInput(_("{where}: kinds must be a list of {names}").format(where=where, names=names)) from None
    return feed, kinds, priority


def _table(table: object, where: str) -> list[Wanted]:
    feed, kinds, priority = read_table(table, where, known=_KNOWN)
    codes = table.get("codes") if isinstance(table, dict) else None
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise WrongInput(_("{where}: codes must be a list of texts in quotes").format(where=where))
    return [Wanted(code, feed, kinds, priority) for code in _codes(codes, where)]


def _codes(codes: Sequence[str], where: str) -> list[str]:
    found = [code.strip() for code in codes if code.strip()]
    for code in found:
        if not _CODE.fullmatch(code):
            raise WrongInput(_("{where}: {code!r} is no code").format(where=where, code=code))
    return found
