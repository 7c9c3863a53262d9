"""Up to where each feed was published and delivered, in the database. A row is moved only by who has its fence, so that
of two publishers the one that was thought dead moves nothing any more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from marketdata.maintenance.leases import LeaseLost
from marketdata.models import FanoutPosition


@dataclass(slots=True)
class Position:
    """As `FanoutPosition` has it."""

    feed: str
    epoch: str = ""
    offset: int = 0
    committed_us: int = 0
    minute_us: int = 0
    statistics_order: int = 0
    newest_us: int = 0
    published_us: int = 0
    delivered_us: int = 0
    trouble: str = ""
    trouble_us: int = 0

    def hear(self, trouble: str, now_us: int) -> None:
        """What the client of the broker says is wrong now; since when it is, stays as long as anything is."""
        self.trouble = trouble[:200]
        self.trouble_us = (self.trouble_us or now_us) if trouble else 0

    def away_s(self, now_us: int) -> float:
        """How long the broker has been away."""
        return max(now_us - self.trouble_us, 0) / 1e6 if self.trouble_us else 0.0

    @property
    def lag_s(self) -> float:
        """How far what is published is behind the feed's newest commit."""
        return max(self.newest_us - self.published_us, 0) / 1e6


NAMES = tuple(Position.__dataclass_fields__)


def take(fence: int) -> dict[str, Position]:
    """Make all rows ours; LeaseLost if somebody has a newer fence."""
    FanoutPosition.objects.filter(fence__lt=fence).update(fence=fence)
    rows = list(FanoutPosition.objects.all())
    if any(row.fence > fence for row in rows):
        raise LeaseLost(f"somebody publishes with a newer fence than {fence}")
    return {row.feed: Position(**{name: getattr(row, name) for name in NAMES}) for row in rows}


def add(position: Position, fence: int) -> None:
    """The first row of a feed."""
    FanoutPosition.objects.create(**asdict(position), fence=fence)


def save(position: Position, fence: int, *, seen_us: int) -> None:
    """Note where a feed is; LeaseLost if the row is somebody else's by now."""
    values = asdict(position)
    del values["feed"]
    _update(position.feed, fence, **values, seen_us=seen_us)


def note(position: Position, fence: int, *, seen_us: int) -> None:
    """Note how much waits and for what, without moving it; LeaseLost as above."""
    told = {name: getattr(position, name) for name in ("newest_us", "trouble", "trouble_us")}
    _update(position.feed, fence, **told, seen_us=seen_us)


def _update(feed: str, fence: int, **values: Any) -> None:
    if not FanoutPosition.objects.filter(feed=feed, fence=fence).update(**values):
        raise LeaseLost(f"the position of {feed} is moved by somebody else (our fence: {fence})")
