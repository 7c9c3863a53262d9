"""What `python -m terminals` does: reads the options, opens a terminal, lets a source send, tells how it went."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from terminals import private
from terminals import spool as spools
from terminals.clock import Clock
from terminals.connection import Address
from terminals.link import Config, Failed, Identity, Interrupted, Stats, Terminal
from terminals.lock import Locked
from terminals.segments import SpoolDamaged
from terminals.signals import StopSignals
from terminals.sources import SOURCES, SourceUnavailable, explained, load
from terminals.sources.contract import Source, SourceModule, WrongInput
from terminals.sources.market import names
from terminals.wire import BATCH_ROWS
from terminals.wire.language import gettext as _
from terminals.wire.options import between, decimal
from terminals.wire.proof import secret_bytes

OK, FAILED, WRONG_INPUT, REFUSED = 0, 1, 2, 3
_PROGRESS_S: Final = 5.0
_EXITS: Final = _(
    "exit codes: 0 done, 1 failed, 2 wrong option, file or key, 3 refused by the server\n"
    "The key comes from --key-file or the environment variable NARU_KEY only.\n"
)

log = logging.getLogger("naru")


def main(argv: Sequence[str]) -> int:
    """Run one command; answers the exit code."""
    private.begin()
    try:
        # Only the source that is asked for is imported.
        module = load(argv[0]) if argv and argv[0] in SOURCES else None
    except SourceUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_INPUT
    arguments = _parser(argv[0] if argv else "", module).parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    if module is None:
        for one in names(arguments.symbols):
            sys.stdout.write(f"{one.code},{one.korean},{one.english}\n")
        return OK
    try:
        config = _config(arguments, module)
        with explained(arguments.command):
            source = module.open_source(arguments)
    except (ValueError, OSError, WrongInput, SourceUnavailable) as error:
        return _say(str(error), WRONG_INPUT)
    return _run(config, source)


def _run(config: Config, source: Source) -> int:
    log.warning("%s", source.describe())
    stop = threading.Event()
    try:
        terminal = Terminal(config)
    except (spools.SpoolError, spools.SpoolFull, SpoolDamaged, Locked, OSError) as error:
        return _say(str(error), FAILED)

    def on_stop() -> None:
        stop.set()
        terminal.interrupt()

    StopSignals(on_stop)
    reporter = threading.Thread(target=_report, args=(terminal, stop), name="naru-report", daemon=True)
    reporter.start()
    code = OK
    try:
        with terminal:
            if source.run(terminal, Clock(stop)):
                terminal.wait_committed()
                code = _judge(terminal.stats())
    except Interrupted:
        pass
    except WrongInput as error:
        code = _say(str(error), WRONG_INPUT)
    except Failed as error:
        code = _say(str(error), FAILED if error.ended.code in ("uplink_died", "spool_error") else REFUSED)
    finally:
        stop.set()
    log.info("done %s; %s", _fields(terminal.stats()), source.describe())
    return code


def _judge(stats: Stats) -> int:
    """Whether it went well when everything was sent: not if the server refused each row."""
    if stats.rows_sent and stats.rows_rejected >= stats.rows_sent:
        return _say(f"the server refused all {stats.rows_sent} rows; the lines above say why", WRONG_INPUT)
    return OK


def _report(terminal: Terminal, stop: threading.Event) -> None:
    before, at = terminal.stats(), time.monotonic()
    while not stop.wait(_PROGRESS_S):
        now, moment = terminal.stats(), time.monotonic()
        log.info("progress rows_per_s=%.0f %s", (now.rows_sent - before.rows_sent) / (moment - at), _fields(now))
        before, at = now, moment


def _fields(stats: Stats) -> str:
    return (
        f"sent={stats.rows_sent} committed={stats.rows_committed} rejected={stats.rows_rejected}"
        f" dropped={stats.rows_dropped} waiting={stats.batches_waiting} unacked={stats.unacked} state={stats.state}"
    )


def _say(message: str, code: int) -> int:
    log.error("%s", message)
    return code


def _config(given: argparse.Namespace, module: SourceModule) -> Config:
    market = given.register_market if given.register_market != "-" else None
    return Config(
        address=Address.parse(given.server, tls=given.tls, ca_file=given.ca_file, plain=given.plain),
        identity=Identity(given.client, _key(given.key_file), module.CODE, market),
        feed=given.feed,
        spool=given.spool,
        flush_s=given.flush_ms / 1000,
        batch_rows=given.batch_rows,
        sync_s=given.sync_ms / 1000,
        capacity_bytes=given.spool_mib * 1024 * 1024,
        keep_s=given.keep_h * 3600,
        when_full=given.when_full,
        journal=given.journal,
    )


def _key(file: Path | None) -> str:
    key = (file.read_text(encoding="ascii", errors="replace") if file else os.environ.get("NARU_KEY", "")).strip()
    if not key:
        raise ValueError("no key: give --key-file FILE or set NARU_KEY")
    secret_bytes(key)
    return key


def _parser(asked: str, module: SourceModule | None) -> argparse.ArgumentParser:
    """Every source with its help, and the options of the one that is asked for, whose module is given."""
    look: dict[str, Any] = {
        "epilog": _EXITS,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser(prog="python -m terminals", description=_("Sends market data to Naru."), **look)
    commands = parser.add_subparsers(dest="command", required=True, metavar=" | ".join([*SOURCES, "symbols"]))
    for name, entry in SOURCES.items():
        command = commands.add_parser(name, help=entry.help, description=entry.help, **look)
        if module is not None and name == asked:
            module.add_arguments(command)
            _add_link_arguments(command, module)
    listing = commands.add_parser("symbols", help=_("list the simulated symbols as CSV"))
    listing.add_argument(
        "--symbols", type=between(1, 50_000), default=300, metavar="N", help=_("number of symbols (300)")
    )
    return parser


def _add_link_arguments(parser: argparse.ArgumentParser, module: SourceModule) -> None:
    to = parser.add_argument_group(_("server"))
    to.add_argument("--server", required=True, metavar="HOST:PORT", help=_("ingest server"))
    to.add_argument("--client", required=True, metavar="NAME", help=_("registered client"))
    to.add_argument("--key-file", type=Path, metavar="PATH", help=_("file with the key; NARU_KEY if left out"))
    to.add_argument("--tls", action="store_true", help=_("TLS with certificate check"))
    to.add_argument("--ca-file", metavar="PEM", help=_("private CA, implies --tls"))
    to.add_argument("--plain", action="store_true", help=_("allow plain text to another machine"))
    to.add_argument("--feed", default=module.FEED, metavar="NAME", help=_("feed ({feed})").format(feed=module.FEED))
    to.add_argument(
        "--register-market",
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
