"""Ticks in a Parquet file: every digit comes back, sorted, and a file that is not as written says so."""

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata.archive import parquet
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import ABSENT, GREATEST, PRICES, SIZES
from tests import market
from tests.market import MINUTE_US, NINE_US, price, tick_id

SOURCES = {3: "KIS", 4: "REPLAY"}
NULLABLE = (*PRICES, *SIZES, "seq")
pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


def written(*symbols, **how) -> bytes:
    """A file of these symbols; each is a list of parts."""
    file = io.BytesIO()
    writer = parquet.Writer(file, sources=SOURCES, **how)
    for parts in symbols:
        writer.add(parts)
    writer.close()
    return file.getvalue()


def rows(data: bytes) -> list[dict[str, Any]]:
    return [row for part in parquet.read(io.BytesIO(data)) for row in market.rows_of(part)]


def of(symbol: str, number: int, *, feed: str = "krx", source_id: int = 4, seq: int = 1, **fields):
    return market.ticks(
        [
            {
                "symbol": symbol,
                "time_us": NINE_US + at * 1000,
                "tick_id": tick_id(seq, at),
                "trade_date": 20528,
                **fields,
            }
            for at in range(number)
        ],
        feed=feed,
        source_id=source_id,
    )


def test_ticks_come_back_as_they_went_in():
    first, second = of("000660", 5, bid=price("69900"), bid_size=7, side=2), of("005930", 3, kind=2, price=ABSENT)

    data = written([first], [second])

    assert rows(data) == market.rows_of(first) + market.rows_of(second)
    (part,) = parquet.read(io.BytesIO(data))
    assert (part.feed, part.source_id, part.symbols) == ("krx", 4, ["000660", "005930"])


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_tick_comes_back_to_its_last_digit(data):
    number = st.one_of(st.just(ABSENT), st.integers(-GREATEST, GREATEST))
    columns = {**dict.fromkeys(NULLABLE, number), "seq": st.integers(-(2**63), 2**63 - 1)}
    row = st.fixed_dictionaries({**columns, "kind": st.integers(1, 4), "side": st.integers(0, 2)})
    given_rows = data.draw(st.lists(row, min_size=1, max_size=10))
    times = sorted(data.draw(st.lists(st.integers(0, 4_102_444_799_999_999), min_size=10, max_size=10)))
    ticks = market.ticks(
        [{**one, "time_us": times[at], "tick_id": at, "trade_date": 20528} for at, one in enumerate(given_rows)]
    )

    data = written([ticks], group_rows=3)

    assert rows(data) == market.rows_of(ticks)
    parts = list(parquet.read(io.BytesIO(data)))
    assert checksums.total(one for part in parts for one in checksums.of_ticks(part).values()) == checksums.total(
        checksums.of_ticks(ticks).values()
    )


def test_feeds_and_sources_of_a_symbol_lie_together_in_order_of_time_and_come_apart_again():
    krx, nxt = of("005930", 3), of("005930", 3, feed="nxt", seq=2)
    gap = of("005930", 2, source_id=3, seq=3)

    data = written([krx, nxt, gap])

    table = pq.read_table(io.BytesIO(data)).to_pylist()
    assert [(row["event_time"], row["tick_id"]) for row in table] == sorted(
        (row["event_time"], row["tick_id"]) for row in table
    )
    parts = {(part.feed, part.source_id): part for part in parquet.read(io.BytesIO(data))}
    assert parts.keys() == {("krx", 4), ("nxt", 4), ("krx", 3)}
    assert all(market.same(parts[one.feed, one.source_id], one) for one in (krx, nxt, gap))


