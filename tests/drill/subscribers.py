"""Processes of subscribers (`tests.drill.feed_clients`), as drills start, ask and end them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.drill.programs import ROOT

END_S = 300.0


class Group:
    """One process with `sockets` subscribers, which take turns with `servers` (host:port). `within` is what a command
    begins with that is to run elsewhere; `messages` says among how many trades the `cuts` of connections lie, `stalls`
    that the first subscriber can stand still, `waits` that it is noted how long trades took."""

    def __init__(
        self,
        name: str,
        folder: Path,
        key: tuple[str, str],
        servers: Sequence[str],
        *,
        sockets: int,
        cuts: int = 0,
        messages: int = 0,
        stalls: bool = False,
        waits: bool = False,
        within: Sequence[str] = (),
    ) -> None:
        self.name, self._folder, self._sockets = name, folder, sockets
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "tests.drill.feed_clients"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._say(json.dumps({
            "name": name, "folder": str(folder), "key": key[0], "secret": key[1], "servers": list(servers),
            "sockets": sockets, "cuts": cuts, "messages": messages, "stalls": stalls, "waits": waits,
        }))  # fmt: skip

    def listen(self) -> int:
        """How many they are, once all are subscribed; RuntimeError if the process ended instead."""
        if self._read() != "ready":
            raise RuntimeError(f"the subscribers {self.name} did not get in")
        return self._sockets

    def ask(self, what: str) -> str:
        """What it answers; RuntimeError if it ended."""
        self._say(what)
        return self._read()

    def lacking(self, wanted: Path) -> int:
        """How many of the trades of a file the subscribers lack together."""
        return int(self.ask(str(wanted)))

    def end(self) -> dict[str, Any]:
        """Its account, with which it ends."""
        output, _ = self._process.communicate("end\n", timeout=END_S)
        account: dict[str, Any] = json.loads(output.splitlines()[-1])
        return account

    def kept(self) -> list[np.ndarray[Any, Any]]:
        """The ids of the trades that each subscriber had at the end, as they came."""
        return [np.load(file) for file in sorted(self._folder.glob(f"kept{self.name}_*.npy"))]

    def kill(self) -> None:
        """At once, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"the process of the subscribers {self.name} ended")
        return line.strip()


def account(
    kept: Iterable[np.ndarray[Any, Any]], *, due: np.ndarray[Any, Any], stored: np.ndarray[Any, Any]
) -> dict[str, int]:
    """What subscribers had, compared with what they were to be told (`due`) and with what is stored."""
    each = list(kept)
    return {
        "gaps": sum(len(np.setdiff1d(due, one)) for one in each),
        "duplicates": sum(len(one) - len(np.unique(one)) for one in each),
        "unknown": sum(len(np.setdiff1d(one, stored)) for one in each),
    }
