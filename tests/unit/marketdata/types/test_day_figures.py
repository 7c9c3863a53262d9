"""What snapshots tell of their day, from the wire's columns into arrays and through what is done with ticks."""

import json

import numpy as np
import pytest

from marketdata.types import day_figures, decoded_batches, decoding, tick_arrays
from marketdata.types.day_figures import DAY_PRICES, DAY_SCALES
from marketdata.types.decoded_batches import WireBatch
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, GREATEST
from terminals import wire
from tests import market
from tests.market import NINE_US

SNAPSHOT = wire.Kind.SNAPSHOT
DAY = {name: 1000 + at for at, name in enumerate(DAY_SCALES)}


def batch(*rows, seq=1, **scales):
    columns = wire.Columns(**scales)
    for row in rows:
        columns.append(symbol="005930", time_us=NINE_US, **{"kind": SNAPSHOT, "price": 1, **row})
    return columns.encode(seq, "krx", 5)


def decoded(payload, number=1):
    return decoding.from_wire(payload, source_id=3, batch=number)


def day_rows(ticks):
    return [{name: int(getattr(ticks.day, name)[row]) for name in DAY_SCALES} for row in range(len(ticks))]


def test_the_columns_of_a_day_come_in_the_order_of_the_wire():
    assert [one.name.lower() for one in wire.Column if one > wire.Column.TRADE_DATE] == list(DAY_SCALES)


def test_columns_of_a_day_become_arrays_with_every_value_in_its_place():
    ticks = decoded(batch(DAY, {}, {"cum_value": 7, "change_rate": -8})).ticks

    nothing = dict.fromkeys(DAY_SCALES, ABSENT)
    assert day_rows(ticks) == [DAY, nothing, nothing | {"cum_value": 7, "change_rate": -8}]


def test_prices_and_the_change_rate_have_the_batchs_scale_and_the_value_its_own():
    ticks = decoded(batch(DAY, price_scale=2)).ticks

    assert day_rows(ticks) == [{name: one * (1 if name == "cum_value" else 10**6) for name, one in DAY.items()}]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, Fault.PRICE_OUT_OF_RANGE) for name in DAY_PRICES),
        ("change_rate", Fault.CHANGE_RATE_OUT_OF_RANGE),
        ("cum_value", Fault.VALUE_OUT_OF_RANGE),
    ],
)
def test_a_figure_that_the_table_cannot_hold_is_refused_by_its_name(name, fault):
    found = decoded(batch({name: GREATEST}, {name: GREATEST + 1}, {name: -GREATEST - 1}, {}))

    assert found.faults.tolist() == [0, int(fault), int(fault), 0]


def test_ordinary_ticks_have_no_day_at_all():
    assert decoded(batch({"kind": wire.Kind.TRADE, "size": 1})).ticks.day is None
    assert decoded(wire.encode_rows(1, "krx", 1, [{"symbol": "005930", "price": 1, "size": 1}])).ticks.day is None


def test_batches_that_are_decoded_together_keep_their_own_days():
    payloads = [batch({}), batch(DAY, {}, seq=2), batch({"open": 3}, seq=3)]
    members = [WireBatch(one, 3, number) for number, one in enumerate(payloads, 1)]

    found = [one for one in decoding.decode_together(members) if not isinstance(one, wire.BatchError)]
    ticks, _ = decoded_batches.joined(found)

    nothing = dict.fromkeys(DAY_SCALES, ABSENT)
    assert day_rows(ticks) == [nothing, DAY, nothing, nothing | {"open": 3}]
    assert [day_rows(one.ticks) for one in found] == [[nothing], [DAY, nothing], [nothing | {"open": 3}]]


def test_ticks_joined_with_others_that_have_no_day_keep_theirs():
    first, second = market.ticks([{}, {}]), market.ticks([{"kind": 3, "price": 1, "open": 5}, {}])

    ticks = tick_arrays.concatenate([first, second, first])

    assert [row["open"] for row in day_rows(ticks)] == [ABSENT, ABSENT, 5, ABSENT, ABSENT, ABSENT]
    assert tick_arrays.concatenate([first, first]).day is None


def test_rows_that_are_taken_bring_their_day():
    ticks = market.ticks([{"kind": 3, "price": 1, "open": at} for at in range(5)])

    assert [row["open"] for row in day_rows(ticks.take(np.array([4, 0])))] == [4, 0]
    assert [row["open"] for row in day_rows(ticks.between(1, 3))] == [1, 2]


def test_a_record_shows_the_day_so_that_it_can_be_judged_again():
    found = decoded(batch({**DAY, "change_rate": -5 * 10**7}))

    record = json.loads(found.record(0))
    again = decoded(wire.encode_rows(1, "krx", 1, [record | {"time": record["time_us"]}]))

    assert record["change_rate"] == "-0.5"
    assert day_rows(again.ticks) == day_rows(found.ticks)


def test_the_feed_is_told_the_ticks_and_not_their_days():
    ticks = decoded(batch(DAY)).ticks

    assert tick_arrays.unpack(tick_arrays.pack(ticks)).day is None


def test_which_rows_tell_anything():
    figures = day_figures.absent(3)
    figures.cum_value[1] = 0

    assert figures.given().tolist() == [False, True, False]
