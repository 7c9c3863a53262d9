"""Backups under load: a full one and three increments while workers commit, each restored and compared, on MariaDB and
on PostgreSQL. What the writers know was committed before a backup began has to be in it. Each is copied to another
place, encrypted and signed, a folder or a storage that speaks S3; the last is restored from there without the server,
and every file there is changed in turn, which has to be refused.

The last line is one JSON object; status 1 unless every backup was verified, copied, restored and equal.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terminals import wire
from tests import servers
from tests.servers import MariaDB, Redis, packages
from tests.servers.process import Server, spawn, temporary_folder
from tests.servers.process import keep as keep_folder
from tests.servers.s3 import BUCKET, S3

ROOT = Path(__file__).resolve().parents[2]
DATABASES = ("mariadb", "postgresql")
WRITERS = 2
INCREMENTS = 3
BETWEEN_S, PAUSE_S = 3.0, 0.2
CHILD_S = 900.0


@dataclass(slots=True)
class Role:
    """A child process of tests.drill.backup_roles, and what it told."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def news(self) -> list[dict[str, Any]]:
        """All it has told so far."""
        whole = self.log.read_bytes().rpartition(b"\n")[0]
        self.lines = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        return self.lines

    def end(self) -> None:
        """SIGKILL, and its remains collected."""
        self.process.kill()
        self.process.wait()


