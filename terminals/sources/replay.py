"""Trades from a CSV file at their own pace, faster, or without pauses. Prices are read as decimals, never as floats.

Columns `symbol,ts,price` and, if there, `size,side,seq`. `ts` is nanoseconds since 1970 UTC and is cut to microseconds;
side B is a buyer's, A a seller's aggression, N unknown.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminals import exact
from terminals.batcher import Row
from terminals.position import Position
from terminals.sources.contract import Pace, Receiver
from terminals.wire import PRICE_SCALE, SIZE_SCALE, Kind, Side

CODE: Final = "REPLAY"
FEED: Final = "replay"
MARKET: Final[str | None] = None
HELP: Final = "CSV 파일의 체결을 다시 보냅니다 / replay the trades of a CSV file"
_SIDES: Final = {"B": Side.BUY, "A": Side.SELL, "N": Side.UNKNOWN, "": None}
_NEEDED: Final = ("symbol", "ts", "price")
_MINUTE_US: Final = 60_000_000
_CHUNK: Final = 500


class BadFile(Exception):
    """This file cannot be replayed; the message names the line."""


@dataclass(frozen=True)
class Content:
    """What a file has in it."""

    rows: int
    first_us: int
    last_us: int

    @property
    def span_us(self) -> int:
        """How far each further pass is moved on: the span of the file in whole minutes, so that candles keep shape."""
        return ((self.last_us - self.first_us) // _MINUTE_US + 1) * _MINUTE_US


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source."""
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="symbol,ts,price,size,side,seq (ts: ns UTC)")
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="배속, 0 = 최대한 빨리 / 0 = no pauses")
    parser.add_argument("--loop", action="store_true", help="반복, 시각은 파일 길이만큼 뒤로 / repeat, times moved on")
    parser.add_argument(
        "--from-start", action="store_true", help="중단된 재생을 잇지 않음 / do not resume a broken replay"
    )


class Replay:
    """A file that was checked from end to end before its first row is sent."""

    def __init__(self, file: Path, *, speed: float = 1.0, loop: bool = False, from_start: bool = False) -> None:
        self._file, self._speed, self._loop, self._from_start = file, speed, loop, from_start
        self.content = check(file)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "Replay":
        """BadFile if it cannot be replayed."""
        given = arguments
        return cls(given.file, speed=given.speed, loop=given.loop, from_start=given.from_start)

    def describe(self) -> str:
        """One line for the log."""
        again = f" loop moves_times_on_s={self.content.span_us // 1_000_000}" if self._loop else ""
        return f"replay file={self._file.name} rows={self.content.rows} speed={self._speed:g}{again}"

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Send it all; True when the end of the file was reached."""
        position = Position(terminal.spool, self._file)
        for rows in self.produce(pace, skip=position.begin(anew=self._from_start)):
            terminal.send(rows)
            if not pace.wait(0.0):
                return False
        if not pace.wait(0.0):
            return False
        terminal.flush()
        position.finish()
        return True

    def produce(self, pace: Pace, *, skip: int = 0) -> Iterator[list[Row]]:
        """The rows when they are due, without the first `skip`; ends early when the program is to stop."""
        began, first_us, chunk = pace.now(), None, list[Row]()
        passes = itertools.count(skip // self.content.rows) if self._loop else range(1)
        left_out = skip % self.content.rows if self._loop else skip
        for number in passes:
            for row in itertools.islice(read(self._file, moved_us=number * self.content.span_us), left_out, None):
                first_us = row["time_us"] if first_us is None else first_us
                if self._speed:
                    wait_s = began + (row["time_us"] - first_us) / 1e6 / self._speed - pace.now()
                    if wait_s > 0 and chunk:
                        yield chunk
                        chunk = []
                    if wait_s > 0 and not pace.wait(wait_s):
                        return
                chunk.append(row)
                if len(chunk) >= _CHUNK:
                    yield chunk
                    chunk = []
            left_out = 0
        if chunk:
            yield chunk


def check(file: Path) -> Content:
    """Read the whole file once; BadFile naming the first line that is wrong."""
    count, first_us, last_us = 0, 0, 0
    for row in read(file):
        time_us = row["time_us"]
        first_us, last_us = (min(first_us, time_us), max(last_us, time_us)) if count else (time_us, time_us)
        count += 1
    if not count:
        raise BadFile(f"{file} has no rows")
    return Content(count, first_us, last_us)


def read(file: Path, *, moved_us: int = 0) -> Iterator[Row]:
    """The rows of a file, event times moved on by `moved_us`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.DictReader(opened, strict=True)
            missing = [name for name in _NEEDED if name not in (lines.fieldnames or ())]
            if missing:
                raise BadFile(f"{file} line 1: column {', '.join(missing)} is missing")
            for line in lines:
                try:
                    yield _row(line, moved_us)
                except ValueError as error:
                    raise BadFile(f"{file} line {lines.line_num}: {error}") from None
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(f"{file} is no CSV file: {error}") from None


def _row(line: dict[str | None, str | None], moved_us: int) -> Row:
    if None in line or None in line.values():
        raise ValueError("has more or fewer cells than the first line")
    cells = {str(name): str(cell).strip() for name, cell in line.items()}
    symbol, side = cells["symbol"], cells.get("side", "")
    if not symbol.isascii() or not symbol.isprintable() or not 1 <= len(symbol) <= 24:
        raise ValueError(f"symbol {symbol!r} must be 1 to 24 printable ASCII characters")
    if side not in _SIDES:
        raise ValueError(f"side {side!r} must be B, A, N or empty")
    try:
        time_us = _whole(cells["ts"]) // 1000
        price = exact.mantissa(cells["price"], PRICE_SCALE)
        size = exact.mantissa(cells["size"], SIZE_SCALE) if cells.get("size") else None
        seq = _whole(cells["seq"]) if cells.get("seq") else None
    except ValueError as error:
        raise ValueError(f"ts, price, size or seq: {error}") from None
    return {
        "symbol": symbol,
        "time_us": time_us + moved_us,
        "kind": Kind.TRADE,
        "price": price,
        "size": size,
        "side": _SIDES[side],
        "seq": seq,
    }


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63):
        raise ValueError(f"{text!r} is no whole number of 63 bits")
    return int(text)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError("0 or more")
    return speed


open_source = Replay.from_arguments
