"""Daily candles in place of others, and what is noted of candles that became others than by a commit."""

from __future__ import annotations

import datetime
import time
from collections.abc import Collection, Sequence
from typing import Any

from marketdata.storage.base import NotWholeError, Series
from marketdata.storage.candlereads import CandleReads
from marketdata.types import feed_changes
from marketdata.types.feed_changes import What
from marketdata.types.units import day_of


class ChangedCandles(CandleReads):
    """What a backend inherits once it has the words."""

    def _note_change(self, what: What, feed: str, symbol: str, content: str) -> None:
        """For whoever tells others of it, with the transaction that goes on."""
        self._changed(
            "INSERT INTO feed_change (what, feed, symbol, content, changed_us) VALUES (%s, %s, %s, %s, %s)",
            [str(what), feed, symbol, content, time.time_ns() // 1000],
        )

    def _replace_daily(
        self, date: datetime.date, statement: str, params: Sequence[Any], proven: Collection[Series] | None
    ) -> int:
        """What `build_daily` does, with the statement that fills the date."""
        day = [self._day(day_of(date))]
        with self.transaction():
            before = self._daily_of(date)
            self._changed("DELETE FROM market_data WHERE trade_date = %s", day)
            made = self._changed(statement, params)
            after = self._daily_of(date)
            fewer = sorted(one for one, (n, _) in before.items() if after.get(one, (0, None))[0] < n)
            if proven is not None and (unproven := [one for one in fewer if one not in proven]):
                symbol, feed = unproven[0]
                raise NotWholeError(
                    f"{len(unproven):,} daily candles have more trades than their minute candles, first {symbol}"
                    f" {feed}: {before[unproven[0]][0]:,}, not {after.get(unproven[0], (0, None))[0]:,}. All daily"
                    f" candles of the day stay as they are. `manage.py rebuild_candles {date}` makes both from the"
                    " ticks, if these are whole"
                )
            changed: dict[str, list[str]] = {}
            for one in before.keys() | after.keys():
                if before.get(one) != after.get(one):
                    changed.setdefault(one[1], []).append(one[0])
            for feed, symbols in sorted(changed.items()):
                self._note_change(What.DAYS, feed, "", feed_changes.days(date.isoformat(), symbols))
        return made

    def _daily_of(self, date: datetime.date) -> dict[Series, tuple[int, tuple[Any, ...]]]:
        """(trades, all there is) of each daily candle of a date."""
        rows = self._query(
            f"SELECT symbol, feed, n, {self.DAILY_BAR} FROM market_data WHERE trade_date = %s",
            [self._day(day_of(date))],
        )
        return {(symbol, feed): (int(n), tuple(bar)) for symbol, feed, n, *bar in rows}
