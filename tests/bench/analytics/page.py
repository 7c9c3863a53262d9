"""Writes docs/benchmarks-analytics.md and its picture from what was found; nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import picture, report, results
from tests.bench.analytics import alerts, dashboard
from tests.bench.calibration import Calibration
from tests.bench.picture import Bar, Panel

PAGE = report.ROOT / "docs/benchmarks-analytics.md"
PICTURE = report.ROOT / "docs/images/benchmarks-analytics.svg"
PACKAGES = ("django", "numpy", "polars", "TA-Lib")
TEMPLATE = Path(__file__).with_name("page.md")


@dataclass(frozen=True, slots=True)
class Whole:
    """One run: when, how long, and the figures of its last line."""

    began: str
    minutes: float
    before: Calibration
    after: Calibration
    found: Mapping[str, Any]


def write(whole: Whole) -> None:
    """Replace the page and the picture."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(
        picture.draw(
            panels(whole.found),
            caption=caption(whole),
        ),
        encoding="utf-8",
    )
    PAGE.write_text(text(whole), encoding="utf-8")


def caption(whole: Whole) -> str:
    """The line below the picture."""
    return results.caption("bench-analytics", whole.began, whole.before, whole.after, results.machine())


def text(whole: Whole) -> str:
    """The whole page."""
    found = whole.found
    return TEMPLATE.read_text(encoding="utf-8").format(
        machine=results.machine(),
        versions=", ".join(f"{name} {version}" for name, version in results.packages(PACKAGES).items()),
        began=whole.began,
        minutes=whole.minutes,
        before=whole.before,
        after=whole.after,
        candles=found["candles_1m_ms"],
        polars=found["polars_ms"],
        ratio=found["ratio"],
        indicators="\n".join(
            f"| {name} | {found['indicators_ms'][name]} | {ratio} | {beside} |"
            for beside, ratios in (("TA-Lib", found["talib_ratio"]), ("polars", found["polars_ratio"]))
            for name, ratio in ratios.items()
        ),
        statistics="\n".join(
            f"| {workers} | {per_s:,.0f} | {found['stats_cpu_ms'][workers]} |"
            for workers, per_s in found["stats_symbols_per_s"].items()
        ),
        rate=alerts.RATE,
        rules=alerts.RULES,
        batch=alerts.BATCH_ROWS,
        page_rate=dashboard.RATE,
        found=found,
        costs="\n".join(
            f"| {int(count):,} | {us:,.0f} | {found['alert_look_us'][count]:,.0f} |"
            for count, us in found["alert_batch_us"].items()
        ),
    )


def panels(found: Mapping[str, Any]) -> list[Panel]:
    """What the picture shows of a run."""
    waits = [
        Bar(f"{title}: {name}", found[f"{key}_{percentile}"], f"{found[f'{key}_{percentile}']:,.0f}")
        for title, key in (("sent to told", "alert_ms"), ("committed to told", "alert_commit_ms"))
        for name, percentile in (("median", "p50"), ("99 of 100 within", "p99"))
    ]
    costs = [Bar(f"{int(count):,} rules", us, f"{us:,.0f}") for count, us in found["alert_look_us"].items()]
    speeds = [
        Bar(f"{workers} workers", per_s, f"{per_s:,.0f}") for workers, per_s in found["stats_symbols_per_s"].items()
    ]
    candles = [
        Bar("Naru", found["candles_1m_ms"], f"{found['candles_1m_ms']:,.0f}"),
        Bar("polars", found["polars_ms"], f"{found['polars_ms']:,.0f}", ours=False),
    ]
    indicators = [
        Bar(name, ratio, f"{ratio:.2f}")
        for name, ratio in sorted((found["talib_ratio"] | found["polars_ratio"]).items(), key=lambda one: one[1])
    ]
    return [
        Panel("Minute candles of 1,000,000 ticks", "milliseconds of CPU, one thread; less is better", candles),
        Panel("Indicators of 1,000,000 candles", "by the CPU of TA-Lib, or of polars; less is better", indicators),
        Panel("Statistics", "symbols a second; more is better", speeds),
        Panel("From a tick to its alert at a socket", "milliseconds; less is better", waits),
        Panel("Looking at rules beside a commit", "microseconds of CPU a batch; less is better", costs),
    ]
