"""What a source tells of itself once a minute is shown with the state of the server."""

import datetime
import time
from pathlib import Path
from typing import Any

import pytest

from api.views import status
from marketdata.ledger import source_words, stream_numbers
from marketdata.models import Client, Gap, Source
from marketdata.monitoring import source_figures
from marketdata.storage import storage
from marketdata.storage.base import EVENTS
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import STREAM_SHIFT, batch_number
from marketdata.types.units import day_of
from tests import boards


@pytest.fixture(autouse=True)
def _database(road_database: None) -> None:
    """An empty one."""


def terminal(name: str) -> int:
    """The stream of a client."""
    client = Client.objects.create_with_secret(name=name, source=Source.objects.get(code="REPLAY"))[0]
    return stream_numbers.open_stream(client, "0" * 16)


def tell(*told: tuple[int, float, dict[str, Any]]) -> None:
    """(stream, seconds ago, body) each."""
    today = datetime.datetime.now(datetime.UTC).date()
    now_us = time.time_ns() // 1000
    storage().ensure_partitions([today], (EVENTS,))
    storage().store_events([
        MarketEvent(
            time_us=now_us - int(age_s * 1_000_000), event_id=stream << STREAM_SHIFT | number,
            trade_date=day_of(today), feed="krx", source_id=3, kind="vendor_status", body=body,
        )
        for number, (stream, age_s, body) in enumerate(told)
    ])  # fmt: skip


def test_the_newest_word_of_each_terminal_is_shown_and_none_that_is_silent():
    desk1, desk2 = terminal("desk1"), terminal("desk2")
    tell(
        (desk1, 100, {"buffers": {"price": 1}}),
        (desk1, 5, {"buffers": {"price": 2}, "coverage": {"websocket": 40, "polling": 3, "none": 1}}),
        (desk2, 60, {"buffers": {"price": 3}}),
        (terminal("gone"), 3600, {}),
    )

    shown = status.read()["sources"]

    assert [(one["client"], one["feed"], one["buffers"]) for one in shown] == [
        ("desk1", "krx", {"price": 2}), ("desk2", "krx", {"price": 3})
    ]  # fmt: skip
    assert shown[0]["coverage"] == {"websocket": 40, "polling": 3, "none": 1}


def test_the_word_counts_for_whoever_sent_it_whatever_name_it_bears():
    desk1, other = terminal("desk1"), terminal("other")
    tell((desk1, 60, {"client": "desk1", "buffers": 1}), (other, 5, {"client": "desk1", "buffers": 2}))

    assert [(one["client"], one["buffers"]) for one in status.read()["sources"]] == [("desk1", 1), ("other", 2)]


def test_of_more_words_than_are_read_the_newest_are(monkeypatch):
    monkeypatch.setattr(source_words, "READ", 2)
    desk = terminal("desk1")
    tell(*((desk, age_s, {"buffers": age_s}) for age_s in (80, 60, 40, 20)))

    assert [one["buffers"] for one in status.read()["sources"]] == [20]


def figures_told() -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in source_figures.look(time.time_ns() // 1000)
        for sample in metric.samples
    }


def test_the_numbers_of_the_newest_word_are_figures_of_its_terminal():
    desk = terminal("desk1")
    tell(
        (desk, 65, {"buffered": 9, "requests": 1}),
        (desk, 5, {
            "buffered": 2, "overrun": 3, "missing_shares": 70, "refused": 1, "requests": 500,
            "coverage": {"websocket": 40, "polling": 3, "none": 1}, "failed": {"timeout": 2, "limit": 1},
        }),
    )  # fmt: skip

    told = figures_told()

    assert time.time() - told.pop(("naru_source_told_timestamp_seconds", "desk1")) < 60
    assert told == {
        ("naru_source_buffered_messages", "desk1"): 2, ("naru_source_overrun_messages_total", "desk1"): 3,
        ("naru_source_missing_shares_total", "desk1"): 70, ("naru_source_refused_registrations", "desk1"): 1,
        ("naru_source_requests_total", "desk1"): 500, ("naru_source_failed_requests_total", "desk1"): 3,
        ("naru_source_wishes", "desk1", "websocket"): 40, ("naru_source_wishes", "desk1", "polling"): 3,
        ("naru_source_wishes", "desk1", "none"): 1,
    }  # fmt: skip


def test_what_was_lost_while_a_connection_ended_counts_as_overrun_too():
    tell((terminal("desk1"), 5, {"overrun": 3, "overruns": {"price": 4, "book": 2, "event": "x"}}))

    assert figures_told()["naru_source_overrun_messages_total", "desk1"] == 6


def test_of_a_word_that_is_no_number_or_that_nobody_knows_nothing_is_a_figure():
    tell((terminal("desk1"), 5, {
        "buffered": "many", "overrun": True, "missing_shares": 10**400, "refused": None, "requests": [1],
        "coverage": {"websocket": "x", "by_post": 3}, "failed": 7,
    }))  # fmt: skip

    assert {name for name, *_ in figures_told()} == {
        "naru_source_told_timestamp_seconds", "naru_source_failed_requests_total"
    }  # fmt: skip


@pytest.mark.once
def test_what_the_boards_ask_of_a_source_has_an_answer(redis: object, tmp_path: Path):
    desk = terminal("desk1")
    body = {"buffered": 2, "overrun": 3, "missing_shares": 70, "refused": 1, "requests": 500, "coverage": {"none": 1}}
    tell((desk, 5, body))
    Gap.objects.create(batch=batch_number(desk, 1), feed="krx", from_us=1, to_us=2, rows=3, reason="spool_full")

    with boards.watched(tmp_path / "prometheus") as prometheus:
        boards.all_answered(prometheus, (*boards.SOURCES, *boards.LOST), client="desk1")
