"""The one command: it starts everything, keeps it running, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketdata.launcher import supervisor
from terminals.spool import Spool
from tests.servers import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
# What the run makes for itself.
OURS = ("REDIS_URL", "BROKER_URL", "SECRET_KEY")
pytestmark = [pytest.mark.e2e, pytest.mark.once]


def without_ours() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in (*OURS, "DATABASE_URL")}


class Run:
    """`manage.py runall` as a person would see it: what it prints, and what answers at the addresses it names."""

    def __init__(self, home: Path, database_url: str, *options: str) -> None:
        self.home = home
        self.printed = home / "printed"
        environment = without_ours() | {"VAR_DIR": str(home), "DATABASE_URL": database_url, "LOG_LEVEL": "INFO"}
        ports = ["--port", str(free_port()), "--ingest-port", str(free_port())]
        with self.printed.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runall", *ports, *options],
                cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def text(self) -> str:
        return self.printed.read_text(encoding="utf-8")

    def ready(self) -> Run:
        until(lambda: self.process.poll() is not None or "Ctrl-C" in self.text(), seconds=200, what="runall")
        assert self.process.poll() is None, self.text()
        return self

    def sample(self) -> urllib.request.Request:
        """The curl line that is printed."""
        line = next(line for line in self.text().splitlines() if line.strip().startswith("curl"))
        *headers, address = re.findall(r"'([^']*)'", line)
        return urllib.request.Request(address, headers=dict(header.split(": ") for header in headers))

    def bars(self) -> dict[str, list[dict[str, object]]]:
        with urllib.request.urlopen(self.sample(), timeout=30) as answer:
            found: dict[str, list[dict[str, object]]] = json.load(answer)["bars"]
        return found

    def trades(self) -> int:
        """How many trades the shown bars hold; none while there is no answer."""
        try:
            shown = self.bars()
        except OSError:
            return 0
        return sum(int(str(bar["n"])) for bars in shown.values() for bar in bars)

    def worker(self) -> int:
        """The process id of the worker's main process, 0 while there is none."""
        try:
            supervisord = int((self.home / "run/supervisord.pid").read_text())
            for process in supervisor.processes_of(self.home / "run"):
                command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
                if b"ticks@%h" in command and parent == supervisord:
                    return process
        except OSError:
            pass  # it ended while we looked
        return 0

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(300)


def inspected(home: Path) -> str:
    """What a command beside the run shows of its terminal. It knows the folder alone, and asks by way of Redis."""
    asked = subprocess.run(
        [sys.executable, "manage.py", "inspect", "demo-market"], cwd=ROOT,
        env=without_ours() | {"VAR_DIR": str(home)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return asked.stdout


def open_to_others(path: Path) -> bool:
    """Whether another user of this machine may do anything with it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False  # a file of the database that was there for a moment
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in supervisor.processes_of(tmp_path / "run"):
        os.kill(process, signal.SIGKILL)


def test_everything_starts_survives_a_killed_worker_and_ends_without_a_trace(home, database_url):
    run = Run(home, database_url).ready()
    try:
        before = until(run.trades, seconds=60, what="a simulated trade in a bar")
        worker = until(run.worker, seconds=60, what="a worker")

        os.kill(worker, signal.SIGKILL)

        until(lambda: run.worker() not in (0, worker), seconds=60, what="another worker")
        until(lambda: run.trades() > before, seconds=60, what="more trades")
        until(lambda: "terminated by SIGKILL" in run.text(), seconds=60, what="the reason on the screen")
        until(lambda: re.search(r"\bS00\d{3}\b", inspected(home)), seconds=60, what="an answer to a command beside it")
        assert [path for path in (home, *home.rglob("*")) if open_to_others(path)] == []
    finally:
        status = run.end()
    assert status == 0, run.text()
    assert supervisor.processes_of(home / "run") == []


def test_a_folder_has_one_run_and_a_killed_one_takes_everything_with_it_but_the_secrets(home, database_url):
    first = Run(home, database_url, "--no-feed").ready()
    secrets = [home / "run" / name for name in ("demo-reader.key", "valkey.key", "secret_key")]
    kept = [file.read_text() for file in secrets]
    other = subprocess.run(
        first.process.args, cwd=ROOT, env=os.environ | {"VAR_DIR": str(home), "DATABASE_URL": database_url},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (other.returncode, "already running" in other.stderr) == (1, True)

    first.end(signal.SIGKILL)

    until(lambda: not supervisor.processes_of(home / "run"), seconds=60, what="the end of its children")
    second = Run(home, database_url, "--no-feed").ready()
    try:
        assert [file.read_text() for file in secrets] == kept
        assert [file.stat().st_mode & 0o777 for file in secrets] == [0o600] * len(kept)
        assert second.bars() == {}  # let in, though nobody knows the symbol yet
    finally:
        second.end(signal.SIGINT)
    assert supervisor.processes_of(home / "run") == []


def sent(home: Path) -> tuple[str, int, int]:
    """Epoch of the market's spool, its last acknowledged batch and its last batch. All of them are still there."""
    spool = Spool(home / "spool/demo-market")
    try:
        assert spool.first == 1
        return spool.epoch, spool.committed, spool.last
    finally:
        spool.close()


def stored(database_url: str, epoch: str) -> tuple[list[int], int, int]:
    """The batches of this epoch in the ledger, the rows they stored as it says, and the rows that are there: ticks,
    order books and events."""
    program = (
        "from marketdata.models import *\n"
        "from marketdata.storage import storage\n"
        "tables = ('temp_market_data', 'market_data_tick', 'order_books', 'market_events')\n"
        f"stream = IngestStream.objects.get(epoch={epoch!r}).pk\n"
        "found = IngestBatch.objects.filter(batch__gt=stream << 32, batch__lt=(stream + 1) << 32)\n"
        "batches = sorted((one.batch & 0xFFFFFFFF, one.stored) for one in found)\n"
        "there = sum(storage().count(table) for table in tables)\n"
        "print(json.dumps([[seq for seq, _ in batches], sum(stored for _, stored in batches), there]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import django, json\ndjango.setup()\n{program}"], cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "marketdata.settings"},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    batches, rows, there = json.loads(done.stdout)
    return batches, rows, there


def test_ctrl_c_loses_nothing_and_the_next_run_sends_what_was_left(home, database_url):
    run = Run(home, database_url).ready()
    until(run.trades, seconds=60, what="a simulated trade in a bar")
    assert run.end(signal.SIGINT) == 0, run.text()
    assert supervisor.processes_of(home / "run") == []

    epoch, acknowledged, last = sent(home)
    batches, rows, there = stored(database_url, epoch)
    assert acknowledged > 0
    assert set(range(1, acknowledged + 1)) <= set(batches) <= set(range(1, last + 1))
    assert rows == there

    again = Run(home, database_url).ready()
    until(lambda: set(range(1, last + 1)) <= set(stored(database_url, epoch)[0]), seconds=60, what="what was left")
    again.end(signal.SIGINT)
    _, rows, there = stored(database_url, epoch)
    assert rows == there


def test_a_replay_of_a_file_that_is_not_there_says_so(home, database_url):
    run = Run(home, database_url, "--replay", str(home / "nothing.csv"))

    assert run.process.wait(300) == 1
    assert "no such file" in run.text()
