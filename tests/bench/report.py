"""Writes docs/benchmarks.md: what was measured, on what, how often, how far the runs lie apart."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from importlib import metadata
from pathlib import Path

import psutil

from tests.bench import latency, raw, throughput, waiting
from tests.bench.latency import Latency
from tests.bench.stack import SYMBOLS_EACH, TERMINALS, Stack
from tests.bench.throughput import Round

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/benchmarks.md"
TEMPLATE = Path(__file__).with_name("page.md")
PACKAGES = ("celery", "kombu", "redis", "django", "channels", "daphne", "mysqlclient", "numpy", "msgpack")


def versions(stack: Stack) -> dict[str, str]:
    """Of the servers and the packages that matter."""
    found = {"python": platform.python_version(), "mariadb": str(stack.rows("SELECT VERSION()")[0][0])}
    found |= {"redis-server": stack.redis_version()}
    return found | {"redis-py" if name == "redis" else name: metadata.version(name) for name in PACKAGES}


def write(
    rounds: list[Round],
    waits: Latency,
    figures: dict[str, float],
    found: dict[str, str],
    *,
    seconds: float,
    workers: int,
) -> None:
    """Replace the page."""
    ratios = [one.committed_per_s / one.raw_per_s for one in rounds]
    raws, roads = [one.raw_per_s for one in rounds], [one.committed_per_s for one in rounds]
    cpu = {name: statistics.median(one.cpu_us_per_tick[name] for one in rounds) for name in rounds[0].cpu_us_per_tick}
    memory = psutil.virtual_memory().total / 2**30
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(
        TEMPLATE.read_text(encoding="utf-8").format(
            ratio=figures["ratio"],
            committed=figures["committed_per_s"],
            raw=figures["raw_load_per_s"],
            rate=waits.per_s,
            p50=waits.p50,
            p99=waits.p99,
            worst=waits.worst,
            memory=max([waits.rss_mib, *(one.rss_mib for one in rounds)]),
            machine=f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {_system()}",
            versions=", ".join(f"{name} {version}" for name, version in found.items()),
            date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            workers=workers,
            terminals=TERMINALS,
            symbols=SYMBOLS_EACH,
            batch=throughput.BATCH_ROWS,
            seconds=seconds,
            rounds=len(rounds),
            statement=raw.STATEMENT_ROWS,
            table="\n".join(
                f"| {number} | {one.raw_per_s:,.0f} | {one.committed_per_s:,.0f} | {ratio:.2f} | {one.sent:,} "
                f"| {one.stored:,} |"
                for number, (one, ratio) in enumerate(zip(rounds, ratios, strict=True), start=1)
            ),
            raw_spread=_spread(raws),
            committed_spread=_spread(roads),
            ratio_spread=f"{min(ratios):.2f} to {max(ratios):.2f}",
            numbers=", ".join(str(number) for number in range(1, len(rounds) + 1)),
            top=max(raws + roads) / 1000 * 1.1,
            bars=", ".join(f"{value / 1000:.0f}" for value in raws),
            line=", ".join(f"{value / 1000:.0f}" for value in roads),
            cpu=", ".join(f"{name} {value:.1f}" for name, value in cpu.items()),
            asked=latency.RATE,
            small=latency.BATCH_ROWS,
            flush=latency.FLUSH_S * 1000,
            sent=waits.sent,
            settle=latency.SETTLE_S,
            counted=waits.ticks,
        ),
        encoding="utf-8",
    )


def write_waiting(waits: waiting.Waits) -> None:
    """Put what a person waits for at the end of the page, in place of what stood there."""
    section = waiting.section(waits)
    kept = PAGE.read_text(encoding="utf-8").partition(section.partition("\n")[0])[0].rstrip()
    PAGE.write_text(f"{kept}\n\n{section}", encoding="utf-8")


def _spread(values: list[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _system() -> str:
    return f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}"
