"""Batches between receipt and commit: what waits, what a worker has, what is overdue. Knows no clock, socket or
broker."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from marketdata.logs import context
from terminals import wire

GREATEST_DELAY_S = 60.0
FAILURES_TO_DEATH = 10
MESSAGE_BATCHES = 256
ALONE_AFTER = 2
PATIENCE_S = 0.1
"""So long a message that is not full waits beside one that is out (seconds).

Measured in batches of 12 rows. On a machine with time to spare 0.02 is quicker than 0.1 (at 5,000 ticks/s a median of
49 ms against 67), and 0 is worse again. On a busy one (1,500 ticks/s, load above 10 on 2 cores, two or three turns of
8 s each) 0.1 is the quickest and the cheapest: medians of 85 to 158 ms, 290 to 364 us of CPU a tick; 0.05: 117 to 424,
342 to 387; 0.02: 132 to 280, 318 to 460; 0: 250 to 263, 329 to 407. So it stays where it costs least when it matters.
"""
PACE_S = 0.02
"""So far apart are messages that are not full, though none is out (seconds): each costs all processes together some
milliseconds, however little is in it. What comes after a longer silence leaves at once."""
LONGEST_PROBE_S = 10.0


@dataclass(slots=True, kw_only=True, eq=False)
class InFlightBatch:
    """A batch received and not yet known to be committed."""

    number: int
    stream: int
    seq: int
    payload: bytes
    rows: int
    received_us: int
    source_id: int
    register_market: str | None
    epoch: str = ""  # of the spool that it is in
    since: float  # monotonic seconds of receipt
    offset_us: int | None = None  # the terminal's clock minus ours
    message: int | None = None  # the Celery message it is in, while that is counted on
    due: float = 0.0  # when it is driven again
    publishes: int = 0
    published_at: float = 0.0  # monotonic seconds of the last publish
    alone: bool = False  # it was sent in a message of its own
    failures: int = 0  # for which its content is to blame
    holds: int = 0  # for which what it was to be stored in is to blame
    dead: str | None = None
    checksum: int = field(init=False)  # what is said of the number counts only for the content with this checksum

    def __post_init__(self) -> None:
        self.checksum = wire.checksum(self.payload)

    @property
    def ids(self) -> dict[str, object]:
        """`extra` of a line that is about it."""
        return ids_of([self])


def ids_of(batches: Sequence[InFlightBatch]) -> dict[str, object]:
    """`extra` of a line that is about these."""
    return context.of([one.number for one in batches], {one.stream: one.epoch for one in batches})


@dataclass(slots=True)
class Trouble:
    """Batches cannot be stored, and not for what is in them. `stalled`: nothing at all was stored since."""

    error: str
    since: float
    failed_at: float
    stalled: bool = False
    probes: int = 0
    probe_at: float = 0.0  # when one batch is tried again, while stalled


@dataclass(slots=True)
class InFlightWindow:
    """All batches of a server that are in flight. At most `max_messages` messages are out at a time, so that whatever
    waits becomes one larger message: quick when quiet, few and large when busy.

    While storage refuses everything (`trouble.stalled`) one batch at a time is tried, ever more seldom up to
    LONGEST_PROBE_S; the first one that is stored lets all others go again. For that no batch is ever given up."""

    max_messages: int
    message_ticks: int
    redrive_s: float
    bytes: int = 0
    by_number: dict[int, InFlightBatch] = field(default_factory=dict)
    trouble: Trouble | None = None
    _held: set[int] = field(default_factory=set)  # batches that trouble has held up
    _waiting: dict[int, deque[InFlightBatch]] = field(
        default_factory=dict
    )  # by stream, the longest waiting stream first
    _open: dict[int, int] = field(default_factory=dict)  # message -> batches still in it
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=500))  # from receipt to commit
    _waiting_rows: int = 0
    _sent_at: float = float("-inf")  # when a message was made last
    _settled_at: float = float("-inf")  # when anything was committed last
    _trips: deque[float] = field(default_factory=lambda: deque(maxlen=500))  # from the last publish to commit

    def __len__(self) -> int:
        return len(self.by_number)

    @property
    def waiting(self) -> int:
        """Batches not given to a worker yet."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def has_settled(self) -> bool:
        """Whether any batch was committed yet."""
        return self._settled_at > float("-inf")

    @property
    def oldest_us(self) -> int:
        """When the batch was received (microseconds UTC) that has waited for its commit the longest; 0 for none."""
        return next(iter(self.by_number.values())).received_us if self.by_number else 0

    @property
    def messages(self) -> int:
        """Celery messages that are out and counted on."""
        return len(self._open)

    def add(self, entry: InFlightBatch) -> None:
        """A batch that came in."""
        self.by_number[entry.number] = entry
        self.bytes += len(entry.payload)
        self._waiting.setdefault(entry.stream, deque()).append(entry)
        self._waiting_rows += entry.rows

    def next_message(self, now: float = math.inf) -> list[InFlightBatch]:
        """What goes into the next message, at most `message_ticks` rows unless one batch alone has more; empty: not
        now.

        Beside a message that is out goes another only when it is full, or when the last went a while ago: two workers
        on the candles of the same minute hinder each other, and half-empty messages cost as much as full ones. For
        that one that is not full also waits a little when none is out.
        Batches of one stream travel together: they touch the same candles, which are then merged once, not five times.
        A batch that was lost twice travels alone: should it be what kills the workers, it takes no other with it.
        """
        if self.trouble is not None and self.trouble.stalled:
            return self._probe(now)
        if len(self._open) >= self.max_messages:
            return []
        if self._waiting_rows < self.message_ticks and now < self._sent_at + (PATIENCE_S if self._open else PACE_S):
            return []
        chosen: list[InFlightBatch] = []
        room = self.message_ticks
        while self._waiting and room > 0 and len(chosen) < MESSAGE_BATCHES:
            stream = next(iter(self._waiting))
            queue, before = self._waiting[stream], len(chosen)
            while queue and len(chosen) < MESSAGE_BATCHES:
                entry = queue[0]
                alone = max(entry.publishes, entry.holds) >= ALONE_AFTER
                if entry.number in self.by_number:  # else it was settled while it waited
                    if chosen and (alone or entry.rows > room):
                        break
                    entry.alone = alone
                    chosen.append(entry)
                    room -= self.message_ticks if alone else entry.rows
                queue.popleft()
                self._waiting_rows -= entry.rows
            if not queue:
                del self._waiting[stream]
                continue
            if len(chosen) > before:
                self._waiting[stream] = self._waiting.pop(stream)  # behind the streams that have not had their turn
            break  # one that got nothing stays the first, or lively others would pass it for ever
        if chosen:
            self._send(chosen, now)
        return chosen

    def pause_s(self, now: float) -> float | None:
        """How long until what waits may go by itself (seconds); None if nothing waits, or for something else."""
        if not self._waiting or self._open or (self.trouble is not None and self.trouble.stalled):
            return None
        return max(0.0, self._sent_at + PACE_S - now)

    def _probe(self, now: float) -> list[InFlightBatch]:
        """While nothing can be stored: one batch, another one each time, when it is time and none is out."""
        trouble = self.trouble
        if trouble is None or self._open or now < trouble.probe_at:
            return []
        waiting = [one for queue in self._waiting.values() for one in queue if one.number in self.by_number]
        if not waiting:
            return []
        chosen = waiting[trouble.probes % len(waiting)]
        queue = self._waiting[chosen.stream]
        queue.remove(chosen)
        self._waiting_rows -= chosen.rows
        if not queue:
            del self._waiting[chosen.stream]
        chosen.alone = True
        self._send([chosen], now)
        return [chosen]

    def _send(self, chosen: list[InFlightBatch], now: float) -> None:
        self._sent_at = now if now < math.inf else self._sent_at
        message = next(self._ids)
        self._open[message] = len(chosen)
        for entry in chosen:
            entry.message = message
            entry.due = float("inf")  # until the broker has it
            if now < math.inf:
                entry.published_at = now

    def published(self, entries: Iterable[InFlightBatch], now: float) -> None:
        """The broker took them: from now on they are expected to commit."""
        delay_s = self.delay_s()
        for entry in entries:
            if entry.message is None:  # a worker was quicker than the broker's answer
                continue
            entry.publishes += 1
            entry.published_at = now
            entry.due = now + min(delay_s * 2 ** (entry.publishes - 1), GREATEST_DELAY_S)

    def unpublished(self, entries: list[InFlightBatch]) -> None:
        """The broker did not take them: they wait again, in front. Those a worker has had all the same do not."""
        back = [entry for entry in entries if entry.message is not None]
        for entry in back:
            self._leave(entry)
        self._wait_again(back)

    def settle(self, number: int, now: float) -> InFlightBatch | None:
        """The batch is in the ledger. Returns its flight, or None when nothing is known of it (any more)."""
        entry = self.by_number.pop(number, None)
        if entry is not None:
            self.bytes -= len(entry.payload)
            self._settled_at = now
            self._recover(entry)
            self._leave(entry)
            self._waits.append(now - entry.since)
            if entry.publishes:
                # Not from receipt: what a lost message cost would make the next one wait three times as long.
                self._trips.append(now - entry.published_at)
        return entry

    def fail(self, number: int, error: str, now: float) -> InFlightBatch | None:
        """A worker could not process the batch for its content. It is tried again later, and after ten failures buried
        as a dead letter. While nothing can be stored no content is to blame: it is held like any other."""
        entry = self.by_number.get(number)
        if entry is None or entry.message is None:
            return None
        if self.trouble is not None and self.trouble.stalled:
            self.hold([number], error, now)
            return entry
        self._count_failure(entry, error)
        self._leave(entry)
        entry.due = now + min(0.25 * 2**entry.failures, GREATEST_DELAY_S)
        return entry

    def hold(self, numbers: Iterable[int], error: str, now: float) -> list[InFlightBatch]:
        """A worker could not store these batches for what they were to be stored in. Each is tried again, later and
        later; if nothing was stored since they were sent, all wait for one of them to succeed. What is refused again
        while others are stored stops nobody."""
        held = [entry for number in numbers if (entry := self.by_number.get(number)) and entry.message is not None]
        if not held:
            return []
        trouble = self.trouble = self.trouble or Trouble(error, since=now, failed_at=now)
        trouble.error, trouble.failed_at = error, now
        new, was_stalled = any(entry.holds == 0 for entry in held), trouble.stalled
        if trouble.stalled or (new and self._settled_at < min(entry.published_at for entry in held)):
            if not trouble.stalled or now >= trouble.probe_at:  # else it was out before the trouble was known
                trouble.probes += 1
                trouble.probe_at = now + min(0.25 * 2**trouble.probes, LONGEST_PROBE_S)
            trouble.stalled = True
        for entry in held:
            entry.holds += not was_stalled  # as a probe it says nothing of itself
            entry.publishes = max(entry.publishes - 1, 0)  # it was not lost
            self._held.add(entry.number)
            self._leave(entry)
            entry.due = 0.0 if trouble.stalled else now + min(0.25 * 2**entry.holds, GREATEST_DELAY_S)
        if trouble.stalled:
            self._wait_again(held)
        return held

    def _recover(self, entry: InFlightBatch) -> None:
        """A batch was stored: what was sent after the last refusal shows that storage works again, and so does that
        each batch which was refused is stored after all."""
        self._held.discard(entry.number)
        if self.trouble is not None and self.trouble.stalled and entry.published_at >= self.trouble.failed_at:
            self.trouble.stalled, self.trouble.probes = False, 0
        if not self._held:
            self.trouble = None

    def overdue(self, now: float) -> list[InFlightBatch]:
        """Batches whose time to commit is over, moved to the front of those that wait.

        One that travelled alone and was never heard of, while others were committed, has failed: its worker died of it.
        """
        late = [entry for entry in self.by_number.values() if 0 < entry.due <= now]
        for entry in late:
            if entry.message is not None and entry.alone and self._settled_at > entry.published_at:
                self._count_failure(entry, "no worker finished it, while others were committed")
            self._leave(entry)
            entry.due = 0.0
        self._wait_again(late)
        return late

    def hasten(self, now: float, within_s: float) -> None:
        """The broker was away: what it held may be gone, so what is out is due soon instead of after its whole time."""
        for entry in self.by_number.values():
            if entry.message is not None and entry.due > now + within_s and entry.publishes:
                entry.due = now + within_s

    def unsettled(self, now: float, older_than_s: float) -> list[int]:
        """Numbers of batches received more than `older_than_s` ago: worth asking the ledger."""
        return [entry.number for entry in self.by_number.values() if now - entry.since > older_than_s]

    def delay_s(self) -> float:
        """How long a batch may take to commit: three times the slowest hundredth of the last 500, at least
        `redrive_s`."""
        if not self._trips:
            return self.redrive_s
        ordered = sorted(self._trips)
        return max(self.redrive_s, min(3 * ordered[int(len(ordered) * 0.99)], GREATEST_DELAY_S))

    def latency_s(self) -> tuple[float, float]:
        """(median, 99th percentile) of the last 500 waits from receipt to commit."""
        if not self._waits:
            return 0.0, 0.0
        ordered = sorted(self._waits)
        return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]

    def _count_failure(self, entry: InFlightBatch, error: str) -> None:
        entry.failures += 1
        if entry.failures >= FAILURES_TO_DEATH:
            entry.dead = f"failed {entry.failures} times, at last: {error}"

    def _wait_again(self, entries: Iterable[InFlightBatch]) -> None:
        """Back to the front of their streams, in their order."""
        for entry in sorted(entries, key=lambda entry: entry.seq, reverse=True):
            self._waiting.setdefault(entry.stream, deque()).appendleft(entry)
            self._waiting_rows += entry.rows

    def _leave(self, entry: InFlightBatch) -> None:
        if entry.message is not None:
            self._open[entry.message] -= 1
            if not self._open[entry.message]:
                del self._open[entry.message]
            entry.message = None
