"""Trades from a CSV file at their own pace, faster, or without pauses. Prices are read as decimals, never as floats.

Columns `symbol,ts,price` and, if there, `size,side,seq`. `ts` is nanoseconds since 1970 UTC and is cut to microseconds;
side B is a buyer's, A a seller's aggression, N unknown. A line that cannot be read is told and left out.
"""

import argparse
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminals import exact
from terminals.batcher import Row
from terminals.checkpoint import AlreadySent, Checkpoint
from terminals.finding import in_words
from terminals.sources.contract import Pace, Receiver, WrongInput
from terminals.wire import PRICE_SCALE, SIZE_SCALE, Kind, Side, codes, numbers, options, tables
from terminals.wire.language import gettext as _

log = logging.getLogger("naru")

CODE: Final = "REPLAY"
FEED: Final = "replay"
MARKET: Final[str | None] = None
WHEN_FULL: Final = "block"
_SIDES: Final = {"B": Side.BUY, "A": Side.SELL, "N": Side.UNKNOWN, "": None}
_NEEDED: Final = ("symbol", "ts", "price")
_KNOWN: Final = ("size", "side", "seq")
_TOLD: Final = 20  # lines named one by one; the rest is counted
# Nanoseconds before 1973-03-03 are milliseconds or microseconds of today. No trade of a feed is older.
_EARLIEST_NS: Final = 10**17
_OTHER_UNITS: Final = ((10**11, "seconds", 9), (10**14, "milliseconds", 6), (_EARLIEST_NS, "microseconds", 3))
_MINUTE_US: Final = 60_000_000
_CHUNK: Final = 500


class BadFile(WrongInput):
    """This file cannot be replayed; the message names the line, or says what to do."""


