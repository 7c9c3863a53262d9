"""Bloomberg's real-time stream, from the Terminal of this PC (Desktop API) by the SDK `blpapi`."""

import argparse
from collections.abc import Iterator
from typing import Final, Literal

from terminals.finding import Finding
from terminals.recording import Decoder
from terminals.sources.bloomberg import decoding, live, probe, sdk, settings
from terminals.sources.contract import Source
from terminals.wire.language import gettext as _
from terminals.wire.options import between, decimal, port

CODE: Final = "BLOOMBERG"
FEED: Final = "bloomberg"
MARKET: Final[str | None] = None
# A stream does not wait: what the spool cannot take is dropped here and told as a gap, not lost silently in the SDK.
WHEN_FULL: Final[Literal["block", "drop"]] = "drop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source. The securities are the table [securities] of the file of --config."""
    parser.add_argument("--host", default="localhost", metavar="NAME", help=_("where bbcomm listens (localhost)"))
    parser.add_argument("--port", type=port, default=8194, metavar="N", help=_("its port (8194)"))
    parser.add_argument(
        "--interval", type=between(0, 86_400), default=0, metavar="S",
        help=_("let Bloomberg conflate to one picture in S seconds; 0 = every trade (0)"),
    )  # fmt: skip
    parser.add_argument(
        "--time-zone", type=settings.zone, default="UTC", metavar="ZONE",
        help=_("zone of times that name none, such as UTC, +09:00 or Asia/Seoul (UTC)"),
    )  # fmt: skip
    parser.add_argument(
        "--recover-s", type=decimal(5, 3600), default=60.0, metavar="S",
        help=_("how long the SDK may take to bring the streams back before the session is built anew (60)"),
    )  # fmt: skip
    parser.add_argument(
        "--queue-events", type=between(1000, 10_000_000), default=100_000, metavar="N",
        help=_("events that may wait in the SDK before it drops (100000)"),
    )  # fmt: skip


def open_source(arguments: argparse.Namespace) -> Source:
    """WrongInput if there are no securities, or no SDK; its message says how to get it."""
    given = settings.Settings.of(arguments)
    return live.Stream(sdk.load(), given, decoding.Decoder(given), arguments.recorder)


def open_decoder(arguments: argparse.Namespace) -> Decoder:
    """For a recording: needs no SDK. WrongInput if there are no securities."""
    return decoding.Decoder(settings.Settings.of(arguments))


def check(arguments: argparse.Namespace) -> Iterator[Finding]:
    """The SDK, the Terminal, the service, and each security. WrongInput if there are no securities, or no SDK."""
    yield from probe.check(sdk.load(), settings.Settings.of(arguments))
