"""Prices of Infomax, as a sheet of Excel shows them: the one that is open in a running Excel on Windows, or a workbook
that is saved again and again. A sheet is a conflated picture, not a stream of trades: each change is a snapshot.

This module imports on a bare Python. `files` needs python-calamine, `excel` needs xlwings.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from terminals.finding import Finding
from terminals.sources.contract import WrongInput
from terminals.sources.infomax import column_map
from terminals.sources.infomax.column_map import ColumnMap
from terminals.sources.infomax.reading import Reader
from terminals.sources.infomax.source import Infomax, Options, PlayedSheet
from terminals.wire.language import gettext as _
from terminals.wire.options import between, decimal

CODE: Final = "INFOMAX"
FEED: Final = "infomax"
MARKET: Final[str | None] = "KRX"
# The sheet goes on while the spool is full, and its newest picture follows when there is room again.
WHEN_FULL: Final[Literal["block", "drop"]] = "block"
_THROTTLE_FILE: Final = "rtd-throttle.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source."""
    parser.add_argument(
        "--map",
        type=Path,
        metavar="FILE.toml",
        help=_("which header stands over which figure, if the file of --config does not say it"),
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--file", type=Path, metavar="FILE.xlsx", help=_("read a workbook that is saved, not Excel"))
    where.add_argument("--workbook", metavar="NAME", help=_("the workbook that is open in Excel"))
    parser.add_argument(
        "--poll-ms", type=between(50, 60_000), default=300, metavar="MS", help=_("time from reading to reading (300)")
    )
    parser.add_argument(
        "--rtd-ms",
        type=between(0, 60_000),
        default=200,
        metavar="MS",
        help=_("how often Excel fetches real-time data, restored at the end (200)"),
    )
    parser.add_argument(
        "--stale-s",
        type=decimal(0.5, 86_400),
        default=10.0,
        metavar="S",
        help=_("stale when it could not be read for so long (10)"),
    )
    parser.add_argument(
        "--frozen-s",
        type=decimal(0, 86_400),
        default=60.0,
        metavar="S",
        help=_("stale when nothing changed for so long in its hours, 0 = never (60)"),
    )
    parser.add_argument("--once", action="store_true", help=_("send what the sheet shows now, and end"))


def open_source(arguments: argparse.Namespace) -> Infomax:
    """As the command line and its map say. MapError, WrongInput or OSError says what is wrong with them."""
    given = _map_of(arguments)
    if arguments.workbook:
        given = replace(given, workbook=arguments.workbook, file=None)
    file = arguments.file or given.file
    open_reader = _file_reader(given, file) if file else _excel_reader(given, arguments.rtd_ms)
    return Infomax(
        given,
        open_reader,
        place=f"file={file}" if file else f"workbook={given.workbook}",
        market=_market_of(arguments),
        recorder=arguments.recorder,
        options=Options(
            poll_s=arguments.poll_ms / 1000,
            stale_s=arguments.stale_s,
            frozen_s=arguments.frozen_s,
            once=arguments.once,
        ),
    )


def open_decoder(arguments: argparse.Namespace) -> PlayedSheet:
    """For `play`. MapError or OSError says what is wrong with the map."""
    return PlayedSheet(_map_of(arguments), market=_market_of(arguments))


def check(arguments: argparse.Namespace) -> Iterator[Finding]:
    """What the sheet has now. MapError, WrongInput or OSError says what is wrong with the options."""
    return open_source(arguments).check()


def _map_of(arguments: argparse.Namespace) -> ColumnMap:
    return column_map.read(arguments.map) if arguments.map else column_map.parse(arguments.tables)


def _market_of(arguments: argparse.Namespace) -> str | None:
    market: str = arguments.register_market
    return None if market == "-" else market


def _file_reader(given: ColumnMap, file: Path) -> Callable[[Path], Reader]:
    from terminals.sources.infomax.files import FileReader

    return lambda _spool: FileReader(file, given.sheet, given.range)


def _excel_reader(given: ColumnMap, throttle_ms: int) -> Callable[[Path], Reader]:
    from terminals.sources.infomax.excel import ExcelReader, load_office

    workbook = given.workbook
    if workbook is None:
        raise WrongInput(_("the map names no workbook and no file, and neither does --workbook or --file"))
    office = load_office()
    return lambda spool: ExcelReader(
        office,
        workbook,
        given.sheet,
        given.range,
        throttle_ms=throttle_ms,
        remembered=spool / _THROTTLE_FILE,
    )
