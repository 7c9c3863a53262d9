"""The WebSocket side of the kis source in a test: the real sessions, intake and spool, without a server behind them.
Before them is KIS's simulator, a process of its own, over a real socket."""

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from terminals import spool as spools
from terminals.batcher import Row
from terminals.link import Address, Config, Identity, Terminal
from terminals.sources.kis.connecting import Identity as SessionIdentity
from terminals.sources.kis.connecting import Timing
from terminals.sources.kis.planner import Kind, Wish, registration_of
from terminals.sources.kis.session import NoApprovalKey
from terminals.sources.kis.streams import Streams
from terminals.wire import (
    SIZE_SCALE,
    Encoding,
    Gap,
    decode_columns,
    new_secret,
    parse_columns,
    parse_events,
    parse_gaps,
    parse_header,
)
from terminals.wire import Kind as RowKind
from tests import waiting
from tests.simulators.kis.process import SimulatorProcess

SHARE = 10**6
TR = "H0STCNT0"
APPROVALS = ("--approval", "approval-one=one", "--approval", "approval-two=two", "--approval", "new-one=one")
FAST = Timing(
    connect_s=20.0,
    floor_s=0.2,
    most_s=1.0,
    owned_s=0.3,
    held_s=0.3,
    dead_s=20.0,
    spacing_s=0.005,
    answer_s=20.0,
    retry_s=0.2,
    patience_s=0.2,
    goodbye_s=2.0,
)


def wishes(symbols: Iterable[str], *kinds: Kind, feed: str = "krx") -> list[Wish]:
    """Wishes in the order of the symbols, the first the most wanted."""
    found = []
    for place, symbol in enumerate(symbols):
        for kind in kinds or (Kind.TRADE,):
            registration = registration_of(symbol, kind, feed)
            assert registration is not None
            found.append(Wish(registration, symbol, kind, place))
    return found


class RunningStreams:
    """Runs until the block ends; then what it sent is in the spool (`Content`)."""

    def __init__(
        self,
        url: str,
        folder: Path,
        wished: Sequence[Wish],
        *,
        appkeys: Sequence[str] = ("one",),
        timing: Timing = FAST,
        keys: Callable[[str, str], str] = lambda appkey, refused: f"approval-{appkey}",
        per_appkey: int = 40,
        spool: Path | None = None,
        most_messages: int = 20_000,
        send_s: float = 0.0,
        polling: Mapping[Kind, int] | None = None,
    ) -> None:
        """`send_s`: how long each send takes at least. `polling`: what there were room for, if it were polled."""
        self.spool = spool or folder / "spool"
        self.terminal = Terminal(
            Config(
                address=Address.parse("127.0.0.1:9"),
                identity=Identity("kis", new_secret(), "KIS", None),
                feed="krx",
                spool=self.spool,
            )
        )

        def approval(appkey: str) -> Callable[[str], Any]:
            async def get(refused: str) -> str:
                key = keys(appkey, refused)
                if not key:
                    raise NoApprovalKey("none")
                return key

            return get

        accounts = [(SessionIdentity(one, one, url), approval(one)) for one in appkeys]
        self._loop = asyncio.new_event_loop()
        receiver = Slow(self.terminal, send_s) if send_s else self.terminal
        self.streams = Streams(
            accounts,
            receiver,
            folder / "kis",
            per_appkey=per_appkey,
            polling=polling,
            timing=timing,
            most_messages=most_messages,
        )
        self.streams.wish(wished)
        self._thread = threading.Thread(target=self._run, name="streams")
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self.terminal.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the sessions, work off what came, close the spool."""
        if self._thread.is_alive():
            waiting.until(lambda: self._task, seconds=60, what="the task of the streams")
            assert self._task is not None
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(300)
            assert not self._thread.is_alive()
            self.terminal.close()

    def wish(self, wished: Sequence[Wish]) -> None:
        """Want something else."""
        self._loop.call_soon_threadsafe(self.streams.wish, list(wished))

    def until(self, ready: Callable[[], object], what: str) -> None:
        """Wait, but not longer than the streams run."""

        def looked() -> bool:
            assert self._thread.is_alive(), f"the streams ended while waiting for {what}: {self.error!r}"
            return bool(ready())

        waiting.until(looked, seconds=60, what=what)

    def until_active(self, count: int) -> None:
        """Until so many registrations are active."""
        self.until(lambda: sum(one.active for one in self.streams.status()) >= count, f"{count} registrations")

    def until_worked_off(self) -> None:
        """Until the intake has nothing to do."""
        self.until(lambda: self.streams.intake.waiting == 0, "an idle intake")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._streams())
            except asyncio.CancelledError:
                pass
            except Exception as error:  # noqa: BLE001  # for the test to look at
                self.error = error

    async def _streams(self) -> None:
        self._task = asyncio.current_task()
        await self.streams.run()


class Slow:
    """A terminal that takes its time."""

    def __init__(self, terminal: Terminal, send_s: float) -> None:
        self._terminal, self._send_s = terminal, send_s

    @property
    def spool(self) -> spools.Spool:
        """Its spool."""
        return self._terminal.spool

    def send(self, rows: Iterable[Row], *, feed: str | None = None) -> None:
        """Wait, then send."""
        time.sleep(self._send_s)
        self._terminal.send(rows, feed=feed)

    def report_gaps(self, gaps: Iterable[Gap], *, feed: str | None = None) -> None:
        """As the terminal."""
        self._terminal.report_gaps(gaps, feed=feed)

    def flush(self) -> None:
        """As the terminal."""
        self._terminal.flush()

    def interrupt(self) -> None:
        """As the terminal."""
        self._terminal.interrupt()


class Content:
    """What lies in a spool."""

    def __init__(self, spool: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        self.gaps: list[tuple[str, Gap]] = []
        self.batches: Counter[Encoding] = Counter()
        self.books = 0
        self.events: list[Any] = []
        for _seq, payload in spools.read(spool):
            header = parse_header(payload)
            self.batches[header.encoding] += 1
            if header.encoding is Encoding.COLUMNS:
                unit = 10 ** (SIZE_SCALE - parse_columns(payload, header).size_scale)
                self.rows += [
                    {**row, "feed": header.feed, "shares": (row["size"] or 0) * unit // SHARE}
                    for row in decode_columns(payload)
                ]
            elif header.encoding is Encoding.BOOKS:
                self.books += header.rows
            elif header.encoding is Encoding.EVENTS:
                self.events += parse_events(payload, header)
            elif header.encoding is Encoding.GAP:
                self.gaps += [(header.feed, gap) for gap in parse_gaps(payload, header)]

    def trades(self, feed: str = "krx") -> list[dict[str, Any]]:
        """The trades of a feed, in the order they were sent."""
        return [row for row in self.rows if row["feed"] == feed and row["kind"] == RowKind.TRADE]

    def shares(self, feed: str = "krx") -> Counter[str]:
        """Shares by symbol in trades."""
        found: Counter[str] = Counter()
        for row in self.trades(feed):
            found[row["symbol"]] += row["shares"]
        return found

    def missing(self, feed: str = "krx") -> Counter[str]:
        """Shares by symbol in gaps."""
        found: Counter[str] = Counter()
        for of, gap in self.gaps:
            if of == feed and gap.symbol is not None and gap.missing:
                found[gap.symbol] += gap.missing // SHARE
        return found


def by_symbol(table: dict[str, Any], tr_id: str) -> Counter[str]:
    """One table of the simulator's account, of one TR."""
    return Counter({key.split()[1]: value for key, value in table.items() if key.split()[0] == tr_id})


