"""What a source tells of itself once a minute is shown with the state of the server."""

import datetime
import time
from typing import Any

import pytest

from api.views import status
from marketdata.ledger import stream_numbers
from marketdata.models import Client, Source
from marketdata.storage import storage
from marketdata.storage.base import EVENTS
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import STREAM_SHIFT
from marketdata.types.units import day_of


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
    monkeypatch.setattr(status, "SOURCES_READ", 2)
    desk = terminal("desk1")
    tell(*((desk, age_s, {"buffers": age_s}) for age_s in (80, 60, 40, 20)))

    assert [one["buffers"] for one in status.read()["sources"]] == [20]
