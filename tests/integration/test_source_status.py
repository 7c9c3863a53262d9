"""What a source tells of itself once a minute is shown with the state of the server."""

import datetime
import time

from api.views import status
from marketdata.storage import storage
from marketdata.storage.base import EVENTS
from marketdata.types.order_books import MarketEvent


def test_the_newest_word_of_each_terminal_is_shown_and_none_that_is_silent(road_database):
    today = datetime.datetime.now(datetime.UTC).date()
    now_us = time.time_ns() // 1000
    told = [
        ("desk1", 100, {"buffers": {"price": 1}}),
        ("desk1", 5, {"buffers": {"price": 2}, "coverage": {"websocket": 40, "polling": 3, "none": 1}}),
        ("desk2", 60, {"buffers": {"price": 3}}),
        ("gone", 3600, {}),
    ]
    storage().ensure_partitions([today], (EVENTS,))
    storage().store_events([
        MarketEvent(
            time_us=now_us - age_s * 1_000_000, event_id=number, trade_date=(today - datetime.date(1970, 1, 1)).days,
            feed="krx", source_id=3, kind="vendor_status", body={"client": client, **body},
        )
        for number, (client, age_s, body) in enumerate(told)
    ])  # fmt: skip

    shown = status.read()["sources"]

    assert [(one["client"], one["feed"], one["buffers"]) for one in shown] == [
        ("desk1", "krx", {"price": 2}), ("desk2", "krx", {"price": 3})
    ]  # fmt: skip
    assert shown[0]["coverage"] == {"websocket": 40, "polling": 3, "none": 1}
