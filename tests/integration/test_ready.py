"""Pages of finished candles are sent again as they were only while nothing of them changed, whoever changes it."""

import datetime
import json

import pytest
from django.db import connection

from analytics import voids
from analytics.integrity import repair
from analytics.voids import Selection
from api.rest import ready
from marketdata.maintenance import retention, rollover
from marketdata.models import AdjustmentFactor, CalendarOverride, Gap, Market, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.vendors import minutes
from tests.integration.serving import SEOUL_DAY, serving
from tests.integration.test_days import MONDAY, at, session
from tests.market import NINE_US
from tests.upkeep import seoul
from tests.vendor import bar

__all__ = ["serving"]

ALL = {"start": SEOUL_DAY, "end": "2026-03-20"}
MANY = {"path": "/v2/stocks/bars", "symbols": "005930,000660", **ALL}


@pytest.fixture
def pages(monkeypatch):
    """What this process keeps: nothing yet."""
    kept = ready.Pages()
    monkeypatch.setattr(ready, "pages", kept)
    return kept


def ask(serving, **query):
    answer = serving.get(**{**MANY, **query})
    assert answer.status_code == 200, answer.content
    return answer


def made_anew(serving, monkeypatch, **query):
    """The page as a process makes it that keeps nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(ready, "pages", ready.Pages())
        return ask(serving, **query).content


def late_tick(serving):
    serving.commit([{"time": at("10:00:00"), "price": "80000"}])


def void(serving):
    chosen = Selection(symbols=("005930",), start_us=at("15:19:59"), end_us=at("15:20:00"))
    voids.void(chosen, reason="wrong", by="boss")


def vendor(serving):
    minutes.store("005930", "krx", MONDAY, [bar(30, "5", close="70500")], seoul("2026-03-16 20:15"))


def a_gap(serving):
    Gap.objects.create(batch=1, feed="krx", from_us=NINE_US, to_us=NINE_US, rows=3, reason="disk full")


def factor(serving):
    AdjustmentFactor.objects.create(symbol="005930", ex_date="2026-03-18", kind="split", old_rate=1, new_rate=2)


def primary_feed(serving):
    serving.commit([{"price": "1", "time": at("09:00:00")}], name="nxt")
    Symbol.objects.filter(code="005930").update(primary_feed="nxt")


def roll(serving):
    rollover.run_one(MONDAY)
    serving.commit([{"time": at("10:00:00"), "price": "80000"}])
    rollover.run_one(MONDAY)


def moved_again(serving):
    """A late tick is noticed only when the day is being moved once more."""
    rollover.run_one(MONDAY)
    serving.commit([{"time": at("10:00:00"), "price": "80000"}])
    before = ask(serving, timeframe="1Day").content
    assert ask(serving, timeframe="1Day").content == before
    RolloverRun.objects.filter(trade_date=MONDAY).update(state=RolloverRun.State.SEALED)


def retained(serving):
    rollover.run_one(MONDAY)
    RolloverRun.objects.update(done_at=datetime.datetime(2026, 3, 20, tzinfo=datetime.UTC))
    retention.apply(datetime.datetime(2029, 6, 1, 1, 0, tzinfo=datetime.UTC), progress=lambda words: None)


@pytest.mark.parametrize(
    ("change", "query"),
    [
        (late_tick, {}), (late_tick, {"timeframe": "1Hour", "sort": "desc"}), (void, {}), (vendor, {"gaps": "fill"}),
        (a_gap, {}), (factor, {"adjustment": "split"}), (primary_feed, {}), (roll, {"timeframe": "1Day"}),
        (moved_again, {"timeframe": "1Day"}), (retained, {}),
    ],
)  # fmt: skip
def test_what_changes_finished_candles_changes_the_page(serving, pages, monkeypatch, change, query):
    serving.commit(session() + session(symbol="000660"))
    first = ask(serving, **query)
    again = ask(serving, **query)
    assert (len(pages), again.content, again["ETag"]) == (1, first.content, first["ETag"])
    same = serving.get(**{**MANY, **query}, headers={**serving.headers, "If-None-Match": again["ETag"]})
    assert (same.status_code, same.content) == (304, b"")

    change(serving)

    after = ask(serving, **query)
    assert after.content == made_anew(serving, monkeypatch, **query)
    assert after.content != first.content
    other = serving.get(**{**MANY, **query}, headers={**serving.headers, "If-None-Match": first["ETag"]})
    assert (other.status_code, other.content) == (200, after.content)


def test_a_rebuilt_candle_changes_the_page(serving, pages):
    serving.commit(session())
    with connection.cursor() as cursor:  # a fault, which nobody tells of
        cursor.execute("UPDATE market_data_minute SET n = 9 WHERE symbol = '005930'")
    wrong = ask(serving).json()["bars"]["005930"]
    assert {one["n"] for one in ask(serving).json()["bars"]["005930"]} == {9}

    repair.rebuild_candles(MONDAY)

    assert [one["n"] for one in ask(serving).json()["bars"]["005930"]] == [1] * len(wrong)


def test_another_calendar_changes_the_pages_of_a_session(serving, pages):
    from marketdata.calendar import trading_dates

    serving.commit(session())
    query = {"session": "regular"}
    assert len(ask(serving, **query).json()["bars"]["005930"]) == 3
    CalendarOverride.objects.create(
        market=Market.objects.get(code="KRX"), date=MONDAY, is_open=True, regular_close=datetime.time(15, 0), note="x"
    )
    trading_dates.forget()

    assert len(ask(serving, **query).json()["bars"]["005930"]) == 1
    trading_dates.forget()


def test_only_pages_that_are_over_are_kept_and_only_so_many_bytes(serving, pages, settings):
    serving.commit(session())
    settings.API_READY_BYTES = 6_000

    later = {"symbols": "005930", "end": "2030-01-01"}
    assert "ETag" not in ask(serving, **later)
    assert "ETag" in ask(serving, **later, limit=3)
    assert "ETag" not in ask(serving, **later, sort="desc", limit=3)
    assert "ETag" not in ask(serving, end="2030-01-01", limit=3), "candles of 000660 may come before those"
    assert len(pages) == 1
    for limit in (1, 2, 4):
        ask(serving, limit=limit)
    assert 1 <= len(pages) <= 2
    assert json.loads(ask(serving, limit=4).content)["next_page_token"]


@pytest.mark.once
def test_young_candles_leave_the_revision_alone(serving):
    import time

    now_us = time.time_ns() // 1000
    storage().note_finished("krx", now_us - 3_600_000_000)
    assert storage().revisions(["krx"]) == ()
    storage().note_finished("krx", now_us - 25 * 3_600_000_000)
    before = storage().revisions(["krx"])
    storage().note_finished("*")
    assert len(before) == 1
    assert storage().revisions(["nxt"]) != before
    assert len(storage().revisions(["krx"])) == 2
