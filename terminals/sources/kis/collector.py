"""Asks for the pictures of a list of symbols once a cycle, as many as the limits allow, each as often as any other.

What a cycle has no calls for is asked for first in the next one, and said. A symbol that KIS has no answer for is left
alone for a while; a multi-quote that is refused as a whole is asked for in halves, so that one bad code does not hold
up 29 others.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.kis import quotes
from terminals.sources.kis.answers import BusinessError, KeyRefusedError, KisError
from terminals.sources.kis.duplicates import Duplicates
from terminals.sources.kis.rest import Client
from terminals.sources.kis.symbol_backoff import SymbolBackoff

log = logging.getLogger("naru.kis")

CYCLE_S: Final = 1.0
TTL_S: Final = 1.0
_REGROUP_S: Final = 300.0
_TOLD_S: Final = 60.0

Sink = Callable[[str, list[Row]], Awaitable[None]]
"""Where rows go: (feed, rows)."""


class Picture(Enum):
    """What may be asked for."""

    QUOTE = "quote"
    BOOK = "book"
    INDEX = "index"
    FUTURE = "future"
    FUTURE_BOOK = "future_book"


@dataclass(frozen=True, slots=True)
class Target:
    """One picture of one symbol. `division`: J (KRX), NX (NXT), UN (both); of a future F, O or JF."""

    symbol: str
    picture: Picture = Picture.QUOTE
    division: str = "J"

    @property
    def feed(self) -> str:
        """The feed its rows belong to."""
        return quotes.feed_of(self.division)


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the collector was made, and how it stands."""

    cycles: int
    requests: int
    good: int
    failed: dict[str, int]
    rows: int
    pictures: int
    duplicates: int
    given_up: int
    """Calls that brought nothing after all their repetitions, or without a token."""
    limiter_waits: int
    limit_not_written: int
    targets: int
    left_out: int
    """Targets the last cycle had no calls for."""
    waiting: int
    """Targets that are left alone because KIS had no answer for them."""
    away: int
    """Appkeys whose calls all fail, so that one at a time looks whether KIS is back."""
    round_s: float
    """How long it takes to ask for every target once."""

    @property
    def success_rate(self) -> float:
        """Good answers among all requests that have ended; 1.0 before the first."""
        ended = self.good + sum(self.failed.values())
        return self.good / ended if ended else 1.0

    @property
    def hit_rate(self) -> float:
        """Pictures that were not sent again."""
        return self.duplicates / self.pictures if self.pictures else 0.0


@dataclass(eq=False, slots=True)
class _Call:
    """A call of the rotation; with more than one target it is a multi-quote."""

    targets: list[Target]
    in_flight: bool = False


@dataclass(slots=True)
class _Seat:
    """A client and what it may still do: calls saved up, calls in flight. `probing`: one of them looks whether KIS is
    back."""

    client: Client
    credit: float = 0.0
    in_flight: int = 0
    probing: bool = False
    refused: KeyRefusedError | None = None

    @property
    def room(self) -> int:
        """Calls that may be begun now; while KIS is away, one at a time."""
        if self.refused or self.probing:
            return 0
        room, outage = int(self.credit) - self.in_flight, self.client.outage
        if outage.is_down:
            may_probe = not self.in_flight and outage.may_probe(asyncio.get_running_loop().time())
            return min(room, int(may_probe))
        return room