@dataclass(frozen=True)
class Content:
    """What a file has in it."""

    rows: int
    first_us: int
    last_us: int
    unreadable: int = 0  # lines that were left out
    float_noise: int = 0  # rows in which float noise was taken off a number

    @property
    def span_us(self) -> int:
        """How far each further pass is moved on: the span of the file in whole minutes, so that candles keep shape."""
        return ((self.last_us - self.first_us) // _MINUTE_US + 1) * _MINUTE_US


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source."""
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="symbol,ts,price,size,side,seq (ts: ns UTC)")
    parser.add_argument(
        "--speed", type=options.decimal(0), default=1.0, metavar="N", help=_("pace of the replay, 0 = no pauses")
    )
    parser.add_argument("--loop", action="store_true", help=_("repeat, times moved on"))
    parser.add_argument("--from-start", action="store_true", help=_("do not resume a broken replay"))
    parser.add_argument("--again", action="store_true", help=_("send once more what was sent already"))
    parser.add_argument("--strict", action="store_true", help=_("send nothing if a line is wrong"))


class Replay:
    """A file that was checked from end to end before its first row is sent."""

    def __init__(
        self,
        file: Path,
        *,
        speed: float = 1.0,
        loop: bool = False,
        from_start: bool = False,
        again: bool = False,
        strict: bool = False,
        market: str | None = None,
    ) -> None:
        self._file, self._speed, self._loop, self._market = file, speed, loop, market
        self._from_start, self._again = from_start, again
        self.content = examine(file, strict=strict, market=market)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "Replay":
        """BadFile if it cannot be replayed."""
        given = arguments
        return cls(
            given.file,
            speed=given.speed,
            loop=given.loop,
            from_start=given.from_start,
            again=given.again,
            strict=given.strict,
            market=given.register_market,
        )

    def describe(self) -> str:
        """One line for the log."""
        again = f" loop moves_times_on_s={self.content.span_us // 1_000_000}" if self._loop else ""
        left_out = f" unreadable_lines={self.content.unreadable}" if self.content.unreadable else ""
        noise = f" float_noise_rows={self.content.float_noise}" if self.content.float_noise else ""
        return f"replay file={self._file.name} rows={self.content.rows}{left_out}{noise} speed={self._speed:g}{again}"

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Send it all; True when the end of the file was reached. BadFile if it was sent before."""
        position = Checkpoint(terminal.spool, self._file)
        try:
            skip = position.begin(self.content.rows, anew=self._from_start, again=self._again)
        except AlreadySent as error:
            raise BadFile(f"{self._file}: {error}") from None
        if skip >= self.content.rows and not self._loop:
            told = _("{file}: all its {rows} rows were sent before, so none is sent now; --again sends them once more")
            log.warning("%s", told.format(file=self._file, rows=self.content.rows))
        for rows in self.produce(pace, skip=skip):
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
            for row in itertools.islice(self._pass(number), left_out, None):
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

    def _pass(self, number: int) -> Iterator[Row]:
        return read(self._file, moved_us=number * self.content.span_us, market=self._market)


def examine(file: Path, *, strict: bool = False, market: str | None = None) -> Content:
    """Read the whole file once and tell each line that cannot be read. BadFile if no line can, or with `strict` at the
    first that cannot."""
    count, first_us, last_us, unreadable, first_wrong, float_noise = 0, 0, 0, 0, "", 0
    for number, found, noisy in _read(file, market):
        if isinstance(found, str):
            if strict:
                raise BadFile(f"{file} line {number}: {found}")
            unreadable += 1
            if unreadable <= _TOLD:
                log.warning("%s line %d is left out: %s", file, number, found)
                if unreadable == 1:
                    first_wrong = f"line {number}: {found}"
            continue
        time_us = found["time_us"]
        first_us, last_us = (min(first_us, time_us), max(last_us, time_us)) if count else (time_us, time_us)
        count += 1
        float_noise += noisy
    if unreadable > _TOLD:
        log.warning("%s has %d more lines that cannot be read", file, unreadable - _TOLD)
    if not count:
        raise BadFile(f"{file} {first_wrong}" if unreadable else f"{file} has no rows")
    return Content(count, first_us, last_us, unreadable, float_noise)


def read(file: Path, *, moved_us: int = 0, market: str | None = None) -> Iterator[Row]:
    """The rows of a file that can be read, event times moved on by `moved_us`. BadFile if it is no table of trades."""
    for _number, found, _noisy in _read(file, market):
        if not isinstance(found, str):
            yield {**found, "time_us": found["time_us"] + moved_us} if moved_us else found


def _read(file: Path, market: str | None) -> Iterator[tuple[int, Row | str, bool]]:
    """The number of each line, its row or why it is none, and whether float noise was taken off a number of it."""
    try:
        for line in tables.read(file, needed=_NEEDED, known=_KNOWN):
            if line.problem is not None:
                yield line.number, line.problem, False
                continue
            try:
                yield line.number, *_row(line.cells, market)
            except ValueError as error:
                yield line.number, str(error), False
    except OSError as error:
        raise BadFile(_("{file} cannot be read: {reason}").format(file=file, reason=in_words(error))) from None
    except tables.TableError as error:
        raise BadFile(_("{file} is no CSV file of trades: {error}").format(file=file, error=error)) from None


def _row(cells: dict[str, str], market: str | None) -> tuple[Row, bool]:
    side = cells.get("side", "")
    if side not in _SIDES:
        raise ValueError(f"side {side!r} must be B, A, N or empty")
    price, noisy_price = _number("price", cells["price"], PRICE_SCALE)
    size, noisy_size = _number("size", cells["size"], SIZE_SCALE) if cells.get("size") else (None, False)
    seq, noisy_seq = _seq(cells["seq"]) if cells.get("seq") else (None, False)
    row: Row = {
        "symbol": codes.read_code(cells["symbol"], market),
        "time_us": _nanoseconds(cells["ts"]) // 1000,
        "kind": Kind.TRADE,
        "price": price,
        "size": size,
        "side": _SIDES[side],
        "seq": seq,
    }
    return row, noisy_price or noisy_size or noisy_seq


def _number(name: str, text: str, scale: int) -> tuple[int, bool]:
    try:
        return exact.read(text, scale)
    except ValueError as error:
        comma = ": no separators of thousands, and a point before decimals" if "," in text else ""
        raise ValueError(f"{name} {error}{comma}") from None


def _seq(text: str) -> tuple[int, bool]:
    try:
        return numbers.read_whole(text)
    except ValueError as error:
        raise ValueError(f"seq {error}") from None


def _nanoseconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63):
        raise ValueError(f"ts {text!r} is no whole number of 63 bits: nanoseconds since 1970 UTC are wanted")
    value = int(text)
    if value < _EARLIEST_NS:
        unit, zeros = next((unit, zeros) for below, unit, zeros in _OTHER_UNITS if value < below)
        raise ValueError(f"ts {text} looks like {unit}: nanoseconds since 1970 UTC are wanted, {zeros} more zeros")
    return value


open_source = Replay.from_arguments
