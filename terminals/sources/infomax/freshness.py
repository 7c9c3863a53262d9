"""When a sheet, or one code of it, no longer says what the market does; and when it does again. Each is told once.
Knows no clock: every call brings the time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

STALE: Final = "feed_stale"
LIVE: Final = "feed_live"


@dataclass(frozen=True)
class Told:
    """An event: of one symbol, or of the whole feed."""

    event: Literal["feed_stale", "feed_live"]
    symbol: str | None
    body: Mapping[str, Any] = field(default_factory=dict)


class Freshness:
    """`stale_s`: how long it may not be read, or its heartbeat or a code's price may be missing. `frozen_s`: how long
    it may stay the same while it is expected to move; 0 for ever. Plain seconds of a clock that only goes forward."""

    def __init__(self, *, stale_s: float, frozen_s: float, now: float) -> None:
        self._stale_s, self._frozen_s = stale_s, frozen_s
        self._read_at = self._moved_at = self._beat_at = now
        self._beat: object = None
        self._has_beat = False
        self._failure = ("not_read", "")
        self._stale: str | None = None
        self._stale_at = now
        self._good_at: dict[str, float] = {}
        self._stale_codes: dict[str, float] = {}

    @property
    def stale(self) -> str | None:
        """Why the sheet is stale, if it is."""
        return self._stale

    @property
    def stale_codes(self) -> int:
        """How many codes are stale while the sheet is not."""
        return len(self._stale_codes)

    def failed(self, reason: str, message: str) -> None:
        """It could not be read."""
        self._failure = (reason, message)

    def beat(self, value: object, now: float) -> None:
        """What the heartbeat cell shows."""
        if not self._has_beat or value != self._beat:
            self._has_beat, self._beat, self._beat_at = True, value, now

    def read(self, readable: Iterable[str], unreadable: Mapping[str, str], *, moved: bool, now: float) -> list[Told]:
        """It was read: these codes have a price, those have none and why, and whether anything changed."""
        told: list[Told] = []
        seen = False
        for code in readable:
            seen = True
            self._good_at[code] = now
            if self._stale_codes and code in self._stale_codes:
                stale_s = now - self._stale_codes.pop(code)
                told.append(Told(LIVE, code, {"stale_s": round(stale_s, 3)}))
        if moved:
            self._moved_at = now
        if not seen:
            self.failed("no_prices", _most(unreadable))
            return told
        self._read_at, self._failure = now, ("not_read", "")
        for code, reason in unreadable.items():
            since = self._good_at.setdefault(code, now)
            if now - since >= self._stale_s and code not in self._stale_codes:
                self._stale_codes[code] = since
                told.append(Told(STALE, code, {"reason": reason, "stale_s": round(now - since, 3)}))
        return told

    def judge(self, now: float, *, expects_movement: bool) -> list[Told]:
        """Whether the sheet as a whole has become stale or live."""
        if not expects_movement and self._stale != "unchanged":
            self._moved_at = now
        reason, since, detail = None, now, ""
        if now - self._read_at >= self._stale_s:
            (reason, detail), since = self._failure, self._read_at
        elif self._has_beat and now - self._beat_at >= self._stale_s:
            reason, since = "heartbeat", self._beat_at
        elif self._frozen_s and now - self._moved_at >= self._frozen_s:
            reason, since = "unchanged", self._moved_at
        if (reason is None) == (self._stale is None):
            return []  # another reason while it is stale is no news
        if reason is None:
            body = {"reason": self._stale, "stale_s": round(now - self._stale_at, 3)}
            self._stale = None
            return [Told(LIVE, None, body)]
        self._stale, self._stale_at = reason, since
        return [Told(STALE, None, {"reason": reason, "stale_s": round(now - since, 3), "detail": detail[:500]})]


def _most(unreadable: Mapping[str, str]) -> str:
    """The reason that most codes have."""
    reasons = sorted(unreadable.values())
    return max(set(reasons), key=lambda one: (reasons.count(one), one)) if reasons else "no codes"
