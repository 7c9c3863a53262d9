"""A sheet of a made-up market that is saved again and again, as a person's Excel or a program does it, on time and with
all that happens to such files: half-written, replaced, columns moved, rows inserted, cells that say nothing."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import openpyxl

SHEET: Final = "실시간"
HEADINGS: Final[list[object]] = [
    "종목코드",
    "한글종목명",
    "현재가",
    "등락률",
    "시가",
    "고가",
    "저가",
    "기준가",
    "누적거래량",
    "누적거래대금",
]
MAP: Final = """
code = ["종목코드", "Code"]
[sheet]
name = "실시간"
market = "KRX"
heartbeat = "T1"
[columns]
price = ["현재가", "Last"]
open = "시가"
high = "고가"
low = "저가"
prev_close = "기준가"
cum_volume = "누적거래량"
cum_value = "누적거래대금"
change_rate = { headers = "등락률", kind = "percent", places = 2 }
"""


class Market:
    """Prices and volumes of `rows` codes; each step changes some of them, never to what they were."""

    def __init__(self, rows: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self.version = 0
        self.codes = [f"{number:06}" for number in range(1, rows + 1)]
        self.base = {code: self._dice.randrange(1_000, 500_000, 10) for code in self.codes}
        self.price = dict(self.base)
        self.high, self.low = dict(self.base), dict(self.base)
        self.volume = dict.fromkeys(self.codes, 0)
        self.value = dict.fromkeys(self.codes, 0)
        self.shown = {code: [(self.price[code], 0)] for code in self.codes}
        """Every price and volume there was, by code."""
        self.shown_at: dict[str, list[int]] = {code: [] for code in self.codes}
        """From when on a reader could see each, in UTC microseconds."""

    def step(self) -> int:
        """The next picture; how many rows changed."""
        moved = self._dice.sample(self.codes, self._dice.randint(1, max(1, len(self.codes) // 4)))
        for code in moved:
            self.price[code] = max(10, self.price[code] + self._dice.choice((-10, 0, 10)))
            self.high[code] = max(self.high[code], self.price[code])
            self.low[code] = min(self.low[code], self.price[code])
            size = self._dice.randint(1, 500)
            self.volume[code] += size
            self.value[code] += size * self.price[code]
            self.shown[code].append((self.price[code], self.volume[code]))
        self.version += 1
        return len(moved)

    def saved(self, now_us: int) -> None:
        """What it shows can be read from now on."""
        for code, times in self.shown_at.items():
            times.extend([now_us] * (len(self.shown[code]) - len(times)))

    def row(self, code: str) -> list[object]:
        """As a cell of Excel has it: a code that is a number has lost its zeros, a rate is a double of a formula."""
        rate = (self.price[code] / self.base[code] - 1) * 100
        traded = self.volume[code] > 0
        day = [self.base[code], self.high[code], self.low[code]] if traded else [0, 0, 0]
        return [
            int(code) if int(code) % 3 == 0 else code,
            f"종목 {code}",
            f"{self.price[code]:,}" if int(code) % 7 == 0 else self.price[code],
            rate,
            *day,
            self.base[code],
            self.volume[code],
            self.value[code],
        ]


class Workbook:
    """The market as a file. With `trouble`, it is saved in the ways that a reader has to survive."""

    def __init__(self, path: Path, market: Market, *, trouble: bool, seed: int) -> None:
        self._path, self._market, self._trouble = path, market, trouble
        self._dice = random.Random(seed)

    def save(self) -> None:
        """Put the market's picture in the place of the last one."""
        lines: list[list[object]] = [list(HEADINGS), *(self._market.row(code) for code in self._market.codes)]
        for spoil in (self._move_columns, self._insert_rows, self._repeat_a_code) if self._trouble else ():
            if self._dice.random() < 0.3:
                lines = spoil(lines)
        new = self._path.with_name(f"{self._path.stem}.new.xlsx")
        write(new, lines, beat=self._market.version)
        if self._trouble and self._dice.random() < 0.3:
            whole = new.read_bytes()
            self._path.write_bytes(whole[: self._dice.randrange(len(whole))])
        new.replace(self._path)
        self._market.saved(time.time_ns() // 1000)

    def _move_columns(self, lines: list[list[object]]) -> list[list[object]]:
        order = list(range(len(HEADINGS)))
        self._dice.shuffle(order)
        return [[line[index] for index in order] for line in lines]

    def _insert_rows(self, lines: list[list[object]]) -> list[list[object]]:
        at = self._dice.randrange(1, len(lines))
        return [["메모"], [], *lines[:at], [], [None, "합계", None], *lines[at:]]

    def _repeat_a_code(self, lines: list[list[object]]) -> list[list[object]]:
        return [*lines, list(lines[self._dice.randrange(1, len(lines))])]


def write(path: Path, lines: Sequence[Sequence[object]], *, beat: int) -> None:
    """A workbook with this sheet, and what never rests in T1."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(SHEET)
    first = [*lines[0], *[None] * (19 - len(lines[0])), beat]
    for line in (first, *lines[1:]):
        page.append(line)
    book.save(path)


def play(market: Market, workbook: Workbook, versions: int, wait: Callable[[float], None], period_s: float) -> int:
    """Save so many pictures, `period_s` apart; how many rows changed in all, each row of the first one among them."""
    workbook.save()
    changed = len(market.codes)
    for _ in range(versions):
        wait(period_s)
        changed += market.step()
        workbook.save()
    return changed
