"""KIS's REST service over a market: tokens, quotations, master files, limits that reject, and faults on demand.

As the real service: 18 calls a second and appkey (1 for a virtual account), counted over any second that slides; a
token at most once a minute, the same one within six hours; errors in two sets of keys and with any HTTP status.
"""

import asyncio
import datetime
import json
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulators.kis import pages
from tests.simulators.kis.http_server import HttpServer, Request, Reset, Response
from tests.simulators.kis.market import KST, Market

REAL_PER_S, VIRTUAL_PER_S = 18, 1
WINDOW_S: Final = 1.0
_SAME_TOKEN_S: Final = 6 * 3600.0
_HTML: Final = b"<html><body><h1>500 Internal Server Error</h1></body></html>"
FAULTS: Final = ("quota", "server", "html", "hang", "slow", "reset", "empty", "expired", "business")


@dataclass(frozen=True)
class Key:
    """An appkey that the service knows."""

    appkey: str
    secret: str
    calls_per_s: int = REAL_PER_S


@dataclass
class Faults:
    """What goes wrong with calls of data: first the script, one entry a call (None: nothing), then by chance."""

    script: list[str | None] = field(default_factory=list)
    chances: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1
    slow_s: float = 0.5

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._script = deque(self.script)
        self.happened: Counter[str] = Counter()

    def plan(self, *faults: str | None) -> None:
        """Put these behind the script."""
        self._script.extend(faults)

    def next(self) -> str | None:
        """What happens to the next call."""
        fault = self._script.popleft() if self._script else self._by_chance()
        if fault is not None:
            assert fault in FAULTS, fault
            self.happened[fault] += 1
        return fault

    def _by_chance(self) -> str | None:
        drawn = self._rng.random()
        for fault, chance in self.chances.items():
            drawn -= chance
            if drawn < 0:
                return fault
        return None


@dataclass
class _Token:
    value: str
    issued_at: float
    ends_at: float


