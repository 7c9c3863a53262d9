"""KIS's WebSocket over a market: registrations and their limits, PINGPONG, one session per appkey, frames of several
records, and everything that goes wrong there, by a script. A real server on a real socket.
"""

import asyncio
import base64
import contextlib
import http
import itertools
import json
import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.simulators.kis import wire_records
from tests.simulators.kis.account import Account
from tests.simulators.kis.clock import SimulatedClock
from tests.simulators.kis.market import KRX, NXT, Market, Stock, Trade
from tests.simulators.kis.script import Step

MOST: Final = 41
_IV, _KEY = "0123456789abcdef", "abcdefghijklmnopabcdefghijklmnop"
_HTML: Final = "<html><body><h1>503 Service Unavailable</h1></body></html>"
_STEP_S: Final = 0.01
_OWED_S: Final = 0.1
"""A machine that is too slow for the pace makes up for so much of it; what is beyond comes later."""
_FRAME_RECORDS: Final = 20
_TEXTS: Final = {
    "OPSP0000": "SUBSCRIBE SUCCESS",
    "OPSP0001": "UNSUBSCRIBE SUCCESS",
    "OPSP0002": "ALREADY IN SUBSCRIBE",
    "OPSP0003": "UNSUBSCRIBE ERROR(not found!)",
    "OPSP0008": "MAX SUBSCRIBE OVER",
    "OPSP0011": "invalid approval : NOT FOUND",
    "OPSP8991": "invalid tr_id",
    "OPSP8996": "ALREADY IN USE appkey",
    "OPSP8997": "invalid tr_type",
    "OPSP9999": "invalid JSON  ",
}
_OF_STOCKS: Final = frozenset(
    f"H0{letters}{kind}" for letters in ("ST", "NX", "UN") for kind in ("CNT0", "ASP0", "ANC0", "MKO0")
) | {"H0UPCNT0", "HDFSCNT0"}
_DERIVATIVES: Final = {
    "H0IFCNT0": (wire_records.futures, 501.25),
    "H0IOCNT0": (wire_records.option, 12.5),
    "H0ZFCNT0": (wire_records.stock_future, 71_000.0),
    "H0MFCNT0": (wire_records.night_future, 501.25),
}
_DERIVATIVE_BOOKS: Final = {"H0IFASP0": 5, "H0IOASP0": 5, "H0MFASP0": 5, "H0ZFASP0": 10}
_KNOWN: Final = _OF_STOCKS | set(_DERIVATIVES) | set(_DERIVATIVE_BOOKS)


@dataclass(eq=False)
class _Session:
    socket: ServerConnection
    appkey: str = ""
    registered: set[tuple[str, str]] = field(default_factory=set)
    pinged_at: float = 0.0
    answered_at: float = 0.0
    had_data: bool = False


@dataclass
class Options:
    """How the service behaves when nothing goes wrong. Seconds are real ones."""

    trades_per_s: float = 200.0
    trades: int | None = None
    """End after so many."""
    book_share: float = 0.3
    ping_s: float = 10.0
    cut_s: float = 100.0
    """Without an answer to PINGPONG."""
    encrypted: frozenset[str] = frozenset()
    """TRs whose payload is encrypted."""
    answer_delay_s: float = 0.0
    nxt_share: float = 0.3
    """Of the trades of a stock that NXT trades too."""
    sample: int = 0
    """Note when every so manieth record of a trade was made; 0: none."""


