"""Indices that KIS tells as events: their daily closes, and the betas to them where no index is collected."""

import datetime
import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from analytics.apps import KEPT_SINCE, fill_index_closes
from analytics.series import index_closes
from analytics.statistics import due
from ingest import notifications, tasks
from marketdata import doctor
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import IndexClose, Symbol
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.storage.base import EVENTS
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import PRICE_UNIT, batch_number
from marketdata.types.units import day_of
from terminals import wire
from tests.integration.serving import REPLAY, and_leave, serving
from tests.integration.test_days import MONDAY
from tests.integration.test_statistics import told, without_time
from tests.market import DAY_US, MINUTE_US, NINE_US

__all__ = ["serving"]

SUNDAY = -1
CLOSING = 391  # minutes after nine: 15:31
WRITTEN = ("index_close", "market_data_minute", "temp_market_data", "market_events")
_seqs = itertools.count(1)


def tell(*rows, name="krx"):
    """One batch of events of indices as KIS tells them, each (days after Monday, minutes after nine, code, value)."""
    content, number = wire.Events(), next(_seqs)
    for day, minute, code, value in rows:
        content.append(
            event="index", symbol=None, time_us=NINE_US + day * DAY_US + minute * MINUTE_US,
            body={"index": code, "prpr_nmix": value},
        )  # fmt: skip
    payload = content.encode(number, name, 1)
    batch = batch_number(2, number)
    message = notifications.batch_message(batch, payload, batch_ledger.now_us(), REPLAY, None, None)
    tasks.process_batches(batches=[message], reply_to="test")


def event(minute, value):
    body = {"index": "0001", "prpr_nmix": value}
    time_us = NINE_US + minute * MINUTE_US
    return MarketEvent(
        time_us=time_us, event_id=minute, trade_date=day_of(MONDAY), feed="krx", source_id=REPLAY, kind="index",
        body=body,
    )  # fmt: skip


def closes():
    rows = IndexClose.objects.order_by("code", "trade_date").values_list("code", "trade_date", "close")
    return [(code, (date - MONDAY).days, close / PRICE_UNIT) for code, date, close in rows]


def days(number):
    """The last so many trading days up to Monday, as days after it, oldest first."""
    calendar = trading_dates.calendar("KRX")
    found = (back for back in itertools.count() if calendar.is_session(MONDAY - datetime.timedelta(days=back)))
    return [-back for back in itertools.islice(found, number)][::-1]


def traded(serving, prices, symbol="005930"):
    serving.commit([
        {"symbol": symbol, "time": NINE_US + day * DAY_US, "price": str(price), "size": "3"}
        for day, price in zip(days(len(prices)), prices, strict=True)
    ])  # fmt: skip


def walk(seed, number=61):
    return (70_000 + np.random.default_rng(seed).integers(-900, 900, number)).tolist()


def slope(index, prices):
    return np.polyfit(np.diff(np.log(index)), np.diff(np.log(prices)), 1)[0]


def test_the_close_of_an_index_is_what_was_told_last_from_the_opening_on_whatever_came_first(serving):
    tell((0, CLOSING, "0001", "2731.45"), (0, 5, "0001", "2700"), (0, 5, "1001", "901"), (0, 6, "1001", "none"))
    tell((0, 90, "0001", "2720"), (0, -20, "0001", "2690.1"), (1, -600, "0001", "2731.45"))
    tell((SUNDAY, 60, "0001", "2690.1"), (0, 60, "3003", "1200"), (0, 4, "1001", "900"), (1, -20, "1001", "902"))
    tell((1, 0, "0001", "2740"), (1, 0, "0001", "2741"), name="nxt")

    assert closes() == [("0001", 0, 2731.45), ("0001", 1, 2741), ("1001", 0, 901)]
    rows = IndexClose.objects.order_by("code", "trade_date").values("code", "close", "feed", "time_us", "event_id")
    kept = list(rows)
    for there in ("none", "all", "others"):
        if there == "none":
            IndexClose.objects.all().delete()
        elif there == "others":
            IndexClose.objects.update(close=1, time_us=0)
        assert index_closes.fill(storage().dates(EVENTS)) == 2
        assert list(rows.all()) == kept


