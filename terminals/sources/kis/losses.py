"""What each registration may have lost, with a connection or for want of room, until it is told as a gap of its own.
Knows no clock and no socket. One for all sessions: a registration may move from one appkey to another.

What trades lost is told by their volumes (`volume_holes`) as soon as another trade of their day comes: only the intake
knows when, so it gets such a loss as `is_counted`, and tells it if none came.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from terminals.sources.kis.intake import Lost
from terminals.sources.kis.layouts import LAYOUTS, Content, place_of
from terminals.sources.kis.planner import Registration

DISCONNECTED: Final = "disconnected"
NO_ROOM: Final = "no_room"
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

    def __init__(self, offer: Callable[[Lost], bool]) -> None:
        """`offer` takes a gap to be told, or says that there is no room."""
        self._offer = offer
        self._open: dict[Registration, _Loss] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, registrations: Iterable[Registration], at_us: int) -> None:
        """From `at_us` on nothing comes of these."""
        for one in registrations:
            self._lose(one, at_us, None, DISCONNECTED)

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
        return not any(loss.is_over for loss in self._open.values())

    def _lose(self, one: Registration, at_us: int, to_us: int | None, reason: str) -> None:
        if one.tr_id not in LAYOUTS:
            return
        loss = self._open.setdefault(one, _Loss(at_us, to_us, reason))
        loss.to_us, loss.is_over = to_us, False

    def _end(self, one: Registration, loss: _Loss) -> None:
        assert loss.to_us is not None
        loss.is_over = True
        layout = LAYOUTS[one.tr_id]
        feed, symbol = place_of(layout, one.tr_key)
        # Records have whole seconds, and the clock may have been set back.
        from_us = min(loss.from_us, loss.to_us) // _SECOND_US * _SECOND_US
        reason = _KINDS.get(layout.content, "") + loss.reason
        to_us = max(loss.from_us, loss.to_us)
        if self._offer(Lost(feed, symbol, from_us, to_us, reason, is_counted=layout.is_counted)):
            del self._open[one]
