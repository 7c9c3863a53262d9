"""Calls to KIS: a token in hand, behind the limiter, repeated as far as the kind of failure makes that worth while."""

import asyncio
import datetime as dt
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode

from terminals.clock import wall_us
from terminals.recording import Recorder
from terminals.sources.kis import network
from terminals.sources.kis.answers import (
    BusinessError,
    KeyRefusedError,
    KisError,
    TokenRefusedError,
    Trouble,
    UnavailableError,
)
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.limiter import WINDOW_S, CallLimiter
from terminals.sources.kis.outages import Outage
from terminals.sources.kis.tokens import Tokens

log = logging.getLogger("naru.kis")

KST: Final = dt.timezone(dt.timedelta(hours=9))
_QUOTATIONS: Final = "/uapi/domestic-stock/v1/quotations/"
_CHANNEL: Final = "rest"
_CONCURRENT: Final = 50


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is made in all, and the first wait, which doubles; a wait is a random half to whole of it."""

    tries: int
    first_s: float


RETRIES: Final[Mapping[Trouble, Retry]] = {
    Trouble.QUOTA: Retry(6, 0.2),  # somebody else uses the appkey: the next second has room again
    Trouble.SERVER: Retry(4, 0.2),
    Trouble.NO_JSON: Retry(4, 0.2),
    Trouble.TIMEOUT: Retry(2, 0.1),
    Trouble.CONNECTION: Retry(4, 0.1),
    Trouble.UNREACHABLE: Retry(2, 0.5),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of call: what follows the host, and its transaction id."""

    path: str
    tr_id: str


def quotation(name: str, tr_id: str) -> Endpoint:
    """A call below domestic-stock/v1/quotations."""
    return Endpoint(_QUOTATIONS + name, tr_id)


def channel(endpoint: Endpoint, params: Mapping[str, str]) -> str:
    """Under what an answer is recorded: which call it was, and what was asked. Headers, and with them the keys, are not
    in it."""
    return f"{_CHANNEL} {endpoint.tr_id} {endpoint.path}?{urlencode(params)}"


