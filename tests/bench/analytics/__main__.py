"""`make bench-analytics`: each indicator of 1,000,000 candles against TA-Lib, and minute candles of 1,000,000 ticks
against polars, and statistics with 1, 2 and 4 workers on a private MariaDB. Shows what it found, writes nothing, and
ends with one JSON line."""

from __future__ import annotations

import json
from typing import Any

from tests.bench import calibration, candles
from tests.bench.analytics import indicators, statistics
from tests.bench.analytics.indicators import Indicators
from tests.bench.candles import Candles


def main() -> int:
    before = calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    found = summary(candles.run(), indicators.run()) | statistics.measure("mariadb")
    print(json.dumps(found, separators=(",", ":")))
    return 0


def summary(made: Candles, found: Indicators) -> dict[str, Any]:
    """The figures of the last line: ms are CPU of one thread, ratios ours by the other's. Candles are those of ticks in
    order of time within twenty minutes."""
    first = made.cases[0]
    return {
        "candles_1m_ms": round(first.naru, 1),
        "polars_ms": round(first.polars, 1),
        "ratio": round(first.ratio, 2),
        "indicators_ms": {one.name: round(one.naru, 1) for one in found.compared},
        "talib_ratio": {one.name: round(one.ratio, 2) for one in found.compared},
    }


if __name__ == "__main__":
    raise SystemExit(main())
