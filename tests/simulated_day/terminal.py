"""The terminal of a simulated day: the product's own `python -m terminals kis`, asked over its metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

from terminals.connection import Address
from terminals.link import Config, Identity
from terminals.link import Terminal as Link
from tests.servers import free_port
from tests.servers.process import spawn
from tests.simulated_day import accounting
from tests.simulators.kis.process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "kis"
START_S = 300.0
SETTLE_TRIES, SETTLE_S = 6, 30.0
ARRIVE_S = 10.0
BOOKS = 40
"""So many stocks have their order book registered, too."""


class Stack(Protocol):
    """What a terminal has to know of the stack that it sends to."""

    folder: Path
    ingest_port: int


class Terminal:
    """Runs within `with`; `stop` ends it in good order, and what it had sent is committed then."""

    def __init__(self, stack: Stack, kis: SimulatorProcess, appkeys: list[str]) -> None:
        self._kis = kis
        folder = stack.folder / "terminal"
        folder.mkdir(mode=0o700)
        key = _register(kis.symbols)
        _private(folder / "key", key)
        _private(folder / "appkeys.toml", "".join(_account(name, kis) for name in appkeys))
        config = folder / "terminal.toml"
        _private(config, _tables(kis.symbols))
        self._server = f"127.0.0.1:{stack.ingest_port}"
        self._log, self._port = stack.folder / "terminal.log", free_port()
        command = [sys.executable, "-m", "terminals", "kis", "--config", config, "--mode", "production"]
        command += ["--appkeys", folder / "appkeys.toml", "--state", folder / "state", "--spool", folder / "spool"]
        command += ["--server", self._server, "--client", CLIENT, "--key-file", folder / "key"]
        command += ["--register-market", "-", "--metrics-port", self._port]
        self.command = [str(word) for word in command]
        self.spool, self.key_file = folder / "spool", folder / "key"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def appkey(name: str) -> str:
        """A made-up appkey of as many characters as KIS's."""
        return name.ljust(36, "0")

    @staticmethod
    def secret(name: str) -> str:
        """Its secret."""
        return f"secret-of-{name}".ljust(180, "0")

    def __enter__(self) -> Self:
        self._process = spawn(self.command, environment=dict(os.environ), log=self._log, cwd=ROOT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """By name and labels' values; empty while it does not answer. RuntimeError if it ended."""
        self._look()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def number(self, name: str) -> float:
        """Of all labels together."""
        return sum(value for (of, _), value in self.numbers().items() if of == name)

    def rows(self) -> dict[str, int]:
        """Rows it has sent, by kind."""
        return self.counts("naru_kis_rows_total")

    def counts(self, name: str) -> dict[str, int]:
        """Of a metric with one label, by it."""
        return {labels[0]: int(value) for (of, labels), value in self.numbers().items() if of == name}

    def is_registered(self) -> bool:
        """Whether everything that was planned for the WebSocket is active."""
        found = self.numbers()
        planned, active = (
            sum(value for (of, _), value in found.items() if of == name)
            for name in ("naru_kis_planned", "naru_kis_registrations")
        )
        return 0 < planned <= active

    def summary(self) -> str:
        """A line for people."""
        found = self.numbers()
        registered = sum(value for (of, _), value in found.items() if of == "naru_kis_registrations")
        parts = {
            "registered": registered,
            "records": found.get(("naru_kis_records_total", ()), 0.0),
            "gaps": found.get(("naru_kis_gaps_total", ()), 0.0),
            "set aside": found.get(("naru_kis_quarantined_total", ()), 0.0),
            "buffered": found.get(("naru_kis_buffered_messages", ()), 0.0),
            "uncommitted batches": found.get(("naru_kis_batches_waiting", ()), 0.0),
        }
        return ", ".join(f"{name} {value:,.0f}" for name, value in parts.items())

    def until(self, ready: Callable[[], object], what: str, *, seconds: float) -> None:
        """Wait. TimeoutError names what for; RuntimeError if the terminal ended."""
        if not self.comes(ready, seconds=seconds):
            raise TimeoutError(f"{what}: not within {seconds:g} s; {self.summary()}")

    def comes(self, ready: Callable[[], object], *, seconds: float) -> bool:
        """Whether it is so within this time."""
        limit = time.monotonic() + seconds
        while not ready():
            self._look()
            if time.monotonic() > limit:
                return False
            time.sleep(0.5)
        return True

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def settle(self, look: Callable[[], accounting.Stored]) -> dict[str, Any]:
        """The simulator's account once every share is in the database, or does not come there any more; `look` says
        what is there. What was missing of a stock before is shown by its next trade, and so each gets one more, again
        where that one was lost with a connection."""
        account = self._kis.account()
        complete = accounting.told(account)
        if self.comes(lambda: accounting.shares_are_there(complete, look()), seconds=ARRIVE_S):
            return account  # without the next connections, for which a terminal waits longer each time
        for _ in range(SETTLE_TRIES):
            self.until(self.is_registered, "all registrations again", seconds=START_S)
            self._kis.settle()
            account = self._kis.account()
            wanted = accounting.told(account)
            if self.comes(lambda: accounting.shares_are_there(wanted, look()), seconds=SETTLE_S):  # noqa: B023  # of now
                break
        return account

    def memory_mib(self) -> float:
        """Of its process."""
        return float(psutil.Process(self.pid).memory_full_info().pss) / 2**20

    def stop(self, *, seconds: float) -> dict[str, int]:
        """Wait until all that it sent is committed, end it, and deliver what it said at last; its rows by kind.
        TimeoutError if that does not come; RuntimeError if it ended with an error."""
        assert self._process is not None

        def rests() -> bool:
            found = self.numbers()
            waiting = (found.get((f"naru_kis_{name}", ()), 1.0) for name in ("buffered_messages", "batches_waiting"))
            return not any(waiting)

        self.until(rests, "everything committed", seconds=seconds)
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(seconds) != 0:
            self._look()
        identity = Identity(CLIENT, self.key_file.read_text(encoding="ascii"), "KIS", None)
        with Link(Config(Address.parse(self._server), identity, "krx", self.spool)) as link:
            if not link.wait_committed(seconds):
                raise TimeoutError(f"the last words of the terminal: not within {seconds:g} s; {link.stats()}")
        return self._last_rows()

    def _last_rows(self) -> dict[str, int]:
        """By kind, of the last words in its log. The metrics are as old as a second, and end with the process."""
        found = [line for line in self._log.read_text(encoding="utf-8").splitlines() if " kis_status " in line]
        rows: dict[str, int] = json.loads(found[-1].partition(" kis_status ")[2])["rows"]
        return rows

    def _look(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            text = self._log.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the terminal ended with {self._process.returncode}:\n{text[-3000:]}")


def _register(symbols: list[str]) -> str:
    """The client and the symbols; its key."""
    from marketdata.models import Client, Source, Symbol

    Source.objects.filter(code="KIS").update(max_age_s=None)  # the day is one of the past
    _client, secret = Client.objects.create_with_secret(
        name=CLIENT, source=Source.objects.get(code="KIS"), may_send=True
    )
    listed = [Symbol(code=code, market_id="KRX", primary_feed="krx") for code in symbols]
    Symbol.objects.bulk_create(listed, ignore_conflicts=True)
    return secret


def _private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(text)


def _account(name: str, kis: SimulatorProcess) -> str:
    values = {
        "name": name, "kind": "real", "appkey": Terminal.appkey(name), "appsecret": Terminal.secret(name),
        "rest_url": kis.rest, "websocket_url": kis.websocket,
    }  # fmt: skip
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    return "\n".join(["[[account]]", *lines, "", ""])


def _tables(symbols: list[str]) -> str:
    """Trades of KRX before all, then some order books, then the trades of NXT as far as there is room."""
    tables = (
        (symbols, "krx", "trade", 0),
        (symbols[:BOOKS], "krx", "book", 1),
        (symbols, "nxt", "trade", 2),
    )
    return "\n".join(
        f'[[symbols]]\ncodes = {list(codes)!r}\nfeed = "{feed}"\nkinds = ["{kind}"]\npriority = {priority}\n'
        for codes, feed, kind, priority in tables
    ).replace("'", '"')
