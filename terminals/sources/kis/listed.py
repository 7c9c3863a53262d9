"""Which stocks are wanted by what they are: [[masters]] in the file of --config chooses from KIS's master files.

A file is downloaded when the program starts. Where it cannot be had, or is not whole, the last one is taken, which is
kept in the folder that all processes share.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from terminals import private
from terminals.sources.contract import WrongInput
from terminals.sources.kis import masters, shared_files
from terminals.sources.kis.masters import Master, MasterError, Stock
from terminals.sources.kis.wanted import Wanted, read_table
from terminals.wire.language import gettext as _

log = logging.getLogger("naru.kis")

MARKETS: Final = {"kospi": "kospi_code", "kosdaq": "kosdaq_code", "konex": "konex_code"}
CLASSES: Final = {"stock": ("ST", "KN"), "etf": ("EF",), "etn": ("EN",), "reit": ("RT",)}
"""By the security group of the file; groups that are not here are chosen by nobody."""
FEEDS: Final = ("krx", "nxt", "unified")
MOST_UNREADABLE: Final = 0.01
"""Of the lines of a whole file at most this share cannot be read."""
LEAST_LEFT: Final = 0.5
"""A whole file has at least this share of the stocks that the last one had."""
_KNOWN: Final = ("markets", "classes", "feed", "kinds", "priority", "most")


def read_listed(
    tables: Mapping[str, Any], folder: Path, download: Callable[[str], bytes] = masters.download
) -> list[Wanted]:
    """What `tables["masters"]` chooses, of each table the largest companies first. WrongInput if a table is wrong, or a
    file neither can be had whole nor was kept in `folder`."""
    given = tables.get("masters", [])
    if not isinstance(given, list):
        raise WrongInput(_("masters must be tables: [[masters]]"))
    files: dict[str, list[Stock]] = {}
    found: dict[tuple[str, str], Wanted] = {}
    for number, table in enumerate(given, 1):
        where = f"[[masters]] {number}"
        feed, kinds, priority = read_table(table, where, known=_KNOWN, feeds=FEEDS)
        markets = _words(table, "markets", list(MARKETS), ["kospi", "kosdaq"], where)
        groups = {group for one in _words(table, "classes", list(CLASSES), ["stock"], where) for group in CLASSES[one]}
        most = table.get("most", 10_000)
        if type(most) is not int or most < 1:
            raise WrongInput(_("{where}: most must be a whole number from 1").format(where=where))
        for name in (MARKETS[market] for market in markets):
            if name not in files:
                files[name] = _stocks(name, folder, download)
        stocks = [one for market in markets for one in files[MARKETS[market]] if one.group in groups]
        stocks.sort(key=lambda one: -(one.market_cap or 0))
        log.info("kis_masters table=%d chosen=%d of=%d", number, min(most, len(stocks)), len(stocks))
        for place, stock in enumerate(stocks[:most]):
            found.setdefault((stock.code, feed), Wanted(stock.code, feed, kinds, priority + place))
    return list(found.values())


def _words(table: Mapping[str, Any], name: str, known: list[str], default: list[str], where: str) -> list[str]:
    words = table.get(name, default)
    if not isinstance(words, list) or not words or any(word not in known for word in words):
        told = _("{where}: {name} must be a list of {names}")
        raise WrongInput(told.format(where=where, name=name, names=", ".join(known)))
    return list(dict.fromkeys(words))


def _stocks(name: str, folder: Path, download: Callable[[str], bytes]) -> list[Stock]:
    kept = folder / f"{name}.mst"
    before = _kept(name, kept)
    try:
        content = download(name)
        found = _readable(name, content)
        if before is not None and len(found.stocks) < LEAST_LEFT * len(before.stocks):
            raise MasterError(
                f"{name}.mst has {len(found.stocks)} stocks, the last one had {len(before.stocks)}: it is not whole;"
                f" if it is, remove {kept}"
            )
    except MasterError as error:
        if before is None:
            told = _("the symbols of master file {name} cannot be had: {reason}")
            raise WrongInput(told.format(name=name, reason=error)) from None
        found = before
        log.warning("kis_master_of_before file=%s reason=%r", name, str(error))
    else:
        try:
            private.make(folder)
            shared_files.replace(kept, content)
        except OSError as error:
            log.warning("kis_master_not_kept file=%s reason=%r", name, str(error))
    for problem in found.problems[:5]:
        log.warning("kis_master_line %s", problem)
    return found.stocks


def _kept(name: str, kept: Path) -> Master | None:
    """The file of before, if there is one that can be read."""
    try:
        return _readable(name, kept.read_bytes())
    except (OSError, MasterError):
        return None


def _readable(name: str, content: bytes) -> Master:
    """What is in a file. MasterError if too many of its lines cannot be read."""
    found = masters.parse(name, content)
    wrong, lines = len(found.problems), len(found.problems) + len(found.stocks)
    if wrong > MOST_UNREADABLE * lines:
        raise MasterError(f"{wrong} of {lines} lines of {name}.mst cannot be read, first: {found.problems[0]}")
    return found