def read_channel(text: str) -> tuple[str, dict[str, str]] | None:
    """(transaction id, what was asked) of a channel of `channel`; None for another's."""
    word, _, rest = text.partition(" ")
    tr_id, _, asked = rest.partition(" ")
    query = asked.partition("?")[2]
    return (tr_id, dict(parse_qsl(query, keep_blank_values=True))) if word == _CHANNEL else None


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of a good answer and when it was there, in microseconds since 1970 UTC."""

    body: Mapping[str, Any]
    received_us: int

    def one(self, name: str = "output") -> Mapping[str, Any]:
        """An output that is one record; empty if it is not there."""
        found = self.body.get(name)
        if isinstance(found, list):
            found = found[0] if found else {}
        return found if isinstance(found, dict) else {}

    def many(self, name: str = "output") -> list[Mapping[str, Any]]:
        """An output that is a list of records."""
        found = self.body.get(name)
        found = [found] if isinstance(found, dict) else found
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


@dataclass(slots=True)
class Calls:
    """Requests since the client was opened, each repetition one of them."""

    made: int = 0
    good: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by kind of failure


class Client:
    """Calls of one appkey from one process. `async with Client(account, folder) as client:`, in one event loop."""

    def __init__(
        self,
        account: Account,
        folder: Path,
        *,
        within_s: float = network.CALL_S,
        token_interval_s: float = 60.0,
        window_s: float = WINDOW_S,
        retries: Mapping[Trouble, Retry] = RETRIES,
        recorder: Recorder | None = None,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        """`folder` keeps token and limiter, the same one for all processes of this machine; `within_s` bounds each
        request; the service counts calls over any `window_s` seconds; `recorder` is told of each good answer; `now_us`
        stamps them, and says which day it is. OSError if the folder cannot be made."""
        self.account = account
        self.calls = Calls()
        self._http = network.open_http(account)
        self.tokens = Tokens(account, folder, self._http, token_interval_s=token_interval_s, within_s=within_s)
        self.limiter = CallLimiter(
            account.key_id, folder, self._calls_a_window, longest_call_s=within_s + 5.0, window_s=window_s
        )
        self._within_s, self._window_s, self._retries, self._recorder = within_s, window_s, retries, recorder
        self._now_us = now_us
        self._room = asyncio.Semaphore(_CONCURRENT)
        self._rng = random.Random()  # noqa: S311 - no secret
        self.outage = Outage(self._rng)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections; calls have ended before."""
        await self._http.aclose()
        self.limiter.close()

    @property
    def offers_multi_quote(self) -> bool:
        """Virtual accounts have no FHKST11300006."""
        return self.account.kind is AccountKind.REAL

    def calls_per_s(self) -> float:
        """How many calls a second this appkey may make today."""
        return self._calls_a_window() / self._window_s

    def _calls_a_window(self) -> int:
        return self.account.calls_per_s(self.today())

    def today(self) -> dt.date:
        """The Korean day."""
        return dt.datetime.fromtimestamp(self._now_us() / 1e6, KST).date()

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, once: bool = False) -> Answer:
        """One call with its repetitions: none with `once`, or while the service is away. KisError by the kind of the
        last failure, UnavailableError also where the shared files cannot be used. A refused token is renewed once."""
        name, now = self.account.name, asyncio.get_running_loop().time
        try:
            answer = await self._get(endpoint, params, once)
        except (BusinessError, KeyRefusedError):
            self.outage.answered()
            raise
        except (KisError, OSError) as error:
            if isinstance(error, OSError):
                self.calls.failed[Trouble.SHARED_FILES.value] += 1
            if self.outage.failed(now()):
                log.error("kis_rest_away account=%s reason=%s", name, f"{type(error).__name__} {error}")
            if isinstance(error, OSError):
                raise UnavailableError(Trouble.SHARED_FILES, "", f"{type(error).__name__} {error}") from None
            raise
        if self.outage.answered():
            log.warning("kis_rest_back account=%s", name)
        return answer

    async def _get(self, endpoint: Endpoint, params: Mapping[str, str], once: bool) -> Answer:
        token, failures = await self.tokens.access_token(), Counter[Trouble]()
        renewed = once
        while True:
            try:
                return await self._once(endpoint, params, token)
            except TokenRefusedError:
                if renewed:
                    raise
                renewed, token = True, await self.tokens.access_token(refused=token)
            except UnavailableError as error:
                failures[error.trouble] += 1
                retry = self._retries[error.trouble]
                if once or self.outage.is_down or failures[error.trouble] >= retry.tries:
                    raise
                wait_s = retry.first_s * 2.0 ** (failures[error.trouble] - 1)
                await asyncio.sleep(wait_s * self._rng.uniform(0.5, 1.0))

    async def _once(self, endpoint: Endpoint, params: Mapping[str, str], token: str) -> Answer:
        account = self.account
        headers = {
            "authorization": f"Bearer {token}",
            "appkey": account.appkey,
            "appsecret": account.appsecret,
            "tr_id": endpoint.tr_id,
            "tr_cont": "",
            "custtype": account.customer,
        }
        async with self._room, self.limiter.call():
            self.calls.made += 1
            try:
                reply = await network.request(
                    self._http,
                    account,
                    "GET",
                    endpoint.path,
                    headers=headers,
                    params=params,
                    within_s=self._within_s,
                    token=token,
                )
            except KisError as error:
                self.calls.failed[_label(error)] += 1
                raise
            self.calls.good += 1
            if self._recorder is not None:
                self._recorder.note(channel(endpoint, params), reply.content)
            return Answer(reply.body, self._now_us())


def _label(error: KisError) -> str:
    if isinstance(error, UnavailableError):
        return error.trouble.value
    return "token" if isinstance(error, TokenRefusedError) else "business"