class Collector:
    """Pictures of the targets by the appkeys of `clients`, until it is told to stop. In one event loop."""

    def __init__(self, clients: Sequence[Client], *, cycle_s: float = CYCLE_S, ttl_s: float = TTL_S) -> None:
        """ValueError without a client or with a cycle of no length."""
        if not clients or cycle_s <= 0:
            raise ValueError("a collector needs a client and a cycle above 0 seconds")
        self._seats = [_Seat(client) for client in clients]
        self._cycle_s = cycle_s
        self._duplicates = Duplicates(ttl_s)
        self._backoff = SymbolBackoff(random.Random())  # noqa: S311 - no secret
        self._rotation: deque[_Call] = deque()
        self._targets: tuple[Target, ...] = ()
        self._grouped_at = self._told_at = self._warned_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._cycles = self._rows = self._left_out = self._no_answers = 0

    async def run(
        self, targets: Callable[[], Sequence[Target]], sink: Sink, stop: asyncio.Event, *, cycles: int | None = None
    ) -> None:
        """Ask in cycles until `stop`, or for so many cycles. `targets` is looked at before each. KeyRefusedError when
        no appkey is left; what `sink` raises ends it too. Calls in flight at the end
        are given up, save after the last of `cycles`."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        ended: set[asyncio.Future[Any]] = {asyncio.ensure_future(stop.wait()), failed}
        due, left = loop.time(), cycles
        try:
            while left is None or left > 0:
                self._plan(targets(), loop.time())
                self._begin(sink, loop.time(), failed)
                self._cycles += 1
                left = None if left is None else left - 1
                due = max(due + self._cycle_s, loop.time())
                pause_s = max(0.0, due - loop.time()) if left != 0 else 0.0
                over, _ = await asyncio.wait(ended, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                if over:
                    break
            else:
                await asyncio.gather(*self._tasks)
            if failed.done():
                failed.result()
        finally:
            for one in (*ended, *self._tasks):
                one.cancel()
            await asyncio.gather(*ended, *self._tasks, return_exceptions=True)

    def stats(self) -> Stats:
        """How it stands."""
        failed: Counter[str] = Counter()
        for seat in self._seats:
            failed.update(seat.client.calls.failed)
        return Stats(
            cycles=self._cycles,
            requests=sum(seat.client.calls.made for seat in self._seats),
            good=sum(seat.client.calls.good for seat in self._seats),
            failed=dict(failed),
            rows=self._rows,
            pictures=self._duplicates.looked,
            duplicates=self._duplicates.hits,
            given_up=self._no_answers,
            limiter_waits=sum(seat.client.limiter.waits for seat in self._seats),
            limit_not_written=sum(seat.client.limiter.not_written for seat in self._seats),
            targets=len(self._targets),
            left_out=self._left_out,
            waiting=len(self._backoff),
            away=sum(seat.client.outage.is_down for seat in self._seats),
            round_s=self._round_s(),
        )

    def _round_s(self) -> float:
        per_s = sum(seat.client.calls_per_s() for seat in self._seats if not seat.refused)
        return max(self._cycle_s, len(self._rotation) / per_s) if per_s else float("inf")

    def _plan(self, targets: Sequence[Target], now: float) -> None:
        """Put the targets into calls, anew when they have changed, and at times so that halves join again."""
        wanted = tuple(dict.fromkeys(targets))
        if wanted == self._targets and now - self._grouped_at < _REGROUP_S:
            return
        if wanted != self._targets:
            self._backoff.keep(wanted)
            self._duplicates.keep(wanted)
        # Who was asked longest ago stays first. Calls in flight end by themselves.
        order = {target: place for place, call in enumerate(self._rotation) for target in call.targets}
        self._targets, self._grouped_at = wanted, now
        self._rotation = deque(
            _Call(group) for group in self._groups(sorted(wanted, key=lambda one: order.get(one, -1)))
        )

    def _groups(self, targets: Iterable[Target]) -> list[list[Target]]:
        """Quotes of a division in groups of 30, if an account has multi-quotes; whoever was refused, alone."""
        most = (
            quotes.MOST_CODES if any(seat.client.offers_multi_quote for seat in self._seats if not seat.refused) else 1
        )
        groups: list[list[Target]] = []
        open_groups: dict[str, list[Target]] = {}
        for target in targets:
            group = open_groups.get(target.division)
            if target.picture is not Picture.QUOTE or target in self._backoff:
                groups.append([target])
            elif group is None or len(group) >= most:
                open_groups[target.division] = [target]
                groups.append(open_groups[target.division])
            else:
                group.append(target)
        return groups

    def _begin(self, sink: Sink, now: float, failed: asyncio.Future[None]) -> None:
        """Begin the calls of one cycle."""
        for seat in self._seats:
            per_cycle = seat.client.calls_per_s() * self._cycle_s
            seat.credit = min(seat.credit - int(seat.credit) + per_cycle, max(1.0, per_cycle))
        left_out = 0
        for call in list(self._rotation):
            if call.in_flight or all(self._backoff.waits(target, now) for target in call.targets):
                continue
            chosen = self._choose(call)
            if chosen is None:
                left_out += len(call.targets)
                continue
            self._rotation.remove(call)
            self._rotation.append(call)
            chosen.credit -= 1.0
            chosen.probing = chosen.client.outage.is_down
            task = asyncio.create_task(self._finish(call, chosen, sink, failed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._tell(left_out, now)

    def _choose(self, call: _Call) -> _Seat | None:
        """The client with most room that can make this call."""
        multi = len(call.targets) > 1
        able = [seat for seat in self._seats if seat.room > 0 and (seat.client.offers_multi_quote or not multi)]
        return max(able, key=lambda seat: seat.room, default=None)

    def _tell(self, left_out: int, now: float) -> None:
        self._left_out = left_out
        if left_out and now - self._told_at >= _TOLD_S:
            self._told_at = now
            log.warning(
                "kis_not_in_cycle targets=%d left_out=%d round_s=%.1f", len(self._targets), left_out, self._round_s()
            )

    async def _finish(self, call: _Call, seat: _Seat, sink: Sink, failed: asyncio.Future[None]) -> None:
        call.in_flight = True
        seat.in_flight += 1
        try:
            await self._ask(call, seat.client, sink)
        except KeyRefusedError as error:
            log.error("kis_key_refused account=%s code=%s", seat.client.account.name, error.code)
            seat.refused = error
            self._grouped_at = float("-inf")  # those that are left may have no multi-quote
            if all(one.refused for one in self._seats) and not failed.done():
                failed.set_exception(error)
        except KisError as error:  # the next round asks again
            self._no_answers += 1
            now = asyncio.get_running_loop().time()
            if now - self._warned_at >= _TOLD_S:
                self._warned_at = now
                name, reason = seat.client.account.name, f"{type(error).__name__} {error}"
                log.warning("kis_no_answer account=%s calls_so_far=%d reason=%s", name, self._no_answers, reason)
        except Exception as error:  # noqa: BLE001 - of the sink: it ends the run
            if not failed.done():
                failed.set_exception(error)
        finally:
            call.in_flight = seat.probing = False
            seat.in_flight -= 1

    async def _ask(self, call: _Call, client: Client, sink: Sink) -> None:
        try:
            rows, refused = await _rows(client, call.targets)
        except BusinessError as error:
            if len(call.targets) > 1:
                self._halve(call, error)
                return
            rows, refused = {}, {call.targets[0]: str(error)}
        now = asyncio.get_running_loop().time()
        for target, reason in refused.items():
            known, wait_s = target in self._backoff, self._backoff.refused(target, now)
            level = logging.DEBUG if known else logging.WARNING
            log.log(level, "kis_no_picture symbol=%s what=%s wait_s=%.0f reason=%s",
                    target.symbol, target.picture.value, wait_s, reason)  # fmt: skip
        fresh = []
        for target, row in rows.items():
            self._backoff.answered(target)
            if not self._duplicates.seen(target, row, now):
                fresh.append(row)
        if fresh:
            await sink(call.targets[0].feed, fresh)
            self._rows += len(fresh)

    def _halve(self, call: _Call, error: BusinessError) -> None:
        """Ask for the two halves next, as calls of their own; they take their turns like all others."""
        middle = len(call.targets) // 2
        log.info("kis_group_refused targets=%d reason=%s", len(call.targets), error)
        if call in self._rotation:
            self._rotation.remove(call)
            self._rotation.extendleft([_Call(call.targets[middle:]), _Call(call.targets[:middle])])


async def _rows(client: Client, targets: Sequence[Target]) -> tuple[dict[Target, Row], dict[Target, str]]:
    """Row by target, and why there is none."""
    first = targets[0]
    if len(targets) == 1:
        return {first: await _row(client, first)}, {}
    found = await quotes.multi_quote(client, [target.symbol for target in targets], division=first.division)
    by_code = {target.symbol: target for target in targets}
    return (
        {by_code[code]: row for code, row in found.rows.items()},
        {by_code[code]: reason for code, reason in found.refused.items()},
    )


async def _row(client: Client, target: Target) -> Row:
    match target.picture:
        case Picture.QUOTE:
            return await quotes.quote(client, target.symbol, division=target.division)
        case Picture.BOOK:
            return await quotes.order_book(client, target.symbol, division=target.division)
        case Picture.INDEX:
            return await quotes.index(client, target.symbol)
        case Picture.FUTURE:
            return await quotes.future_quote(client, target.symbol, division=target.division)
        case Picture.FUTURE_BOOK:
            return await quotes.future_book(client, target.symbol, division=target.division)
