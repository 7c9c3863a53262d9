"""The KIS simulator as a test starts it: a process of its own, asked over its standard input."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]


class SimulatorProcess:
    """`with SimulatorProcess("--symbols", "5") as kis:`, then `kis.websocket` and `kis.rest` are its addresses."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.kis", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._read()
        self.websocket: str = told["websocket"]
        self.rest: str = told["rest"]
        self.symbols: list[str] = told["symbols"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def account(self) -> dict[str, Any]:
        """What it has done so far, its open `sessions` and their `registrations`."""
        return self.order("account")

    def samples(self) -> list[tuple[str, str, int, int]]:
        """When some of the trades were made: TR, code, the day's volume after it, UTC microseconds."""
        return [(tr_id, code, volume, at_us) for tr_id, code, volume, at_us in self.order("samples")["samples"]]

    def settle(self) -> None:
        """Let it send one more trade of each registered stock."""
        self.order("settle")

    def fault(self, fault: str, **arguments: object) -> None:
        """Let something go wrong now."""
        self.order("fault " + json.dumps({"fault": fault, **arguments}))

    def order(self, line: str) -> dict[str, Any]:
        """Give an order; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.stdin.write("stop\n")
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found
