"""Rows that are wrong, and rows that are old: each is kept with its reason and stops no other."""

import json

import pytest

from marketdata.ledger import batch_ledger
from marketdata.models import (
    IngestBatch,
    IngestReject,
    Market,
    Symbol,
)
from marketdata.storage import storage
from terminals import wire
from tests.integration.processing import KIS, captured, counts, process, rows, stored, told, trade
from tests.market import NINE_US

pytestmark = pytest.mark.usefixtures("worker")


def test_one_wrong_row_stops_no_other():
    process(rows(trade(), trade(price="-1"), trade(symbol="999999")), rows(trade(), seq=2))

    assert counts() == (2, 2, 1)
    assert [(one.code, one.rejected, dict(one.reasons or {})) for one in told()] == [
        ("rows", 2, {"price_not_positive": 1, "symbol_unknown": 1}),
        ("", 0, {}),
    ]
    assert sorted(IngestReject.objects.values_list("idx", flat=True)) == [1, 2]


def test_a_batch_without_rows_is_acknowledged_and_stores_nothing():
    process(rows(seq=1), wire.Columns().encode(2, "krx", 1))

    assert counts() == (2, 0, 0)
    assert [(one.code, one.rejected, one.failed) for one in told()] == [("", 0, ""), ("", 0, "")]


def test_in_columns_a_kind_left_out_is_no_trade():
    columns = wire.Columns()
    columns.append(symbol="005930", time_us=NINE_US, kind=0, price=7 * 10**12, size=10**6)

    process(columns.encode(1, "krx", 1), rows(trade(), seq=2))

    assert [dict(one.reasons or {}) for one in told()] == [{"kind_unknown": 1}, {}]
    assert len(stored()) == 1


def test_a_batch_refused_as_a_whole_registers_no_symbol_and_a_refused_row_does():
    whole = rows(trade(symbol="035720"))
    broken = whole[:12] + (2).to_bytes(4, "little") + whole[16:]  # says two rows and has one

    process(broken, rows(trade(symbol="035420", price="-1"), seq=2), market="KRX")

    assert [one.code for one in told()] == ["bad_batch", "rows"]
    assert list(Symbol.objects.filter(code__startswith="035").values_list("code", flat=True)) == ["035420"]


def test_the_ledger_knows_the_times_of_the_stored_rows_only():
    process(rows(trade(time=NINE_US + 7), trade(time=NINE_US - 5, price="-1")))

    batch = IngestBatch.objects.get()
    assert (batch.first_us, batch.last_us) == (NINE_US + 7, NINE_US + 7)


@pytest.mark.parametrize("odd", ["\ud800", "\x00", "𝟙🙂", "\\N", "'; DROP TABLE temp_market_data; --", "\t\n"])
def test_a_row_may_contain_any_text_and_still_be_kept_with_its_reason(odd):
    payload = rows(seq=1)[:-2] + json.dumps([trade(), trade(symbol=odd, note=odd)]).encode()
    payload = payload[:12] + (2).to_bytes(4, "little") + payload[16:]

    process(payload)

    assert [(outcome.code, outcome.failed) for outcome in told()] == [("rows", "")]
    assert IngestReject.objects.get().reasons == "symbol_unknown"
    assert len(stored()) == 1


def test_a_symbol_that_was_just_registered_is_known_at_once():
    process(rows(trade(symbol="035720")))
    Symbol.objects.create(code="035720", market=Market.objects.get(code="KRX"))

    process(rows(trade(symbol="035720"), seq=2))

    assert len(stored("035720")) == 1


DAY_US = 86_400_000_000


def test_what_was_captured_in_time_is_stored_however_late_it_comes():
    now = batch_ledger.now_us()
    then = now - 8 * DAY_US - 17 * 3600 * 1_000_000

    process(captured(then, trade(time=then - 1_000_000)), source=KIS, received_us=now)

    assert counts() == (1, 1, 1)
    assert IngestBatch.objects.get().captured_us == then


def test_what_was_old_at_its_capture_is_refused_however_soon_it_comes():
    now = batch_ledger.now_us()
    then = now - 3 * DAY_US

    process(captured(then, trade(time=then - 7 * DAY_US - 1)), source=KIS, received_us=now)
    process(captured(now, trade(time=now - 7 * DAY_US - 1), seq=2), source=KIS, received_us=now)

    assert set(IngestReject.objects.values_list("reasons", flat=True)) == {"time_past"}
    assert storage().count("temp_market_data") == 0


def test_a_terminal_whose_clock_is_an_hour_behind_is_understood():
    now, hour = batch_ledger.now_us(), 3_600_000_000
    then = now - 8 * DAY_US

    process(captured(then - hour, trade(time=then)), source=KIS, received_us=now, offset_us=-hour)

    assert counts() == (1, 1, 1)


def test_an_event_later_than_its_capture_is_refused_even_if_it_is_in_the_past_by_now():
    now = batch_ledger.now_us()

    process(captured(now - 8 * DAY_US, trade(time=now - 4 * DAY_US)), source=KIS, received_us=now)

    assert IngestReject.objects.get().reasons == "time_future"


def test_a_capture_that_cannot_be_does_not_make_old_events_young():
    now = batch_ledger.now_us()

    process(captured(now - 500 * DAY_US, trade(time=now - 500 * DAY_US)), source=KIS, received_us=now)
    process(captured(now + DAY_US, trade(time=now + DAY_US), seq=2), source=KIS, received_us=now)

    assert sorted(IngestReject.objects.values_list("reasons", flat=True)) == ["time_future", "time_past"]
