"""What `python -m terminals check` found out, one thing at a time, in words for the person at the PC."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How it stands: as it should be, worth a look, or in the way of sending."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """`told` says what was found, `remedy` what to do about it where that is known."""

    level: Level
    told: str
    remedy: str = ""