def last_volumes(account: dict[str, Any], tr_id: str) -> Counter[str]:
    """By symbol, what its days have traded in all, as the last records told."""
    found: Counter[str] = Counter()
    for key, dates in account["last_volume"].items():
        if key.split()[0] == tr_id:
            found[key.split()[1]] += sum(dates.values())
    return found


@contextlib.contextmanager
def streams(
    tmp_path: Path,
    *arguments: str,
    script: Sequence[tuple[int, str, Mapping[str, Any]]] = (),
    symbols: int = 6,
    kinds: Sequence[Kind] = (Kind.TRADE,),
    feed: str = "krx",
    trades: int = 600,
    **options: Any,
) -> Iterator[tuple[SimulatorProcess, RunningStreams]]:
    """The simulator, paused, and streams that want everything of it. `script`: (after, fault, its arguments)."""
    file = tmp_path / "script.json"
    file.write_text(json.dumps([{"after": after, "fault": fault, **more} for after, fault, more in script]))
    given = ("--symbols", str(symbols), "--trades", str(trades), "--trades-per-s", "800", "--ping-s", "0.2")
    with (
        SimulatorProcess(*given, "--paused", "--script", str(file), *APPROVALS, *arguments) as kis,
        RunningStreams(kis.websocket, tmp_path, wishes(kis.symbols, *kinds, feed=feed), **options) as running,
    ):
        yield kis, running


def run_out(kis: SimulatorProcess, running: RunningStreams, *, active: int) -> dict[str, Any]:
    """Let it trade to the end; its account when all that was missing is shown."""
    running.until_active(active)
    kis.order("go")
    running.until(lambda: kis.account()["done"], "the end of the trades")
    return settled(kis, running, active=active)


def settled(kis: SimulatorProcess, running: RunningStreams, *, active: int) -> dict[str, Any]:
    """Its account after one more trade of each stock, which shows whatever was missing; again if that one was lost."""
    running.until(lambda: len(kis.account()["registrations"]) >= active, "all registrations at the end")
    accounts: list[dict[str, Any]] = []

    def seen() -> bool:
        running.until_worked_off()
        kis.settle()
        accounts.append(kis.account())
        with contextlib.suppress(TimeoutError):
            waiting.until(lambda: seen_all(running, accounts[-1]), seconds=5, what="the last trades")
        return seen_all(running, accounts[-1])

    running.until(seen, "what was missing to be shown")
    running.until_worked_off()
    return accounts[-1]


def seen_all(running: RunningStreams, account: dict[str, Any]) -> bool:
    """Whether each symbol's volume is accounted for up to its last trade."""
    accounts = running.streams.intake.holes.volumes()
    return all(
        accounts.get((feed, symbol)) == dates[max(dates)] * 10**6
        for key, dates in account["last_volume"].items()
        for feed, symbol in [({"H0ST": "krx", "H0NX": "nxt", "H0UN": "unified"}.get(key[:4]), key.split()[1])]
        if feed
    )


def assert_to_the_share(content: Content, account: dict[str, Any], *, feed: str = "krx", tr_id: str = TR) -> None:
    """Rows and gaps are together what the days have traded, and each of them what the simulator says."""
    shares, missing = content.shares(feed), content.missing(feed)
    assert shares + missing == last_volumes(account, tr_id)
    assert shares == by_symbol(account["sent_shares"], tr_id)


def covered(running: RunningStreams) -> Counter[str]:
    """How many wishes are met in which way."""
    return Counter(how.value for how in running.streams.coverage().values())
