"""The source as a whole: appkeys, sessions, polling, and how it stands, in one event loop beside the intake."""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.live import Live

from terminals.batcher import Row
from terminals.clock import wall_us
from terminals.finding import Finding, Level, of_error
from terminals.recording import Recorder
from terminals.sources.contract import Pace, Receiver, WrongInput
from terminals.sources.kis import coverage, credentials, quotes, status, websocket_check
from terminals.sources.kis.answers import KeyRefusedError, KisError, TokenTooSoonError, Trouble, UnavailableError
from terminals.sources.kis.collector import Collector, Picture, Target
from terminals.sources.kis.connecting import Identity, Timing
from terminals.sources.kis.credentials import Account
from terminals.sources.kis.intake_items import PolledRows, Status
from terminals.sources.kis.planner import Coverage, Kind, Wish
from terminals.sources.kis.rest import Client
from terminals.sources.kis.session import NoApprovalKey
from terminals.sources.kis.streams import Approval, Streams
from terminals.sources.kis.wanted import Wanted, wishes
from terminals.wire.language import gettext as _

log = logging.getLogger("naru.kis")

_LOOK_S: Final = 0.2
_COUNT_S: Final = 1.0
_LOG_S: Final = 10.0
_EVENT_S: Final = 60.0
_ROOM_S: Final = 0.02
_DIVISIONS: Final = {"krx": "J", "nxt": "NX", "unified": "UN"}
_DERIVATIVES: Final = {"futures": "F", "options": "O", "stock_futures": "JF"}
_TEST_SYMBOLS, _TEST_S = 5, 5.0
_MAIN_SYMBOLS: Final = 30


@dataclass(frozen=True, slots=True)
class Options:
    """How the source works. `cycle_s`: from picture to picture of a symbol, as far as the limits let it."""

    mode: str = "production"
    client: str = ""
    """The terminal's name, for whoever looks at the server."""
    per_appkey: int = 40
    polling: bool = True
    streaming: bool = True
    cycle_s: float = 1.0
    live: bool = False
    metrics_port: int | None = None
    timing: Timing | None = None


def of_mode(mode: str, wanted: Sequence[Wanted]) -> tuple[list[Wanted], bool, float]:
    """What of `wanted` a mode is about, whether the WebSocket is used, and the cycle of the pictures in seconds."""
    order = sorted(wanted, key=lambda one: one.priority)
    if mode == "test":
        return order[:_TEST_SYMBOLS], False, _TEST_S
    if mode == "realtime":
        return order[:_MAIN_SYMBOLS], True, 1.0
    return order, True, 1.0


