"""Loss to the share. Each trade says how much the day has traded with it, so what is missing before it is `cumulative -
size - what was accounted for`. Starts over with each business date. Knows no clock and no socket.

What is accounted for grows by the size of each trade that is sent and by the shares of each hole that is told, so the
rows and holes that a spool holds give the same accounts again after a restart (`restore`).

One number of KIS alone proves nothing. A trade that does not go on from the others is sent, and its volume is a claim:
the next trade goes on either from it, which makes the hole before it true, or from the others, which makes it wrong. A
claim that nothing answers is believed after a while (`settle`), unless it is of more shares than any day has.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.kis import korean_time
from terminals.wire import SIZE_SCALE, Kind
from terminals.wire.gap_reasons import BEFORE_FIRST_TRADE, VOLUME_FELL, VOLUME_HOLE, VOLUME_WRONG

_SYMBOLS: Final = 50_000
_RECENT: Final = 32
_RECENT_SAVED: Final = 8  # of each account: the file of 10,000 accounts has some 5 MB
_OPEN_HOLES: Final = 32
_CLAIMS: Final = 4
_MOST_MISSING: Final = 10**10 * 10**SIZE_SCALE  # the greatest size of a trade that the server takes
_DAYS_AHEAD: Final = 1  # a clock may be a little behind at midnight
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
    """Before which of the rows it is told: what is put into a spool in that order can be accounted for again."""


@dataclass(slots=True)
class _Claim:
    """The volume of a trade that did not go on from what was accounted for."""

    cumulative: int
    from_us: int
    to_us: int
    reason: str
    parts: list[tuple[int, int]]
    """Volumes from, to that it says are missing."""
    waited: bool = False


@dataclass(slots=True)
class _Account:
    """One symbol on one date."""

    trade_date: int
    volume: int
    """What is accounted for: the shares of the trades that were sent, and of the holes that were told."""
    time_us: int
    """Of the latest trade."""
    came_us: int = 0
    """When the last trade came; 0 if none has since the start."""
    recent: deque[tuple[int, int, int, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """(cumulative volume, time, price, size) of the last trades: what comes again is known by it."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """Volumes from, to that were told as missing."""
    claims: list[_Claim] = field(default_factory=list)
    fell: bool = False
    """While it is made again from a spool: the next trade has a volume below."""


@dataclass(slots=True)
class Found:
    """What came of some rows: those to be sent, and the holes between them."""

    rows: list[Row]
    holes: list[Hole]
    repeats: list[Row] = field(default_factory=list)
    """Trades that must have come before, although it is too long ago to know them: not to be sent, and kept aside."""


_Key = tuple[str, str]


class VolumeHoles:
    """The accounts of one terminal, of at most 50,000 (feed, symbol), each of its last two dates; what is beyond that
    is sent untracked. Sizes and volumes in 1e-6."""

    def __init__(self) -> None:
        self._accounts: dict[_Key, _Account] = {}
        self._others: dict[_Key, _Account] = {}  # of another date than the last trade's
        self._claimed: dict[tuple[_Key, int], _Account] = {}  # those that have claims
        self.repeats = 0
        """Trades that had come before and were left out."""
        self.late = 0
        """Trades that came after a hole had been told for them."""
        self.late_volume = 0
        self.fallen = 0
        """Volumes below what was accounted for."""
        self.wrong = 0
        """Volumes that were too high: the trades after them went on from those before."""
        self.misdated = 0
        """Trades of a date that has not come."""
        self.untracked = 0
        """Trades of a symbol too many, or of a date that is over."""
        self.missing_volume = 0

    def check(self, feed: str, rows: Sequence[Row], now_us: int) -> Found:
        """Find what is missing before each trade of `rows`, in their order, and leave out what came twice. `now_us`
        tells which dates can be."""
        found = Found([], [])
        keep = found.rows.append
        latest = korean_time.date_of(now_us) + _DAYS_AHEAD
        accounts = self._accounts
        for row in rows:
            if (
                row["kind"] != _TRADE
                or (date := row["trade_date"]) is None
                or (cumulative := row["cum_volume"]) is None
            ):
                keep(row)
                continue
            key = (feed, row["symbol"])
            account = accounts.get(key)
            if account is None or account.trade_date != date:
                if date > latest:
                    self.misdated += 1
                    keep(row)
                    continue
                account = self._of_date(key, date, found.holes, len(found.rows))
                if account is None:
                    self.untracked += 1
                    keep(row)
                    continue
            before = cumulative - row["size"]
            mark = (cumulative, row["time_us"], row["price"], row["size"])
            if before == account.volume and not account.claims:
                account.volume = cumulative
            elif (taken := self._explain(key, account, mark, found)) is not True:
                if taken is None:
                    found.repeats.append(row)
                continue
            keep(row)
            if row["time_us"] > account.time_us:
                account.time_us = row["time_us"]
            account.came_us = now_us
            account.recent.append(mark)
        return found

    def last_trade(self, feed: str, symbol: str) -> tuple[int, int]:
        """(its date, when it came) of the last trade that was taken since the start; zeros if there is none."""
        account = self._accounts.get((feed, symbol))
        return (account.trade_date, account.came_us) if account is not None and account.came_us else (0, 0)

    def settle(self, *, all_of_them: bool = False) -> dict[str, list[Hole]]:
        """By feed, the holes that are believed although no trade has followed: claims that were there the last time,
        or `all_of_them`. Call it every half minute, and at the end."""
        found: dict[str, list[Hole]] = {}
        for (key, _date), account in list(self._claimed.items()):
            if all_of_them or any(claim.waited for claim in account.claims):
                self._end_claims(key, account, found.setdefault(key[0], []), 0)
            for claim in account.claims:
                claim.waited = True
        return {feed: holes for feed, holes in found.items() if holes}

    def _of_date(self, key: _Key, date: int, holes: list[Hole], at: int) -> _Account | None:
        """The account of a date that is not the last trade's; None if it has none, and gets none."""
        last, other = self._accounts.get(key), self._others.get(key)
        if last is None and len(self._accounts) >= _SYMBOLS:
            return None
        if other is None or other.trade_date != date:
            if last is not None and other is not None and date < other.trade_date:
                return None
            if other is not None:
                self._end_claims(key, other, holes, at)
            other = _Account(date, 0, korean_time.midnight_us(date))
        self._accounts[key] = other
        if last is not None:
            self._others[key] = last
        return other

    def _explain(self, key: _Key, account: _Account, mark: tuple[int, int, int, int], found: Found) -> bool | None:
        """Account for a trade that does not go on from the last one, or goes on from one that did not. False if it is
        to be left out, None if it must have come before: the day had traded more by then, nothing was missing there,
        and it is earlier than what came since. A volume that has really fallen goes on at later times."""
        cumulative, time_us, _price, size = mark
        before, at = cumulative - size, len(found.rows)
        if mark in account.recent:
            self.repeats += 1
            return False
        for claim in account.claims:
            if claim.cumulative == before != account.volume:
                self._believe(key, account, claim, found.holes, at)
                account.volume = before  # where it is lower now, it has really fallen
                break
        if before == account.volume:
            self._refute(key, account, before, found.holes, at)
            account.volume = cumulative
            return True
        newest = account.claims[-1] if account.claims else None
        if newest is not None and account.volume < newest.cumulative < before:
            self._believe(key, account, newest, found.holes, at)
            account.claims.pop()
        if before > account.volume:
            for claim in account.claims:
                _take_out(claim.parts, before, cumulative)
            reason = VOLUME_HOLE if account.recent or account.volume else BEFORE_FIRST_TRADE
            self._claim(key, account, mark, reason, [(account.volume, before)])
        elif _take_out(account.holes, before, cumulative):
            self.late += 1
            self.late_volume += size
            return True
        elif not any(_take_out(claim.parts, before, cumulative) for claim in account.claims):
            # In one second they may be equal, of which the last trades are known; fewer of them after a restart.
            latest_us = account.time_us if account.came_us else account.time_us + 1
            if cumulative <= account.volume and time_us < latest_us:
                self.repeats += 1
                return None
            found.holes.append(_hole(key, account, account.time_us, time_us, None, VOLUME_FELL, at))
            self.fallen += 1
            self._claim(key, account, mark, VOLUME_FELL, [])
        account.volume += size
        return True

    def _claim(
        self,
        key: _Key,
        account: _Account,
        mark: tuple[int, int, int, int],
        reason: str,
        parts: list[tuple[int, int]],
    ) -> None:
        account.claims.append(_Claim(mark[0], account.time_us, mark[1], reason, parts))
        del account.claims[:-_CLAIMS]
        self._claimed[key, account.trade_date] = account

    def _believe(self, key: _Key, account: _Account, claim: _Claim, holes: list[Hole], at: int) -> None:
        """Tell the hole before a claim, as far as nothing came of it since; too many shares are told without their
        number."""
        missing = claim.cumulative - account.volume
        if claim.reason == VOLUME_FELL:
            account.holes = []
        if missing <= 0:
            return
        if missing > _MOST_MISSING:
            self._tell_wrong(key, account, claim, holes, at)
            return
        holes.append(_hole(key, account, claim.from_us, claim.to_us, missing, claim.reason, at))
        self.missing_volume += missing
        account.volume = claim.cumulative
        account.holes = [*account.holes, *claim.parts][:_OPEN_HOLES]

    def _refute(self, key: _Key, account: _Account, volume: int, holes: list[Hole], at: int) -> None:
        """The trades go on from `volume`: tell each claim that was above it, and forget them all."""
        for claim in account.claims:
            if claim.cumulative > volume:
                self._tell_wrong(key, account, claim, holes, at)
        self._forget(key, account)

    def _forget(self, key: _Key, account: _Account) -> None:
        account.claims.clear()
        self._claimed.pop((key, account.trade_date), None)

    def _end_claims(self, key: _Key, account: _Account, holes: list[Hole], at: int) -> None:
        """No trade answers the claims: believe the latest, unless the symbol has gone on to another date."""
        if account is self._accounts.get(key) and account.claims:
            latest = max(reversed(account.claims), key=lambda claim: claim.to_us)  # an earlier one came late
            self._believe(key, account, latest, holes, at)
            account.claims.remove(latest)
            self._refute(key, account, max(account.volume, latest.cumulative), holes, at)
        else:
            self._refute(key, account, account.volume, holes, at)

    def _tell_wrong(self, key: _Key, account: _Account, claim: _Claim, holes: list[Hole], at: int) -> None:
        self.wrong += 1
        holes.append(_hole(key, account, claim.from_us, claim.to_us, None, VOLUME_WRONG, at))

    def volumes(self) -> dict[_Key, int]:
        """By (feed, symbol), what its last date has traded as far as it is accounted for or claimed, in 1e-6."""
        return {
            key: max([account.volume, *(claim.cumulative for claim in account.claims)])
            for key, account in list(self._accounts.items())
        }

    # Over a restart

    def state(self) -> dict[str, Any]:
        """The accounts as JSON: date, volume, time and claims of each, and its last 8 trades, which may come again."""
        accounts = [
            [
                *(feed, symbol, one.trade_date, one.volume, one.time_us),
                *([claim.cumulative, claim.from_us, claim.to_us, claim.reason, [*claim.parts]] for claim in one.claims),
            ]
            for accounts in (self._others, self._accounts)
            for (feed, symbol), one in accounts.items()
        ]
        recent = [
            [feed, symbol, one.trade_date, [*one.recent][-_RECENT_SAVED:]]
            for accounts in (self._others, self._accounts)
            for (feed, symbol), one in accounts.items()
        ]
        return {"accounts": accounts, "recent": recent}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; without the last trades, if it was saved before there were any in it.
        ValueError if it is something else."""
        try:
            for feed, symbol, trade_date, volume, time_us, *claims in state["accounts"]:
                key = str(feed), str(symbol)
                account = self._of_date(key, int(trade_date), [], 0)
                if account is not None:
                    account.volume, account.time_us = int(volume), int(time_us)
                    for cumulative, from_us, to_us, reason, parts in claims:
                        claimed = [(int(low), int(high)) for low, high in parts]
                        account.claims.append(_Claim(int(cumulative), int(from_us), int(to_us), str(reason), claimed))
                        self._claimed[key, account.trade_date] = account
            for feed, symbol, trade_date, marks in state.get("recent", ()):
                key = str(feed), str(symbol)
                for account in (self._others.get(key), self._accounts.get(key)):
                    if account is not None and account.trade_date == trade_date:
                        account.recent.extend(
                            (int(cum), int(at), int(price), int(size)) for cum, at, price, size in marks
                        )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no accounts: {error}") from None

    def restore(self, feed: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Account for trades that were taken after the state was saved, in their order."""
        for row in rows:
            date, cumulative = row.get("trade_date"), row.get("cum_volume")
            if row.get("kind") != Kind.TRADE or date is None or cumulative is None or row.get("size") is None:
                continue
            account = self._account((feed, row["symbol"]), date)
            if account is not None:
                mark = (cumulative, row["time_us"], row["price"], row["size"])
                self._account_again((feed, row["symbol"]), account, mark)
                account.time_us = max(account.time_us, row["time_us"])
                account.recent.append(mark)

    def restore_hole(self, feed: str, hole: Hole) -> None:
        """Account for a hole that was told after the state was saved."""
        key = (feed, hole.symbol)
        account = self._account(key, hole.trade_date)
        if account is None:
            return
        account.fell = hole.reason == VOLUME_FELL
        if hole.missing is not None:
            account.volume += hole.missing
            self._forget(key, account)

    def _account_again(self, key: _Key, account: _Account, mark: tuple[int, int, int, int]) -> None:
        """As `_explain`, where what there was to tell is told: the holes lie before the trades that made them true."""
        cumulative, _time_us, _price, size = mark
        before, fell, account.fell = cumulative - size, account.fell, False
        if before != account.volume and any(claim.cumulative == before for claim in account.claims):
            account.volume = before
        if before == account.volume:
            self._forget(key, account)
            account.volume = cumulative
        elif before > account.volume or fell:
            parts = [] if fell else [(account.volume, before)]
            self._claim(key, account, mark, VOLUME_FELL if fell else VOLUME_HOLE, parts)
            account.volume += size
        elif any(_take_out(claim.parts, before, cumulative) for claim in account.claims):
            account.volume += size

    def _account(self, key: _Key, trade_date: int) -> _Account | None:
        account = self._accounts.get(key)
        if account is None or account.trade_date != trade_date:
            account = self._of_date(key, trade_date, [], 0)
        return account


def _take_out(parts: list[tuple[int, int]], before: int, cumulative: int) -> bool:
    """Take the shares of a trade out of what is missing; whether all of them were."""
    for place, (low, high) in enumerate(parts):
        if low <= before and cumulative <= high:
            parts[place : place + 1] = [part for part in ((low, before), (cumulative, high)) if part[0] < part[1]]
            return True
    return False


def _hole(key: _Key, account: _Account, from_us: int, to_us: int, missing: int | None, reason: str, at: int) -> Hole:
    return Hole(key[1], min(from_us, to_us), to_us, missing, account.trade_date, reason, at)
