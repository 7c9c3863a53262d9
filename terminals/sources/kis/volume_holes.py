"""Loss to the share. Each trade says how much the day has traded with it, so what is missing between two records is
`cumulative - size - what was accounted for`. Starts over with each business date. Knows no clock and no socket.

What is accounted for grows by the size of each trade and by the shares of each hole: the rows and holes that a spool
holds give the same accounts again after a restart (`restore`).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.kis import korean_time
from terminals.wire import Kind

_SYMBOLS: Final = 50_000
_RECENT: Final = 32
_OPEN_HOLES: Final = 32
BEFORE_FIRST: Final = "before_first_trade"
HOLE: Final = "volume_hole"
FELL: Final = "volume_fell"
_TRADE: Final = Kind.TRADE  # in Python 3.11 each look at a member of an enum is a call


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing of a symbol: `missing` in 1e-6, None where the volume of KIS contradicts itself."""

    symbol: str
    from_us: int
    to_us: int
    missing: int | None
    trade_date: int
    reason: str
    at: int = 0
    """Before which of the rows it lies: what is put into a spool in that order can be accounted for again."""


@dataclass(slots=True)
class _Account:
    """One symbol on one date."""

    trade_date: int
    volume: int
    """Cumulative volume that is accounted for, by trades and by holes."""
    time_us: int
    recent: deque[tuple[int, int, int, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """(cumulative volume, time, price, size) of the last trades: what comes again is known by it."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """Volumes from, to that are missing."""
    fell_to: int | None = None


@dataclass(slots=True)
class Found:
    """What came of some rows: those to be sent, and the holes between them."""

    rows: list[Row]
    holes: list[Hole]


class VolumeHoles:
    """The accounts of one terminal, at most 50,000 of (feed, symbol); beyond that nothing is tracked and `untracked`
    counts it. Sizes and volumes in 1e-6."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], _Account] = {}
        self.repeats = 0
        """Trades that had come before and were left out."""
        self.late = 0
        """Trades that came after a hole had been told for them."""
        self.late_volume = 0
        self.fallen = 0
        self.untracked = 0
        self.missing_volume = 0

    def check(self, feed: str, rows: Sequence[Row]) -> Found:
        """Find what is missing before each trade of `rows`, in their order, and leave out what came twice."""
        found = Found([], [])
        keep = found.rows.append
        for row in rows:
            date, cumulative = row.get("trade_date"), row.get("cum_volume")
            if row["kind"] != _TRADE or date is None or cumulative is None:
                keep(row)
                continue
            key = (feed, row["symbol"])
            account = self._accounts.get(key)
            if account is None or account.trade_date < date:
                account = self._begin(key, row, found)
                if account is None:
                    continue
            elif account.trade_date > date:
                self.untracked += 1
                keep(row)
                continue
            before = cumulative - row["size"]
            mark = (cumulative, row["time_us"], row["price"], row["size"])
            if before != account.volume and not self._explain(account, row, before, mark, found):
                continue
            keep(row)
            if cumulative > account.volume:
                account.volume = cumulative
            account.time_us = row["time_us"]
            account.recent.append(mark)
        return found

    def _begin(self, key: tuple[str, str], row: Row, found: Found) -> _Account | None:
        """A symbol's first trade of a date."""
        if key not in self._accounts and len(self._accounts) >= _SYMBOLS:
            self.untracked += 1
            found.rows.append(row)
            return None
        account = self._accounts[key] = _Account(row["trade_date"], 0, korean_time.midnight_us(row["trade_date"]))
        return account

    def _explain(self, account: _Account, row: Row, before: int, mark: tuple[int, int, int, int], found: Found) -> bool:
        """What a trade means that does not follow the last one. False if it is to be left out."""
        if before > account.volume:
            missing = before - account.volume
            reason = HOLE if account.recent or account.volume else BEFORE_FIRST
            found.holes.append(_hole(account, row, missing, reason, len(found.rows)))
            self.missing_volume += missing
            if len(account.holes) < _OPEN_HOLES:
                account.holes.append((account.volume, before))
            account.volume = before
            return True
        if mark in account.recent:
            self.repeats += 1
            return False
        if account.fell_to == before:
            # A second trade that goes on from the lower volume: it has really fallen.
            account.volume, account.fell_to, account.holes = before, None, []
            return True
        for place, (low, high) in enumerate(account.holes):
            if low <= before and mark[0] <= high:
                account.holes[place : place + 1] = [
                    part for part in ((low, before), (mark[0], high)) if part[0] < part[1]
                ]
                self.late += 1
                self.late_volume += row["size"]
                return True
        found.holes.append(_hole(account, row, None, FELL, len(found.rows)))
        self.fallen += 1
        account.fell_to = mark[0]
        return True

    def volumes(self) -> dict[tuple[str, str], int]:
        """By (feed, symbol), what of its day is accounted for, in 1e-6."""
        return {key: account.volume for key, account in list(self._accounts.items())}

    # Over a restart

    def state(self) -> dict[str, Any]:
        """The accounts as JSON: date, volume and time of each, without what is known of single trades."""
        accounts = [
            [feed, symbol, one.trade_date, one.volume, one.time_us] for (feed, symbol), one in self._accounts.items()
        ]
        return {"accounts": accounts}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave. ValueError if it is something else."""
        try:
            for feed, symbol, trade_date, volume, time_us in state["accounts"]:
                account = _Account(int(trade_date), int(volume), int(time_us))
                self._accounts[str(feed), str(symbol)] = account
        except (KeyError, TypeError) as error:
            raise ValueError(f"no accounts: {error}") from None

    def restore(self, feed: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Account for trades that were taken after the state was saved, in their order."""
        for row in rows:
            date, cumulative = row.get("trade_date"), row.get("cum_volume")
            if row.get("kind") != Kind.TRADE or date is None or cumulative is None or row.get("size") is None:
                continue
            account = self._account(feed, row["symbol"], date)
            if account is not None:
                # Not set to the cumulative volume: the hole before it may be told already, in part or as a whole.
                # One below the account came late, into a hole that is accounted for.
                if cumulative > account.volume:
                    account.volume = min(account.volume + row["size"], cumulative)
                account.time_us = row["time_us"]
                account.recent.append((cumulative, row["time_us"], row["price"], row["size"]))

    def restore_hole(self, feed: str, hole: Hole) -> None:
        """Account for a hole that was told after the state was saved."""
        account = self._account(feed, hole.symbol, hole.trade_date)
        if account is not None and hole.missing is not None:
            account.volume += hole.missing

    def _account(self, feed: str, symbol: str, trade_date: int) -> _Account | None:
        account = self._accounts.get((feed, symbol))
        if account is None or account.trade_date < trade_date:
            account = _Account(trade_date, 0, korean_time.midnight_us(trade_date))
            self._accounts[feed, symbol] = account
        return account if account.trade_date == trade_date else None


def _hole(account: _Account, row: Row, missing: int | None, reason: str, at: int) -> Hole:
    from_us, to_us = min(account.time_us, row["time_us"]), row["time_us"]
    return Hole(row["symbol"], from_us, to_us, missing, row["trade_date"], reason, at)
