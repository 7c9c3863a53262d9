"""Writes docs/benchmarks-api.md and its picture from what was found; nothing is measured here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench import picture, report, results
from tests.bench.api import measure
from tests.bench.api.cases import CASES, DAYS, SYMBOLS
from tests.bench.api.measure import FanOut, Measured, Rate
from tests.bench.calibration import Calibration
from tests.bench.picture import Bar, Panel

PAGE = report.ROOT / "docs/benchmarks-api.md"
PICTURE = report.ROOT / "docs/images/benchmarks-api.svg"
PACKAGES = ("django", "djangorestframework", "channels", "daphne", "twisted", "uvicorn", "uvloop", "numpy", "msgspec")
TEMPLATE = Path(__file__).with_name("page.md")


@dataclass(frozen=True, slots=True)
class Whole:
    """One run: when, how long, with which packages, and what was found on each database."""

    began: str
    minutes: float
    seconds: float
    before: Calibration
    after: Calibration
    found: list[Measured]
    packages: dict[str, str]


def write(whole: Whole) -> None:
    """Replace the page and the picture."""
    PICTURE.write_text(
        picture.draw(
            panels(whole),
            caption=caption(whole),
        ),
        encoding="utf-8",
    )
    PAGE.write_text(text(whole), encoding="utf-8")


def caption(whole: Whole) -> str:
    """The line below the picture."""
    return results.caption("bench-api", whole.began, whole.before, whole.after, results.machine())


def text(whole: Whole) -> str:
    """The whole page."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        machine=results.machine(),
        versions=", ".join(f"{name} {version}" for name, version in whole.packages.items()),
        began=whole.began,
        minutes=whole.minutes,
        before=whole.before,
        after=whole.after,
        seconds=whole.seconds,
        days=DAYS,
        symbols=len(SYMBOLS),
        batch=measure.BATCH_TRADES,
        databases=" | ".join(report.NAMES[one.database] for one in whole.found),
        line="|---" * len(whole.found),
        budget="\n".join(_budget(whole)),
        costs="\n".join(_costs(whole)),
        rates="\n".join(
            f"| {one.server} | {one.processes} | {one.clients} | {one.per_s:,.0f} | {one.p50:.1f} | {one.p99:.1f} "
            f"| {one.cpu:.2f} | {one.clients_cpu:.2f} |"
            for found in whole.found
            for one in found.rates
        ),
        fan_out="\n".join(
            f"| {one.server} | {one.processes} | {one.sockets} | {one.trades:,} | {one.per_s:,.0f} | {one.cpu_us:.2f} |"
            for found in whole.found
            for one in found.fan_out
        ),
    )


def _budget(whole: Whole) -> list[str]:
    """A line for each request that must not cost more than so much."""
    lines = []
    for place, case in enumerate(CASES):
        musts = [case.must_ms] if case.must_ms is not None else []
        musts += [case.earlier_ms / 3] if case.earlier_ms is not None else []
        if musts:
            here = " | ".join(f"**{one.costs[place].cpu:.2f}**" for one in whole.found)
            earlier = "" if case.earlier_ms is None else f"{case.earlier_ms:.0f}"
            lines.append(f"| {case.name} | {earlier} | ≤ {min(musts):.1f} | {here} |")
    return lines


def _costs(whole: Whole) -> list[str]:
    return [
        f"| {report.NAMES[found.database]} | {one.case} | {one.cpu:.2f} ({one.cpu_low:.2f} to {one.cpu_high:.2f}) "
        f"| {one.p50:.2f} | {one.p99:.2f} | {one.size / 1000:,.0f} | {one.requests} |"
        for found in whole.found
        for one in found.costs
    ]


def panels(whole: Whole) -> list[Panel]:
    """What the picture shows of a run."""
    costs = [
        Panel(
            f"A request by REST, {report.NAMES[found.database]}",
            "ms of CPU of the web process, median; less is better",
            [Bar(one.case.replace(", never asked before", ", new"), one.cpu, f"{one.cpu:.1f}") for one in found.costs],
        )
        for found in whole.found
    ]
    rates = [
        Bar(f"{_who(one)}: {one.clients} clients", one.per_s, f"{one.per_s:,.0f}", one.server == measure.DAPHNE)
        for found in whole.found
        for one in found.rates
    ]
    told = [
        Bar(f"{_who(one)}: {one.sockets} sockets", one.per_s, f"{one.per_s:,.0f}", one.server == measure.DAPHNE)
        for found in whole.found
        for one in found.fan_out
    ]
    return [
        *costs,
        Panel("1,000 finished candles", "answers a second; more is better", rates),
        Panel("Trades told to all sockets together", "a second; more is better", told),
    ]


def _who(one: Rate | FanOut) -> str:
    return f"{one.server} × {one.processes}"
