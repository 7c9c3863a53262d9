"""What each registration may have lost, with a connection, for want of room or while no terminal ran, until it is told
as a gap of its own. Knows no clock and no socket. One for all sessions: a registration may move from one appkey to
another. What was lost while nothing could come (`open_times`) is no loss.

What trades lost is told by their volumes (`volume_holes`) as soon as another trade of their day comes: only the intake
knows when, so it gets such a loss as `is_counted`, and tells it if none came.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from terminals.sources.kis import korean_time, open_times
from terminals.sources.kis.intake_items import Lost
from terminals.sources.kis.layouts import LAYOUTS, Content, place_of
from terminals.sources.kis.planner import Registration
from terminals.wire.gap_reasons import DISCONNECTED, NO_ROOM

MOST_A_DAY: Final = 50_000
"""Gaps by registration on a date, half of what the server takes of a client by default; all that ends after that is
told by feed and reason."""
_KINDS: Final = {
    Content.BOOK: "book:",
    Content.OVERSEAS_BOOK: "book:",
    Content.EXPECTED: "expected:",
    Content.MARKET_STATUS: "status:",
    Content.INDEX: "index:",
}
"""In front of a reason: that no trades were lost (`terminals.wire.OTHER_KINDS`)."""
_SECOND_US: Final = 1_000_000


@dataclass(slots=True)
class _Loss:
    from_us: int
    to_us: int | None
    """None while nothing can come."""
    reason: str
    is_over: bool = False


class Losses:
    """At most one loss of a registration at a time: what is lost before it could be told belongs to it. Times in UTC
    microseconds by the clock of the service, which may be set back."""

    def __init__(self, offer: Callable[[Lost], bool], *, most_a_day: int = MOST_A_DAY) -> None:
        """`offer` takes a gap to be told, or says that there is no room."""
        self._offer, self._most_a_day = offer, most_a_day
        self._open: dict[Registration, _Loss] = {}
        self._together: dict[tuple[str, str], tuple[int, int]] = {}  # from and to by (feed, reason)
        self.told_on = (0, 0)
        """A date and how many gaps were told on it."""

    def __len__(self) -> int:
        return len(self._open) + len(self._together)

    def begin(self, registrations: Iterable[Registration], at_us: int, reason: str = DISCONNECTED) -> None:
        """From `at_us` on nothing comes of these."""
        for one in registrations:
            self._lose(one, at_us, None, reason)

    def dropped(self, registrations: Iterable[Registration], at_us: int) -> None:
        """A record of each of these came at `at_us` and was dropped."""
        for one in registrations:
            self._lose(one, at_us, at_us, NO_ROOM)

    def active(self, one: Registration, at_us: int) -> None:
        """It is registered (again)."""
        loss = self._open.get(one)
        if loss is not None and loss.to_us is None:
            loss.to_us = at_us
            self._end(one, loss)

    def data(self, registrations: Iterable[Registration], at_us: int) -> None:
        """A record of each of these came at `at_us` and was taken."""
        for one in registrations:
            loss = self._open.get(one)
            if loss is None:
                continue
            if loss.to_us is None:
                loss.to_us = at_us
            self._end(one, loss)

    def end(self, at_us: int, *, but: Iterable[Registration] = ()) -> None:
        """Nobody waits for any other than `but` after `at_us`."""
        kept = frozenset(but)
        for one, loss in list(self._open.items()):
            if one not in kept:
                if loss.to_us is None:
                    loss.to_us = at_us
                self._end(one, loss)

    def tell(self) -> bool:
        """Offer again what there was no room for. Whether all that is over is told."""
        for one, loss in list(self._open.items()):
            if loss.is_over:
                self._end(one, loss)
        going_on = {_kind_of(one, loss) for one, loss in self._open.items()}
        for kind, bounds in list(self._together.items()):
            if kind not in going_on and self._offer(_of_feed(kind, bounds)):
                del self._together[kind]
        return not self._together and not any(loss.is_over for loss in self._open.values())

    def going_on(self) -> list[tuple[Registration, int, str]]:
        """(registration, from, reason) of what is not told."""
        return [(one, loss.from_us, loss.reason) for one, loss in self._open.items()]

    def together(self) -> list[Lost]:
        """What is told by feed, when the last of its kind is over."""
        return [_of_feed(kind, bounds) for kind, bounds in self._together.items()]

    def _lose(self, one: Registration, at_us: int, to_us: int | None, reason: str) -> None:
        if one.tr_id not in LAYOUTS:
            return
        loss = self._open.setdefault(one, _Loss(at_us, to_us, reason))
        loss.to_us, loss.is_over = to_us, False

    def _end(self, one: Registration, loss: _Loss) -> None:
        assert loss.to_us is not None
        loss.is_over = True
        # The clock may have been set back.
        from_us, to_us = min(loss.from_us, loss.to_us), max(loss.from_us, loss.to_us)
        bounds = open_times.within(one, from_us, to_us)
        if bounds is None and loss.reason != NO_ROOM:
            del self._open[one]
            return
        from_us, to_us = bounds or (from_us, to_us)
        from_us = from_us // _SECOND_US * _SECOND_US  # records have whole seconds
        layout, kind = LAYOUTS[one.tr_id], _kind_of(one, loss)
        date = korean_time.date_of(to_us)
        told = self.told_on[1] if self.told_on[0] == date else 0
        if told >= self._most_a_day and not layout.is_counted:
            before = self._together.get(kind, (from_us, to_us))
            self._together[kind] = min(before[0], from_us), max(before[1], to_us)
            del self._open[one]
            return
        feed, symbol = place_of(layout, one.tr_key)
        if self._offer(Lost(feed, symbol, from_us, to_us, kind[1], is_counted=layout.is_counted)):
            del self._open[one]
            self.told_on = date, told + (not layout.is_counted)


def _kind_of(one: Registration, loss: _Loss) -> tuple[str, str]:
    """(feed, reason of the gap)."""
    layout = LAYOUTS[one.tr_id]
    return place_of(layout, one.tr_key)[0], _KINDS.get(layout.content, "") + loss.reason


def _of_feed(kind: tuple[str, str], bounds: tuple[int, int]) -> Lost:
    return Lost(kind[0], None, *bounds, kind[1])
