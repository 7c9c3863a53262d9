"""`make bench-scale`: what more workers, servers, rows of history, sockets and symbols do, on private servers with
MariaDB. Writes docs/benchmarks-scale.md, its picture and its figures, from which docs/capacity.md is counted; ends with
one JSON line, and with status 1 if a part failed or something is slower beside more rows than it may be: these are
`failed` and `missed` there. Each part runs in a process of its own; `--only NAME` runs one, shows what it found and
writes nothing but a file that `--into` names."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from terminals import wire
from tests.bench import calibration, processes, results
from tests.bench.scale import figures, history, page, roads, sockets, symbols

DATABASES = ("mariadb", "postgresql")
STOPPED = 130


@dataclass(frozen=True, slots=True)
class Part:
    """What runs, and the type of what it finds."""

    says: str
    run: Callable[[argparse.Namespace], object]
    finds: Any


def _symbols(number: int) -> Part:
    return Part(
        f"{number:,} symbols", lambda given: symbols.run(given.database, number, seconds=given.seconds), symbols.Symbols
    )


PARTS = {
    "roads": Part(
        "workers and ingest servers", lambda given: roads.run(given.database, seconds=given.seconds), list[roads.Road]
    ),
    "sockets": Part("sockets", lambda given: sockets.run(given.database, seconds=given.seconds), list[sockets.Sockets]),
    **{f"symbols-{number}": _symbols(number) for number in symbols.SYMBOLS},
    "history": Part(
        "rows of history",
        lambda given: history.run(given.database, rows=given.history, seconds=given.seconds),
        history.History,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--seconds", type=wire.options.decimal(0), default=4.0, help="of load for each figure (4)")
    parser.add_argument(
        "--history", type=wire.options.between(history.FIRST, history.MOST), default=history.DEFAULT,
        help=f"rows of history ({history.DEFAULT:,}, at most {history.MOST:,})",
    )  # fmt: skip
    parser.add_argument("--database", choices=DATABASES, default=DATABASES[0])
    parser.add_argument("--only", choices=[*PARTS, "symbols"], help="one part, which is shown and not written")
    parser.add_argument("--into", type=Path, help="with --only: a file that gets what was found, as JSON")
    parser.add_argument(
        "--keep", type=Path, help="a folder for what each part found; a part that is there is not run again"
    )
    given = parser.parse_args()
    if given.seconds < 4:
        parser.error("--seconds is at least 4")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        if given.only == "symbols":
            return max(_apart(name, given, None) for name in PARTS if name.startswith("symbols-"))
        return _one(given) if given.only else _all(given)
    except KeyboardInterrupt:
        print("stopped, nothing was written", file=sys.stderr)
        return STOPPED


def _one(given: argparse.Namespace) -> int:
    found = PARTS[given.only].run(given)
    text = msgspec.json.encode(found)
    if given.into:  # whoever reads the file judges it
        given.into.write_bytes(text)
        return 0
    print(msgspec.json.format(text).decode())
    missed = found.missed() if isinstance(found, history.History) else {}
    if missed:
        print(json.dumps({"missed": missed}, separators=(",", ":")))
    return int(bool(missed))


def _apart(name: str, given: argparse.Namespace, into: Path | None) -> int:
    options = [f"--seconds={given.seconds:g}", f"--history={given.history}", f"--database={given.database}"]
    return processes.run_apart(
        ["tests.bench.scale", "--only", name, *options, *(["--into", str(into)] if into is not None else [])]
    )


def _all(given: argparse.Namespace) -> int:
    """Every part, then the page. A part that fails is named there, and in the status."""
    began, started, before = results.now(), time.monotonic(), calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    kept: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, part) in enumerate(PARTS.items(), start=1):
            print(f"\n[{number}/{len(PARTS)}] {part.says}", flush=True)
            into = folder / f"{name}.json"
            if into.exists():
                kept[name] = results.moment(into.stat().st_mtime)
            if not into.exists() and (status := _apart(name, given, into)):
                failed[name] = f"ended with status {status}"
                print(f"{name} {failed[name]}", file=sys.stderr, flush=True)
            else:
                found[name] = msgspec.json.decode(into.read_bytes(), type=part.finds)
    whole = figures.Scale(
        machine=results.machine(),
        database=given.database,
        began=began,
        minutes=round((time.monotonic() - started) / 60, 1),
        seconds=given.seconds,
        before=before,
        after=calibration.measure(),
        packages=results.packages(),
        roads=found.get("roads", []),
        sockets=found.get("sockets", []),
        symbols=[one for name, one in found.items() if name.startswith("symbols-")],
        history=found.get("history"),
        failed=failed,
        kept=kept,
    )
    figures.write(whole)
    page.write(whole)
    print(f"\nwritten: {figures.FILE.name}, {page.PAGE.name}, {page.PICTURE.name}", flush=True)
    told = page.summary(whole)
    print(json.dumps(told, separators=(",", ":")))
    return int(bool(told["failed"] or told["missed"]))


if __name__ == "__main__":
    sys.exit(main())
