"""Each batch's way through all processes, found by one search for its trace; and what requests ask for."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.serving import PATIENCE_S, connect, serving
from tests.integration.test_stream_served import entered, start_web
from tests.road import ROOT, secret_of
from tests.servers import free_port
from tests.waiting import until

__all__ = ["serving"]

pytestmark = pytest.mark.once

ROWS = "symbol,ts,price,size,side,seq\nA,1703545200000000000,1.5,2,B,1\nA,1703545200000000001,1.25,2,A,2\n"
WAY = [
    "batch spooled", "batch sent", "batch received", "batch dispatched", "batch committed", "batch announced",
    "batch delivered", "batch settled", "batch committed",
]  # fmt: skip


def sent_by_a_terminal(road, folder: Path) -> str:
    """What a real terminal writes while it replays two trades."""
    (folder / "two.csv").write_text(ROWS)
    (folder / "key").write_text(secret_of("replayer"))
    link = ["--server", f"127.0.0.1:{road.port}", "--client", "replayer", "--key-file", str(folder / "key")]
    what = ["replay", str(folder / "two.csv"), "--speed", "0", "--register-market", "CME", "--from-start"]
    log = ["--log-format", "ecs", "--log-batches", "--spool", str(folder / "spool")]
    done = subprocess.run(
        [sys.executable, "-m", "terminals", *what, *link, *log], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


async def test_one_search_for_a_trace_shows_the_whole_way_of_a_batch(serving, road, tmp_path):
    folder, port = tmp_path / "logs", free_port()
    road._environment |= {"LOG_FORMAT": "ecs", "LOG_BATCHES": "1", "LOG_DIR": str(folder), "LOG_LEVEL": "WARNING"}
    road.ingest()
    road.worker()
    start_web(road, port)

    async with connect(f"ws://127.0.0.1:{port}/v2/stream/replay") as socket:
        await entered(socket, serving, trades=["*"])
        terminal = await asyncio.to_thread(sent_by_a_terminal, road, tmp_path)
        while all(message["T"] != "t" for message in json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))):
            pass

    trace = next(
        found["trace.id"] for found in map(json.loads, terminal.splitlines())
        if found.get("event.action") == "batch spooled"
    )  # fmt: skip

    def grep() -> list[dict[str, object]]:
        both = [*terminal.splitlines(), *(folder / "main.log").read_text(encoding="utf-8").splitlines()]
        found = [json.loads(line) for line in both if trace in line]
        return sorted(found, key=lambda line: str(line["@timestamp"]))

    until(lambda: len(grep()) >= len(WAY), seconds=60, what="the line of each step")
    lines: dict[Any, Any] = {}
    for line in grep():
        lines.setdefault((line["event.action"], line["process.name"]), line)
    assert [action for action, _ in sorted(lines)] == sorted(WAY)
    assert {name for _, name in lines} == {"replay", "runingest", "runworkers", "runweb"}
    task = lines["batch committed", "runworkers"]["naru.task.id"]
    assert lines["batch dispatched", "runingest"]["labels"]["to_task"] == task
    assert lines["batch announced", "runworkers"]["naru.task.id"] == task
    assert lines["batch announced", "runworkers"]["labels"]["offset"] == "2"
    assert lines["batch delivered", "runweb"]["labels"]["sockets"] == "1"
    numbers = {tuple(line["naru.batches"]) for line in lines.values() if "naru.batches" in line}
    assert len(numbers) == 1
    assert serving.secret not in (folder / "main.log").read_text(encoding="utf-8")


def test_without_it_a_batch_leaves_no_line_and_the_feed_no_trace(road, redis, tmp_path):
    road.ingest()
    road.worker()

    terminal = sent_by_a_terminal(road, tmp_path)

    assert "batch spooled" in terminal
    assert "batch received" not in road.tail("ingest")
    assert "batch committed" not in road.tail("worker")
    [(_, entry)] = redis.xrange("naru:feed:replay")
    assert b"x" not in entry
