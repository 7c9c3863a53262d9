"""Kill anything at random under load, then account for every row.

The last line is one JSON object; status 1 unless nothing is lost or doubled, no candle wrong and no promise broken.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import redis

from terminals import spool, wire
from tests.drill import accounting, crew, faults, plan, recorded_state
from tests.drill.plan import Strike
from tests.drill.reader import Reader
from tests.drill.recorded_state import Book, Spools
from tests.drill.stack import Stack, Terminal
from tests.drill.troubles import Troubles
from tests.servers.process import keep as keep_folder
from tests.servers.process import temporary_folder

WORKERS = ("worker1", "worker2")
START_S = 90.0
DELIVER_S = 120.0
SETTLE_S = 2.0
MOST_S = 240.0
FALSE_STARTS = 5
OK = 200
RAW_QUEUE = "raw_market_data"
BESIDE = ("order_books", "market_events", "stock_prices")
BROKEN_ACK = ("ledger lacks acknowledged batches", "resending ranges")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a drill; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kills", type=wire.options.between(0, 10**9), default=25, metavar="N", help="how many SIGKILLs (25)"
    )
    parser.add_argument(
        "--seed", type=wire.options.between(0, 2**31 - 1), help="the same seed, the same order of kills"
    )
    parser.add_argument(
        "--rate",
        type=wire.options.between(1, 10**9),
        default=2_400,
        metavar="N",
        help="rows a second of all terminals (2400)",
    )
    parser.add_argument(
        "--seconds",
        type=wire.options.decimal(0),
        metavar="S",
        help=f"no more kills after this long ({MOST_S:g}; thrice that on Galera, where nodes come back slowly)",
    )
    parser.add_argument("--database", choices=("mariadb", "postgresql", "galera"), default="mariadb", help="(mariadb)")
    parser.add_argument("--keep", action="store_true", help="keep the folder; a drill that fails keeps it anyway")
    given = parser.parse_args(arguments)
    if given.kills < 1 or given.rate < 10:
        parser.error("--kills wants 1 or more, --rate 10 or more")
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupted)
    drill = Drill(
        temporary_folder("drill"),
        kills=given.kills,
        seed=seed,
        rate=given.rate,
        most_s=MOST_S * (3 if given.database == "galera" else 1) if given.seconds is None else given.seconds,
        database=given.database,
    )
    try:
        result = drill.run()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        drill.end(keep=given.keep)
        return 130
    except BaseException:
        print(drill.stack.tails(), flush=True)
        drill.end(keep=True)
        raise
    failed = not fine(result)
    if failed:
        print(drill.stack.tails(), flush=True)
    result["left_behind"] = drill.end(keep=failed or given.keep)
    print(json.dumps(result), flush=True)
    return int(failed or result["left_behind"] > 0)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def fine(result: dict[str, Any]) -> bool:
    """Whether the product kept its promises: each of these counts is zero."""
    return not any(result[name] for name in JUDGED)


JUDGED = (
    "lost", "duplicated", "candle_mismatches", "rejected", "gaps", "dead_letters", "acked_early", "source_breaks",
    "unfinished", "node_differences",
)  # fmt: skip


class Drill:
    """One run: start, strike, deliver, account."""

    def __init__(
        self, folder: Path, *, kills: int, seed: int, rate: int, most_s: float, database: str = "mariadb"
    ) -> None:
        self.stack = Stack(folder, database)
        self.kills, self.seed, self.rate, self.most_s = kills, seed, rate, most_s
        self.folder = folder
        self.crew: list[Terminal] = []
        self.spools: dict[str, Spools] = {}
        self.web = _is_there("api.asgi")
        self.done: Counter[str] = Counter()
        self.acked_early = 0
        self.trouble: list[str] = []
        self.began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """All of it; the result, its first keys in the order that is promised."""
        self._say(f"seed {self.seed}, {self.kills} kills, {self.rate} rows/s, below {self.folder}")
        if not self.web:
            self._say("NOTE: there is no api.asgi in this tree, so no web server is started and none is killed")
        self.stack.start_servers()
        self.crew = crew.enlist(self.folder, servers=[self.stack.ingest_address], rate=self.rate, seed=self.seed)
        self.spools = {member.name: Spools() for member in self.crew}
        self.troubles = Troubles(self.stack, {member.name: member for member in self.crew}, self.spools)
        self.reader = reader = self._reader(crew.enlist_reader())
        self.stack.start(self.crew, web=self.web)
        ends = self.stack.own_ends
        self.stack.until(lambda: self._all_flow() or ends.total() >= FALSE_STARTS, seconds=START_S)
        if not self._all_flow():
            raise RuntimeError(f"not every terminal had a batch committed within {START_S:g} s; {dict(ends)}")
        if self.web:
            self._begin_reading(reader)
        begin_us = time.time_ns() // 1000
        self._say("every terminal has rows committed; the killing begins")
        self._strike()
        self.stack.wait(SETTLE_S)
        end_us = time.time_ns() // 1000
        reader.stop()
        if self.web and not self.stack.until(lambda: reader.ask() == OK, seconds=START_S):
            self.trouble.append(f"the web server does not answer with bars any more, but with status {reader.ask()}")
        self._deliver()
        answers = {"web_answers": reader.answers[OK], "web_failures": failures(reader)}
        return self._account(begin_us, end_us) | answers

    def _reader(self, key: tuple[str, str]) -> Reader:
        return Reader(f"http://127.0.0.1:{self.stack.web_port}", key)

    def _begin_reading(self, reader: Reader) -> None:
        if not self.stack.until(lambda: reader.ask() == OK, seconds=START_S):
            raise RuntimeError(f"the web server gives no bars, but status {reader.ask()}")
        reader.start()

    # --- striking --------------------------------------------------------------------------------------------

    def _strike(self) -> None:
        limit = time.monotonic() + self.most_s
        kinds = [kind for kind in plan.KINDS if kind != "web" or self.web]
        for strike in plan.strikes(self.kills, seed=self.seed, kinds=kinds):
            self.stack.wait(strike.after_s)
            if time.monotonic() > limit:
                self._say(f"--seconds {self.most_s:g} is over")
                return
            if strike.way == "trouble":
                self._trouble(strike)
                continue
            began = time.monotonic()
            name, pid = self._hit(strike)
            self.done[strike.way] += 1
            self.done[f"{strike.way} {strike.kind}"] += 1
            took = time.monotonic() - began
            committed = self._look()
            word = {"kill": "SIGKILL", "pause": "SIGSTOP+SIGCONT", "term": "SIGTERM"}[strike.way]
            shown = f"{committed:,} rows committed" if committed is not None else "the database is away"
            self._say(f"{self.done['kill']:>3}/{self.kills} {word:<15} {name:<14} pid {pid:<7} {took:5.2f} s  {shown}")

    def _trouble(self, strike: Strike) -> None:
        """The database may be starting just now: a trouble that needs it waits for it."""
        began, limit = time.monotonic(), time.monotonic() + START_S
        while True:
            try:
                told = self.troubles.cause(strike.kind, strike.pick)
                break
            except recorded_state.Away:
                if time.monotonic() > limit:
                    raise
                self.stack.wait(0.5)
        self.done[f"trouble {strike.kind}"] += 1
        self._look()
        self._say(f"        {strike.kind:<15} {told}, {time.monotonic() - began:.2f} s")

    def _hit(self, strike: Strike) -> tuple[str, int]:
        if strike.kind == "child":
            return self._hit_child(strike)
        several = {"worker": list(WORKERS), "terminal": [member.name for member in self.crew]}
        names = several.get(strike.kind, [strike.kind])
        name = names[int(strike.pick * len(names))]
        pid = self.stack.pid(name)
        if strike.way == "pause":
            self.stack.pause(pid)
        elif strike.way == "term":
            self.stack.term(name)
        else:
            self.stack.kill(name)
        return name, pid

    def _hit_child(self, strike: Strike) -> tuple[str, int]:
        """A pool process of one of the workers; those may themselves be starting just now."""
        self.stack.until(lambda: any(self.stack.children(name) for name in WORKERS), seconds=START_S)
        found = [(name, pid) for name in WORKERS for pid in self.stack.children(name)]
        if not found:
            raise RuntimeError("no worker has a pool process")
        name, pid = found[int(strike.pick * len(found))]
        if strike.way == "pause":
            self.stack.pause(pid)
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if strike.way == "kill" else signal.SIGTERM)
        return f"{name} child", pid

    def _all_flow(self) -> bool:
        sending = "SELECT COUNT(DISTINCT batch >> 32) FROM ingest_batch WHERE stored > 0"
        try:
            with recorded_state.book(self.stack.database) as book:
                return book.number(sending) == len(self.crew)
        except recorded_state.Away:
            return False

    def _look(self) -> int | None:
        """Rows committed so far; and whether each terminal's acknowledgements are true at this moment."""
        told = {
            (member.name, spool.epoch_of(member.spool)): recorded_state.acked(member.spool)
            for member in self.crew
            if member.spool.exists()
        }
        try:
            with recorded_state.book(self.stack.database) as book:
                self._check_acks(book, told)
                return book.number("SELECT COALESCE(SUM(stored), 0) FROM ingest_batch")
        except recorded_state.Away:
            return None

    def _check_acks(self, book: Book, told: dict[tuple[str, str], int]) -> None:
        """`told` was read before the ledger is asked, so whatever it names must be there."""
        streams = book.streams()
        for place, upto in told.items():
            absent = book.absent(streams.get(place, 0), upto) if upto else 0
            if absent:
                self.acked_early += absent
                self._say(
                    f"BROKEN PROMISE: {place[0]} was told that batches 1 to {upto} are committed, {absent} are not"
                )

    # --- the end ---------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Stop the sources, let everything arrive, then let what is under way come to rest."""
        self._say("the sources stop")
        names = [member.name for member in self.crew]
        self.trouble += [f"{name} did not end when asked" for name in self.stack.end(names)]
        self._look()
        began = time.monotonic()
        delivered = self._delivered()
        self.trouble += delivered
        what = "not everything spooled is committed" if delivered else "everything spooled is committed"
        self._say(f"{what}, after {time.monotonic() - began:.1f} s")
        self.trouble += [f"{name} did not drain" for name in self.stack.end(["ingest"])]
        if not self.stack.until(self._queue_is_empty, seconds=60.0):
            self.trouble.append(f"the queue {RAW_QUEUE} is not empty")
        self.trouble += [f"{name} did not end when asked" for name in self.stack.end([*WORKERS, "beat"])]

    def _delivered(self) -> list[str]:
        """What `crew.deliver` answers; the stack is watched meanwhile."""
        answers: list[list[str]] = []

        def deliver() -> None:
            answers.append(crew.deliver(self.crew, server=self.stack.ingest_address, seconds=DELIVER_S))

        # A daemon, so that an interrupted drill need not wait for it.
        threading.Thread(target=deliver, name="deliver", daemon=True).start()
        self.stack.until(lambda: bool(answers), seconds=2 * DELIVER_S)
        return answers[0] if answers else ["the terminals could not be opened for the delivery"]

    def _queue_is_empty(self) -> bool:
        with redis.Redis.from_url(self.stack.redis.url) as client:
            return int(client.llen(RAW_QUEUE)) == 0

    def _account(self, begin_us: int, end_us: int) -> dict[str, Any]:
        self._say("accounting")
        now = {member.name: self.spools[member.name].look(member.spool) for member in self.crew}
        gone = sum(self.spools[member.name].missing(member.journal) for member in self.crew)
        untouched = [member for member in self.crew if member.name not in self.troubles.touched]
        breaks = sum(crew.skipped(member, now[member.name]) for member in untouched)
        candles = accounting.Candles()
        with recorded_state.book(self.stack.database) as book:
            streams, refused, commits = book.streams(), book.refused(), book.commits()
            excused = recorded_state.excused(self.spools, streams)
            rows = accounting.rows(
                recorded_state.keyed(self.spools, streams),
                itertools.chain(accounting.through(book.ticks(), candles), book.records()),
                refused,
                excused=excused,
                overwritten=recorded_state.overwritten(self.spools, streams),
            )
            beside = {table: book.number(f"SELECT COUNT(*) FROM {table}") for table in BESIDE}
            wrong = accounting.mismatches(candles.all(), book.candles())
            reasons = list(book.rows("SELECT reasons, COUNT(*) FROM ingest_reject GROUP BY reasons"))
            told = {(int(batch) >> 32, int(batch) & 0xFFFFFFFF) for (batch,) in book.rows("SELECT batch FROM gap")}
            dead = [
                (int(batch) >> 32, int(batch) & 0xFFFFFFFF, code)
                for batch, code in book.rows("SELECT batch, code FROM dead_letter")
            ]
        # What a terminal says of a batch that rotted on its disk is kept aside when the server has the batch after all.
        aside = [one for one in dead if one[2] == "checksum_mismatch" and one[:2] in excused]
        differences = self.stack.cluster.differences() if self.stack.cluster is not None else []
        said = self._broken_acks_in_logs()
        self.trouble += self.troubles.broken
        self.trouble += [f"{count} rows were refused: {reason}" for reason, count in reasons]
        for line in [*rows.examples, *wrong[: accounting.EXAMPLES], *self.trouble, *said]:
            self._say(f"WRONG: {line}")
        for table in differences:
            self._say(f"WRONG: not every node has the same: {table}")
        for what, count in sorted(self.stack.own_ends.items()):
            self._say(f"note: {what}, {count} times; it was started again")
        for line in self.stack.last_words:
            self._say(f"note: {line[:200]}")
        struck = faults.counted(self.stack.faults)
        twice = struck.pop(faults.TWICE, 0)
        moments = [moment for _, moment in commits]
        stall_us = accounting.longest_pause_us(moments, begin=begin_us, end=end_us)
        return {
            "kills": self.done["kill"],
            "rows_sent": rows.sent + gone,
            "lost": rows.lost + gone,
            "duplicated": rows.duplicated,
            "candle_mismatches": len(wrong),
            "rows_stored": rows.stored,
            **beside,
            "candles": len(candles.all()),
            "batches": sum(len(sent.batches) for one in self.spools.values() for sent in one.sent.values()),
            "rejected": rows.rejected,
            "gaps": len(told - excused),
            "dead_letters": len(dead) - len(aside),
            "acked_early": self.acked_early + len(said),
            "source_breaks": breaks,
            "unfinished": len(self.trouble),
            "node_differences": len(differences),
            "longest_stall_s": round(stall_us / 1e6, 2),
            "slowest_batch_s": round(recorded_state.slowest_us(self.spools, streams, commits) / 1e6, 2),
            "pauses": self.done["pause"],
            "terms": self.done["term"],
            "slowest_term_s": round(self.stack.slowest_term_s, 2),
            "troubles": {kind: self.done[f"trouble {kind}"] for kind in plan.TROUBLES},
            "rows_taken_from_disks": rows.excused,
            "gaps_told_of_damage": len(told & excused) + len(aside),
            "killed": {kind: self.done[f"kill {kind}"] for kind in plan.KINDS},
            "killed_within_a_transaction": struck,
            "delivered_twice": twice,
            "ended_by_themselves": sum(self.stack.own_ends.values()),
            "seed": self.seed,
            "seconds": round(time.monotonic() - self.began, 1),
        }

    def _broken_acks_in_logs(self) -> list[str]:
        """What ingest server and terminals say when an audit finds that something acknowledged is not in the ledger."""
        found: list[str] = []
        for log in sorted((self.folder / "log").glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{log.name}: {line[:300]}" for line in lines if any(words in line for words in BROKEN_ACK)]
        return found

    def end(self, *, keep: bool) -> int:
        """Stop everything, remove the folder or say where it is; how many processes were left all the same."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        left = self.stack.stop()
        if left:
            self._say(f"WRONG: left behind and killed now: {left}")
        if keep:
            self._say(f"kept: {keep_folder(self.folder)}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return len(left)

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


def failures(reader: Reader) -> dict[str, int]:
    """How often there was no answer, and how often one of each other status: a drill takes the database away, too."""
    failed = {status: count for status, count in sorted(reader.answers.items()) if status != OK}
    return {str(status) if status else "no answer": count for status, count in failed.items()}


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
