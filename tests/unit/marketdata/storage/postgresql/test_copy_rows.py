import struct
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from marketdata.storage.postgresql.copy_rows import KINDS, SIDES, CopyRows
from marketdata.storage.rows import UNITS
from marketdata.types.tick_arrays import ABSENT
from tests import market

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
FROM_1970_US, FROM_1970_DAYS = 946_684_800_000_000, 10_957
WIDEST = 10**18 - 1
_number = st.one_of(st.just(ABSENT), st.integers(-WIDEST, WIDEST))
_row = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["005930", "000660", "A", "x" * 24]),
        "time_us": st.integers(0, 4_000_000_000_000_000),
        "tick_id": st.integers(0, 2**63 - 1),
        "trade_date": st.integers(0, 40_000),
        "kind": st.integers(1, len(KINDS) - 1),
        "side": st.integers(0, len(SIDES) - 1),
        **dict.fromkeys(UNITS, _number),
    }
)


def fields(data: bytes) -> list[list[bytes | None]]:
    """The rows of a binary COPY, as the manual of PostgreSQL describes them ("Binary Format")."""
    assert data.startswith(HEADER)
    at, rows = len(HEADER), []
    while (count := struct.unpack_from(">h", data, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length])
            at += max(length, 0)
        rows.append(row)
    assert data[at:] == b"\xff\xff"
    return rows


def numeric(data: bytes) -> Decimal:
    """A numeric as the server understands it: digits of base 10,000, the first of them times 10,000 ** weight."""
    count, weight, sign, scale = struct.unpack_from(">hhHh", data)
    digits = struct.unpack_from(f">{count}H", data, 8)
    assert all(digit < 10_000 for digit in digits)
    assert len(data) == 8 + 2 * count
    with localcontext(prec=80):
        value = sum((digit * Decimal(10_000) ** (weight - at) for at, digit in enumerate(digits)), Decimal(0))
        return (-value if sign else value).quantize(Decimal(1).scaleb(-scale))


def read_back(rows: CopyRows) -> list[dict[str, object]]:
    found = []
    for row in fields(rows.data):
        one: dict[str, object] = dict.fromkeys(UNITS) | {"side": None}
        for name, data in zip(rows.columns, row, strict=True):
            if data is None:
                one[name] = None
            elif name in ("symbol", "feed", "kind", "side"):
                one[name] = data.decode()
            elif UNITS.get(name, 1) != 1:
                one[name] = numeric(data)
            else:
                one[name] = int.from_bytes(data, "big", signed=True)
        found.append(one)
    return found


@given(st.lists(_row, min_size=1, max_size=12))
def test_whatever_ticks_there_are_the_server_reads_the_same(rows):
    given_ticks = market.ticks(rows)

    found = read_back(CopyRows(given_ticks))

    with localcontext(prec=80):
        assert found == [
            {
                "symbol": row["symbol"],
                "event_time": row["time_us"] - FROM_1970_US,
                "tick_id": row["tick_id"],
                "trade_date": row["trade_date"] - FROM_1970_DAYS,
                "feed": "krx",
                "source": 4,
                "kind": KINDS[row["kind"]],
                "side": SIDES[row["side"]] or None,
                **{
                    name: None
                    if row[name] == ABSENT
                    else row[name]
                    if unit == 1
                    else Decimal(row[name]).scaleb(1 - len(str(unit)))
                    for name, unit in UNITS.items()
                },
            }
            for row in rows
        ]


def test_a_column_that_no_row_has_is_left_out():
    trade = market.ticks([{}, {}])

    columns = CopyRows(trade).columns

    assert not {"side", "seq", "bid", "ask", "bid_size", "ask_size", "cum_volume"} & set(columns)
    assert {"price", "size"} <= set(columns)
