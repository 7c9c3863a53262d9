"""A terminal of KIS that is killed and started again tells what it missed meanwhile."""

import functools
import os
import signal
import subprocess
import sys

import pytest

from terminals.sources.kis.planner import Kind
from terminals.sources.kis.unfinished import Unfinished, UnfinishedFile
from terminals.wire import Kind as RowKind
from tests import waiting
from tests.integration.kis_streams import TR, Content, RunningStreams, last_volumes, settled, streams, wishes
from tests.simulators.process import ROOT

pytestmark = pytest.mark.once


def has_more_shares(spool, than):
    return sum(Content(spool).shares().values()) > than


RUN = """
import sys
from pathlib import Path
from tests.integration.kis_streams import RunningStreams
from tests.integration.test_kis_restarts import wished_over_a_restart
url, folder, symbols = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(",")
with RunningStreams(url, folder, wished_over_a_restart(symbols)) as running:
    running.until(lambda: False, "the end")
"""


def wished_over_a_restart(symbols):
    return [
        *wishes(symbols, Kind.TRADE, Kind.BOOK),
        *wishes(["2001"], Kind.INDEX, feed="index"),
        *wishes(["DNASAAPL"], feed="overseas"),
        *wishes(["A01703"], feed="night_futures"),
    ]


def not_running(content):
    """By feed, symbol and reason, the times for which no terminal ran. One that was told just before a kill may be told
    again."""
    found: dict[tuple[str, str | None, str], set[tuple[int, int]]] = {}
    for feed, gap in content.gaps:
        if gap.reason.endswith("not_running"):
            found.setdefault((feed, gap.symbol, gap.reason), set()).add((gap.from_us, gap.to_us))
    return found


def have_so_many(spool, wanted, count):
    found = not_running(Content(spool))
    return all(len(found.get(one, ())) >= count for one in wanted)


def test_a_terminal_that_is_killed_finds_what_its_restart_lost_to_the_share_and_tells_the_rest(tmp_path):
    # In New York it is 19:30, and no night.
    with streams(tmp_path, "--start", "2026-11-20T09:30:00", symbols=2, trades=1_000_000) as (kis, running):
        running.wish(wished_over_a_restart(kis.symbols))
        running.until_active(7)
        running.until(lambda: running.streams.status()[0].pings, "the clock of the service")
        running.stop()
        assert not_running(Content(running.spool)) == {}
        spool = running.spool
        wanted = {
            *(("krx", symbol, "book:not_running") for symbol in kis.symbols),
            ("krx", "2001", "index:not_running"),
            ("kis_delayed", "AAPL", "not_running"),
        }
        for start in (1, 2):
            before = sum(Content(spool).shares().values())
            child = subprocess.Popen(
                [sys.executable, "-c", RUN, kis.websocket, str(tmp_path), ",".join(kis.symbols)], cwd=ROOT
            )
            try:
                kis.order("go")
                more = functools.partial(has_more_shares, spool, before + 2_000)
                waiting.until(more, seconds=60, what="rows of the child")
                told = functools.partial(have_so_many, spool, wanted, start)
                waiting.until(told, seconds=60, what="gaps of the child")
            finally:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
        with RunningStreams(kis.websocket, tmp_path, wished_over_a_restart(kis.symbols)) as last:
            last.until_active(7)
            kis.order("pause")
            account = settled(kis, last, active=7)
            last.until(lambda: not last.streams.losses, "the gaps to be told")

    content = Content(spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert sum(content.missing().values()) > 0
    times = not_running(content)
    assert set(times) == wanted
    assert {len(found) for found in times.values()} == {3}  # one a start
    assert all(start <= end for found in times.values() for start, end in found)


def test_what_a_killed_terminal_had_lost_of_what_is_wanted_no_more_is_told_up_to_its_end(tmp_path):
    nowhere = "ws://127.0.0.1:9"
    (book,) = wishes(["005930"], Kind.BOOK)
    ten_us = 1_763_600_400_000_000  # of a Thursday in Seoul
    with RunningStreams(nowhere, tmp_path, []) as first:
        first.terminal.send(
            [{"symbol": "005930", "time_us": ten_us, "kind": RowKind.TRADE, "price": 10**8, "size": 10**6}]
        )
    UnfinishedFile(first.spool).save(
        Unfinished(
            registered=frozenset([book.registration]),
            going_on=((book.registration, ten_us, "disconnected"),),
            until_us=ten_us + 60_000_000,
        )
    )

    with RunningStreams(nowhere, tmp_path, []) as second:
        pass

    told = [(feed, gap.symbol, gap.from_us, gap.to_us, gap.reason) for feed, gap in Content(second.spool).gaps]
    assert told == [("krx", "005930", ten_us, ten_us + 60_000_000, "book:disconnected")]
