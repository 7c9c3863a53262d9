"""What DuckDB and polars find in Parquet files, in a process of its own: `python -m tests.integration.readers GLOB`.

A process of its own, because both have threads and must not be loaded where something may fork.
"""

from __future__ import annotations

import json
import subprocess
import sys

Answer = list[list[str | None]]
_COLUMNS = ("symbol", "feed", "kind", "side", "source", "price", "size", "bid", "ask", "seq", "tick_id", "trade_date")


def ask(pattern: str) -> tuple[Answer, Answer]:
    """Every row as texts, in order of tick_id: as DuckDB reads them, and as polars does. Times are in microseconds."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, pattern], capture_output=True, text=True, check=True, timeout=300
    )
    duck, bear = json.loads(done.stdout)
    return duck, bear


def main(pattern: str) -> None:
    import duckdb
    import polars as pl

    shown = ", ".join(f"CAST({name} AS VARCHAR)" for name in _COLUMNS)
    duck = duckdb.execute(
        f"SELECT {shown}, CAST(epoch_us(event_time) AS VARCHAR) FROM read_parquet(?) ORDER BY tick_id",
        [pattern],
    ).fetchall()
    frame = pl.scan_parquet(pattern).sort("tick_id").collect()
    times = frame.get_column("event_time").dt.epoch("us")
    bear = frame.select(pl.col(name).cast(pl.String) for name in _COLUMNS).with_columns(times.cast(pl.String)).rows()
    sys.stdout.write(json.dumps([duck, bear]))


if __name__ == "__main__":
    main(sys.argv[1])
