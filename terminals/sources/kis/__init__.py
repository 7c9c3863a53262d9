"""The Open API of Korea Investment & Securities (KIS): what its WebSocket pushes, and what its REST is asked for.

This module imports on a bare Python; what it opens needs the packages of requirements/terminals-kis.txt.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from terminals.finding import Finding
from terminals.sources.kis.wanted import MODES, read_wanted
from terminals.wire.language import gettext as _
from terminals.wire.options import between

if TYPE_CHECKING:
    from terminals.sources.kis.played import PlayedInput
    from terminals.sources.kis.source import Kis

CODE: Final = "KIS"
FEED: Final = "krx"
MARKET: Final[str | None] = "KRX"
# What there is no room for is left to the queue before the spool, where the volumes tell how many shares it was.
WHEN_FULL: Final[Literal["block", "drop"]] = "block"
STATE: Final = Path.home() / ".naru" / "kis"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source."""
    parser.add_argument(
        "--mode", choices=MODES, default="production",
        help=_("setup: look at everything once; test: 5 symbols every 5 s; realtime: the first 30; production: all"),
    )  # fmt: skip
    parser.add_argument(
        "--appkeys", type=Path, metavar="FILE.toml",
        help=_("appkeys and secrets (chmod 600); NARU_KIS_APPKEY and NARU_KIS_APPSECRET if left out"),
    )  # fmt: skip
    parser.add_argument(
        "--symbols", metavar="CODES", help=_("codes of stocks with commas between; [[symbols]] of --config says more")
    )
    parser.add_argument(
        "--state", type=Path, default=STATE, metavar="DIR",
        help=_("tokens, limits and locks, shared by all terminals of this machine (~/.naru/kis)"),
    )  # fmt: skip
    parser.add_argument(
        "--per-appkey", type=between(1, 41), default=40, metavar="N", help=_("registrations of an appkey (40)")
    )
    parser.add_argument("--no-polling", action="store_true", help=_("WebSocket alone, no pictures by REST"))
    parser.add_argument("--live", action="store_true", help=_("show how it stands, in the window"))
    parser.add_argument(
        "--metrics-port", type=between(1, 65_535), metavar="PORT", help=_("numbers for Prometheus on 127.0.0.1:PORT")
    )


def open_source(arguments: argparse.Namespace) -> "Kis":
    """As the command line says. WrongInput, CredentialsError or OSError says what is wrong with it."""
    from terminals.sources.kis.listed import read_listed
    from terminals.sources.kis.source import Kis

    listed = read_listed(arguments.tables, arguments.state)
    wanted = read_wanted(arguments.symbols, arguments.tables, listed)
    return Kis.from_arguments(arguments, wanted)


def open_decoder(arguments: argparse.Namespace) -> "PlayedInput":
    """For `play`."""
    from terminals.sources.kis.played import PlayedInput

    return PlayedInput()


def check(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Appkeys, tokens, the WebSocket, symbols. WrongInput, CredentialsError or OSError as `open_source`."""
    return open_source(arguments).check()