@pytest.mark.parametrize("group_rows", [1, 2, 3, 7, 10, 100])
def test_a_group_has_no_more_rows_than_asked_and_symbols_may_span_groups(group_rows):
    symbols = [of("A", 7), of("B", 1), of("C", 2, seq=2)]

    data = written(*([part] for part in symbols), group_rows=group_rows)

    file = pq.ParquetFile(io.BytesIO(data))
    sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert sizes == [group_rows] * (10 // group_rows) + ([10 % group_rows] if 10 % group_rows else [])
    assert rows(data) == [row for part in symbols for row in market.rows_of(part)]


def test_prices_are_decimals_that_lie_as_integers_and_times_are_utc():
    data = written([of("005930", 2)])

    file = pq.ParquetFile(io.BytesIO(data))
    inside = {file.schema.column(at).name: file.schema.column(at).physical_type for at in range(len(file.schema))}
    assert {inside[name] for name in (*PRICES, *SIZES, "tick_id", "event_time", "seq")} == {"INT64"}
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["price"] == "decimal128(18, 8)"
    assert types["size"] == "decimal128(18, 6)"
    assert types["event_time"] == "timestamp[us, tz=UTC]"
    assert types["trade_date"] == "date32[day]"
    assert types["symbol"].startswith("dictionary<values=string")
    assert str(pq.read_table(io.BytesIO(data)).column("price")[0].as_py()) == "70000.00000000"


def test_a_file_of_the_time_when_sizes_had_four_places_is_read_in_the_unit_of_now():
    ticks = of("005930", 3)
    ticks.size[:] = [market.size("0.0001"), market.size("12.5"), ABSENT]
    ticks.cum_volume[:] = [market.size("1"), market.size("98765.4321"), market.size("-3")]
    old = {name: pa.decimal128(18, 4) for name in SIZES}
    table = pq.read_table(io.BytesIO(written([ticks])))
    said = json.loads(table.schema.metadata[b"naru"]) | {"format": 1}
    fields = [pa.field(one.name, old.get(one.name, one.type)) for one in table.schema]
    file = io.BytesIO()
    pq.write_table(table.cast(pa.schema(fields, {"naru": json.dumps(said)})), file, store_decimal_as_integer=True)

    assert rows(file.getvalue()) == market.rows_of(ticks)


def test_a_day_without_ticks_is_a_file_without_rows():
    assert rows(written()) == []


def test_symbols_out_of_order_are_refused():
    with pytest.raises(ValueError, match="ascending order"):
        written([of("B", 1)], [of("A", 1)])


def test_a_row_that_changed_anywhere_changes_the_figure():
    ticks = of("005930", 50)
    ticks.price[7] += 1

    (changed,) = parquet.read(io.BytesIO(written([ticks])))

    assert checksums.of_ticks(changed)[20528] != checksums.of_ticks(of("005930", 50))[20528]
    assert checksums.of_ticks(changed)[20528] == checksums.of_ticks(ticks)[20528]


def test_a_file_cut_anywhere_is_never_taken_for_whole():
    data = written([of("005930", 40, bid=1, side=1)])
    whole = checksums.of_ticks(of("005930", 40, bid=1, side=1))[20528]

    def figure(piece: bytes) -> Figure | None:
        try:
            return checksums.total(
                one for part in parquet.read(io.BytesIO(piece)) for one in checksums.of_ticks(part).values()
            )
        except parquet.Unreadable:
            return None

    assert figure(data) == whole
    assert {figure(data[:at]) for at in range(0, len(data), 11)} == {None}


def test_a_foreign_parquet_file_is_told_from_ours():
    file = io.BytesIO()
    pq.write_table(pa.table({"price": [1]}), file)

    with pytest.raises(parquet.Unreadable, match="columns are not those"):
        list(parquet.read(io.BytesIO(file.getvalue())))
    with pytest.raises(parquet.Unreadable):
        list(parquet.read(io.BytesIO(b"PAR1 not at all PAR1")))


def test_a_simulated_day_takes_no_more_than_twenty_bytes_a_tick():
    from terminals.sources.market import SimulatedMarket

    made, at_us = SimulatedMarket(symbols=20, seed=7), NINE_US
    every: dict[str, list[dict[str, Any]]] = {}
    for number in range(20_000):
        at_us += 7_919 + number % 977
        for row in made.trade(at_us):
            every.setdefault(row["symbol"], []).append(
                {**row, "tick_id": tick_id(number // 500 + 1, number % 500 * 2 + (row["kind"] == 2))}
            )

    data = written(*([market.ticks(every[symbol])] for symbol in sorted(every)))

    total = sum(len(one) for one in every.values())
    assert len(data) / total <= 20
    assert sum(1 for _ in rows(data)) == total


@pytest.mark.parametrize("minutes", [0, 1])
def test_trading_dates_are_kept_apart_from_times(minutes):
    ticks = of("005930", 1, trade_date=20_529, time_us=NINE_US + minutes * MINUTE_US)

    (back,) = parquet.read(io.BytesIO(written([ticks])))

    assert back.trade_date.tolist() == [20_529]
    assert back.trade_date.dtype == np.int32