class WebSocketSimulator:
    """Start it in an event loop. `approvals` are the keys that are valid, with the appkey of each."""

    def __init__(
        self,
        market: Market,
        clock: SimulatedClock,
        approvals: dict[str, str],
        *,
        script: Sequence[Step] = (),
        options: Options | None = None,
        seed: int = 1,
    ) -> None:
        self.market, self.clock, self.approvals = market, clock, approvals
        self.options = options or Options()
        self.account = Account()
        self.done = asyncio.Event()
        """All trades happened."""
        self._script = sorted(script, key=lambda step: step.after)
        self._rng = random.Random(seed)
        self._sessions: set[_Session] = set()
        self._widths = dict(wire_records.WIDTHS)
        self._most = MOST
        self._left: Counter[str] = Counter()
        self._counted = 0
        self._halted: dict[str, int] = {}
        self._silent_until = self._half_open_until = 0.0
        self._overseas: dict[str, int] = {}
        self._futures: dict[str, int] = {}
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.paused = False
        self._trades_per_s = self.options.trades_per_s

    def pace(self, trades_per_s: float) -> None:
        """So many trades a second from now on."""
        self._trades_per_s = trades_per_s

    async def start(self, port: int = 0) -> str:
        """Listen; the base URL."""
        self._server = await serve(
            self._serve, "127.0.0.1", port, ping_interval=None, compression=None, process_request=self._handshake
        )
        self._tasks = [asyncio.create_task(self._produce()), asyncio.create_task(self._ping())]
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Tear everything down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._half_open_until = 0.0
        if self._server is not None:
            for session in list(self._sessions):
                session.socket.transport.abort()
            self._server.close()
            await self._server.wait_closed()

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    def registrations(self) -> set[tuple[str, str]]:
        """What is registered now, over all sessions."""
        return set().union(*(one.registered for one in self._sessions))

    # Sessions and commands

    async def _handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        if not self._take("refuse"):
            return None
        self.account.refused_connections += 1
        response = socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, _HTML)
        response.headers["Content-Type"] = "text/html"
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        self.account.connections += 1
        now = self._now()
        session = _Session(socket, pinged_at=now, answered_at=now)
        if self._take("owned"):
            await self._answer(session, "OPSP8996", None)
            return
        self._sessions.add(session)
        try:
            async for message in socket:
                while self._now() < self._half_open_until:  # noqa: ASYNC110  # a script may prolong it
                    await asyncio.sleep(_STEP_S)
                if not await self._command(session, message):
                    return
        except ConnectionClosed:
            pass
        finally:
            self._sessions.discard(session)

    async def _command(self, session: _Session, message: str | bytes) -> bool:
        """False if the session is to end."""
        try:
            content = json.loads(message)
            header = content["header"]
            if header.get("tr_id") == "PINGPONG":
                self.account.pong_styles["text"] += 1
                session.answered_at = self._now()
                return True
            key, kind, where = header["approval_key"], header["tr_type"], content["body"]["input"]
            wanted = (where["tr_id"], where["tr_key"])
        except (ValueError, KeyError, TypeError):
            await self._answer(session, "OPSP9999", None)
            return True
        appkey = self.approvals.get(key)
        if appkey is None:
            await self._answer(session, "OPSP0011", wanted)
            return True
        if any(other.appkey == appkey and other is not session for other in self._sessions):
            self.account.refused_connections += 1
            await self._answer(session, "OPSP8996", None)
            return False
        session.appkey = appkey
        code = self._register(session, wanted) if kind == "1" else self._unregister(session, wanted, kind)
        if self.options.answer_delay_s:
            await asyncio.sleep(self.options.answer_delay_s)
        if self._take("late_answers"):
            for _ in range(200):
                if session.had_data:
                    break
                await asyncio.sleep(_STEP_S)
        if not self._take("lose_answers"):
            await self._answer(session, code, wanted)
        return True

    def _register(self, session: _Session, wanted: tuple[str, str]) -> str:
        if wanted[0] not in _KNOWN:
            return "OPSP8991"
        if wanted in session.registered:
            return "OPSP0002"
        if len(session.registered) >= self._most:
            return "OPSP0008"
        session.registered.add(wanted)
        self.account.registered += 1
        self.account.most_registrations = max(self.account.most_registrations, len(session.registered))
        return "OPSP0000"

    def _unregister(self, session: _Session, wanted: tuple[str, str], kind: str) -> str:
        if kind != "2":
            return "OPSP8997"
        if wanted not in session.registered:
            return "OPSP0003"
        session.registered.remove(wanted)
        self.account.unregistered += 1
        return "OPSP0001"

    async def _answer(self, session: _Session, code: str, wanted: tuple[str, str] | None) -> None:
        self.account.answers[code] += 1
        tr_id, tr_key = wanted or ("(null)", "")
        encrypted = "Y" if tr_id in self.options.encrypted else "N"
        good = code in ("OPSP0000", "OPSP0001", "OPSP0002")
        body: dict[str, object] = {"rt_cd": "0" if good else "1", "msg_cd": code, "msg1": _TEXTS[code]}
        if good:
            body["output"] = {"iv": _IV, "key": _KEY}
        header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": encrypted}
        with contextlib.suppress(ConnectionClosed):
            await session.socket.send(json.dumps({"header": header, "body": body}))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(min(_STEP_S * 2, self.options.ping_s / 4))
            now = self._now()
            if now < self._half_open_until:
                continue
            for session in list(self._sessions):
                if now - session.answered_at > self.options.cut_s:
                    session.socket.transport.abort()
                elif now - session.pinged_at >= self.options.ping_s:
                    session.pinged_at = now
                    self.account.pings += 1
                    stamp = self.clock.now().strftime("%Y%m%d%H%M%S")
                    with contextlib.suppress(ConnectionClosed):
                        await session.socket.send(json.dumps({"header": {"tr_id": "PINGPONG", "datetime": stamp}}))

    # Data

    async def _produce(self) -> None:
        looked_at, owed = self._now(), 0.0
        while self.options.trades is None or self.account.trades < self.options.trades:
            await asyncio.sleep(_STEP_S)
            before, looked_at = looked_at, self._now()
            if self.paused:
                continue
            owed += min(looked_at - before, _OWED_S) * self._trades_per_s
            count = int(owed)
            owed -= count
            if self.options.trades is not None:
                count = min(count, self.options.trades - self.account.trades)
            await self._trades(count)
            await self._others()
        self.done.set()

    async def _trades(self, count: int) -> None:
        """Let `count` trades happen, with the steps of the script between them."""
        while count > 0:
            while self._script and self._script[0].after <= self.account.trades:
                await self.begin(self._script.pop(0))
            until = self._script[0].after - self.account.trades if self._script else count
            now = min(count, max(1, until), _FRAME_RECORDS)
            await self._group(now)
            await asyncio.sleep(0)  # commands, PINGPONG and REST are answered meanwhile: theirs are other machines
            count -= now

    async def _group(self, count: int) -> None:
        """Trades that leave together: one frame for each TR, of as many records as there are."""
        frames: dict[tuple[str, str], list[tuple[Trade, list[str]]]] = {}
        registered = self.registrations()
        books: dict[str, Stock] = {}
        for _ in range(count):
            stock = self.market.choose()
            venue = NXT if stock.on_nxt and self._rng.random() < self.options.nxt_share else KRX
            moment = self.clock.now()
            one = self.market.trade(stock, moment, venue)
            self.account.trades += 1
            self._count_halt(stock)
            letters = wire_records.venue_letters(venue)
            tr_id = f"H0{letters}CNT0"
            if (tr_id, stock.code) in registered:
                await self._record(frames, (tr_id, stock.code), one, stock)
            if ("H0UNCNT0", stock.code) in registered:
                await self._record(frames, ("H0UNCNT0", stock.code), self._unified(one, stock), stock)
            if (f"H0{letters}ASP0", stock.code) in registered and self._rng.random() < self.options.book_share:
                books[f"H0{letters}ASP0"] = stock
        for (tr_id, _), records in frames.items():
            await self._frame(tr_id, records)
        for tr_id, stock in books.items():
            values = wire_records.book(
                stock,
                self.market.book(stock),
                self.clock.now(),
                stock.day(KRX, self.clock.now().date()).volume,
                width=self._widths["ASP0"],
            )
            if await self._push(tr_id, [(stock.code, values)]):
                self.account.books += 1

    @staticmethod
    def _unified(one: Trade, stock: Stock) -> Trade:
        """The same print as the unified feed tells it: with what both venues have traded."""
        days = [stock.day(venue, one.date) for venue in (KRX, NXT)]
        return replace(one, volume=sum(day.volume for day in days), value=sum(day.value for day in days))

    async def settle(self) -> None:
        """One more trade of each registered stock, sent as it should be: it shows whatever was missing before it."""
        for _ in range(200):
            if self._now() >= max(self._silent_until, self._half_open_until):
                break
            await asyncio.sleep(_STEP_S)
        self._left.clear()
        for tr_id, code in sorted(self.registrations()):
            venue = {"H0STCNT0": KRX, "H0NXCNT0": NXT, "H0UNCNT0": KRX}.get(tr_id)
            if venue is None:
                continue
            stock = self.market.stocks[code]
            one = self.market.trade(stock, self.clock.now(), venue)
            frames: dict[tuple[str, str], list[tuple[Trade, list[str]]]] = {}
            told = self._unified(one, stock) if tr_id == "H0UNCNT0" else one
            await self._record(frames, (tr_id, code), told, stock)
            await self._frame(tr_id, frames[tr_id, code])

    async def _record(
        self,
        frames: dict[tuple[str, str], list[tuple[Trade, list[str]]]],
        key: tuple[str, str],
        one: Trade,
        stock: Stock,
    ) -> None:
        values = wire_records.trade(one, stock, self.market.book(stock), width=self._widths["CNT0"])
        if self._now() < max(self._silent_until, self._half_open_until) or self._take("drop"):
            self.account.withheld_shares[key] += one.size
            return
        if self._take("null"):
            values[2] = "(null)"
            self.account.unreadable["null"] += 1
            self.account.withheld_shares[key] += one.size
        elif self._take("empty"):
            for place in (5, 6, 18, 22, 40, 42, 44, 45):
                values[place] = ""
            self._count(key, one)
        elif self._take("nonsense"):
            for place in (5, 22, 23, 42):
                values[place] = "-100.00"
            self._count(key, one)
        else:
            self._count(key, one)
        # Records of one stock and TR share a frame; a frame of its own for each stock keeps the account simple.
        frames.setdefault(key, []).append((one, values))
        if self._take("expected"):
            expected = wire_records.trade(
                one, stock, self.market.book(stock), width=self._widths["CNT0"], hour_class="B"
            )
            frames[key].append((one, expected))
            self.account.expected += 1
        if self._take("repeat"):
            frames[key].append((one, values))

    def _count(self, key: tuple[str, str], one: Trade) -> None:
        self.account.sent[key] += 1
        self.account.sent_shares[key] += one.size
        dates = self.account.last_volume.setdefault(key, {})
        dates[one.date.strftime("%Y%m%d")] = one.volume
        self._counted += 1
        if self.options.sample and self._counted % self.options.sample == 0:
            self.account.samples.append((*key, one.volume, time.time_ns() // 1000))

    async def _frame(self, tr_id: str, records: list[tuple[Trade, list[str]]]) -> None:
        code = records[0][0].code
        values = [(code, one) for _, one in records]
        if self._take("short"):
            self._spoil((tr_id, code), records, "short")
            await self._push(tr_id, values, cut=3)
        elif self._take("no_code"):
            self._spoil((tr_id, code), records, "no_code")
            await self._push(tr_id, [(code, ["!", *one[1:]]) for _, one in values])
        else:
            await self._push(tr_id, values, said=len(values) + self._take("wrong_count"), as_bytes=self._take("bytes"))

    def _spoil(self, key: tuple[str, str], records: list[tuple[Trade, list[str]]], fault: str) -> None:
        """A frame that was counted as sent cannot be read: its shares are missing, not sent."""
        self.account.unreadable[fault] += 1
        counted = {id(one): one for one, values in records if values[2] != "(null)"}.values()
        for one in counted:
            self.account.sent[key] -= 1
            self.account.sent_shares[key] -= one.size
            self.account.withheld_shares[key] += one.size

    async def _push(
        self,
        tr_id: str,
        records: Sequence[tuple[str, list[str]]],
        *,
        said: int | None = None,
        as_bytes: bool = False,
        cut: int = 0,
    ) -> bool:
        """Send a frame to the sessions that registered its code; whether there were any."""
        payload = "^".join(itertools.chain.from_iterable(values for _, values in records))
        if cut:
            payload = payload.rsplit("^", cut)[0]
        flag = "0"
        if tr_id in self.options.encrypted:
            flag, payload = "1", _encrypt(payload)
        text = f"{flag}|{tr_id}|{len(records) if said is None else said:03d}|{payload}"
        key = (tr_id, records[0][0])
        return await self._to_all(text.encode() if as_bytes else text, key)

    async def _to_all(self, message: str | bytes, key: tuple[str, str] | None = None) -> bool:
        if self._now() < max(self._silent_until, self._half_open_until):
            return False
        sent = False
        for session in list(self._sessions):
            if session.registered if key is None else key in session.registered:
                session.had_data = sent = True
                with contextlib.suppress(ConnectionClosed):
                    await session.socket.send(message)
        return sent

    async def _others(self) -> None:
        """Index, derivative and overseas records, a few a second of each that is registered."""
        moment = self.clock.now()
        for tr_id, code in self.registrations():
            if self._rng.random() > 0.05:
                continue
            size = self._rng.randint(1, 9)
            if tr_id == "H0UPCNT0":
                value = 500 + math.sin(moment.timestamp() / 60)
                self.account.events += await self._push(tr_id, [(code, wire_records.index(code, value, moment))])
            elif tr_id in _DERIVATIVE_BOOKS:
                values = wire_records.derivative_book(code, 501.25, _DERIVATIVE_BOOKS[tr_id], moment)
                self.account.books += await self._push(tr_id, [(code, values)])
            elif tr_id in _DERIVATIVES:
                volume = self._futures[code] = self._futures.get(code, 0) + size
                make, price = _DERIVATIVES[tr_id]
                values = make(code, price, size, volume, moment)
                if await self._push(tr_id, [(code, values)]):
                    self._count_other((tr_id, code), size, volume, moment.strftime("%Y%m%d"))
            elif tr_id == "HDFSCNT0":
                volume = self._overseas[code] = self._overseas.get(code, 0) + size
                values = wire_records.overseas(code, 250.5, size, volume, moment)
                if await self._push(tr_id, [(code, values)]):
                    self._count_other((tr_id, code), size, volume, moment.strftime("%Y%m%d"))

    def _count_other(self, key: tuple[str, str], size: int, volume: int, date: str) -> None:
        self.account.sent[key] += 1
        self.account.sent_shares[key] += size
        self.account.last_volume.setdefault(key, {})[date] = volume

    # Faults

    def _take(self, fault: str) -> bool:
        if self._left[fault] <= 0:
            return False
        self._left[fault] -= 1
        return True

    async def begin(self, step: Step) -> None:
        """Let a fault begin now."""
        self.account.faults[step.fault] += 1
        given: Mapping[str, Any] = step.arguments
        count = int(given.get("count", 1))
        until = self._now() + float(given.get("seconds", 0.0))
        match step.fault:
            case "width":
                self._widths[str(given["kind"])] = int(given["width"])
            case "garbage":
                if await self._to_all(_HTML):
                    self.account.unreadable["garbage"] += self.sessions
            case "not_text":
                if await self._to_all(b"\xff\xfe\x00|"):
                    self.account.unreadable["not_text"] += self.sessions
            case "unknown_tr":
                if await self._to_all("0|H0ZZZZZ0|001|005930^1^2"):
                    self.account.unreadable["unknown_tr"] += self.sessions
            case "halt":
                stock = self.market.choose()
                stock.halted = True
                self._halted[stock.code] = count
                await self._statuses(stock)
            case "burst":
                await self._trades(count)
            case "silence":
                self._silent_until = until
            case "half_open":
                self._half_open_until = until
            case "cut":
                for session in list(self._sessions):
                    session.socket.transport.abort()
            case "close":
                for session in list(self._sessions):
                    await session.socket.close()
            case "full":
                self._most = count
            case "expire_keys":
                for key in set(self.approvals) - set(given.get("but", ())):
                    del self.approvals[key]
            case "skew":
                self.clock.jump(float(given["seconds"]))
            case fault:
                self._left[fault] += count

    async def _statuses(self, stock: Stock) -> None:
        for tr_id in ("H0STMKO0", "H0NXMKO0", "H0UNMKO0"):
            self.account.events += await self._push(tr_id, [(stock.code, wire_records.status(stock))])

    def _count_halt(self, stock: Stock) -> None:
        if stock.code in self._halted:
            self._halted[stock.code] -= 1
            if self._halted[stock.code] <= 0:
                del self._halted[stock.code]
                stock.halted = False

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _encrypt(text: str) -> str:
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(_KEY.encode()), modes.CBC(_IV.encode())).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
