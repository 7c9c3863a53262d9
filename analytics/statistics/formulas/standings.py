"""The market as a whole, from where each of its symbols stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A symbol on its newest trading date: change in 1e-4 per cent of the close before (None where that is not known),
    traded value in 1e-14, up and down volume in 1e-6."""

    symbol: str
    percent: int | None
    turnover: int
    up: int
    down: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breadth:
    """How many symbols rose, fell and did neither, and the traded value and active volume of all of them; `ratio` is
    (rose - fell) by all whose change is known. `mean` is the mean change of those, `weighted` the same weighted by
    traded value, in 1e-4 per cent."""

    advancing: int
    declining: int
    unchanged: int
    turnover: int
    up: int
    down: int
    mean: float | None
    weighted: float | None

    @property
    def ratio(self) -> float | None:
        """From -1 to 1; None when no change is known."""
        total = self.advancing + self.declining + self.unchanged
        return (self.advancing - self.declining) / total if total else None


def breadth(found: Sequence[Standing]) -> Breadth:
    """Over these symbols; one whose change is not known counts in the sums only."""
    known = [(one.percent, one.turnover) for one in found if one.percent is not None]
    changes = [change for change, _ in known]
    traded = sum(turnover for _, turnover in known)
    return Breadth(
        advancing=sum(change > 0 for change in changes),
        declining=sum(change < 0 for change in changes),
        unchanged=sum(change == 0 for change in changes),
        turnover=sum(one.turnover for one in found),
        up=sum(one.up for one in found),
        down=sum(one.down for one in found),
        mean=sum(changes) / len(changes) if changes else None,
        weighted=sum(change * turnover for change, turnover in known) / traded if traded > 0 else None,
    )


def most_traded(found: Sequence[Standing], top: int) -> list[Standing]:
    """Those with the greatest traded value."""
    return sorted(found, key=lambda one: (-one.turnover, one.symbol))[:top]


def movers(found: Sequence[Standing], top: int) -> tuple[list[Standing], list[Standing]]:
    """(those that rose most, those that fell most), by their change in per cent."""
    known = [(one.percent, one) for one in found if one.percent]
    known.sort(key=lambda pair: (-abs(pair[0]), pair[1].symbol))
    return [one for change, one in known if change > 0][:top], [one for change, one in known if change < 0][:top]
