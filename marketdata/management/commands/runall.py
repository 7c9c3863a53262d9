"""Everything on this machine under one supervisor: what `make run` starts. It ends without leaving a process."""

from __future__ import annotations

import csv
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import StringIO, TextIOWrapper
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata import metrics
from marketdata import settings as our_settings
from marketdata.launcher import child_process, instance, supervisor
from marketdata.models import Client, Source
from marketdata.monitoring import listener
from marketdata.monitoring.process_tree import ProcessTree
from marketdata.reference import credentials
from terminals import wire

REDIS_PORT = 6390  # not 6379: that one is often the system's own
READY_SECONDS = 90.0
BARS_SECONDS = 20.0
STOP_SECONDS = 180.0
NOT_FOR_COMMANDS = ("METRICS_DIR", "METRICS_HOST", "METRICS_PORT", "PYTHONUNBUFFERED", "VAR_DIR", supervisor.MARK)
REDIS_SETTINGS = settings.BASE_DIR / "docker/redis/naru.conf"
ADMINISTRATOR = "admin"


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Run everything here, with a simulated market or a file's replay.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        feed = parser.add_mutually_exclusive_group()
        feed.add_argument("--replay", type=Path, metavar="FILE", help=_("replay this CSV file"))
        feed.add_argument("--no-feed", action="store_true", help=_("start no terminal"))
        parser.add_argument(
            "--rate",
            type=wire.options.between(1, 1_000_000),
            default=300,
            help=_("simulated trades a second: 300"),
        )
        parser.add_argument(
            "--speed", type=wire.options.decimal(0), default=60.0, help=_("pace of the replay, 60 by default")
        )
        parser.add_argument("--loop", action="store_true", help=_("repeat the replay, times moved on"))
        parser.add_argument("--market", default="CME", help=_("market of the replay's symbols: CME"))
        parser.add_argument(
            "--port", type=wire.options.port, default=8000, help=_("port of the pages, 8000 by default")
        )
        parser.add_argument(
            "--ingest-port", type=wire.options.port, default=settings.INGEST_PORT, help=_("port for terminals")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["replay"] and not options["replay"].is_file():
            raise CommandError(_("{replay}: there is no such file").format(replay=options["replay"]))
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True, errors="replace")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        home = Path(settings.VAR_DIR).absolute()
        (home / "log").mkdir(parents=True, exist_ok=True)
        Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # whitenoise complains about a folder that is not there
        with suppress(KeyboardInterrupt), _only_run(home / "run"):
            self._run(home, options)

    def _run(self, home: Path, options: dict[str, Any]) -> None:
        run, log = home / "run", home / "log"
        _end_processes(run)
        self.stdout.write(_("preparing the database"))
        call_command("migrate", verbosity=0, interactive=False)
        password = _first_administrator()
        key_id, secret = _client(run, "demo-reader", may_read=True)
        if not (options["replay"] or options["no_feed"]):
            _name_simulated_symbols(run)

        port = self._port(_("web"), options["port"])
        ingest_port = self._port(_("ingest"), options["ingest_port"])
        redis, environment = self._redis(home)
        environment |= {
            supervisor.MARK: str(run),
            "SECRET_KEY": os.environ.get("SECRET_KEY") or _kept(run / "secret_key", secrets.token_urlsafe(50)),
            "VAR_DIR": str(home),
            "METRICS_DIR": os.environ.get("METRICS_DIR") or str(_emptied(run / "metrics")),
            "METRICS_HOST": "127.0.0.1",
            "INGEST_HOST": "127.0.0.1",
            "INGEST_PORT": str(ingest_port),
            # The web server listens on loopback: whoever can open the page has this machine already.
            "PAGE_PUBLIC": os.environ.get("PAGE_PUBLIC") or "1",
            "PYTHONUNBUFFERED": "1",
            # One heap for all threads of a process: they take turns in Python anyway, each heap keeps what was freed.
            "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX") or "1",
        }
        terminal = _terminal(home, ingest_port, options)
        metrics_port = supervisor.port_near(supervisor.LAUNCHER_METRICS_PORT)
        programs = supervisor.programs(port=port, redis=redis, terminal=terminal, fanout=settings.EVENT_BUS != "none")
        listed = [
            replace(one, metrics_port=supervisor.port_near(one.metrics_port)) if one.metrics_port else one
            for one in programs
        ]
        targets = supervisor.prometheus_targets(listed, launcher_port=metrics_port)
        (run / "prometheus.json").write_text(targets, encoding="utf-8")
        listener.Listener("127.0.0.1", metrics_port, (listener.Counted(None), ProcessTree())).start()
        conf = run / "supervisord.conf"
        text = supervisor.configuration(listed, root=settings.BASE_DIR, run=run, log=log, now=time.monotonic())
        conf.write_text(text, encoding="utf-8")

        names = ", ".join(program.name for program in listed)
        self.stdout.write(_("starting: {names}").format(names=names))
        supervisord = _Supervisord(conf, log, os.environ | environment)
        page = f"http://127.0.0.1:{port}/"
        known = our_settings.env.given | environment
        with instance.told(run, {name: value for name, value in known.items() if name not in NOT_FOR_COMMANDS}):
            try:
                supervisord.start()
                if not _comes(lambda: _get(page) is not None, seconds=READY_SECONDS):
                    self.stderr.write(_("{page} does not answer yet: {log}").format(page=page, log=log / "web.log"))
                sample = f"{page}v2/stocks/bars?{_sample(options['replay'])}"
                headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}
                if terminal and not _comes(lambda: b'"o"' in (_get(sample, headers) or b""), seconds=BARS_SECONDS):
                    self.stderr.write(_("no bar yet: {log}.log").format(log=log / terminal.name))
                self._tell(page, ingest_port, home, sample=sample, headers=headers, password=password)
                while True:
                    time.sleep(1)
                    for line in supervisord.news():
                        self.stdout.write(line)
            finally:
                with suppress(OSError):  # the terminal may be gone
                    self.stdout.write(_("\nstopping everything (once more: at once)"))
                supervisord.stop()
                _end_processes(run)
                with suppress(OSError):
                    self.stdout.write(_("stopped; nothing is left running"))

    def _port(self, purpose: str, wanted: int) -> int:
        port = supervisor.port_near(wanted)
        if port != wanted:
            self.stdout.write(
                _("{purpose}: port {wanted} is taken, using {port}").format(purpose=purpose, wanted=wanted, port=port)
            )
        return port

    def _redis(self, home: Path) -> tuple[list[str] | None, dict[str, str]]:
        """The command of a server of our own and the addresses that follow, or nothing when REDIS_URL names one."""
        if os.environ.get("REDIS_URL"):
            return None, {}
        program = supervisor.redis_program()
        if program is None:
            raise CommandError(_("No valkey-server or redis-server here: set REDIS_URL to use another's."))
        port = self._port("Valkey", REDIS_PORT)
        data, password = home / "valkey", _kept(home / "run/valkey.key", secrets.token_urlsafe(32))
        data.mkdir(mode=0o700, exist_ok=True)
        conf = home / "run/valkey.conf"
        _write_private(
            conf, supervisor.redis_configuration(settings=REDIS_SETTINGS, port=port, password=password, data=data)
        )
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        return [str(program), str(conf)], {"REDIS_URL": url, "BROKER_URL": os.environ.get("BROKER_URL") or url}

    def _tell(
        self, page: str, ingest_port: int, home: Path, *, sample: str, headers: dict[str, str], password: str | None
    ) -> None:
        login = (
            f"{ADMINISTRATOR} / {password}"
            if password
            else f"{ADMINISTRATOR} (manage.py changepassword {ADMINISTRATOR})"
        )
        key = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
        once = _("  ← shown only now") if password else ""
        self.stdout.write(
            _(
                "\n"
                "  Naru is running\n"
                "\n"
                "  page      {page}\n"
                "  admin     {page}admin/\n"
                "  login     {login}{once}\n"
                "  terminals 127.0.0.1:{ingest_port}\n"
                "  logs      {logs}\n"
                "  status    {executable} -m supervisor.supervisorctl -c {conf} status\n"
                "\n"
                "  the latest minute bars:\n"
                "  curl {key} '{sample}'\n"
                "\n"
                "  stop: Ctrl-C\n"
            ).format(
                page=page,
                login=login,
                once=once,
                ingest_port=ingest_port,
                logs=home / "log",
                executable=sys.executable,
                conf=home / "run/supervisord.conf",
                key=key,
                sample=sample,
            )
        )


