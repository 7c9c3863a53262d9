"""Upgrades a running stack under load, then accounts for every row: `migrate` of the present tree while the older one's
processes work, then one process after the other replaced, so that both versions understand each other's messages. There
are two web servers behind docker/nginx/naru.conf, so no request may stay without its answer.

The older version is the commit before the newest migration, unless `--from` names another. The last line is one JSON
object; status 1 unless nothing is lost or doubled, no candle wrong and no promise broken.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terminals import wire
from tests.drill.__main__ import START_S, Drill, failures, fine
from tests.drill.programs import ROOT
from tests.drill.reader import Reader
from tests.servers import free_port
from tests.servers.nginx import Nginx
from tests.servers.process import temporary_folder
from tests.servers.secured import Secured

WEBS = ("web", "web2")
ORDER = ("worker1", "worker2", "ingest", *WEBS, "beat")
"""As docs/operations.md has it: workers before ingest. Terminals may come at any time, so they come last."""
BESIDE_S = 8.0
"""How long each pair of versions works side by side."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.upgrade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="older", metavar="COMMIT", help="the version that is upgraded")
    parser.add_argument("--rate", type=wire.options.between(10, 10**9), default=1_200, metavar="N", help="(1200)")
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb", help="(mariadb)")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupted)
    older = _git("rev-parse", "--verify", f"{given.older}^{{commit}}") if given.older else before_newest_migration()
    folder = temporary_folder("upgrade")
    tree = folder / "older"
    _git("worktree", "add", "--detach", str(tree), older)
    drill = UpgradeDrill(folder, tree=tree, version=older[:9], rate=given.rate, database=given.database)
    failed = True
    try:
        result = drill.run()
        failed = not fine(result)
        if failed:
            print(drill.stack.tails(), flush=True)
    except KeyboardInterrupt:
        return 130
    except BaseException:
        print(drill.stack.tails(), flush=True)
        raise
    finally:
        left = drill.stop()
        _git("worktree", "remove", "--force", str(tree))
        drill.end(keep=failed)
    print(json.dumps({**result, "left_behind": len(left)}), flush=True)
    return int(failed or bool(left))


def before_newest_migration() -> str:
    """The commit before the last one that added a migration: between it and now the tables change."""
    found = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", ":(glob)*/migrations/0*.py")
    return _git("rev-parse", f"{found}^")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class UpgradeDrill(Drill):
    """A drill in which nothing is killed, and everything is replaced."""

    def __init__(self, folder: Path, *, tree: Path, version: str, rate: int, database: str) -> None:
        super().__init__(folder, kills=0, seed=1, rate=rate, most_s=0.0, database=database)
        self.version, self.stack.root = version, tree
        self._tls = Secured(folder / "tls")
        self._ports = dict(zip(WEBS, (self.stack.web_port, free_port()), strict=True))
        addresses = [f"127.0.0.1:{port}" for port in self._ports.values()]
        self._nginx = Nginx(folder / "nginx", addresses, (self._tls.certificate, self._tls.key))
        os.environ.update(BEHIND_TLS="1", ALLOWED_HOSTS="127.0.0.1")

    def stop(self) -> list[int]:
        """Everything, at once. The process ids of what was left of it: there should be none."""
        self._nginx.stop()
        return self.stack.stop()

    def _reader(self, key: tuple[str, str]) -> Reader:
        return Reader(self._nginx.url, key, ssl.create_default_context(cafile=str(self._tls.authority)))

    def _begin_reading(self, reader: Reader) -> None:
        self.stack.add(WEBS[1], [sys.executable, "manage.py", "runweb", "--port", str(self._ports[WEBS[1]])])
        self._wait_for_webs()
        self._nginx.start()
        super()._begin_reading(reader)

    def _wait_for_webs(self) -> None:
        if not self.stack.until(lambda: all(map(_is_open, self._ports.values())), seconds=START_S):
            raise RuntimeError(f"a web server does not listen {START_S:g} s after it was started")

    def run(self) -> dict[str, Any]:
        """The account, with where it began and how long `migrate` took beside the writers."""
        result = super().run()
        told = {key: result[key] for key in ("rows_sent", "lost", "duplicated", "candle_mismatches")}
        return {"from": self.version, "migrated_s": self.migrated_s, "replaced": self.replaced, **told, **result}

    def _strike(self) -> None:
        self.replaced = 0
        self.stack.wait(BESIDE_S)
        self._say(f"everything is of {self.version}; migrate of the present tree, beside it")
        self.stack.root = ROOT
        began = time.monotonic()
        self.stack.migrate()
        self.migrated_s = round(time.monotonic() - began, 1)
        self._goes_on(f"migrated in {self.migrated_s} s")
        for name in (*ORDER, *(member.name for member in self.crew)):
            if not self.stack.renew(name):
                self.trouble.append(f"{name} did not end when asked")
            self.replaced += 1
            if name in WEBS:
                self._wait_for_webs()  # before the other one ends
            self._goes_on(f"{name} is of the present tree")

    def _deliver(self) -> None:
        unanswered = failures(self.reader)
        if unanswered:
            self.trouble.append(f"requests to two web servers were not all answered: {unanswered}")
        super()._deliver()

    def _goes_on(self, what: str) -> None:
        """Both versions work beside each other for a while, and rows are committed in it."""
        before = self._look() or 0
        self.stack.wait(BESIDE_S)
        if not self.stack.until(lambda: (self._look() or 0) > before, seconds=START_S):
            self.trouble.append(f"nothing was committed any more after: {what}")
        self._say(f"{what}; {self._look() or 0:,} rows committed")


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    raise SystemExit(main())
