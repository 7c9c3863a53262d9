"""Builds the images of docker/, brings a profile of docker/compose.yaml up under a name and ports of its own, and has a
terminal outside of it send a simulated market; then kills container after container and accounts for every row.

Needs Linux, a Docker engine, compose and root (secrets belong to root and the containers' group, and what is killed is
a process of the host). BASE names the image to build from; else one is made by mmdebstrap, or Debian's is fetched.
Images stay, named naru-drill; containers, networks and volumes go, however it ends. `up` is when `compose up` begins:
images are built by then, volumes are empty. The last line is one JSON object; status 1 unless nothing is lost, doubled
or different, every container is closed as compose.yaml says, comes back when it is killed and ends when it is asked.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from terminals import wire
from tests.drill import accounting, container_rules, crew, engine, node_contents, recorded_state
from tests.drill.accounting import MINUTE_US, Candle, Series
from tests.drill.container_site import FILES, IMAGE, NODES, SYMBOLS, ContainerSite
from tests.drill.engine import Container, EngineError, Memory
from tests.drill.programs import Programs
from tests.drill.reader import Reader
from tests.drill.recorded_state import Spools
from tests.drill.stack import Terminal
from tests.servers.process import keep as keep_folder
from tests.servers.process import temporary_folder

STRIKES: Final = {
    "single": ("worker", "web", "ingest", "redis", "mariadb"),
    "ha": ("writer", "worker", "web", "ingest", "haproxy", "redis"),
}
"""`writer` is the node that the proxy sends everybody to."""
NAMES: Final = [f"S{number:05}" for number in range(1, SYMBOLS + 1)]
OK: Final = 200
HEAL_S, BAR_S, BACKUP_S, DELIVER_S, CALM_S = 900.0, 600.0, 1800.0, 900.0, 3.0
JUDGED: Final = (
    "lost", "duplicated", "candle_mismatches", "bars_different", "nodes_different", "rejected", "gaps", "dead_letters",
    "not_closed", "out_of_memory", "unfinished",
)  # fmt: skip

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.containers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=FILES, default="single", help="(single)")
    parser.add_argument(
        "--rate", type=wire.options.between(1, 10**5), default=200, metavar="N", help="trades a second (200)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder; a drill that fails keeps it anyway")
    given = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("secrets are made for root and the group of the containers: run it as root")
    try:
        compose = engine.need()
    except EngineError as error:
        parser.error(str(error))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupted)
    for gone in engine.remove_left_behind():
        print(f"taken down: {gone}, which a killed drill left", flush=True)
    drill = Drill(temporary_folder("containers"), given, compose)
    try:
        result = drill.run()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        drill.end(keep=given.keep)
        return 130
    except BaseException:
        with suppress(EngineError):
            print(drill.site.project.tails(), flush=True)
        drill.end(keep=True)
        raise
    failed = any(result[name] for name in JUDGED)
    if failed:
        print(drill.site.project.tails(), flush=True)
    result["left_behind"] = drill.end(keep=failed or given.keep)
    print(json.dumps(result), flush=True)
    return int(failed or result["left_behind"] > 0)


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class Drill:
    """One run: build, up, market, strike, deliver, account. `end` takes everything down."""

    def __init__(self, folder: Path, given: argparse.Namespace, compose: Sequence[str]) -> None:
        self.folder, self.given = folder, given
        self.began = time.monotonic()
        self.site = ContainerSite(folder, given.profile, compose)
        self.programs = Programs(folder)
        self.memory = Memory(self.site.project)
        self.trouble: list[str] = []
        self.windows: dict[str, tuple[int, int]] = {}  # struck, well again (microseconds)
        self.parts: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """All of it; the result, its first keys in the order that is promised."""
        self._build()
        up = self._up()
        _, key_id, key = self.site.add_client("reader")
        reader, member = Reader(self.site.web, (key_id, key)), self.site.market(self.given.rate)
        self.memory.start()
        self.programs.add(member.name, member.command)
        self._first(up, reader)
        not_closed = self._check_closed()
        self._operate()
        self._strike(reader)
        self._deliver(member)
        found = self._account(member)
        bars = self._bars_different(reader, found["candles"])
        self.memory.stop()
        containers = self.site.project.containers()
        killed = self._stop()
        limits = container_rules.limits(self.site.services())
        bounded = sum(limit.memory for name, limit in limits.items() if not containers[name].is_once)
        return {
            "images_s": self.parts["images_s"],
            **{name: self.parts[name] for name in ("healthy_s", "first_trade_s", "first_bar_s")},
            "naru_image_mib": self.parts["images_mib"][IMAGE],
            "rows_sent": found["sent"],
            **{name: found[name] for name in ("lost", "duplicated", "candle_mismatches")},
            "bars_different": bars,
            "profile": self.given.profile,
            **self.parts,
            "containers": len(containers),
            "nodes_different": found["nodes_different"],
            **{name: found[name] for name in ("rejected", "gaps", "dead_letters")},
            "strikes": found["strikes"],
            "not_closed": len(not_closed),
            "out_of_memory": sum(bool(one.told["State"]["OOMKilled"]) for one in containers.values()),
            "ended_by_force": killed,
            "memory_mib": {name: round(used) for name, used in sorted(self.memory.most_mib.items())},
            "memory_at_once_mib": round(self.memory.most_at_once_mib),
            "limits_gib": round(bounded / 2**30, 2),
            "unfinished": len(self.trouble),
            "seconds": round(time.monotonic() - self.began, 1),
        }

    # --- up --------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        began = time.monotonic()
        base = self.site.build()
        self.parts["images_s"] = _since(began)
        self.parts["images_mib"] = self.site.images_mib()
        self._say(f"images built from {base} in {self.parts['images_s']} s: {self.parts['images_mib']} MiB")

    def _up(self) -> float:
        """When `up` began, all services being healthy now."""
        if self.given.profile == "ha":
            began = time.monotonic()
            self.site.make_cluster()
            self.parts["new_cluster_s"] = _since(began)
            self._say(f"`run --rm mariadb new-cluster` took {self.parts['new_cluster_s']} s")
        began = time.monotonic()
        self.site.up()
        self.parts["up_returned_s"] = _since(began)
        self._say(f"`up` returned after {self.parts['up_returned_s']} s")
        seen: dict[str, float] = {}

        def all_well() -> bool:
            found = self.site.project.containers()
            for name, one in found.items():
                if one.is_well and name not in seen:
                    seen[name] = _since(began)
            return bool(found) and all(one.is_well for one in found.values())

        if not self.programs.until(all_well, seconds=HEAL_S):
            raise EngineError(f"not healthy within {HEAL_S:g} s after `up`: {self.site.ill()}")
        self.parts["healthy_s"] = _since(began)
        told = ", ".join(f"{name} {after}" for name, after in sorted(seen.items(), key=lambda item: item[1]))
        self._say(f"every service is healthy {self.parts['healthy_s']} s after `up` began ({told})")
        return began

    def _first(self, up: float, reader: Reader) -> None:
        """Until the first trade is stored, and until its minute's candle is answered from outside after its end."""
        self.parts["market_began_s"] = _since(up)
        self._until(
            lambda: self.site.number("SELECT COUNT(*) FROM temp_market_data WHERE kind = 'trade'") > 0, "first trade"
        )
        self.parts["first_trade_s"] = _since(up)
        self._say(f"the first trade is stored {self.parts['first_trade_s']} s after `up` began")

        def closed() -> list[dict[str, Any]]:
            try:
                found = reader.bars(NAMES)
            except OSError:  # among them 404 before anybody wrote the feed
                return []
            return [bar for bars in found.values() for bar in bars if bar["x"]]

        bar = self._until(closed, "first closed bar", seconds=BAR_S)[0]
        self.parts["first_bar_s"] = _since(up)
        over_us = recorded_state.micros(_moment(bar["t"])) + MINUTE_US
        self.parts["bar_after_its_minute_s"] = round((time.time_ns() // 1000 - over_us) / 1e6, 1)
        self._say(
            f"the first closed bar is answered {self.parts['first_bar_s']} s after `up` began,"
            f" {self.parts['bar_after_its_minute_s']} s after its minute was over: {json.dumps(bar, default=str)}"
        )

    # --- closed ----------------------------------------------------------------------------------------------

    def _check_closed(self) -> list[str]:
        wrong = container_rules.broken(self.site.project.containers(), self.site.services())
        for line in wrong:
            self._say(f"WRONG: {line}")
        if not wrong:
            self._say(
                "every container is closed: read-only, nobody special, no capability, limited as compose.yaml says"
            )
        return wrong

    def _operate(self) -> None:
        """The commands of docker/README.md, where it says that they are given."""
        began = time.monotonic()
        self.site.project.execute("worker-backups", "python3", "manage.py", "backup", "--full", seconds=BACKUP_S)
        self.parts["backup_s"] = _since(began)
        self._say(f"a full backup was made, restored and compared in {self.parts['backup_s']} s")
        # Status 3: something is only slower, later or less safe.
        ask = "python3 manage.py doctor --json || [ $? = 3 ]"
        found = json.loads(self.site.project.execute("worker-backups", "sh", "-c", ask))
        for one in found:
            if one["level"] != "ok":
                self._say(f"doctor, {one['level']}: {one['what']}: {one['value']}, wanted {one['wanted']}")
        self._say(f"doctor looked at {len(found)} things")

    # --- striking --------------------------------------------------------------------------------------------

    def _strike(self, reader: Reader) -> None:
        reader.start()
        for kind in STRIKES[self.given.profile]:
            self.programs.wait(CALM_S)
            service = self.site.writer() if kind == "writer" else self.site.master() if kind == "redis" else kind
            before = self.site.project.container(service)
            struck_us = _now_us()
            os.kill(before.pid, signal.SIGKILL)
            well = partial(self._is_back, service, before)
            if not self.programs.until(well, seconds=HEAL_S):
                self.trouble.append(f"{service} was killed and is not well within {HEAL_S:g} s: {self.site.ill()}")
            since = _now_us()
            if not self.programs.until(partial(self._flows, since), seconds=HEAL_S):
                self.trouble.append(f"nothing is committed after {service} was killed")
            if kind == "web" and not self.programs.until(lambda: reader.ask() == OK, seconds=HEAL_S):
                self.trouble.append(f"no bars are answered after {service} was killed")
            self.windows[service] = struck_us, _now_us()
            self._say(f"killed {service}; all containers are well {(_now_us() - struck_us) / 1e6:.1f} s later")
        reader.stop()
        told = {str(status): count for status, count in sorted(reader.answers.items())}
        self.parts["web_answers"] = told
        self._say(f"somebody asked for bars all the while, and was answered by status (0: not at all): {told}")

    def _is_back(self, service: str, before: Container) -> bool:
        found = self.site.project.containers()
        one = found[service]
        return one.running and one.pid != before.pid and all(each.is_well for each in found.values())

    def _flows(self, since_us: int) -> bool:
        return self.site.number(f"SELECT COUNT(*) FROM ingest_batch WHERE stored > 0 AND committed_us > {since_us}") > 0

    # --- the end ---------------------------------------------------------------------------------------------

    def _deliver(self, member: Terminal) -> None:
        """Stop the market, and let everything arrive."""
        if self.programs.end([member.name]):
            self.trouble.append("the market did not end when asked")
        for what, count in self.programs.own_ends.items():
            self.trouble.append(f"{what}, {count} times")
        certificate, where = str(self.site.secret("ingest_cert")), self.site.ingest_addresses
        self.trouble += crew.deliver([member], server=where, seconds=DELIVER_S, ca_file=certificate)
        if not self.programs.until(lambda: self.site.queued() == 0, seconds=HEAL_S):
            self.trouble.append("the queue of batches is not empty")
        self._say("the market stopped, and everything it sent is committed")

    def _account(self, member: Terminal) -> dict[str, Any]:
        spools = {member.name: Spools()}
        spools[member.name].look(member.spool)
        gone = spools[member.name].missing(member.journal)
        held = {}
        for node in NODES[self.given.profile]:
            with self.site.book(node) as book:
                if self.given.profile == "ha":
                    book.do("SET SESSION wsrep_sync_wait = 1")
                held[node] = node_contents.account(book, spools)
        first = held[NODES[self.given.profile][0]]
        for node, one in held.items():
            for line in [*one.rows.examples, *one.wrong[: accounting.EXAMPLES]]:
                self._say(f"WRONG on {node}: {line}")
        for line in self.trouble:
            self._say(f"WRONG: {line}")
        moments = [moment for _, moment in first.commits]
        strikes = {
            service: {
                "stall_s": round(accounting.longest_pause_us(moments, begin=begin, end=end) / 1e6, 1),
                "well_s": round((end - begin) / 1e6, 1),
            }
            for service, (begin, end) in self.windows.items()
        }
        return {
            "sent": first.rows.sent + gone,
            "lost": max(one.rows.lost for one in held.values()) + gone,
            "duplicated": max(one.rows.duplicated for one in held.values()),
            "candle_mismatches": max(len(one.wrong) for one in held.values()),
            "nodes_different": sum(one.contents != first.contents for one in held.values()),
            "rejected": first.rows.rejected,
            "gaps": first.gaps,
            "dead_letters": first.dead_letters,
            "strikes": strikes,
            "candles": first.candles,
        }

    def _bars_different(self, reader: Reader, candles: dict[Series, Candle]) -> int:
        """How many bars that are answered from outside are not what is stored, or the other way round."""
        stored = {(one.symbol, one.minute_us): candle for one, candle in candles.items()}
        told = {}
        for symbol, bars in reader.bars(NAMES).items():
            for bar in bars:
                prices = [recorded_state.exactly(bar[name], wire.PRICE_SCALE) for name in "ohlc"]
                volume = recorded_state.exactly(bar["v"], wire.SIZE_SCALE)
                told[symbol, recorded_state.micros(_moment(bar["t"]))] = (*prices, volume, bar["n"])
        wanted = {place: (*candle[:5], candle.n) for place, candle in stored.items()}
        different = [place for place in wanted.keys() | told.keys() if wanted.get(place) != told.get(place)]
        for place in sorted(different)[: accounting.EXAMPLES]:
            self._say(f"WRONG: bar {place}: answered {told.get(place)}, stored {wanted.get(place)}")
        self._say(f"{len(told):,} bars are answered from outside, {len(different)} of them not as they are stored")
        return len(different)

    def _stop(self) -> list[str]:
        """Ask all containers to end as `compose stop` does; who did not within its time."""
        asked = datetime.datetime.now(datetime.UTC)
        began = time.monotonic()
        self.site.stop()
        self.parts["stop_s"] = _since(began)
        found = self.site.project.containers()
        took = sorted(((one.ended - asked).total_seconds(), name) for name, one in found.items() if not one.is_once)
        self._say(f"ended after: {', '.join(f'{name} {after:.1f}' for after, name in took)}")
        killed = sorted(name for name, one in found.items() if one.told["State"]["ExitCode"] == 128 + signal.SIGKILL)
        self.trouble += [f"{name} did not end when asked" for name in killed]
        self._say(f"stopped in {self.parts['stop_s']} s; by force: {', '.join(killed) or 'none'}")
        return killed

    def end(self, *, keep: bool) -> int:
        """Take everything down; how many containers, networks and volumes are left all the same."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self.memory.stop()
        for name in self.programs.programs:
            self.programs.hold(name)
        left = self.site.take_down()
        self._say(f"taken down; left behind: {left}")
        if keep:
            self._say(f"kept: {keep_folder(self.folder)}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def _until(self, ready: Callable[[], T], what: str, *, seconds: float = HEAL_S) -> T:
        """The first answer that is true, while programs are watched; EngineError if none comes."""
        answers: list[T] = []

        def ask() -> bool:
            answers[:] = [ready()]
            return bool(answers[0])

        if not self.programs.until(ask, seconds=seconds):
            raise EngineError(f"{what}: not within {seconds:g} s")
        return answers[0]

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


def _moment(told: str) -> datetime.datetime:
    """A time of the API, in UTC."""
    return datetime.datetime.fromisoformat(told).astimezone(datetime.UTC)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    sys.exit(main())
