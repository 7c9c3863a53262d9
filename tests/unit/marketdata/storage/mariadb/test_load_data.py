import contextlib
import os
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.storage.mariadb.load_data import LoadFile
from marketdata.storage.rows import UNITS, date_text, moments
from marketdata.types.tick_arrays import ABSENT, GREATEST
from tests import market

NEVER, ALWAYS = 10**9, 1
_number = st.one_of(
    st.just(ABSENT), st.integers(-GREATEST, GREATEST), st.sampled_from([0, 1, -1, 10**8, -(10**8), 70_000 * 10**8])
)
_row = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["005930", "000660", "A", "x" * 24, "B\\N", "\\", "a b", "\\t'%"]),
        "time_us": st.integers(-2_000_000_000_000_000, 4_000_000_000_000_000),
        "tick_id": st.integers(0, 2**63 - 1),
        "trade_date": st.integers(0, 40_000),
        "kind": st.integers(1, 6),
        "side": st.integers(0, 2),
        **dict.fromkeys(UNITS, _number),
        "seq": st.one_of(st.just(ABSENT), st.integers(-(2**63) + 1, 2**63 - 1)),
    }
)


def unescaped(field: str) -> str | None:
    """A field of the text as LOAD DATA takes it."""
    return None if field == "\\N" else field.replace("\\\\", "\\")


def read_back(ticks, many_rows: int) -> list[dict[str, Any]]:
    """What the server finds in the file and in the statement, row by row."""
    with contextlib.closing(LoadFile(ticks, many_rows=many_rows)) as file:
        text = os.pread(file.fileno(), 1 << 24, 0).decode("ascii")
        found = []
        for line in text.splitlines():
            row: dict[str, Any] = {**dict.fromkeys(UNITS), **file.constants}
            row |= dict(zip(file.columns, map(unescaped, line.split("\t")), strict=True))
            found.append(row | {name: number(row[name]) for name in (*UNITS, "tick_id", "kind", "side")})
    return found


def number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def expected(row: dict[str, Any]) -> dict[str, Any]:
    values = {
        name: None if row[name] == ABSENT else Decimal(row[name]).scaleb(1 - len(str(unit)))
        for name, unit in UNITS.items()
    }
    return {
        "symbol": row["symbol"],
        "event_time": moments(market.ticks([row]).time_us)[0],
        "tick_id": row["tick_id"],
        "trade_date": date_text(row["trade_date"]),
        "feed": "krx",
        "source": 4,
        "kind": row["kind"],
        "side": row["side"] or None,
        **values,
    }


@given(st.lists(_row, min_size=1, max_size=12))
def test_the_text_of_whole_columns_says_what_the_text_of_single_rows_says(rows):
    ticks = market.ticks(rows)

    by_row, by_column = read_back(ticks, NEVER), read_back(ticks, ALWAYS)

    with localcontext(prec=80):
        assert by_row == [expected(row) for row in rows]
    assert by_column == sorted(by_row, key=lambda row: row["symbol"])  # the table's key; a symbol's stay as they came


@pytest.mark.parametrize("many_rows", [NEVER, ALWAYS])
def test_what_is_equal_in_all_rows_is_said_once_and_what_no_row_has_is_left_out(many_rows):
    with contextlib.closing(LoadFile(market.ticks([{}, {}]), many_rows=many_rows)) as file:
        assert file.columns == ["symbol", "event_time", "tick_id", "price", "size"]
        assert file.constants == {
            "feed": "krx", "source": 4, "trade_date": "2026-03-16", "kind": 1, "side": None,
        }  # fmt: skip


@pytest.mark.parametrize("many_rows", [NEVER, ALWAYS])
def test_whole_numbers_have_no_fraction(many_rows):
    ticks = market.ticks([{"price": market.price("70000"), "size": market.size("1.5")}])

    with contextlib.closing(LoadFile(ticks, many_rows=many_rows)) as file:
        fields = os.pread(file.fileno(), 1 << 16, 0).decode().split()

    assert fields[file.columns.index("price")] == "70000"
    assert Decimal(fields[file.columns.index("size")]) == Decimal("1.5")
