"""What is asked, of how much, and what it may cost."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

FEED = "krx"
SYMBOL = "005930"
SYMBOLS = [SYMBOL, *(f"{number:06d}" for number in range(100, 199))]
DAYS = 20  # 1,000 candles of five minutes are 13 of them, and must be finished
MINUTES, TRADES_A_MINUTE = 390, 2  # of each day of SYMBOL
OTHERS_DAYS, OTHERS_MINUTES = 3, 30  # with trades of the others

FINISHED, TRADES = "1,000 candles of 1Min", "1,000 trades"
_BARS = "/v2/stocks/{symbol}/bars?timeframe={timeframe}&limit={limit}&start={start}"
_TICKS = "/v2/stocks/{symbol}/trades?limit={limit}&start={start}"
_LATEST = "/v2/stocks/{what}?symbols={symbols}"


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of request. `must_ms` of CPU, `earlier_ms` is what the same cost before it was looked at; one that is
    `cold` is another question every time, so that nothing of it is kept."""

    name: str
    template: str
    timeframe: str = ""
    limit: int = 0
    what: str = ""
    must_ms: float | None = None
    earlier_ms: float | None = None
    cold: bool = False
    requests: int = 200

    def path(self, first: datetime.date, number: int = 0) -> str:
        """Where the request of this number asks for what was stored since a date."""
        start = (first - datetime.timedelta(days=1)).isoformat()
        return self.template.format(
            symbol=SYMBOL, timeframe=self.timeframe, limit=self.limit, what=self.what, symbols=",".join(SYMBOLS),
            start=f"{start}T00:00:00.{number:06d}Z" if self.cold else start,
        )  # fmt: skip


CASES = (
    Case(FINISHED, _BARS, "1Min", 1000, must_ms=3.0, earlier_ms=29.0),
    Case(f"{FINISHED}, never asked before", _BARS, "1Min", 1000, earlier_ms=29.0, cold=True),
    Case("1,000 candles of 5Min", _BARS, "5Min", 1000, earlier_ms=67.0),
    Case("1,000 candles of 5Min, never asked before", _BARS, "5Min", 1000, earlier_ms=67.0, cold=True, requests=60),
    Case("9 candles of 1Day", _BARS, "1Day", 9, earlier_ms=130.0),
    Case("9 candles of 1Day, never asked before", _BARS, "1Day", 9, earlier_ms=130.0, cold=True),
    Case(TRADES, _TICKS, limit=1000, must_ms=6.0, earlier_ms=31.0),
    Case("10,000 trades", _TICKS, limit=10_000, earlier_ms=106.0, requests=60),
    Case("snapshots of 100 symbols", _LATEST, what="snapshots", earlier_ms=386.0, requests=60),
    Case("latest trades of 100 symbols", _LATEST, what="trades/latest", requests=60),
    Case("latest quotes of 100 symbols", _LATEST, what="quotes/latest", requests=60),
    Case("latest candles of 100 symbols", _LATEST, what="bars/latest", requests=60),
)
