"""A sheet that is saved again and again, read by a terminal through real processes, is in the database as it is."""

import itertools
import json
import re

import pytest

from marketdata.models import IngestReject
from marketdata.storage import storage
from tests import market
from tests.road import secret_of

pytestmark = [pytest.mark.e2e, pytest.mark.once]
EVER = (-(2**62), 2**62)
FEED = "infomax"


def snapshots(code: str) -> list[tuple[int, int]]:
    """Price and volume of each snapshot that is stored, in the order of the sheet."""
    rows = sorted(market.rows_of(storage().read_ticks(code, FEED, *EVER)), key=lambda row: row["seq"])
    return [(row["price"] // 10**8, row["cum_volume"] // 10**6) for row in rows]


def test_a_sheet_in_trouble_is_stored_row_by_row_as_it_changed(road, tmp_path):
    road.ingest()
    road.worker()
    key, file = tmp_path / "infomax.key", tmp_path / "quotes.xlsx"
    key.write_text(secret_of("desk", "INFOMAX"))
    simulator = ["-m", "tests.simulators.infomax", str(file), "--rows", "40", "--hz", "4", "--seconds", "4"]
    playing = road.start("simulator", [*simulator, "--trouble"])
    road.until(file.with_suffix(".toml").exists, seconds=60, what="the map of the sheet")
    terminal = ["-m", "terminals", "infomax", "--map", str(file.with_suffix(".toml")), "--file", str(file)]
    options = ["--poll-ms", "100", "--stale-s", "2", "--spool", str(tmp_path / "spool")]
    link = ["--server", f"127.0.0.1:{road.port}", "--client", "desk", "--key-file", str(key)]
    road.start("terminal", [*terminal, *options, *link])

    playing.wait(300)
    assert road.stop("simulator") == 0, road.tail("simulator")
    shown = json.loads(road.tail("simulator").splitlines()[-1])
    last = shown["last"]
    road.until(
        lambda: {code: list(day(code)) for code in last} == last,
        seconds=60,
        what="the last sheet in stock_prices",
    )
    # The heartbeat in T1 rests since the last picture; a machine under load may have held up the reading before.
    road.until(stale_reasons, seconds=60, what="the event of a sheet that rests")
    assert road.stop("terminal") == 0, road.tail("terminal")

    stored = {code: snapshots(code) for code in last}
    rows = sum(map(len, stored.values()))
    (sent,) = re.findall(r" done .* rejected=0 dropped=0 .* rows=([0-9]+) refused=0 ", road.tail("terminal"))
    assert rows == int(sent) <= shown["changed_rows"]
    assert rows > len(last)
    for code, pictures in stored.items():
        assert list(pictures[-1]) == last[code][:2]
        assert all(before != after and before[1] <= after[1] for before, after in itertools.pairwise(pictures))
    assert not IngestReject.objects.exists()


def day(code: str) -> tuple[int | None, ...]:
    """The newest figures of the day that are stored: price, volume, value, previous close, and high if it has one."""
    found = storage().latest_prices([code], FEED)
    if not found:
        return ()
    (row,) = found
    figures = [row.price, row.volume and row.volume * 100, row.value and row.value * 10**6, row.prev_close]
    high = row.prev_close if row.high is None else row.high
    return tuple(None if figure is None else figure // 10**8 for figure in (*figures, high))


def stale_reasons() -> set[str]:
    """Why the feed was stale, by the events that are stored."""
    events = storage().read_events(*EVER, limit=100, kinds=["feed_stale"])
    return {one.body["reason"] for one in events if one.feed == FEED}