def test_of_workers_that_store_at_once_the_newest_value_stays(serving):
    minutes = [11, 3, 17, 0, 19, 7, 5, 2, 18, 13, 1, 9, 15, 4, 16, 6, 14, 8, 12, 10]

    def one(minute):
        and_leave(lambda: tell((0, minute, "0001", str(2700 + minute)), (0, minute, "1001", str(900 - minute))))

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(one, minutes))

    assert closes() == [("0001", 0, 2719), ("1001", 0, 881)]


def test_who_stores_older_values_waits_for_nobody_who_does(serving):
    """On SQLite one stores after the other."""
    tell((0, 30, "0001", "2730"))
    older = [event(minute, str(2700 + minute)) for minute in (10, 20)]

    def note(one):
        with storage().transaction():
            index_closes.note([one])

    with ThreadPoolExecutor(1) as worker, storage().transaction():
        index_closes.note(older[:1])
        waiting = worker.submit(and_leave, lambda: note(older[1]))
        if connection.vendor != "sqlite":
            waiting.result()

    waiting.result()
    assert closes() == [("0001", 0, 2730)]


@pytest.mark.once
def test_closes_are_written_last_for_every_worker_writes_them(serving):
    numbers, content = [next(_seqs), next(_seqs)], wire.Events()
    content.append(event="index", symbol=None, time_us=NINE_US + MINUTE_US, body={"index": "0001", "prpr_nmix": "2700"})
    row = {"symbol": "005930", "time": NINE_US + MINUTE_US, "price": "70000", "size": "1"}
    payloads = [content.encode(numbers[0], "krx", 1), wire.encode_rows(numbers[1], "krx", 1, [row])]
    messages = [
        notifications.batch_message(batch_number(2, number), payload, batch_ledger.now_us(), REPLAY, None, None)
        for number, payload in zip(numbers, payloads, strict=True)
    ]

    asked: list[str] = []
    connection.connection.set_trace_callback(asked.append)  # also what storage asks beside Django
    tasks.process_batches(batches=messages, reply_to="test")
    connection.connection.set_trace_callback(None)

    written = [statement for statement in asked if re.match(r"\s*(INSERT|UPDATE|REPLACE)\b", statement)]
    tables = [next((name for name in WRITTEN if name in statement), "another") for statement in written]
    assert closes() == [("0001", 0, 2700)]
    assert set(tables) > {"market_events", "temp_market_data", "market_data_minute"}
    assert set(tables[tables.index("index_close") :]) == {"index_close"}


def test_betas_are_to_the_index_that_is_told_where_none_is_collected(serving):
    mine, other, kospi, kosdaq = (np.array(walk(seed, 66)) for seed in range(4))
    traded(serving, mine.tolist())
    traded(serving, other.tolist(), "035420")
    Symbol.objects.filter(code="035420").update(category="kosdaq")
    whole = np.ones(66, bool)
    whole[20:24] = False  # dates on which nobody told the KOSPI: returns go over them
    for code, values, on in (("0001", kospi, whole), ("1001", kosdaq, np.ones(66, bool))):
        pairs = list(zip(np.array(days(66))[on].tolist(), values[on].tolist(), strict=True))
        tell(*((day, 60, code, str(value + 500)) for day, value in pairs))
        tell(*((day, CLOSING, code, f"{value}.00") for day, value in pairs))
    due.compute()

    one, two = told(serving), told(serving, "035420")
    assert float(one["beta"]) == pytest.approx(slope(kospi[whole][-61:], mine[whole][-61:]), abs=1e-8)
    assert float(two["beta"]) == pytest.approx(slope(kosdaq[-61:], other[-61:]), abs=1e-8)
    assert [one["betaIndex"], two["betaIndex"]] == ["0001", "1001"]
    assert (one["betaDates"], one["betaMissing"]) == (61, None)

    call_command("recompute")
    assert without_time(told(serving)) == without_time(one)
    IndexClose.objects.all().delete()  # as where events came before closes were kept
    call_command("recompute")
    assert without_time(told(serving)) == without_time(one)


