"""The words behind `python -m terminals`: which there are, and what they say. Only the source asked for is imported."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from terminals import config_file
from terminals.sources import SOURCES, load
from terminals.sources.contract import SourceModule
from terminals.wire import BATCH_ROWS, options
from terminals.wire.language import gettext as _
from terminals.wire.options import between, decimal

CHECK: Final = "check"
PLAY: Final = "play"
SYMBOLS: Final = "symbols"
_EXITS: Final = _(
    "exit codes: 0 done, 1 failed, 2 wrong option, file or key, 3 refused by the server\n"
    "The key comes from --key-file, from `key` of the file of --config or from the environment variable NARU_KEY.\n"
)


class _Parser(argparse.ArgumentParser):
    """Where an option came from a file, an error says so."""

    file: Path | None = None

    def error(self, message: str) -> NoReturn:
        super().error(message + (f" ({self.file})" if self.file else ""))


def read(argv: Sequence[str]) -> tuple[argparse.Namespace, SourceModule | None]:
    """What was typed, with the options of its file, and the module of the source asked for (None: none was).

    `source`, `tables` and `key` are in it beside the options. SourceUnavailable if a package is missing, ValueError or
    OSError if the file of options cannot be used or the source records nothing. SystemExit after an option that is
    wrong, or a help."""
    words = list(argv)
    command = words[0] if words and words[0] in (CHECK, PLAY) else ""
    place = 1 if command else 0
    source = words[place] if len(words) > place and words[place] in SOURCES else ""
    if not source:
        return _parser().parse_args(words), None
    file = _config_of(words)
    given = config_file.read(file) if file else config_file.ConfigFile()
    module = load(source)
    if command == PLAY and not hasattr(module, "open_decoder"):
        raise ValueError(_("{source} records nothing that could be played").format(source=source))
    parser = _parser(command, source, module, file)
    # The command line goes last, for the last word counts.
    found = parser.parse_args([*words[: place + 1], *given.words, *words[place + 1 :]])
    found.command, found.source, found.tables, found.key = command or source, source, given.tables, given.key
    return found, module


def _config_of(words: list[str]) -> Path | None:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path)
    found: Path | None = early.parse_known_args(words)[0].config
    return found


def _parser(
    command: str = "", source: str = "", module: SourceModule | None = None, file: Path | None = None
) -> argparse.ArgumentParser:
    """Every source with its help, and the options of the one that is asked for."""
    parser = _Parser(prog="python -m terminals", description=_("Sends market data to Naru."), **_look())
    parser.file = file
    commands = parser.add_subparsers(
        dest="command", required=True, metavar=" | ".join([*SOURCES, CHECK, PLAY, SYMBOLS]), parser_class=_Parser
    )
    _add_sources(commands, "" if command else source, module, file)
    texts = {
        CHECK: _("look at everything that sending rests on, and say what to mend"),
        PLAY: _("send what --record wrote, understood by its source"),
    }
    for name, text in texts.items():
        nested = commands.add_parser(name, help=text, description=text, **_look())
        below = nested.add_subparsers(dest="source", required=True, metavar=" | ".join(SOURCES), parser_class=_Parser)
        _add_sources(below, source if command == name else "", module, file, play=name == PLAY)
    listing = commands.add_parser(SYMBOLS, help=_("list the simulated symbols as CSV"))
    listing.add_argument(
        "--symbols", type=between(1, 50_000), default=300, metavar="N", help=_("number of symbols (300)")
    )
    listing.add_argument("--indices", action="store_true", help=_("list the indices of that market instead"))
    return parser


def _look() -> dict[str, Any]:
    return {"epilog": _EXITS, "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}


def _add_sources(
    commands: Any, asked: str, module: SourceModule | None, file: Path | None, *, play: bool = False
) -> None:
    for name, entry in SOURCES.items():
        parser = commands.add_parser(name, help=entry.help, description=entry.help, **_look())
        parser.file = file
        if module is None or name != asked:
            continue
        if play:
            parser.add_argument("recording", type=Path, metavar="RECORDING", help=_("the file that --record wrote"))
            parser.add_argument(
                "--pace", type=decimal(0), default=1.0, metavar="N", help=_("pace of the replay, 0 = no pauses")
            )
        module.add_arguments(parser)
        _add_link_arguments(parser, module)
        if hasattr(module, "open_decoder") and not play:
            _add_record_arguments(parser)


def _add_record_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("recording"))
    group.add_argument("--record", type=Path, metavar="FILE", help=_("write what comes in, raw, to this file"))
    group.add_argument(
        "--record-mib", type=between(1, 1 << 20), default=1024, metavar="MIB",
        help=_("largest size of the recording; the oldest goes (1024)"),
    )  # fmt: skip


def _add_link_arguments(parser: argparse.ArgumentParser, module: SourceModule) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help=_("file with options; those that are typed go before")
    )
    to = parser.add_argument_group(_("server"))
    to.add_argument(
        "--server",
        required=True,
        metavar="HOST:PORT[,HOST:PORT...]",
        help=_("ingest server; the next one when one is away"),
    )
    to.add_argument("--client", type=options.client, required=True, metavar="NAME", help=_("registered client"))
    to.add_argument("--key-file", type=Path, metavar="PATH", help=_("file with the key; NARU_KEY if left out"))
    to.add_argument("--tls", action="store_true", help=_("TLS with certificate check"))
    to.add_argument("--ca-file", metavar="PEM", help=_("private CA, implies --tls"))
    to.add_argument("--plain", action="store_true", help=_("allow plain text to another machine"))
    to.add_argument(
        "--feed",
        type=options.feed,
        default=module.FEED,
        metavar="NAME",
        help=_("feed ({feed})").format(feed=module.FEED),
    )
    to.add_argument(
        "--register-market",
        type=options.market,
        default=module.MARKET,
        metavar="CODE",
        help=_("market to register unknown symbols in, - for none ({market})").format(market=module.MARKET or "-"),
    )
    kept = parser.add_argument_group(_("spool"))
    kept.add_argument("--spool", type=Path, required=True, metavar="DIR", help=_("folder for what is to be sent"))
    kept.add_argument(
        "--spool-mib", type=between(8, 1 << 24), default=2048, metavar="MIB", help=_("largest size (2048)")
    )
    kept.add_argument(
        "--keep-h", type=decimal(0, 24 * 365), default=24.0, metavar="H", help=_("hours kept after commit (24)")
    )
    kept.add_argument(
        "--when-full",
        choices=("block", "drop"),
        default=module.WHEN_FULL,
        help=_("what to do when the spool is full ({default})").format(default=module.WHEN_FULL),
    )
    kept.add_argument("--journal", type=Path, metavar="FILE", help=_("write a line of JSON for each batch"))
    kept.add_argument(
        "--batch-rows", type=between(1, BATCH_ROWS), default=1000, metavar="N", help=_("most rows of a batch (1000)")
    )
    kept.add_argument(
        "--flush-ms", type=between(1, 10_000), default=50, metavar="MS", help=_("longest wait of a batch (50)")
    )
    kept.add_argument(
        "--sync-ms", type=between(1, 1_000), default=50, metavar="MS", help=_("longest time between fsyncs (50)")
    )
    logged = parser.add_argument_group(_("log"))
    logged.add_argument(
        "--log-format", choices=("line", "ecs"), default="line",
        help=_("lines for people, or JSON in the fields of the Elastic Common Schema (line)"),
    )  # fmt: skip
    logged.add_argument(
        "--log-batches", action="store_true", help=_("a line for each step of each batch, with its trace")
    )
    logged.add_argument(
        "--log-file", type=Path, metavar="FILE", help=_("write the log to this file, too; it is for its user alone")
    )
    logged.add_argument(
        "--log-bytes", type=between(64 << 10, 1 << 30), default=10 << 20, metavar="BYTES",
        help=_("largest size of the log file; then it becomes FILE.1 (10485760)"),
    )  # fmt: skip
    logged.add_argument(
        "--log-kept", type=between(1, 100), default=9, metavar="N", help=_("older log files that are kept (9)")
    )