class Kis:
    """A `terminals.sources.contract.Source`."""

    def __init__(
        self,
        accounts: Sequence[Account],
        wanted: Sequence[Wanted],
        folder: Path,
        *,
        options: Options | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._accounts, self._wanted, self._folder = list(accounts), list(wanted), folder
        self._options = options or Options()
        self._recorder = recorder
        self._streams: Streams | None = None
        self._collector: Collector | None = None
        self._clients: list[Client] = []
        self._now_us: Callable[[], int] = wall_us
        self._numbers = status.Numbers(self._options.mode, 0.0, self._options.client)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, wanted: Sequence[Wanted]) -> "Kis":
        """As the command line says. CredentialsError."""
        accounts = credentials.load(arguments.appkeys)
        chosen, streaming, cycle_s = of_mode(arguments.mode, wanted)
        options = Options(
            mode=arguments.mode,
            client=arguments.client,
            per_appkey=arguments.per_appkey,
            polling=not arguments.no_polling,
            streaming=streaming,
            cycle_s=cycle_s,
            live=arguments.live,
            metrics_port=arguments.metrics_port,
        )
        if arguments.mode in ("test", "realtime"):
            accounts = accounts[:1]
        return cls(accounts, chosen, arguments.state, options=options, recorder=arguments.recorder)

    def describe(self) -> str:
        """One line for the log."""
        return f"kis mode={self._options.mode} appkeys={len(self._accounts)} symbols={len(self._wanted)}"

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Until it is told to stop; with --mode setup until everything was looked at, then True. WrongInput when KIS
        knows none of the appkeys, or the folder that processes share cannot be used from the start."""
        if self._options.mode == "setup":
            asyncio.run(self._set_up(terminal, pace))
            return pace.wait(0.0)
        try:
            asyncio.run(self._run(terminal, pace))
        except KeyRefusedError as error:
            raise WrongInput(str(error)) from None
        return False

    def check(self) -> Iterator[Finding]:
        """Each appkey: token, a picture, approval key, an answer of the WebSocket."""
        yield from asyncio.run(self._findings())

    def numbers(self) -> status.Numbers:
        """How it stood a moment ago, or at the end. For any thread."""
        return self._numbers

    def _count(self, streams: Streams, run_s: float) -> status.Numbers:
        """How it stands. In the event loop alone, which changes what is counted."""
        polled = self._collector.stats() if self._collector else None
        intake = streams.intake
        by_wish, refused = streams.coverage(), streams.refused()
        covered = list(by_wish.values())
        return status.Numbers(
            mode=self._options.mode,
            run_s=run_s,
            client=self._options.client,
            requests=polled.requests if polled else 0,
            success_rate=polled.success_rate if polled else 1.0,
            cache_hit_rate=polled.hit_rate if polled else 0.0,
            limiter_waits=polled.limiter_waits if polled else 0,
            left_out=polled.left_out if polled else 0,
            rows=dict(intake.counts.rows),
            frames=intake.counts.frames,
            records=intake.counts.records,
            gaps=intake.counts.gaps,
            missing_shares=intake.holes.missing_volume // 10**6,
            repeats=intake.holes.repeats + intake.repeats.count,
            late=intake.holes.late,
            late_shares=intake.holes.late_volume // 10**6,
            fallen=intake.holes.fallen,
            wrong_volumes=intake.holes.wrong,
            misdated=intake.holes.misdated,
            untracked=intake.holes.untracked,
            without_price=intake.counts.without_price,
            unfit=intake.counts.unfit,
            not_taken=intake.counts.not_taken,
            quarantined=intake.quarantine.total,
            not_kept=intake.quarantine.not_kept,
            overrun=sum(one.overrun for one in streams.status()),
            recounted=intake.counts.recounted,
            limit_not_written=polled.limit_not_written if polled else 0,
            failed=polled.failed if polled else {},
            rest_away=polled.away if polled else 0,
            buffered=intake.waiting,
            buffers=intake.buffered,
            buffer_room=intake.room,
            overruns=dict(intake.counts.overruns),
            server_offset_s=(wall_us() - self._now_us()) / 1e6,
            refused=len(refused),
            refused_polled=sum(
                wish.registration in refused and how is Coverage.POLLING for wish, how in by_wish.items()
            ),
            calls={
                one.account.name: status.Calls(one.calls.made, one.calls.good, one.calls.failed.total())
                for one in self._clients
            },
            batches_waiting=intake.batches_waiting,
            coverage={how.value: covered.count(how) for how in Coverage},
            alarms=dict(intake.counts.alarms),
            sessions=streams.status(),
        )

    # The run

    async def _run(self, terminal: Receiver, pace: Pace) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                clients = [await stack.enter_async_context(self._client(one, pace.now_us)) for one in self._accounts]
            except OSError as error:
                raise WrongInput(of_error(error)) from None
            self._clients, self._now_us = clients, pace.now_us
            streamed = clients if self._options.streaming else []
            streams = self._streams = Streams(
                [(_identity(client.account), _approval(client)) for client in streamed],
                terminal,
                self._folder,
                per_appkey=self._options.per_appkey,
                polling=coverage.room_of(clients, self._wanted, self._options.cycle_s) if self._options.polling else {},
                timing=self._options.timing,
                recorder=self._recorder,
                now_us=pace.now_us,
            )
            streams.wish(wishes(self._wanted))
            began = pace.now()
            self._numbers = self._count(streams, 0.0)
            stack.enter_context(self._shown())
            stop = asyncio.Event()
            tasks = [asyncio.create_task(streams.run()), asyncio.create_task(self._watch(streams, pace, stop))]
            if self._options.polling:
                self._collector = Collector(clients, cycle_s=self._options.cycle_s)
                tasks.append(asyncio.create_task(self._collector.run(self._targets, self._sink, stop)))
            try:
                done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                stop.set()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._numbers = self._count(streams, pace.now() - began)
                _log_status(self._numbers)  # what came since the last one, too

    async def _watch(self, streams: Streams, pace: Pace, stop: asyncio.Event) -> None:
        """Until the program is to stop; counts how it stands each second, and tells it now and then."""
        began = count_at = log_at = event_at = pace.now()
        told: dict[str, int] = {}
        while await asyncio.to_thread(pace.wait, _LOOK_S):
            now = pace.now()
            if now < count_at:
                continue
            count_at = now + _COUNT_S
            numbers = self._numbers = self._count(streams, now - began)
            if now >= log_at:
                log_at = now + _LOG_S
                _log_status(numbers)
                if numbers.coverage != told:  # then the server need not wait for its minute
                    told, event_at = numbers.coverage, now
                    log.warning("kis_coverage %s", " ".join(f"{how}={count}" for how, count in told.items()))
            if now >= event_at:
                event_at = now + _EVENT_S
                streams.intake.offer_or_lose(Status(numbers.brief(), pace.now_us()))
        stop.set()

    def _targets(self) -> list[Target]:
        """Pictures of all stocks, futures and indexes, and the order books that no session brings now."""
        found = []
        for one in self._wanted:
            division = _DIVISIONS.get(one.feed)
            if division:
                found.append(Target(one.symbol, Picture.QUOTE, division))
            elif one.feed in _DERIVATIVES:
                found.append(Target(one.symbol, Picture.FUTURE, _DERIVATIVES[one.feed]))
            elif one.feed == "index":
                found.append(Target(one.symbol, Picture.INDEX, "U"))
        covered = self._streams.coverage() if self._streams else {}
        books = [wish for wish, how in covered.items() if how is Coverage.POLLING and wish.kind is Kind.BOOK]
        return list(dict.fromkeys([*found, *(_book(wish) for wish in books)]))

    async def _sink(self, feed: str, rows: list[Row]) -> None:
        """Wait until the intake takes these rows; when it has ended nobody waits for them."""
        intake = self._streams.intake if self._streams else None
        while intake and not intake.failure and not intake.offer(PolledRows(feed, rows)):  # noqa: ASYNC110  # a thread's
            await asyncio.sleep(_ROOM_S)

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """The window and the monitor's port, as far as they are asked for."""
        with contextlib.ExitStack() as stack:
            if self._options.metrics_port is not None:
                stack.callback(status.serve(self._options.metrics_port, self.numbers))
            if self._options.live and sys.stdout.isatty():
                stack.enter_context(
                    Live(get_renderable=lambda: status.table(self.numbers()), refresh_per_second=1, transient=False)
                )
            yield

    def _client(self, account: Account, now_us: Callable[[], int]) -> Client:
        return Client(account, self._folder, recorder=self._recorder, now_us=now_us)

    # Setting up

    async def _set_up(self, terminal: Receiver, pace: Pace) -> None:
        """Look at everything; the pictures that were had are sent, so that the server's tables are looked at, too."""
        for finding in await self._findings(terminal, pace.now_us):
            log.log(
                logging.INFO if finding.level is Level.GOOD else logging.ERROR,
                "kis_setup %s %s %s", finding.level.value, finding.told, finding.remedy,
            )  # fmt: skip
        terminal.flush()

    async def _findings(self, terminal: Receiver | None = None, now_us: Callable[[], int] = wall_us) -> list[Finding]:
        found = list[Finding]()
        for account in self._accounts:
            async with self._client(account, now_us) as client:
                found += await self._of_account(client, terminal)
        planned = wishes(self._wanted)
        room = self._options.per_appkey * len(self._accounts)
        told = _("{wishes} registrations are wanted, {appkeys} appkeys have room for {room}").format(
            wishes=len(planned), appkeys=len(self._accounts), room=room
        )
        fits = len(planned) <= room
        found.append(
            Finding(
                Level.GOOD if fits else Level.DOUBTFUL, told, "" if fits else _("the rest is polled, or not covered")
            )
        )
        return found

    async def _of_account(self, client: Client, terminal: Receiver | None) -> list[Finding]:
        name, found = client.account.name, list[Finding]()
        try:
            await client.tokens.access_token()
            found.append(Finding(Level.GOOD, _("{name}: KIS gives a token").format(name=name)))
            found += await self._pictures(client, terminal)
            key = await client.tokens.approval_key()
        except (KisError, OSError) as error:
            return [*found, _in_the_way(client.account, error)]
        return [*found, await self._of_websocket(client.account, key)]

    async def _pictures(self, client: Client, terminal: Receiver | None) -> list[Finding]:
        """One of each of the first few stocks; they are sent, if there is a terminal."""
        found = []
        for one in [one for one in self._wanted if one.feed in _DIVISIONS][:_TEST_SYMBOLS]:
            try:
                row = await quotes.quote(client, one.symbol, division=_DIVISIONS[one.feed])
            except KisError as error:
                told = _("{symbol}: no picture: {reason}").format(symbol=one.symbol, reason=error)
                found.append(Finding(Level.DOUBTFUL, told))
                continue
            if terminal is not None:
                terminal.send([row], feed=one.feed)
            found.append(Finding(Level.GOOD, _("{symbol} has a picture").format(symbol=one.symbol)))
        return found

    async def _of_websocket(self, account: Account, key: str) -> Finding:
        """Whether a registration is answered; it is taken back at once."""
        registrations = [wish.registration for wish in wishes(self._wanted)]
        if not registrations:
            return Finding(Level.DOUBTFUL, _("{name}: nothing to register").format(name=account.name))
        timing = self._options.timing or Timing()
        return await websocket_check.answer_of(_identity(account), registrations[0], key, self._folder, timing)


