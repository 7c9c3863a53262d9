"""What features cost of a day of which every candle was revised: `python -m tests.bench.analytics.features`.

A symbol has 1,000,000 trades in 390 minutes. In each minute the last tenth of them came late: in one batch (`one`), or
in batches of 20 trades, each with a moment of its own (`many`). The last line is JSON, in ms of CPU: versions of the
candles, and the rows of each minute with all indicators.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np

from analytics.indicators import registry
from marketdata.types import tick_arrays
from marketdata.types.tick_arrays import Int64, Ticks
from terminals import wire
from tests import market

MINUTES = 390
LATE_SHARE, LATE_US, TOGETHER = 0.1, 150_000_000, 20


def day(trades: int, *, many: bool) -> tuple[Ticks, Int64]:
    """(trades in order of time, when each was known)."""
    made = tick_arrays.empty("krx", 4, trades, ["005930"])
    made.symbol[:] = 0
    at = np.arange(trades)
    made.time_us[:] = market.NINE_US + at * (MINUTES * market.MINUTE_US) // trades
    made.kind[:] = wire.Kind.TRADE
    made.price[:] = market.price("70000") + np.random.default_rng(7).integers(-50, 50, trades) * market.price("100")
    made.size[:] = market.size("1") * (1 + at % 50)
    made.trade_date[:] = 20_528
    made.tick_id[:] = market.tick_id(1, 0) + at
    within = made.time_us % market.MINUTE_US / market.MINUTE_US
    late = within >= 1 - LATE_SHARE
    known = made.time_us + 50_000
    if many:
        known[late] = known[late] // 1_000_000 * 1_000_000 + LATE_US + at[late] // TOGETHER % 1_000
    else:
        known[late] = made.time_us[late] // market.MINUTE_US * market.MINUTE_US + market.MINUTE_US + LATE_US
    return made, known


def measure(trades: int, *, many: bool) -> dict[str, float]:
    """ms of CPU."""
    from analytics.features import rows, versions
    from analytics.series import timeframes

    made, known = day(trades, many=many)
    began = time.process_time()
    told = versions.of_trades(made, known, np.full(trades, versions.FOREVER, np.int64))
    between = time.process_time()
    chosen = [(one, dict(one.defaults)) for one in registry.ALL]
    found = rows.build(
        told, timeframes.MINUTE, "Asia/Seoul", chosen=chosen, grace_us=1_000_000, first_us=market.NINE_US,
        end_us=market.NINE_US + MINUTES * market.MINUTE_US,
    )  # fmt: skip
    ended = time.process_time()
    assert len(found) == MINUTES
    name = "many" if many else "one"
    return {
        f"versions_{name}": len(told),
        f"of_trades_{name}_ms": round(1000 * (between - began)),
        f"rows_{name}_ms": round(1000 * (ended - between)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analytics.features", description=__doc__)
    parser.add_argument("--trades", type=wire.options.between(1_000, 5_000_000), default=1_000_000)
    given = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
    import django

    django.setup()
    found: dict[str, float] = {}
    for many in (False, True):
        found |= measure(given.trades, many=many)
        print(found, flush=True)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
