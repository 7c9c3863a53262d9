"""What goes wrong beside processes that die: connections cut, a database that refuses to write, bytes that rot on a
terminal's disk, a spool restored from an older copy, a rollover that is killed on its way.

Each answers a line for the person who watches. What it takes from a disk before it was safe is noted in the
terminal's `Spools`, so that the account knows whose fault it is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from terminals import segments, spool
from tests.drill import recorded_state
from tests.drill.programs import ROOT
from tests.drill.recorded_state import Spools
from tests.drill.stack import Stack, Terminal
from tests.servers import MariaDB

SICK_S = 6.0
ROLLOVER_S = (3.0, 9.0)
RECOVER_S = 60.0
NEWEST = 40


class Troubles:
    """`cause` makes one of `tests.drill.plan.TROUBLES`."""

    def __init__(self, stack: Stack, crew: Mapping[str, Terminal], spools: Mapping[str, Spools]) -> None:
        self.stack, self.crew, self.spools = stack, crew, spools
        self.touched: set[str] = set()  # terminals whose disk was changed
        self.broken: list[str] = []  # promises that were not kept at once
        self._causes: dict[str, Callable[[float], str]] = {
            "cut": self.cut,
            "flags": self.flags,
            "rot": self.rot,
            "restore": self.restore,
            "rollover": self.rollover,
        }

    def cause(self, trouble: str, pick: float) -> str:
        """`pick` in [0, 1) chooses among what there is. Away if the database does not answer."""
        return self._causes[trouble](pick)

    def cut(self, _pick: float) -> str:
        """Every connection to the database is ended by its server."""
        with recorded_state.book(self.stack.database) as book:
            if isinstance(self.stack.database, MariaDB):
                ids = list(
                    book.rows(
                        "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'naru'"
                    )
                )
                for (number,) in ids:
                    try:
                        book.do(f"KILL {number}")
                    except recorded_state.Away:  # it has ended by itself meanwhile
                        continue
                return f"{len(ids)} connections cut"
            cut = book.number(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND usename = current_user"
            )
            return f"{cut} connections cut"

    def flags(self, _pick: float) -> str:
        """The database refuses what a commit needs for some seconds: LOAD DATA LOCAL, or to write at all."""
        server = self.stack.database
        if isinstance(server, MariaDB):
            server.sql("SET GLOBAL local_infile = OFF;")
            try:
                self.stack.wait(SICK_S)
            finally:
                server.sql("SET GLOBAL local_infile = ON;")
            return f"local_infile off for {SICK_S:g} s"
        server.sql("ALTER ROLE naru SET default_transaction_read_only = on;")
        try:
            self.cut(0.0)
            self.stack.wait(SICK_S)
        finally:
            server.sql("ALTER ROLE naru RESET default_transaction_read_only;")
            self.cut(0.0)
        return f"read-only for {SICK_S:g} s"

    def rot(self, pick: float) -> str:
        """One byte of a batch changes on a terminal's disk while the terminal is down. It may be committed or not."""
        name = self._one_of(list(self.crew), pick)
        member, spools = self.crew[name], self.spools[name]
        self.stack.hold(name)
        try:
            now = spools.look(member.spool)
            found = _records(member.spool)
            file, at, seq = found[-1 - int(pick * 997) % min(len(found), NEWEST)]
            data = bytearray(file.read_bytes())
            data[at] ^= 1
            file.write_bytes(data)
            if seq > recorded_state.acked(member.spool):  # what was acknowledged must be stored whatever rots
                spools.damaged.add((now.epoch, seq))
            self.touched.add(name)
        finally:
            self.stack.resume(name)
        return f"a byte of batch {seq} of {name} rotted"

    def restore(self, pick: float) -> str:
        """A simulated terminal's spool is replaced by a copy that is some seconds old; it goes on from there."""
        name = self._one_of([name for name, one in self.crew.items() if one.source == "SIMULATOR"], pick)
        member, spools = self.crew[name], self.spools[name]
        image = self.stack.folder / f"image-{name}"
        shutil.rmtree(image, ignore_errors=True)
        self.stack.hold(name)
        shutil.copytree(member.spool, image)
        self.stack.resume(name)
        before, last = spool.epoch_of(image), max(recorded_state.sent_by(image).batches, default=0)
        # Only what the server has committed beyond the copy makes the two differ.
        self.stack.until(lambda: recorded_state.acked(member.spool) > last, seconds=RECOVER_S)
        self.stack.hold(name)
        try:
            lost = spools.look(member.spool)
            acked = recorded_state.acked(member.spool)
            shutil.rmtree(member.spool)
            image.rename(member.spool)
            kept = recorded_state.sent_by(member.spool).batches if lost.epoch == before else {}
            spools.excused |= {(lost.epoch, seq) for seq in lost.batches if seq > acked and seq not in kept}
            self.touched.add(name)
        finally:
            self.stack.resume(name)
        if not self.stack.until(lambda: spool.epoch_of(member.spool) != before, seconds=RECOVER_S):
            self.broken.append(f"{name} was restored from an older copy and kept its epoch for {RECOVER_S:g} s")
            return self.broken[-1]
        return f"{name} was restored {len(lost.batches) - len(kept)} batches back and began a new epoch"

    def rollover(self, pick: float) -> str:
        """An old day of the replay goes to history, and whoever moves it is killed on the way."""
        with recorded_state.book(self.stack.database) as book:
            days = [
                date.isoformat()
                for (date,) in book.rows("SELECT DISTINCT trade_date FROM ingest_batch_day ORDER BY trade_date")
            ]
        if len(days) < 2:
            return "no day is over yet"
        date = self._one_of(days[:-1], pick)
        command = [sys.executable, "manage.py", "rollover", "--date", date]
        with (self.stack.folder / "log/rollover.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            self.stack.wait(ROLLOVER_S[0] + pick * (ROLLOVER_S[1] - ROLLOVER_S[0]))
            ended = process.poll()
            process.kill()
            process.wait()
        return f"the rollover of {date} " + ("was killed" if ended is None else f"ended with status {ended}")

    @staticmethod
    def _one_of(names: list[str], pick: float) -> str:
        return names[int(pick * len(names))]


def _records(folder: Path) -> list[tuple[Path, int, int]]:
    """(file, place of a byte within its payload, seq) of every whole batch of a spool."""
    epoch = spool.epoch_of(folder)
    found = []
    for file in sorted(folder.rglob("*.seg")):
        head = segments.read_head(file)
        if head is None or head[0] != epoch:
            continue
        data = file.read_bytes()
        for at, seq, payload in segments.scan(data, head[1]):
            found.append((file, data.index(bytes(payload), at) + len(payload) // 2, seq))
    return found
