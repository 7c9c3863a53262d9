"""From the parameters of a request to what is to be read: which symbol in which feed, between which times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.utils.translation import gettext

from analytics.series import factors
from api.auth import access
from api.rest import errors, feeds, paging
from api.rest.paging import Series
from api.rest.timestamps import EARLIEST_US, LATEST_US
from marketdata.calendar import trading_dates
from marketdata.reference import corporate_actions
from marketdata.reference.corporate_actions import Held
from marketdata.storage import TickKey
from terminals import wire

GAPS_AT_ONCE = 10_000
# Asked by every request, so that no answer rests on what a symbol or gap was a moment ago; ready text, for making it
# from a queryset costs a dozen times what the database takes.
_SYMBOLS = """
SELECT s.code, s.primary_feed, s.market_id, m.timezone, m.trade_date_shift_s,
    EXISTS (SELECT 1 FROM symbol_rename r WHERE r.old = s.code OR r.new = s.code)
FROM symbol s JOIN market m ON m.code = s.market_id WHERE s.code IN ({})
"""
OFF = "-"  # of `asof`: read what is stored under the very code
WON = ("KRX",)  # markets whose prices are in KRW
# Of one symbol, or of none: the index that finds them has the symbol before the time.
_GAPS = """
SELECT * FROM (
    SELECT {0} AS which, id, from_us, to_us FROM gap
    WHERE feed = %s AND symbol = %s AND from_us < %s AND to_us >= %s AND (to_us > %s OR id > %s){1}
    ORDER BY to_us, id LIMIT %s
) AS q{0}
"""
_GAPS_OF = """
SELECT id, symbol, from_us, to_us FROM gap
WHERE feed = %s AND symbol IN ({}) AND from_us < %s AND to_us >= %s AND id > %s{} ORDER BY id LIMIT %s
"""
_OF_TRADES = " AND reason NOT LIKE %s" * len(wire.OTHER_KINDS)


RAW = "raw"
WARNING_HEADER = "X-Naru-Warning"


@dataclass(frozen=True, slots=True)
class Known:
    """The series of those of several symbols that are registered, and which are not."""

    found: list[Series]
    unknown: list[str]

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of the symbols that were left out."""
        return {WARNING_HEADER: f"not registered, left out: {','.join(self.unknown)}"} if self.unknown else {}


def known(symbols: list[str], query: dict[str, Any]) -> Known:
    """The series of a request for several symbols; one that is not registered is left out, as the dialect does. The
    feed of a symbol that none was asked for is its primary one, whether anything came by it or not. UnknownFeed,
    FeedForbidden for one that whoever asks may not read, or Unprocessable when there is nothing to choose."""
    named = feeds.resolve(query["feed"]) if query.get("feed") else None
    chosen = shares(symbols, query, named)
    access.require([named] if named else [one.feed for one in chosen.found])
    if query.get("adjustment", RAW) == RAW:
        return chosen
    told = {one.symbol: (one.market, one.held) for one in chosen.found}
    split = factors.in_force(told, query["adjustment"], time.time_ns() // 1000)
    return Known([replace(one, factors=split.get(one.symbol, ())) for one in chosen.found], chosen.unknown)


def shares(symbols: list[str], query: dict[str, Any], named: str | None = None) -> Known:
    """As `known`, for what is told of several feeds: raw, and whether the feed may be read is not asked. Unprocessable
    when there is nothing to choose."""
    marks = ", ".join(["%s"] * len(symbols))
    rows = {code: row for code, *row in _ask(_SYMBOLS.format(marks), symbols)} if symbols else {}
    renames = corporate_actions.renames() if query.get("asof") != OFF and any(row[4] for row in rows.values()) else []
    found = []
    for symbol in symbols:
        if symbol not in rows:
            continue
        feed, market, timezone, shift_s, is_renamed = rows[symbol]
        start, end = query.get("start"), query.get("end")
        first_us = start.first_us(timezone) if start else EARLIEST_US
        last_us = end.last_us(timezone) if end else LATEST_US
        if first_us > last_us:
            raise errors.Unprocessable({"start": gettext("is after end")})
        if market in WON and query.get("currency", "KRW") != "KRW":
            told = gettext("prices of {symbol} are in KRW, and none is converted").format(symbol=symbol)
            raise errors.Unprocessable({"currency": told})
        held: list[Held] = []
        if is_renamed and renames:
            asof = query.get("asof") or trading_dates.calendar(market).trade_date(time.time_ns() // 1000)
            held = corporate_actions.held(symbol, asof, renames)
        one = Series(symbol, named or feed, market, timezone, shift_s, first_us, last_us, tuple(held))
        found.append(one)
    return Known(found, [symbol for symbol in symbols if symbol not in rows])


def of(symbol: str, query: dict[str, Any]) -> Series:
    """The series of a symbol that the path names: as `known`, and UnknownSymbol if it is not registered."""
    chosen = known([symbol], query)
    if not chosen.found:
        raise errors.UnknownSymbol(gettext("not registered: {symbol}").format(symbol=symbol))
    return chosen.found[0]


def after(query: dict[str, Any], kind: str, symbols: list[str]) -> TickKey | None:
    """Where the page before ended. BadToken if that is not one of ours or belongs to another question."""
    if not query.get("page_token"):
        return None
    try:
        return paging.decode_token(query["page_token"], kind, symbols)
    except paging.BadTokenError as error:
        raise errors.BadToken(str(error)) from error


def gaps(feed: str, symbol: str, first_us: int, end_us: int) -> Iterator[list[tuple[int, int]]]:
    """When terminals reported that trades of a symbol, or of its whole feed, were lost: (from, to), both included.
    All of them, some thousands at a time, in no order."""
    others = [f"{kind}%" for kind in wire.OTHER_KINDS]
    after = {symbol: (first_us, 0), "": (first_us, 0)}  # where the last of each were: (to, id)
    while after:
        parts = [_GAPS.format(which, _OF_TRADES) for which in range(len(after))]
        params = [
            (feed, of, end_us, to_us, to_us, number, *others, GAPS_AT_ONCE) for of, (to_us, number) in after.items()
        ]
        rows = _ask(" UNION ALL ".join(parts), [one for part in params for one in part])
        yield [(from_us, to_us) for _, _, from_us, to_us in rows]
        found = {of: [row for row in rows if row[0] == which] for which, of in enumerate(after)}
        after = {of: max((row[3], row[1]) for row in mine) for of, mine in found.items() if len(mine) == GAPS_AT_ONCE}


def gaps_of(feed: str, symbols: Sequence[str], first_us: int, end_us: int) -> dict[str, list[tuple[int, int]]]:
    """As `gaps`, of several symbols at once; those of the whole feed are under ""."""
    found: dict[str, list[tuple[int, int]]] = {}
    sql = _GAPS_OF.format(", ".join(["%s"] * (len(symbols) + 1)), _OF_TRADES)
    others, number = [f"{kind}%" for kind in wire.OTHER_KINDS], 0
    while True:
        rows = _ask(sql, [feed, "", *symbols, end_us, first_us, number, *others, GAPS_AT_ONCE])
        for _, symbol, from_us, to_us in rows:
            found.setdefault(symbol, []).append((from_us, to_us))
        if len(rows) < GAPS_AT_ONCE:
            return found
        number = rows[-1][0]


def _ask(sql: str, params: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