class RestSimulator:
    """The service on a port of this machine, in one event loop. `clock` is in seconds and only goes forward."""

    def __init__(
        self,
        market: Market,
        keys: list[Key],
        *,
        faults: Faults | None = None,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(KST),
        token_interval_s: float = 60.0,
        token_s: float = 86_400.0,
        window_s: float = WINDOW_S,
        closed: frozenset[datetime.date] = frozenset(),
        approvals: dict[str, str] | None = None,
    ) -> None:
        """Calls are counted over any `window_s` seconds. `approvals` is where the WebSocket side looks up approval
        keys, if there is one."""
        self.market, self.faults = market, faults or Faults()
        self._keys = {key.appkey: key for key in keys}
        self._now, self._token_s, self._closed = now, token_s, closed
        self.token_interval_s, self.window_s = token_interval_s, window_s
        self._server = HttpServer(self._answer)
        self.url = ""
        self._tokens: dict[str, _Token] = {}
        self._asked_at: dict[str, float] = {}
        self._revoked: set[str] = set()
        self.approvals = {} if approvals is None else approvals
        """By approval key, the appkey it was issued for: what the WebSocket side accepts."""
        self.arrivals: dict[str, list[float]] = {key.appkey: [] for key in keys}
        """When each call of data arrived, by appkey, the rejected ones too."""
        self._accepted: dict[str, deque[float]] = {key.appkey: deque() for key in keys}
        self.poison: set[str] = set()
        """Codes with which a multi-quote is refused as a whole."""
        self.requests: Counter[str] = Counter()
        self.limiter_trips = 0
        self.tokens_issued = 0
        self.tokens_too_soon = 0
        self.hangs = asyncio.Event()
        """Set when a call is left without an answer."""
        self.tripped = asyncio.Event()
        """Set when a call was one too many."""
        self.too_soon = asyncio.Event()
        """Set when a token was refused because the last one is younger than the interval."""

    async def start(self, port: int = 0) -> str:
        """Listen; answers the base URL."""
        self.url = f"http://127.0.0.1:{await self._server.start(port)}"
        return self.url

    async def stop(self) -> None:
        """End all connections."""
        await self._server.stop()

    def refuse_tokens(self, *, expired: bool = True) -> None:
        """From now on the tokens that are out there are too old, or were never issued."""
        for appkey, token in list(self._tokens.items()):
            if expired:
                self._revoked.add(token.value)
            del self._tokens[appkey]

    def busiest_second(self, appkey: str) -> int:
        """The most calls of data that arrived in one second (`window_s`) of any begin."""
        most, window = 0, deque[float]()
        for at in self.arrivals[appkey]:
            window.append(at)
            while window[0] <= at - self.window_s:
                window.popleft()
            most = max(most, len(window))
        return most

    def summary(self) -> dict[str, int]:
        """Counts for a report."""
        return {
            "requests": self.requests.total(),
            "books": sum(count for path, count in self.requests.items() if "asking-price" in path),
            "limiter_trips": self.limiter_trips,
            "tokens_issued": self.tokens_issued,
            "faults": self.faults.happened.total(),
        }

    async def _answer(self, request: Request) -> Response:
        self.requests[request.path] += 1
        if request.path.startswith("/common/master/"):
            return self._master(request.path.rpartition("/")[2])
        handlers: dict[str, Callable[[Mapping[str, Any]], Response]] = {
            "/oauth2/tokenP": self._issue_token,
            "/oauth2/Approval": self._issue_approval,
            "/oauth2/revokeP": self._revoke,
        }
        handler = handlers.get(request.path)
        if handler is not None and request.method == "POST":
            try:
                return handler(json.loads(request.body))
            except ValueError:
                return _error(400, "EGW00002", "server error occurred")
        return await self._quotation(request)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    # tokens

    def _known(self, body: Mapping[str, Any], secret_name: str) -> Key | Response:
        key = self._keys.get(body.get("appkey", ""))
        if key is None:
            return _error(403, "EGW00103", "유효하지 않은 AppKey입니다.")
        if body.get(secret_name) != key.secret:
            return _error(403, "EGW00105", "유효하지 않은 AppSecret입니다.")
        return key

    def _issue_token(self, body: Mapping[str, Any]) -> Response:
        key = self._known(body, "appsecret")
        if isinstance(key, Response):
            return key
        now, appkey = self._clock(), key.appkey
        if now - self._asked_at.get(appkey, float("-inf")) < self.token_interval_s:
            self.tokens_too_soon += 1
            self.too_soon.set()
            return _error(403, "EGW00133", "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)")
        self._asked_at[appkey] = now
        token = self._tokens.get(appkey)
        if token is None or now - token.issued_at >= _SAME_TOKEN_S or now >= token.ends_at:
            token = self._tokens[appkey] = _Token(f"eyJ{uuid.uuid4().hex}", now, now + self._token_s)
        self.tokens_issued += 1
        # By the clock on the wall, whatever day the market has: a caller whose clock is right would find it expired.
        ends = datetime.datetime.now(KST) + datetime.timedelta(seconds=token.ends_at - now)
        return _json(
            200,
            {
                "access_token": token.value,
                "access_token_token_expired": ends.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S"),
                "token_type": "Bearer",
                "expires_in": int(self._token_s),
            },
        )

    def _issue_approval(self, body: Mapping[str, Any]) -> Response:
        key = self._known(body, "secretkey")
        if isinstance(key, Response):
            return key
        approval = str(uuid.uuid4())
        self.approvals[approval] = key.appkey
        return _json(200, {"approval_key": approval})

    def _revoke(self, body: Mapping[str, Any]) -> Response:
        key = self._known(body, "appsecret")
        if isinstance(key, Response):
            return key
        token = self._tokens.pop(key.appkey, None)
        if token is None or token.value != body.get("token"):
            return _error(403, "EGW00121", "유효하지 않은 token 입니다.")
        return _json(200, {"code": 200, "message": "접근토큰 폐기에 성공하였습니다"})

    # calls of data

    async def _quotation(self, request: Request) -> Response:
        appkey = request.headers.get("appkey", "")
        refusal = self._refusal(request, appkey)
        if refusal is not None:
            return refusal
        fault = self.faults.next()
        match fault:
            case "quota":
                return _quota()
            case "server":
                return _data(500, "EGW00300", "MCI 전송 오류")
            case "html":
                return Response(500, _HTML, {"content-type": "text/html"})
            case "hang":
                self.hangs.set()
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(self.faults.slow_s)
            case "reset":
                raise Reset
            case "expired":
                return _data(500, "EGW00123", "기간이 만료된 token 입니다.")
            case "business":
                return _data(200, "MCA00124", "조회할 내용이 없습니다.", rt_cd="1")
            case _:
                pass
        if self.poison.intersection(request.query.values()):
            return _data(200, "OPSQ2001", "ERROR INVALID FID_INPUT_ISCD", rt_cd="1")
        page = pages.find(request, self.market, self._now(), self._closed)
        if page is None:
            return _data(404, "EGW00304", "존재하지 않는 서비스입니다.")
        if fault == "empty":
            page = pages.emptied(page)
        more = page.pop("tr_cont", "")
        done = {"rt_cd": "0", "msg_cd": "MCA00000", "msg1": "정상처리 되었습니다."} if "rt_cd" not in page else {}
        return _json(200, {**page, **done}, {"tr_cont": more, "tr_id": request.headers.get("tr_id", "")})

    def _refusal(self, request: Request, appkey: str) -> Response | None:
        known = self._known(request.headers, "appsecret")
        if isinstance(known, Response):
            return known
        now, accepted = self._clock(), self._accepted[appkey]
        self.arrivals[appkey].append(now)
        while accepted and accepted[0] <= now - self.window_s:
            accepted.popleft()
        if len(accepted) >= known.calls_per_s:
            self.limiter_trips += 1
            self.tripped.set()
            return _quota()
        accepted.append(now)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = self._tokens.get(appkey)
        if given in self._revoked or (token is not None and token.value == given and now >= token.ends_at):
            return _data(500, "EGW00123", "기간이 만료된 token 입니다.")
        if token is None or token.value != given:
            return _data(500, "EGW00121", "유효하지 않은 token 입니다.")
        return None

    def _master(self, name: str) -> Response:
        try:
            content = pages.master(name.removesuffix(".mst.zip"), self.market)
        except KeyError:
            return Response(404, b"")
        return Response(200, content, {"content-type": "application/zip"})


def _quota() -> Response:
    return _data(500, "EGW00201", "초당 거래건수를 초과하였습니다.")


def _data(status: int, code: str, message: str, rt_cd: str = "1") -> Response:
    return _json(status, {"rt_cd": rt_cd, "msg_cd": code, "msg1": message})


def _error(status: int, code: str, message: str) -> Response:
    return _json(status, {"error_description": message, "error_code": code})


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(status, content, {"content-type": "application/json; charset=utf-8", **(headers or {})})
