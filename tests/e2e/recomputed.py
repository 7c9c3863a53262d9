"""Minute candles of a file of trades, made by polars in a process of its own: `python -m tests.e2e.recomputed FILE`.

A process of its own, because polars has threads and must not be loaded where something may fork.
"""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.candle import Candle

_DECIMALS = ("open", "high", "low", "close", "volume", "value")


def candles(file: Path) -> list[Candle]:
    """The candles of the file, sorted."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(file)], capture_output=True, text=True, check=True, timeout=300
    )
    return sorted(
        Candle(
            symbol=symbol,
            minute_us=int(minute),
            n=int(n),
            **{name: Decimal(text) for name, text in zip(_DECIMALS, decimals, strict=True)},
        )
        for symbol, minute, *decimals, n in json.loads(done.stdout)
    )


def main(file: str) -> None:
    import polars as pl

    trades = pl.read_csv(file, schema_overrides={"price": pl.String, "size": pl.String, "ts": pl.Int64})
    price, size = pl.col("price").cast(pl.Decimal(38, 8)), pl.col("size").cast(pl.Decimal(38, 6))
    minutes = (
        trades.with_columns(minute=pl.col("ts") // 60_000_000_000 * 60_000_000, price=price, size=size)
        .with_columns(value=pl.col("price") * pl.col("size"))
        .group_by("symbol", "minute", maintain_order=True)
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("size").sum().alias("volume"),
            pl.col("value").sum(),
            pl.len().alias("n"),
        )
    )
    rows = [[str(value) for value in row] for row in minutes.iter_rows()]
    sys.stdout.write(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1])
