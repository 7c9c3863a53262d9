"""What `python -m terminals` does: reads the options, opens a terminal, lets a source send, tells how it went."""

import argparse
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, cast

from terminals import checkup, command_line, private
from terminals import spool as spools
from terminals.clock import Clock
from terminals.connection import Address
from terminals.finding import in_words, of_error
from terminals.journal import JournalError
from terminals.link import OUR_FAILURES, Config, Failed, Identity, Interrupted, Stats, Terminal
from terminals.lock import Locked
from terminals.log_file import LogFile
from terminals.recording import FileRecorder, NoRecorder, PlayedRecording, RecordedModule
from terminals.segments import SpoolDamaged
from terminals.signals import StopSignals
from terminals.sources import SourceUnavailable, explained
from terminals.sources.contract import Source, SourceModule, WrongInput
from terminals.sources.market import INDICES, names
from terminals.wire import log_lines
from terminals.wire.language import gettext as _
from terminals.wire.proof import secret_bytes
from terminals.wire.redaction import Redaction

OK, FAILED, WRONG_INPUT, REFUSED = 0, 1, 2, 3
_PROGRESS_S: Final = 5.0
_CLOCK_S: Final = 3.0  # so long a source may have to wait for the server's time
STOP_S: Final = 60.0
"""A stop that has not come to its end by then (a disk, a vendor's library that hangs) ends like a kill, which the spool
survives."""

log = logging.getLogger("naru")


def main(argv: Sequence[str]) -> int:
    """Run one command; answers the exit code."""
    private.begin()
    try:
        given, module = command_line.read(argv)
    except (SourceUnavailable, ValueError, OSError) as error:
        sys.stderr.write(f"{of_error(error)}\n")
        return WRONG_INPUT
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file := getattr(given, "log_file", None):
        try:
            handlers.append(LogFile(file, max_bytes=given.log_bytes, kept=given.log_kept))
        except OSError as error:
            sys.stderr.write(f"--log-file: {of_error(error)}\n")
            return WRONG_INPUT
        _log_crashes()
    _write_log(handlers, given)
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    if module is None:
        for one in [index for index, _ in INDICES] if given.indices else names(given.symbols):
            sys.stdout.write(f"{one.code},{one.korean},{one.english}\n")
        return OK
    with contextlib.ExitStack() as stack:
        try:
            config = _config(given, module)
            _write_log(handlers, given, config.identity.secret)
            if given.command == command_line.CHECK:
                given.recorder = NoRecorder()
                return OK if checkup.run(given, module, config, sys.stdout) else FAILED
            given.recorder = stack.enter_context(_recorder(given))
            with explained(given.source):
                source = _source(given, module)
        except (ValueError, OSError, WrongInput, SourceUnavailable) as error:
            return _say(of_error(error), WRONG_INPUT)
        return _run(config, source)


def _write_log(handlers: Sequence[logging.Handler], given: argparse.Namespace, *secrets: str) -> None:
    """Lines of these handlers are in the form that is asked for, and without the key."""
    redact = Redaction([*secrets, getattr(given, "key", None) or "", os.environ.get("NARU_KEY", "")])
    formatter: logging.Formatter = log_lines.PlainFormatter("%(asctime)s %(levelname)s %(message)s", redact=redact)
    if getattr(given, "log_format", "line") == "ecs":
        service = {"service.name": "naru-terminal", "service.node.name": given.client, "process.name": given.command}
        formatter = log_lines.EcsFormatter(service=service, redact=redact, dataset=lambda _logger: "naru.terminal")
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.getLogger("naru.batches").setLevel(logging.DEBUG if getattr(given, "log_batches", False) else logging.INFO)


def _log_crashes() -> None:
    """What nobody caught is in the log, too: of a task there is nobody who reads stderr."""

    def write(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            log.critical("ended by an error of its own", exc_info=(kind, error, trace))

    sys.excepthook = write
    threading.excepthook = lambda given: write(given.exc_type, given.exc_value, given.exc_traceback)


def _recorder(given: argparse.Namespace) -> FileRecorder | NoRecorder:
    file: Path | None = getattr(given, "record", None)
    return FileRecorder(file, max_bytes=given.record_mib << 20) if file else NoRecorder()


def _source(given: argparse.Namespace, module: SourceModule) -> Source:
    if given.command != command_line.PLAY:
        return module.open_source(given)
    return PlayedRecording(given.recording, cast(RecordedModule, module).open_decoder(given), speed=given.pace)


def _run(config: Config, source: Source) -> int:
    log.warning("%s", source.describe())
    stop = threading.Event()
    try:
        terminal = Terminal(config)
    except JournalError as error:
        return _say(str(error), WRONG_INPUT)
    except (spools.SpoolError, spools.SpoolFull, SpoolDamaged, Locked, OSError) as error:
        return _say(of_error(error), FAILED)

    def on_stop() -> None:
        if not stop.is_set():
            _end_within(STOP_S)
        stop.set()
        terminal.interrupt()

    StopSignals(on_stop)
    reporter = threading.Thread(target=_report, args=(terminal, stop), name="naru-report", daemon=True)
    reporter.start()
    code = OK
    try:
        with terminal:
            terminal.wait_clock(_CLOCK_S)
            if source.run(terminal, Clock(stop, terminal.time.now_us)):
                terminal.wait_committed()
                code = _judge(terminal.stats())
    except Interrupted:
        pass
    except WrongInput as error:
        code = _say(str(error), WRONG_INPUT)
    except Failed as error:
        code = _say(str(error), FAILED if error.ended.code in OUR_FAILURES else REFUSED)
    except OSError as error:  # of a disk
        code = _say(of_error(error), FAILED)
    finally:
        stop.set()
    log.info("done %s; %s", _fields(terminal.stats()), source.describe())
    return code


def _end_within(seconds: float) -> None:
    """End the program after so long, whatever it is doing then."""

    def end() -> None:
        log.error("ended although not everything had come to its end within %g s", seconds)
        os._exit(FAILED)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _judge(stats: Stats) -> int:
    """Whether it went well when everything was sent: not if the server refused each row."""
    if stats.rows_sent and stats.rows_rejected >= stats.rows_sent:
        return _say(
            _("the server refused all {rows} rows; the lines above say why").format(rows=stats.rows_sent), WRONG_INPUT
        )
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
    address, *others = Address.parse_all(given.server, tls=given.tls, ca_file=given.ca_file, plain=given.plain)
    return Config(
        address=address,
        others=tuple(others),
        identity=Identity(given.client, _key(given.key_file, given.key), module.CODE, market),
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


def _key(file: Path | None, in_config: str | None) -> str:
    try:
        key = (
            file.read_text(encoding="ascii", errors="replace") if file else in_config or os.environ.get("NARU_KEY", "")
        )
    except OSError as error:
        told = _("the key file {file} cannot be read: {reason}. Write the secret that addclient showed into it")
        raise ValueError(told.format(file=file, reason=in_words(error))) from None
    key = key.strip()
    if not key:
        raise ValueError(_("no key: give --key-file FILE, `key` in the file of --config, or set NARU_KEY"))
    secret_bytes(key)
    return key
