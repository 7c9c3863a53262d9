"""Ticks as the text MariaDB's LOAD DATA reads, kept in memory: no file that a killed process could leave behind.

The less text the less work for the server: what is equal in all rows is said once, and what no row has is left out.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage.base import EPOCH_DATE
from marketdata.ticks import ABSENT, PRICE_UNIT, SIZE_UNIT, Int64, Ticks
from terminals import wire

UNITS = {
    "price": PRICE_UNIT,
    "size": SIZE_UNIT,
    "seq": 1,
    "bid": PRICE_UNIT,
    "ask": PRICE_UNIT,
    "bid_size": SIZE_UNIT,
    "ask_size": SIZE_UNIT,
    "cum_volume": SIZE_UNIT,
}
_EXPONENTS = {PRICE_UNIT: f"e-{wire.PRICE_SCALE}", SIZE_UNIT: f"e-{wire.SIZE_SCALE}", 1: ""}


class LoadFile:
    """One LOAD DATA statement's input; close it to give the memory back."""

    def __init__(self, ticks: Ticks) -> None:
        self._columns: list[str] = []
        self._formats: list[str] = []
        self._values: list[list[Any]] = []
        self._constants: dict[str, Any] = {"feed": ticks.feed, "source": ticks.source_id}
        self._describe(ticks)
        line = "\t".join(self._formats) + "\n"
        text = "".join([line % row for row in zip(*self._values, strict=True)]).encode("ascii")
        self._handle = os.memfd_create("naru-load", os.MFD_CLOEXEC)
        view = memoryview(text)
        while view:
            view = view[os.write(self._handle, view) :]

    def _describe(self, ticks: Ticks) -> None:
        names = np.array([*ticks.symbols, ""], object)
        escaped = np.array([name.replace("\\", "\\\\") for name in names.tolist()], object)
        self._add("symbol", "%s", escaped[ticks.symbol].tolist())
        self._add("event_time", "%s", moments(ticks.time_us))
        self._add("tick_id", "%d", ticks.tick_id.tolist())
        if not self._same("trade_date", ticks.trade_date, date_text):
            texts = {days: date_text(days) for days in np.unique(ticks.trade_date).tolist()}
            self._add("trade_date", "%s", [texts[days] for days in ticks.trade_date.tolist()])
        if not self._same("kind", ticks.kind, lambda kind: kind):
            self._add("kind", "%d", ticks.kind.tolist())
        if not self._same("side", ticks.side, lambda side: side or None):
            self._add("side", "%s", [side or "\\N" for side in ticks.side.tolist()])
        for name, unit in UNITS.items():
            self._number(name, getattr(ticks, name), unit)

    def _add(self, column: str, form: str, values: list[Any]) -> None:
        self._columns.append(column)
        self._formats.append(form)
        self._values.append(values)

    def _same(self, column: str, values: Any, shown: Any) -> bool:
        if not len(values) or (values != values[0]).any():
            return False
        self._constants[column] = shown(int(values[0]))
        return True

    def _number(self, column: str, values: Int64, unit: int) -> None:
        absent = values == ABSENT
        if absent.all():
            return  # the column's default is NULL
        exponent = _EXPONENTS[unit]
        if unit > 1 and not (values % unit)[~absent].any():
            values, exponent = np.where(absent, ABSENT, values // unit), ""  # whole numbers need no fraction
        if absent.any():
            shown = ["\\N" if value == ABSENT else f"{value}{exponent}" for value in values.tolist()]
            self._add(column, "%s", shown)
        else:
            self._add(column, "%d" + exponent, values.tolist())

    def load(self, connection: BaseDatabaseWrapper, table: str) -> int:
        """Load it; rows that are there already are skipped. Returns how many were new.

        LOCAL turns errors into warnings, so whoever claimed the rows compares the number.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '/proc/self/fd/{self._handle}' INTO TABLE {connection.ops.quote_name(table)}"
                f" CHARACTER SET ascii ({', '.join(self._columns)})"
                f" SET {', '.join(f'{column} = %s' for column in self._constants)}",
                list(self._constants.values()),
            )
            return int(cursor.rowcount)

    def close(self) -> None:
        """Give the memory back."""
        os.close(self._handle)


def moments(times_us: Int64) -> list[str]:
    """Times as MariaDB writes them, microseconds included."""
    texts: list[str] = np.datetime_as_string(times_us.astype("datetime64[us]")).tolist()
    return texts


def date_text(days: int) -> str:
    """Days since 1970 as YYYY-MM-DD."""
    return (EPOCH_DATE + datetime.timedelta(days=days)).isoformat()
