"""From figures to a grade, A to D, with the reasons why it is no A. Pure; the only place that knows what is bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

REPEATED = "repeated_record"
FEW_PER_MILLE = 1
"""Refused rows by 1,000 stored ones beyond which it is a C."""
LOST_C, LOST_D = 0.05, 0.5
"""Shares of the session's minutes that are lost from which on it is a C, and a D. Any is a B."""
DIFFERING_B, DIFFERING_C, COMPARED = 0.05, 0.2, 20
"""Shares of the compared minutes in which two sources differ by more than a tick; fewer minutes say nothing."""
GRADES = ("A", "B", "C", "D")
TEXTS = {
    "nothing_stored": _("nothing is stored"),
    "held_up": _("the rollover of the day is held up: see its error"),
    "gaps": _("gaps: {gaps}, missing rows: {missing}"),
    "many_refused": _("refused rows: {rows}, more than {most} in 1,000"),
    "refused": _("refused rows: {rows}"),
    "late": _("rows that came after the day was sealed: {rows}"),
    "voided": _("rows taken back: {rows}"),
    "lost_minutes": _("{minutes} of {session} minutes of the session lost: longer silence than is usual, or a gap"),
    "differing": _("{minutes} of {compared} minutes close more than a tick away from {feed}"),
    "clock": _("the clock of the terminal was {seconds} s off"),
    "not_judged": _("no minute was judged: the calendar has no session of this market on that day"),
}
"""Of each reason, with places for its figures; filled in by `text`."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the grade is not better than this one."""

    grade: str
    code: str
    figures: Mapping[str, Any]

    @property
    def text(self) -> str:
        """In the language in force."""
        return str(TEXTS[self.code]).format(**self.figures)

    def as_json(self) -> list[Any]:
        """As it is stored."""
        return [self.grade, self.code, dict(self.figures)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a grade is made of. Rows; minutes of the session; `clock_us` is how far the terminal's clock was off, with
    `clock_most_us` as what is usual (0: it does not matter). `silent` says that nothing being stored is usual, `hours`
    that minutes could be judged: of a series without a session they could not."""

    stored: int
    refused: int = 0
    late: int = 0
    voided: int = 0
    gaps: int = 0
    missing: int = 0
    held_up: bool = False
    silent: bool = False
    hours: bool = True
    session: int = 0
    lost: int = 0
    compared: int = 0
    differing: int = 0
    other: str = ""
    clock_us: int = 0
    clock_most_us: int = 0


def reasons(facts: Facts) -> list[Reason]:
    """Everything that is wrong, the worst first, and what could not be judged; rows that came twice cost nothing."""
    found: list[Reason] = []

    def add(grade: str, code: str, **figures: Any) -> None:
        found.append(Reason(grade, code, figures))

    if not facts.stored and not facts.silent:
        add("D", "nothing_stored")
    if facts.held_up:
        add("D", "held_up")
    if facts.lost:
        share = facts.lost / max(facts.session, 1)
        grade = "D" if share >= LOST_D else "C" if share >= LOST_C else "B"
        add(grade, "lost_minutes", minutes=facts.lost, session=facts.session)
    if facts.gaps:
        add("C", "gaps", gaps=facts.gaps, missing=facts.missing)
    if facts.refused * 1000 > facts.stored * FEW_PER_MILLE:
        add("C", "many_refused", rows=facts.refused, most=FEW_PER_MILLE)
    elif facts.refused:
        add("B", "refused", rows=facts.refused)
    if facts.compared >= COMPARED and facts.differing > facts.compared * DIFFERING_B:
        grade = "C" if facts.differing > facts.compared * DIFFERING_C else "B"
        add(grade, "differing", minutes=facts.differing, compared=facts.compared, feed=facts.other)
    if facts.late:
        add("B", "late", rows=facts.late)
    if facts.voided:
        add("B", "voided", rows=facts.voided)
    if facts.clock_most_us and abs(facts.clock_us) > facts.clock_most_us:
        add("B", "clock", seconds=f"{facts.clock_us / 1e6:+.1f}")
    if not facts.hours:
        add("A", "not_judged")  # no fault, and yet the grade says less than another A
    return sorted(found, key=lambda one: one.grade, reverse=True)


def grade(found: Sequence[Reason]) -> str:
    """The worst of them; A without any."""
    return max((one.grade for one in found), default=GRADES[0])


def from_json(stored: Sequence[Sequence[Any]]) -> list[Reason]:
    """The inverse of `as_json`; one of another version that is not known any more is left out."""
    return [Reason(one[0], one[1], one[2]) for one in stored if one[1] in TEXTS]