def _log_status(numbers: status.Numbers) -> None:
    log.info("kis_status %s", json.dumps(numbers.brief(), separators=(",", ":")))


def _in_the_way(account: Account, error: Exception) -> Finding:
    """Of a token or an approval key that could not be had."""
    told = f"{account.name}: {of_error(error)}"
    match error:
        case KeyRefusedError():
            remedy = _("copy appkey and appsecret anew from KIS's portal; keys of mock investment need kind = virtual")
        case TokenTooSoonError():
            remedy = _("another machine has asked for a token with this appkey: try again in a minute")
        case UnavailableError(trouble=Trouble.UNREACHABLE | Trouble.TIMEOUT | Trouble.CONNECTION):
            told = _("{name}: KIS does not answer at {url}: {reason}").format(
                name=account.name, url=account.rest_url, reason=error
            )
            remedy = _("is this machine on the network, and does a firewall let HTTPS to that port through?")
        case UnavailableError():
            remedy = _("KIS has trouble of its own: try again in a few minutes")
        case OSError():
            remedy = _("give --state a folder that this user may write to")
        case _:
            remedy = _("docs/terminals/kis.md says what to do")
    return Finding(Level.WRONG, told, remedy)


def _identity(account: Account) -> Identity:
    return Identity(account.name, account.key_id, account.websocket_url, account.customer)


def _approval(client: Client) -> Approval:
    async def get(refused: str) -> str:
        try:
            return await client.tokens.approval_key(refused=refused)
        except (KisError, OSError) as error:
            raise NoApprovalKey(str(error), is_final=isinstance(error, KeyRefusedError)) from None

    return get


def _book(wish: Wish) -> Target:
    letters = wish.registration.tr_id[2:4]
    derivative = {"IF": "futures", "IO": "options", "ZF": "stock_futures"}.get(letters)
    if derivative:
        return Target(wish.symbol, Picture.FUTURE_BOOK, _DERIVATIVES[derivative])
    return Target(wish.symbol, Picture.BOOK, {"NX": "NX", "UN": "UN"}.get(letters, "J"))
