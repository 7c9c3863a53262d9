"""What snapshots tell of their day, from the wire to stock_prices: once, with the claim of their batch, and through
everything that ticks go through."""

import datetime
from typing import Any

import pytest

from analytics import voids
from analytics.integrity import consistency
from ingest import requeue, tasks
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention, rollover
from marketdata.models import Alarm, IngestBatch, IngestReject, Symbol, VoidOrder
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, PRICES, TEMP
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import TICK_BITS
from marketdata.types.units import day_of
from tests import market
from tests.integration.processing import EVER, announced, process, rows, trade
from tests.integration.senders import Sender
from tests.market import NINE_US, price, size, tick_id
from tests.upkeep import Clock, seoul

pytestmark = pytest.mark.usefixtures("worker")

DAY = datetime.date(2026, 3, 16)
FULL = {
    "open": "69900", "high": "70500.5", "low": "69000", "prev_close": "69800", "upper_limit": "90700",
    "lower_limit": "48900", "change_rate": "0.29", "cum_value": "1234567890123.45", "cum_volume": "98765.5",
    "bid": "69999", "ask": "70001",
}  # fmt: skip
STORED = StockPrice(
    symbol="005930", feed="krx", source_id=4, time_us=NINE_US, tick_id=tick_id(1, 0),
    trade_date=day_of(DAY), category="kospi", price=price("70000"), open=price("69900"),
    high=price("70500.5"), low=price("69000"), prev_close=price("69800"), upper_limit=price("90700"),
    lower_limit=price("48900"), change_rate=price("0.29"), value=123_456_789_012_345, volume=size("98765.5"),
    bid=price("69999"), ask=price("70001"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _symbols(worker: None) -> None:
    Symbol.objects.filter(code="005930").update(category="kospi")
    tasks.directory = Directory(retry_s=0.0)
    trading_dates.forget()


def snapshot(**other: Any) -> dict[str, Any]:
    return trade(**{"kind": "snapshot", "size": None, **other})


def prices(symbol: str = "005930", feed: str = "krx") -> list[StockPrice]:
    return storage().read_prices(symbol, feed, *EVER)


def test_a_snapshot_that_tells_of_its_day_is_a_tick_and_a_row_of_stock_prices():
    process(rows(snapshot(**FULL)))

    assert prices() == [STORED]
    assert storage().read_ticks("005930", "krx", *EVER).price.tolist() == [price("70000")]
    assert [len(entry.ticks) for entry in announced()] == [1]
    assert storage().count("market_data_minute") == 0  # a snapshot is no trade, whatever it tells


def test_only_snapshots_that_tell_of_their_day_have_a_row():
    process(rows(trade(**FULL), snapshot(), snapshot(cum_volume="5"), snapshot(open="1"), trade()))

    assert [one.tick_id & 8191 for one in prices()] == [3]
    assert storage().count(TEMP) == 5


def test_a_batch_that_comes_again_has_its_prices_once():
    batch = rows(snapshot(**FULL), snapshot(open="1"))

    process(batch)
    process(batch)
    process(batch, rows(snapshot(open="2"), seq=2))

    assert [one.tick_id for one in prices()] == [tick_id(1, 0), tick_id(1, 1), tick_id(2, 0)]


def test_prices_that_were_lost_with_the_claim_of_their_batch_are_stored_again_without_voided_ones():
    sender = Sender("desk")
    sent = [{"kind": "snapshot", "size": None, "symbol": code, **FULL} for code in ("005930", "000660")]
    batch = sender.send(*sent, {"price": "70002"}, {"symbol": "999999"})
    voids.void(voids.Selection(batches=(batch,), symbols=("000660",)), reason="wrong", by="boss")
    before = prices()
    assert len(before) == 1
    IngestBatch.objects.all().delete()
    IngestReject.objects.all().delete()
    storage().delete_prices(storage().read_ticks("005930", "krx", *EVER))
    assert prices() == []
    sender.seq -= 1

    sender.send(*sent, {"price": "70002"}, {"symbol": "999999"})

    assert (prices(), prices("000660")) == (before, [])
    assert [one.reasons for one in IngestReject.objects.all()] == ["symbol_unknown"]
    assert (
        "0 ticks that were gone as well and 1 rows of stock_prices" in Alarm.objects.get(code="claim_restored").message
    )


def test_prices_and_the_claim_are_committed_together_or_not_at_all():
    storage().ensure_partitions([DAY], (PRICES,))
    already = market.ticks([{"kind": 3, "price": 1, "open": 1, "tick_id": tick_id(1, 0)}])
    with storage().transaction():
        storage().load_prices(already, {})

    process(rows(snapshot(**FULL)))

    assert (IngestBatch.objects.count(), storage().count(TEMP), storage().count(PRICES)) == (0, 0, 1)


def test_a_refused_snapshot_keeps_what_it_told_until_it_is_judged_again():
    number = Sender("desk").send(snapshot(symbol="035720", **FULL), snapshot(low="2", high="1"))
    assert prices("035720") == []
    assert [one.reasons for one in IngestReject.objects.order_by("idx")] == ["symbol_unknown", "range_inverted"]

    Symbol.objects.create(code="035720", market_id="KRX", category="kosdaq")
    tasks.directory = Directory(retry_s=0.0)
    stored = [result.stored for result in requeue.run(requeue.Selection(), asked_by="test")]

    assert stored == [1]
    (row,) = prices("035720")
    assert (row.category, row.tick_id, row.value) == ("kosdaq", number << TICK_BITS, STORED.value)
    assert [one.reasons for one in IngestReject.objects.all()] == ["range_inverted"]


def test_the_category_is_the_symbols_own_or_what_its_market_says():
    Symbol.objects.create(code="ESH6", market_id="CME")
    tasks.directory = Directory(retry_s=0.0)

    process(rows(*(snapshot(symbol=code, open="1") for code in ("005930", "000660", "ESH6"))))

    assert [prices(code)[0].category for code in ("005930", "000660", "ESH6")] == ["kospi", "unknown", "futures"]


def test_a_rollover_moves_the_ticks_and_leaves_the_prices():
    process(rows(snapshot(**FULL), trade()))

    rollover.run_one(DAY, clock=Clock("2026-03-17 08:05"))

    assert (storage().dates(TEMP), storage().count(HISTORY)) == ([], 2)
    assert prices() == [STORED]
    assert consistency.verify_day(DAY).counts == {}


def test_prices_of_a_month_past_its_time_go_and_later_ones_stay(settings):
    settings.RETENTION_PRICES_DAYS = 30
    april_us = NINE_US + 20 * market.DAY_US
    process(rows(snapshot(open="1"), snapshot(open="2", time=april_us)))

    retention.apply(seoul("2026-05-05 12:00"), progress=lambda _: None)
    assert [one.open for one in prices()] == [price("1"), price("2")]  # ticks of them wait to be moved

    for date in (DAY, DAY + datetime.timedelta(days=20)):
        rollover.run_one(date, clock=Clock("2026-04-06 08:05"))
    retention.apply(seoul("2026-05-05 12:00"), progress=lambda _: None)
    assert [one.open for one in prices()] == [price("1"), price("2")]  # the month was stored on 6 April
    retention.apply(seoul("2026-05-10 12:00"), progress=lambda _: None)

    assert [one.open for one in prices()] == [price("2")]
    assert storage().count(HISTORY) == 2


def test_prices_of_days_that_are_long_gone_are_stored_like_their_ticks(settings):
    settings.RETENTION_PRICES_DAYS = settings.RETENTION_TICKS_DAYS = 30
    process(rows(snapshot(open="1")))
    rollover.run_one(DAY, clock=Clock("2026-04-02 08:05"))
    retention.apply(seoul("2026-06-05 12:00"), progress=lambda _: None)
    assert prices() == []

    process(rows(snapshot(open="3"), seq=2))

    assert [one.open for one in prices()] == [price("3")]


def test_a_voided_snapshot_takes_its_price_along_and_brings_it_back():
    sender = Sender("desk")
    batch = sender.send({"kind": "snapshot", "size": None, **FULL}, {"price": "70001"})
    sender.send({"kind": "snapshot", "size": None, "open": "1"})
    before = prices()
    assert len(before) == 2

    voids.void(voids.Selection(batches=(batch,)), reason="wrong", by="boss")
    assert [one.open for one in prices()] == [price("1")]

    assert voids.restore(VoidOrder.objects.get(), by="boss") == 2
    assert prices() == before
