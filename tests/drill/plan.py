"""Who is killed when: decided before the first kill, from the seed alone, so that a drill can be done again."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KINDS = ("ingest", "worker", "child", "web", "redis", "database", "terminal")
TROUBLES = ("cut", "rot", "restore", "flags", "rollover")
"""What happens besides: `tests.drill.troubles` says what each is."""
TROUBLES_A_ROUND = 2
SHORTEST_S, LONGEST_S = 0.3, 2.5


@dataclass(frozen=True, slots=True)
class Strike:
    """`way`: kill (SIGKILL), pause (SIGSTOP, later SIGCONT), term (SIGTERM) or `trouble`, of which `kind` says which.
    `pick` in [0, 1) says which one of a kind."""

    kind: str
    way: str
    after_s: float
    pick: float


def strikes(kills: int, *, seed: int, kinds: Sequence[str] = KINDS) -> Iterator[Strike]:
    """`kills` kills, each round of which meets every kind once; a pause, a polite end and two troubles are added to
    each round, so that three rounds meet each trouble."""
    chance = random.Random(seed)
    troubles = itertools.cycle(chance.sample(TROUBLES, len(TROUBLES)))
    left = kills
    while left > 0:
        dealt = chance.sample(kinds, min(left, len(kinds)))
        left -= len(dealt)
        order = [(kind, "kill") for kind in dealt]
        if len(dealt) == len(kinds):
            for way in ("pause", "term"):
                order.insert(chance.randint(1, len(order)), (chance.choice(kinds), way))
            for trouble in itertools.islice(troubles, TROUBLES_A_ROUND):
                order.insert(chance.randint(1, len(order)), (trouble, "trouble"))
        for kind, way in order:
            yield Strike(kind, way, chance.uniform(SHORTEST_S, LONGEST_S), chance.random())