class Drill:
    """One database: history, writers, a full backup and increments, judgement."""

    def __init__(self, folder: Path, database: str, *, rows: int, began: float) -> None:
        self.folder, self.database, self.rows, self.began = folder, database, rows, began
        (folder / "log").mkdir(parents=True)
        self.server: Server = (
            MariaDB(folder / "database", buffer_pool_mib=512)
            if database == "mariadb"
            else servers.PostgreSQL(folder / "database")
        )
        self.redis = Redis(folder / "redis")
        self.s3 = S3(folder / "s3") if database == "postgresql" else None
        self.environment: dict[str, str] = {}
        self.children: list[Role] = []

    def run(self) -> dict[str, Any]:
        """The result of this database."""
        self.server.start()
        self.redis.start()
        work = self.folder / "work"
        work.mkdir()
        for place in (self.folder, work):
            place.chmod(0o711)  # PostgreSQL restores as a user of its own, where we are root
        programs = [packages.need(name)[0].parent for name in self._programs()]
        self.environment = os.environ | {
            "DATABASE_URL": self.server.url, "REDIS_URL": self.redis.url, "BROKER_URL": self.redis.url,
            "VAR_DIR": str(self.folder / "var"), "SECRET_KEY": "only-for-the-drill-" * 3, "LOG_LEVEL": "WARNING",
            "BACKUP_DIR": str(self.folder / "backups"), "BACKUP_WORK_DIR": str(work),
            "BACKUP_PROGRAMS": ",".join(sorted({str(folder) for folder in programs})),
            "DJANGO_SETTINGS_MODULE": "marketdata.settings", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=self.environment, cwd=ROOT, check=True)
        loaded = self.ask("load", rows=self.rows)
        self.environment |= self._elsewhere(self.ask("vault", folder=str(self.vault)))
        self.ask("begin")
        self.say(f"{loaded['ticks']:,} ticks of {loaded['days']} finished days in history")
        writers = [self.start("write", stream=10 + at, pause_s=PAUSE_S) for at in range(WRITERS)]
        runs = []
        for number in range(INCREMENTS + 1):
            time.sleep(BETWEEN_S)
            before = [line for writer in writers for line in writer.news()]
            run = self.ask("back", kind="incremental" if number else "full")
            during = [line for writer in writers for line in writer.news()]
            run["ticks"] = sum(line["rows"] for line in during) - sum(line["rows"] for line in before)
            # What was told before the backup began must be in it.
            run["acked"] = [[line["batch"], line["rows"]] for line in before]
            self.say(
                f"{run['kind']} {run['state']} in {run['seconds']:.1f} s, {(run['bytes'] or 0) / 1e6:.1f} MB,"
                f" {run['ticks']:,} ticks committed meanwhile{'; ' if run['error'] else ''}{run['error']}"
            )
            runs.append(run)
            if run["state"] == "verified":
                run["copy"] = self.ask("copy", name=run["name"])
                self.say(f"{run['kind']} copied and proven from there in {run['copy']['seconds']:.1f} s")
        for writer in writers:
            if writer.process.poll() is not None:
                raise RuntimeError(f"a writer ended:\n{writer.log.read_text(errors='replace')[-3000:]}")
            writer.end()
        return self._judge(runs)

    def _judge(self, runs: list[dict[str, Any]]) -> dict[str, Any]:
        trouble = [f"{run['name']}: {run['state']} {run['error']}" for run in runs if run["state"] != "verified"]
        restored = 0
        for run in runs:
            if run["state"] != "verified":
                continue
            (self.folder / "acked.json").write_text(json.dumps(run["acked"]))
            acked = str(self.folder / "acked.json")
            found = self.ask("judge", name=run["name"], acked=acked, again=run is runs[-1])
            self.say(f"{run['name']}: restored, {found['ticks']:,} ticks of {found['batches']:,} batches")
            restored += 1
            trouble += found["trouble"]
            trouble += run["copy"]["trouble"]
        last = runs[-1]
        refused: dict[str, Any] = {"changed": 0, "refused": 0}
        if last["state"] == "verified":
            found = self.ask("judge", alone=True, name=last["name"], acked=acked, again=False, vault=str(self.vault))
            self.say(f"{last['name']}: restored from the other place alone, {found['ticks']:,} ticks")
            trouble += found["trouble"]
            refused = self.ask("attack", alone=True, name=last["name"], vault=str(self.vault))
            self.say(f"{refused['refused']} of {refused['changed']} changes in the other place were refused")
            trouble += refused["trouble"]
        calm = [run["name"] for run in runs if not run["ticks"]]
        trouble += [f"{name}: nobody wrote while it was made" for name in calm]
        for text in trouble:
            self.say(f"WRONG: {text}")
        return {
            "backups": len(runs), "restored": restored, "elsewhere": sum("copy" in run for run in runs),
            "changed": refused["changed"], "refused": refused["refused"], "equal": not trouble,
            "committed_meanwhile": sum(run["ticks"] for run in runs),
            "seconds": [round(run["seconds"], 1) for run in runs],
        }  # fmt: skip

    @property
    def vault(self) -> Path:
        """What the machine with the private keys has."""
        return self.folder / "vault"

    def _elsewhere(self, owned: dict[str, str]) -> dict[str, str]:
        """The settings of another place: the server is given public keys, and a command that signs."""
        found = {
            "BACKUP_RECIPIENTS": owned["recipient"], "BACKUP_SIGNERS_FILE": owned["signers"],
            "BACKUP_SIGN_COMMAND": owned["command"],
        }  # fmt: skip
        if self.s3 is None:
            (self.folder / "elsewhere").mkdir()
            return found | {"BACKUP_OFFSITE": str(self.folder / "elsewhere")}
        self.s3.start()
        self.s3.make_bucket()
        return found | {
            "BACKUP_OFFSITE": f"s3://{BUCKET}/drill", "BACKUP_OFFSITE_ENDPOINT": self.s3.url,
            "BACKUP_OFFSITE_ACCESS_KEY": "drill", "BACKUP_OFFSITE_SECRET_KEY": "only-for-the-drill",
        }  # fmt: skip

    def _alone(self) -> dict[str, str]:
        """As on a machine that has nothing of the server: no database, no backups."""
        nothing = {"BACKUP_DIR": str(self.folder / "nothing"), "BACKUP_SIGN_COMMAND": ""}
        return self.environment | nothing | {"DATABASE_URL": re.sub(r":\d+/", ":1/", self.environment["DATABASE_URL"])}

    def _programs(self) -> Sequence[str]:
        return ("mariadbd", "mariadb-backup") if self.database == "mariadb" else ("pg_basebackup",)

    def start(self, role: str, *, alone: bool = False, **spec: Any) -> Role:
        """A child of tests.drill.backup_roles; with `alone`, as on another machine."""
        log = self.folder / "log" / f"{role}-{len(self.children)}.log"
        command = [sys.executable, "-m", "tests.drill.backup_roles", role, json.dumps(spec)]
        environment = self._alone() if alone else self.environment
        child = Role(role, spawn(command, environment=environment, log=log, cwd=ROOT), log)
        self.children.append(child)
        return child

    def ask(self, role: str, *, alone: bool = False, **spec: Any) -> dict[str, Any]:
        """Run a child to its end; the last line it told."""
        child = self.start(role, alone=alone, **spec)
        status = child.process.wait(timeout=CHILD_S)
        if status or not child.news():
            raise RuntimeError(f"{role} ended with {status}:\n{child.log.read_text(errors='replace')[-3000:]}")
        return child.lines[-1]

    def stop(self) -> None:
        """Leave no process."""
        for child in self.children:
            child.end()
        self.redis.stop()
        self.server.stop()
        if self.s3 is not None:
            self.s3.stop()

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {self.database}: {words}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument(
        "--rows",
        type=wire.options.between(1, 10**9),
        default=60_000,
        metavar="N",
        help="ticks of each finished day (60000)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder; a drill that fails keeps it anyway")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    folder = temporary_folder("backup")
    results: dict[str, dict[str, Any]] = {}
    fine = False
    try:
        for database in given.databases:
            drill = Drill(folder / database, database, rows=given.rows, began=began)
            try:
                results[database] = drill.run()
            finally:
                drill.stop()
        fine = all(result["equal"] for result in results.values())
    finally:
        if fine and not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"kept: {keep_folder(folder)}", flush=True)
    told = {
        "backups": sum(result["backups"] for result in results.values()),
        "restored": sum(result["restored"] for result in results.values()),
        "elsewhere": sum(result["elsewhere"] for result in results.values()),
        "changed": sum(result["changed"] for result in results.values()),
        "refused": sum(result["refused"] for result in results.values()),
        "equal": fine,
        "minutes": round((time.monotonic() - began) / 60, 1),
        **results,
    }
    print(json.dumps(told), flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