@pytest.mark.once
def test_an_index_that_is_collected_goes_before_one_that_is_told_once_it_has_days(serving, settings):
    mine, its, kospi = (walk(seed) for seed in range(3))
    traded(serving, mine)
    tell(*((day, CLOSING, "0001", str(value)) for day, value in zip(days(61), kospi, strict=True)))
    Symbol.objects.filter(code="000660").update(category="index", name="코스피")
    due.compute()
    assert told(serving)["betaIndex"] == "0001"  # the other has no day

    traded(serving, its, "000660")
    call_command("recompute")
    one = told(serving)
    assert one["betaIndex"] == "000660"
    assert float(one["beta"]) == pytest.approx(slope(its, mine), abs=1e-8)

    settings.STATS_INDEX = "0001"
    due.compute()
    one = told(serving)
    assert one["betaIndex"] == "0001"
    assert float(one["beta"]) == pytest.approx(slope(kospi, mine), abs=1e-8)


@pytest.mark.once
def test_it_is_told_why_there_is_no_beta(serving, settings):
    traded(serving, walk(0))
    traded(serving, walk(1), "000660")
    Symbol.objects.filter(code="000660").update(category="futures")

    def why(symbol="005930"):
        due.compute()
        one = told(serving, symbol)
        assert one["beta"] is None
        return one["betaMissing"], one["betaIndex"], one["betaDates"]

    assert why() == ("no_index", None, 0)
    assert why("000660") == ("no_share", None, 0)
    *lines, _ = serving.get("/v2/stats", symbols="005930", format="csv").content.decode().splitlines()
    assert (lines[0].split(",")[-1], lines[1].split(",")[-1]) == ("beta_missing", "no_index")
    settings.STATS_INDEX = "069500"
    assert why() == ("index_without_days", None, 0)
    settings.STATS_INDEX = "035420"
    assert why() == ("index_without_days", "035420", 0)
    settings.STATS_INDEX = ""
    for day in days(61)[:-1]:
        tell((day, CLOSING, "0001", "2700"))
    assert why() == ("few_dates", "0001", 60)
    tell((0, 1, "0001", "2700"))
    call_command("recompute")
    assert why() == ("index_still", "0001", 61)


@pytest.mark.once
def test_all_are_due_when_the_close_of_an_earlier_date_came_late_and_not_while_a_date_goes_on(serving, monkeypatch):
    monkeypatch.setattr(rollover, "current_date", lambda _now: MONDAY + datetime.timedelta(days=1))
    traded(serving, walk(0, 3))
    tell((0, 5, "0001", "2700"))
    redis = live_state.connection()
    assert due.mark_all_if_changed(redis)

    tell((1, 5, "0001", "2710"))
    assert not due.mark_all_if_changed(redis)
    tell((0, CLOSING, "0001", "2705"))
    assert due.mark_all_if_changed(redis)


@pytest.mark.once
def test_the_migration_from_which_on_closes_are_kept_fills_those_of_before(serving):
    tell((0, CLOSING, "0001", "2700"))
    IndexClose.objects.all().delete()
    loader = MigrationLoader(connection)

    fill_index_closes(plan=[(loader.get_migration("marketdata", "0056_texts_of_deliveries"), False)])
    assert closes() == []
    fill_index_closes(plan=[(loader.get_migration(*KEPT_SINCE), False)])
    assert closes() == [("0001", 0, 2700)]


@pytest.mark.once
def test_doctor_says_what_to_do_where_betas_have_no_index(serving, settings):
    def found():
        return {str(one.what): one for one in doctor.examine()}

    one = found()["index of betas"]
    assert (one.level, str(one.value)) == (doctor.Level.WARNING, "none")
    assert all(re.search(word, str(one.remedy)) for word in ("0001", "STATS_INDEX", "category index"))
    tell((0, CLOSING, "0001", "2700"), (0, CLOSING, "1001", "900"))
    one = found()["index of betas"]
    assert (one.level, str(one.value)) == (doctor.Level.OK, "KOSPI: closes of 1 dates, KOSDAQ: closes of 1 dates")
    settings.STATS_INDEX = "069500"
    one = found()["STATS_INDEX"]
    assert (one.level, str(one.value)) == (doctor.Level.WARNING, "069500: without candles")
    settings.STATS_INDEX = "005930"
    serving.commit([{}])
    assert found()["STATS_INDEX"].level is doctor.Level.OK
    Symbol.objects.all().update(is_active=False)
    assert not {"STATS_INDEX", "index of betas"} & found().keys()
