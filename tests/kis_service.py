"""KIS's REST service for a day as a process of its own: `python -m tests.kis_service` prints its URL and ends with its
standard input. The day can be played here as well, so that a test knows what the service answers."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.simulators.kis.market import KST, Market, Trade
from tests.simulators.kis.rest import Key, RestSimulator

ROOT = Path(__file__).parents[1]
DATE = datetime.date(2026, 3, 16)
NOW = datetime.datetime.combine(DATE, datetime.time(20, 15), KST)
CLOSED = DATE + datetime.timedelta(days=3)
APPKEY, APPSECRET = "PSk" + "k" * 33, "s" * 90 + "T" * 90
MINUTES = (0, 1, 2, 3, 4, 40, 41, 170)
"""In which minutes after nine each stock trades, ten times each."""


def played() -> tuple[Market, list[Trade]]:
    """The market after the day, and its trades in the order of time."""
    market = Market(seed=7, symbols=12)
    nine = datetime.datetime.combine(DATE, datetime.time(9), KST)
    trades = [
        market.trade(stock, nine + datetime.timedelta(minutes=minute, seconds=5 * second))
        for minute in MINUTES
        for second in range(10)
        for stock in market.stocks.values()
    ]
    return market, trades


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Path]]:
    """(the URL of the service in a process of its own, a file with keys that it knows)."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kis_service"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        keys = folder / "kis.toml"
        keys.write_text(f'[[account]]\nappkey = "{APPKEY}"\nappsecret = "{APPSECRET}"\nrest_url = "{url}"\n')
        keys.chmod(0o600)
        try:
            yield url, keys
        finally:
            process.stdin.close()
            process.wait(timeout=60)


async def _serve() -> None:
    market, _ = played()
    service = RestSimulator(market, [Key(APPKEY, APPSECRET)], now=lambda: NOW, closed=frozenset({CLOSED}))
    sys.stdout.write(f"{await service.start()}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await service.stop()


if __name__ == "__main__":
    asyncio.run(_serve())
