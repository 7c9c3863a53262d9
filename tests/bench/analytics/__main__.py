"""`make bench-analytics`: each indicator of 1,000,000 candles against TA-Lib or polars, minute candles of 1,000,000
ticks against polars, statistics with 1, 2 and 4 workers, how long an alert takes and what rules cost, and what the page
of prices costs a browser, on a private MariaDB each. Writes docs/benchmarks-analytics.md with its picture, and ends
with one JSON line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from tests.bench import calibration, candles, results
from tests.bench.analytics import indicators, page, statistics
from tests.bench.analytics.indicators import Indicators
from tests.bench.candles import Candles


def main() -> int:
    begun, clock = results.now(), time.monotonic()
    before = calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    found = (
        summary(candles.run(), indicators.run())
        | _apart("alerts")
        | _apart("dashboard")
        | statistics.measure("mariadb")
    )
    minutes = (time.monotonic() - clock) / 60
    page.write(page.Whole(begun, minutes, before, calibration.measure(), found))
    print(json.dumps(found, separators=(",", ":")))
    return 0


def _apart(module: str) -> dict[str, Any]:
    """The figures of a module, from a process of its own: Django has one configuration. RuntimeError if it failed."""
    command = [sys.executable, "-m", f"tests.bench.analytics.{module}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise RuntimeError(f"python -m tests.bench.analytics.{module} ended with status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(made: Candles, found: Indicators) -> dict[str, Any]:
    """The figures of the last line: ms are CPU of one thread, ratios ours by the other's. Candles are those of ticks in
    order of time within twenty minutes."""
    first = made.cases[0]
    return {
        "candles_1m_ms": round(first.naru, 1),
        "polars_ms": round(first.polars, 1),
        "ratio": round(first.ratio, 2),
        "indicators_ms": {one.name: round(one.naru, 1) for one in found.compared},
        "talib_ratio": _ratios(found, "TA-Lib"),
        "polars_ratio": _ratios(found, "polars"),
    }


def _ratios(found: Indicators, beside: str) -> dict[str, float]:
    return {one.name: round(one.ratio, 2) for one in found.compared if one.beside == beside}


if __name__ == "__main__":
    raise SystemExit(main())
