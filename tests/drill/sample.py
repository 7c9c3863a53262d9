"""A small file of trades for the replay where the real one is absent; times and prices repeat as they do there."""

from __future__ import annotations

import csv
import random
from pathlib import Path

FIRST_NS = 1_703_545_200_000_000_000  # 2023-12-25 23:00 UTC, the hour of the real file
HOUR_NS = 3_600_000_000_000


def write(path: Path, *, rows: int = 3_000, seed: int = 1) -> Path:
    """An hour of trades of one symbol, in order of time."""
    chance = random.Random(seed)
    moments = sorted(FIRST_NS + chance.randrange(HOUR_NS // 20) * 20 for _ in range(rows * 3 // 4))
    moments = sorted([*moments, *chance.choices(moments, k=rows - len(moments))])
    price = 480_000
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["symbol", "ts", "price", "size", "side", "seq"])
        for number, moment in enumerate(moments):
            price += 25 * chance.choice((-1, 0, 0, 0, 1))
            text = f"{price // 100}.{price % 100:02d}"
            out.writerow(["ESH4", moment, text, min(chance.randint(1, 9), 5), chance.choice("BAN"), 6_000 + number])
    return path
