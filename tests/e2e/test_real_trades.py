"""Trades of a file, replayed by a real terminal through real processes, are in the database to the last digit."""

import csv
import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from marketdata.models import IngestBatch, IngestReject, Symbol
from marketdata.realtime import feed
from marketdata.storage import storage
from terminals.command import WRONG_INPUT
from tests import market
from tests.e2e import recomputed
from tests.road import ROOT, Road, secret_of
from tests.waiting import until

pytestmark = pytest.mark.e2e
EVER = (-(2**62), 2**62)
SIDES = {"N": 0, "B": 1, "A": 2}


class Trade(NamedTuple):
    """A line of the file, or a row of the database, in plain decimals."""

    symbol: str
    time_us: int
    price: Decimal
    size: Decimal
    side: int
    seq: int


def real_trades() -> list[Path]:
    """The file of real trades, if this machine has it."""
    named = Path(os.environ.get("NARU_REAL_TRADES", ROOT.parent / "shared/data/es_trades.csv"))
    return [named] if named.exists() else []


def write_trades(path: Path, rows: int = 2973) -> Path:
    """An hour like the real one: bursts at one instant, few prices, small sizes, trades that are equal."""
    dice = random.Random(20231225)
    ts, seq, quarters = 1_703_545_200_000_000_000, 6000, 19_201
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["symbol", "ts", "price", "size", "side", "seq"])
        for _ in range(rows):
            if dice.random() < 0.6:
                ts += dice.choice((1, 999, 1000, 85_275_419, 2_400_000_000))
                quarters += dice.choice((-1, 0, 0, 0, 1))
            seq += dice.choice((0, 1, 6))
            lines.writerow(["ESH4", ts, Decimal(quarters) / 4, dice.choice((1, 1, 1, 2, 44)), dice.choice("NAB"), seq])
    return path


def read_trades(path: Path) -> list[Trade]:
    """The file line by line, sharing nothing with the terminal that replays it."""
    with path.open(newline="") as file:
        return [
            Trade(
                line["symbol"],
                int(line["ts"]) // 1000,
                Decimal(line["price"]),
                Decimal(line["size"]),
                SIDES[line["side"]],
                int(line["seq"]),
            )
            for line in csv.DictReader(file)
        ]


def replay(road: Road, file: Path, secret: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Replay without pauses, until everything is committed."""
    key = road.folder / "replay.key"
    key.write_text(secret)
    command = ["-m", "terminals", "replay", str(file), "--speed", "0", "--register-market", "CME", "--batch-rows", "97"]
    link = ["--server", f"127.0.0.1:{road.port}", "--client", "replayer", "--key-file", str(key)]
    spool = ["--spool", str(road.folder / "spool"), *options]
    return subprocess.run(
        [sys.executable, *command, *link, *spool], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(params=[*real_trades(), None], ids=lambda given: "generated" if given is None else "real")
def trades(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The real file where there is one, and always one made to be like it."""
    return request.param or write_trades(tmp_path / "trades.csv")


def test_a_file_of_trades_is_stored_exactly_and_its_candles_are_those_of_polars(road, redis, trades):
    road.ingest()
    road.worker("-c", "2")
    sent = read_trades(trades)

    done = replay(road, trades, secret_of("replayer"))

    assert done.returncode == 0, done.stderr
    assert len(sent) == 2973
    assert stored_trades("ESH4") == sent
    assert storage().count("temp_market_data") == len(sent)
    assert market.candles(storage().read_minutes("ESH4", "replay", *EVER)) == recomputed.candles(trades)
    assert storage().series() == [("ESH4", "replay")]
    assert Symbol.objects.get(code="ESH4").market_id == "CME"
    assert not IngestReject.objects.exists()
    assert {batch.state for batch in IngestBatch.objects.all()} == {"stored"}
    assert sum(batch.stored for batch in IngestBatch.objects.all()) == len(sent)
    # A terminal hears of the commit a moment before the subscribers do.
    until(lambda: len(announced(redis)) >= len(sent), seconds=60, what="everything in the feed")
    assert announced(redis) == sorted(sent)


@pytest.mark.once
def test_a_file_is_replayed_a_second_time_on_purpose_only_and_then_doubles_the_volume(road, tmp_path):
    road.ingest()
    road.worker()
    file, secret = write_trades(tmp_path / "few.csv", rows=50), secret_of("replayer")

    first, refused = replay(road, file, secret), replay(road, file, secret)

    assert (first.returncode, refused.returncode) == (0, WRONG_INPUT), refused.stderr
    assert "--again" in refused.stderr
    assert sorted(stored_trades("ESH4")) == sorted(read_trades(file))
    second = replay(road, file, secret, "--again")

    assert second.returncode == 0, second.stderr
    assert sorted(stored_trades("ESH4")) == sorted(read_trades(file) * 2)
    once, twice = recomputed.candles(file), market.candles(storage().read_minutes("ESH4", "replay", *EVER))
    assert [one.volume * 2 for one in once] == [two.volume for two in twice]
    assert [one.close for one in once] == [two.close for two in twice]


@pytest.mark.once
def test_a_replay_of_which_the_server_refuses_every_row_fails(road, tmp_path):
    road.ingest()
    road.worker()
    file = tmp_path / "before.csv"
    file.write_text("symbol,ts,price,size\nESH4,157000000000000000,100,1\nESH4,157000000000000001,100,1\n")

    done = replay(road, file, secret_of("replayer"))

    assert done.returncode == WRONG_INPUT
    assert "refused all 2 rows" in done.stderr
    assert IngestReject.objects.count() == 2


def stored_trades(symbol: str) -> list[Trade]:
    """What the database has, in the order of the source."""
    return plain(market.rows_of(storage().read_ticks(symbol, "replay", *EVER)))


def announced(redis: Any) -> list[Trade]:
    """What subscribers of the feed were told, sorted."""
    told = [feed.decode("replay", number, values) for number, values in redis.xrange("naru:feed:replay")]
    return sorted(plain([row for entry in told for row in market.rows_of(entry.ticks)]))


def plain(rows: list[dict[str, int]]) -> list[Trade]:
    return [
        Trade(
            str(row["symbol"]),
            row["time_us"],
            Decimal(row["price"]).scaleb(-8),
            Decimal(row["size"]).scaleb(-6),
            row["side"],
            row["seq"],
        )
        for row in rows
    ]
