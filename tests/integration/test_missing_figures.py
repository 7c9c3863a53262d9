"""What is missing although every program is well: rows that were lost on our own side, symbols that nobody collects."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from prometheus_client import Metric

from marketdata.calendar import trading_dates
from marketdata.ledger import stream_numbers
from marketdata.models import AlertRule, Client, FeedOwner, Gap, QualityDay, Source, Symbol, Watchlist
from marketdata.monitoring import missing_figures
from marketdata.types.tick_arrays import batch_number
from marketdata.types.units import SEOUL, microseconds

NOW = datetime.datetime(2026, 3, 18, 10, 0, tzinfo=SEOUL)  # a Wednesday
LONG_AGO = datetime.datetime(2026, 1, 5, 9, 0, tzinfo=SEOUL)
Look = Callable[[datetime.datetime], Iterable[Metric]]


@pytest.fixture(autouse=True)
def _database(road_database: None) -> None:
    """An empty one, with no calendar remembered."""
    trading_dates.forget()


def told(look: Look, now: datetime.datetime = NOW) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for metric in look(now) for sample in metric.samples}


def sender(name: str, **rights: Any) -> Client:
    source = Source.objects.get(code="KIS")
    return Client.objects.create_with_secret(name=name, source=source, may_send=True, **rights)[0]


def gap(stream: int, seq: int, reason: str, *, hours_ago: float = 1.0, symbol: str = "") -> None:
    number = batch_number(stream, seq)
    made = Gap.objects.create(batch=number, feed="krx", symbol=symbol, from_us=1, to_us=2, rows=5, reason=reason)
    Gap.objects.filter(pk=made.pk).update(created_at=NOW - datetime.timedelta(hours=hours_ago))


def test_gaps_of_a_day_in_which_rows_were_lost_are_counted_by_who_told_them_and_why():
    desk1, desk2 = (stream_numbers.open_stream(sender(name), "0" * 16) for name in ("desk1", "desk2"))
    gap(desk1, 1, "spool_full")
    gap(desk1, 2, "spool_full", hours_ago=23.5)
    gap(desk1, 3, "spool_full", hours_ago=24.5)
    gap(desk1, 4, "spool_damaged: batches 10 to 14")
    gap(desk2, 1, "book:no_room", symbol="005930")
    gap(desk2, 2, "no_room", symbol="000660")
    gap(desk2, 3, "bloomberg_slow_consumer")
    # Of what never came: no row was lost here.
    gap(desk2, 4, "disconnected")
    gap(desk2, 5, "volume_hole", symbol="005930")
    gap(desk2, 6, "expected:not_running")

    assert told(missing_figures.gaps) == {
        ("desk1", "spool_full"): 2, ("desk1", "spool_damaged"): 1,
        ("desk2", "no_room"): 2, ("desk2", "bloomberg_slow_consumer"): 1,
    }  # fmt: skip


def test_without_a_gap_nothing_is_told_of_any_client():
    sender("desk1")

    assert told(missing_figures.gaps) == {}


def symbol(code: str, *, since: datetime.datetime = LONG_AGO, **fields: Any) -> None:
    Symbol.objects.create(code=code, market_id="KRX", **fields)
    Symbol.objects.filter(pk=code).update(created_at=since)


def stored(code: str, date: datetime.date, *, rows: int = 10, feed: str = "krx") -> None:
    counts = dict.fromkeys(("received", "repeated", "rejected", "late", "voided", "gaps", "missing"), 0)
    minutes = dict.fromkeys(("session", "present", "lost"), 0)
    QualityDay.objects.create(
        trade_date=date, symbol=code, feed=feed, grade="A", stored=rows, computed_at=NOW, **counts, **minutes
    )


def owned(code: str, client: Client, *, since: datetime.datetime, feed: str = "krx") -> None:
    FeedOwner.objects.create(feed=feed, symbol=code, client=client, changed_us=microseconds(since))


def test_what_was_registered_by_hand_and_never_came_is_uncollected_and_what_a_master_file_lists_is_not():
    for code in ("000001", "000002", "000003", "000004"):
        symbol(code)
    symbol("000005", master="kospi")
    symbol("000006", is_active=False)
    symbol("000007", is_halted=True)
    stored("000002", datetime.date(2026, 3, 11))  # the fifth trading date before
    stored("000003", datetime.date(2026, 3, 10))  # the sixth
    stored("000004", datetime.date(2026, 3, 17), rows=0)

    found = missing_figures.uncollected(NOW)

    assert found == {"watchlist": set(), "alert_rule": set(), "registered": {"000001", "000003", "000004"}}
    assert told(missing_figures.symbols) == {("watchlist",): 0, ("alert_rule",): 0, ("registered",): 3}


def test_people_ask_by_their_lists_and_by_rules_that_are_on():
    for code in ("000001", "000002", "000003", "000004", "000005"):
        symbol(code, master="kospi")
    stored("000005", datetime.date(2026, 3, 18), feed="unified")  # of whichever feed
    person = get_user_model().objects.create_user("trader")
    Watchlist.objects.create(user=person, name="one", symbols=["000001", "000002", "000005"])
    Watchlist.objects.create(user=person, name="two", symbols=["000002", "renamed"])
    for name, codes, enabled in (("on", ["000002", "000003", "000005"], True), ("off", ["000004"], False)):
        AlertRule.objects.create(owner=person, name=name, kind="gap", symbols=codes, enabled=enabled)

    found = missing_figures.uncollected(NOW)

    assert found == {"watchlist": {"000001", "000002"}, "alert_rule": {"000002", "000003"}, "registered": set()}


def test_a_symbol_that_is_new_to_us_or_to_its_sender_is_given_time():
    opened = datetime.datetime(2026, 3, 17, 9, 30, tzinfo=SEOUL)
    symbol("000001", since=opened)  # within the session that is over: not a whole one
    symbol("000002", since=datetime.datetime(2026, 3, 16, 23, 0, tzinfo=SEOUL))
    for code in ("000003", "000004", "000005", "000006"):
        symbol(code)
    symbol("000007", category="index")
    here, gone = sender("here"), sender("gone", is_active=False)
    owned("000003", here, since=opened)
    owned("000004", here, since=LONG_AGO)  # nothing came of it for five trading dates
    owned("000005", gone, since=opened)
    owned("000007", here, since=LONG_AGO)  # its values are events

    assert missing_figures.uncollected(NOW)["registered"] == {"000002", "000004", "000005", "000006"}
    # On Monday the dates before the weekend count, not the days of it.
    stored("000006", datetime.date(2026, 3, 16))
    monday = datetime.datetime(2026, 3, 23, 8, 0, tzinfo=SEOUL)
    assert missing_figures.uncollected(monday)["registered"] == {"000001", "000002", "000004", "000005"}


def test_an_answer_is_given_again_for_a_minute():
    now = [100.0]
    asked: list[datetime.datetime] = []

    def look(at: datetime.datetime) -> Iterable[Metric]:
        asked.append(at)
        return [Metric("naru_x", "x", "gauge")]

    kept = missing_figures.Kept(look, clock=lambda: now[0])
    assert [one.name for one in kept()] == ["naru_x"]
    now[0] += 59
    assert [one.name for one in kept()] == ["naru_x"]
    assert len(asked) == 1
    now[0] += 2
    assert [one.name for one in kept()] == ["naru_x"]
    assert len(asked) == 2
