"""What a source stamps itself is stamped by the server's time: a PC whose clock is 90 s off loses no row of it."""

import threading
import time

import pytest

from marketdata.models import IngestReject
from marketdata.storage import storage
from terminals.clock import Clock
from terminals.connection import Address
from terminals.link import Config, Identity, Terminal
from tests.integration.test_kis_source import simulator, source
from tests.road import secret_of
from tests.waiting import until

pytestmark = pytest.mark.once

EVER = (-(2**62), 2**62)
SKEWS_S = {"ahead": 90.0, "behind": -90.0}


def send(road, folder, name, kis):
    """Pictures and events of KIS by a terminal whose machine is off by so much."""
    stop = threading.Event()
    config = Config(
        address=Address("127.0.0.1", road.port),
        identity=Identity(name, secret_of(name, "KIS"), "KIS", "KRX"),
        feed="krx",
        spool=folder / name,
    )
    one = source(kis, folder / name, codes=kis.symbols[:3], streaming=False, cycle_s=0.1)

    def enough():
        rows = one.numbers().rows
        return rows.get("snapshot", 0) >= 6 and rows.get("status", 0) >= 1

    with Terminal(config, wall=lambda: time.time() + SKEWS_S[name]) as terminal:
        assert terminal.wait_clock(60)
        thread = threading.Thread(target=one.run, args=(terminal, Clock(stop, terminal.time.now_us)))
        thread.start()
        try:
            until(enough, seconds=60, what="rows")
        finally:
            stop.set()
            thread.join(300)
        assert terminal.wait_committed(60)
        return terminal.stats()


def test_pictures_and_events_of_a_pc_with_a_wrong_clock_are_stored_and_none_is_refused(road, tmp_path):
    road.ingest()
    road.worker()
    began_us = time.time_ns() // 1000
    with simulator() as kis:
        stats = [send(road, tmp_path, name, kis) for name in SKEWS_S]
        symbol = kis.symbols[0]
    ended_us = time.time_ns() // 1000

    assert not IngestReject.objects.exists()
    assert [one.rows_rejected for one in stats] == [0, 0]
    times = storage().read_ticks(symbol, "krx", *EVER).time_us
    events = [one.time_us for one in storage().read_events(*EVER, limit=1000) if one.kind == "vendor_status"]
    assert len(times) >= 2
    assert len(events) >= 2
    for stamps in (times.tolist(), events):
        # A message of the server's is late by moments, so its time is by so much behind.
        assert began_us - 30_000_000 <= min(stamps)
        assert max(stamps) <= ended_us