class _Supervisord:
    """The supervisor's process: started again if somebody kills it, and what it has to tell."""

    def __init__(self, conf: Path, log: Path, environment: dict[str, str]) -> None:
        self._command = child_process.command([sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)])
        self._environment = environment
        self._output = log / "supervisord.out"
        self._log = log / "supervisord.log"
        self._read = self._log.stat().st_size if self._log.exists() else 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def news(self) -> list[str]:
        """What died and was started again since the last call."""
        told = []
        if self._process and self._process.poll() is not None:
            told.append(
                _("{clock} supervisord ended, starting again: {output}").format(clock=_clock(), output=self._output)
            )
            self.start()
        if self._log.exists():
            if self._log.stat().st_size < self._read:
                self._read = 0  # it was rotated
            with self._log.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            self._read += len(text)
            exits = [line.partition("exited: ")[2] for line in text.decode(errors="replace").splitlines()]
            for line in filter(None, exits):
                metrics.PROGRAM_EXITS.labels(line.partition(" ")[0]).inc()
                told.append(_("{clock} ended: {line}").format(clock=_clock(), line=line))
        return told

    def stop(self) -> None:
        """Let everything end in order; a second signal, or too long a wait, kills it all."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()


def _terminal(home: Path, ingest_port: int, options: dict[str, Any]) -> supervisor.Program | None:
    if options["no_feed"]:
        return None
    name, source = ("demo-replay", "REPLAY") if options["replay"] else ("demo-market", "SIMULATOR")
    run = home / "run"
    _client(run, name, source=source, may_send=True, may_read=False, may_register=True)
    link = supervisor.terminal_link(
        ingest_port=ingest_port, client=name, key=_key_file(run, name), spool=home / "spool" / name
    )
    if options["replay"]:
        file: Path = options["replay"].absolute()
        return supervisor.replayed_file(
            file, link, speed=options["speed"], loop=options["loop"], market=options["market"]
        )
    return supervisor.simulated_market(link, trades_per_s=options["rate"])


def _sample(file: Path | None) -> str:
    """The query of the example that is shown: a symbol that will have bars."""
    if file is None:
        return "symbols=S00001&timeframe=1Min&feed=sim&sort=desc&limit=5"
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        row = next(csv.DictReader(opened), {})
    ts = row.get("ts") or ""
    start = time.strftime("%Y-%m-%d", time.gmtime(int(ts) // 1_000_000_000 if ts.isdecimal() else 0))
    return urllib.parse.urlencode(
        {"symbols": row.get("symbol") or "", "timeframe": "1Min", "feed": "replay", "start": start, "limit": 5}
    )


def _client(run: Path, name: str, *, source: str | None = None, **rights: bool) -> tuple[str, str]:
    """Key id and secret of a client of this demo: the ones it had if its key file still opens the door."""
    client = Client.objects.filter(name=name).first()
    file = _key_file(run, name)
    if client is None:
        owner = Source.objects.get(code=source) if source else None
        client, secret = Client.objects.create_with_secret(name=name, source=owner, **rights)
        _write_private(file, secret)
    elif not file.exists() or credentials.verify(client.key_id, file.read_text(encoding="utf-8")) is None:
        _write_private(file, client.renew_secret())
        client.save()
    return client.key_id, file.read_text(encoding="utf-8")


def _key_file(run: Path, name: str) -> Path:
    return run / f"{name}.key"


def _name_simulated_symbols(run: Path) -> None:
    """The wire carries codes only; the names of the simulated market come from the terminal's own list."""
    for options, category in ((), ""), (("--indices",), "index"):
        listed = subprocess.run(
            [sys.executable, "-m", "terminals", "symbols", *options],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        file = run / f"{category or 'symbols'}.csv"
        file.write_text(listed.stdout, encoding="utf-8")
        call_command("addsymbols", str(file), market="KRX", feed="sim", category=category, stdout=StringIO())


def _first_administrator() -> str | None:
    """The new administrator's password, or None when there is one already."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMINISTRATOR, password=password)
    return password


def _kept(file: Path, fresh: str) -> str:
    """The secret of an earlier run, or a fresh one that is kept for the next."""
    if not file.exists():
        _write_private(file, fresh)
    return file.read_text(encoding="utf-8")


def _write_private(file: Path, text: str) -> None:
    """For this user's eyes alone, and never half written."""
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(text)
    partial.rename(file)


def _emptied(folder: Path) -> Path:
    """Counters of processes that are gone would be added to the new ones."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _comes(ready: Callable[[], bool], *, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > limit:
            return False
        time.sleep(0.3)
    return True


def _get(address: str, headers: Mapping[str, str] = MappingProxyType({})) -> bytes | None:
    """What our own web server says, be it a refusal; None while it does not answer or fails."""
    request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310  (our own http address)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        return None if error.code >= 500 else error.read()
    except OSError:
        return None


@contextmanager
def _only_run(run: Path) -> Iterator[None]:
    """One run per folder: two would fight over the database, the spool and the ports."""
    run.mkdir(mode=0o700, exist_ok=True)
    run.chmod(0o700)
    with (run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError(_("already running in {parent}").format(parent=run.parent)) from error
        yield


def _end_processes(run: Path) -> None:
    """What a killed run left, or what did not end when asked."""
    for process in supervisor.processes_of(run):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _clock() -> str:
    return time.strftime("%H:%M:%S")
