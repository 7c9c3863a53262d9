"""The access token and the WebSocket approval key of an appkey: one of each for all processes of this machine.

Both live a day. Each issue of a token sends a message to the owner of the account, and a second one within a minute is
refused (facts: OAuth pages of the KIS portal). So one process issues, under a lock, and the others read what it wrote.
"""

import asyncio
import datetime as dt
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from terminals import private
from terminals.sources.kis import network, shared_files
from terminals.sources.kis.answers import KisError, TokenTooSoonError, Trouble, UnavailableError
from terminals.sources.kis.credentials import Account

log = logging.getLogger("naru.kis")

TOKEN_INTERVAL_S: Final = 60.0
APPROVAL_INTERVAL_S: Final = 1.0
_KST: Final = dt.timezone(dt.timedelta(hours=9))
_DAY_S: Final = 86_400.0
_RENEW_S: Final = 600.0  # so long before its end a new one is asked for
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """What the shared file has. Times in seconds since 1970 UTC; `asked_at` is the last question, answered or not."""

    value: str = ""
    ends_at: float = 0.0
    asked_at: float = 0.0


class Tokens:
    """The credentials of one appkey; `folder` is the same for all processes that use it."""

    def __init__(
        self,
        account: Account,
        folder: Path,
        http: httpx.AsyncClient,
        *,
        token_interval_s: float = TOKEN_INTERVAL_S,
        approval_interval_s: float = APPROVAL_INTERVAL_S,
        within_s: float = network.CALL_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        private.make(folder)
        self._account, self._http, self._within_s, self._wall = account, http, within_s, wall
        self._token = _Shared(
            folder / f"{account.key_id}.token", self._issue_token, interval_s=token_interval_s, wall=wall
        )
        self._approval = _Shared(
            folder / f"{account.key_id}.approval", self._issue_approval, interval_s=approval_interval_s, wall=wall
        )

    async def access_token(self, *, refused: str = "") -> str:
        """The token for data calls. `refused` is one that the service did not take: then another one, if it has one.
        KisError if there is none, OSError if the shared file cannot be used."""
        return await self._token.get(refused)

    async def approval_key(self, *, refused: str = "") -> str:
        """The key for WebSocket sessions, as `access_token`. KisError, OSError."""
        return await self._approval.get(refused)

    async def _issue_token(self) -> Kept:
        account = self._account
        body = {"grant_type": "client_credentials", "appkey": account.appkey, "appsecret": account.appsecret}
        answer = await self._ask("/oauth2/tokenP", body, "access_token")
        now = self._wall()
        return Kept(answer["access_token"], _end(answer, now), now)

    async def _issue_approval(self) -> Kept:
        account = self._account
        # The same secret under another name.
        body = {"grant_type": "client_credentials", "appkey": account.appkey, "secretkey": account.appsecret}
        answer = await self._ask("/oauth2/Approval", body, "approval_key")
        now = self._wall()
        return Kept(answer["approval_key"], now + _DAY_S, now)

    async def _ask(self, path: str, body: Mapping[str, str], name: str) -> Mapping[str, Any]:
        asked = network.request(self._http, self._account, "POST", path, body=body, within_s=self._within_s)
        answer = (await asked).body
        value = answer.get(name)
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
            raise UnavailableError(Trouble.SERVER, "", f"an answer of {path} without {name}")
        log.info("kis_issued what=%s account=%s", name, self._account.name)
        return answer


class _Shared:
    """One credential in one file, issued by one process at a time and not more often than the service allows."""

    def __init__(
        self, file: Path, issue: Callable[[], Awaitable[Kept]], *, interval_s: float, wall: Callable[[], float]
    ) -> None:
        self._file, self._lock = file, file.with_name(f"{file.name}.lock")
        self._issue, self._interval_s, self._wall = issue, interval_s, wall
        self._known, self._asked_at, self._told = Kept(), 0.0, ""

    async def get(self, refused: str) -> str:
        if not self._fresh(self._known, refused):
            try:
                async with shared_files.held(self._lock, every_s=0.02):
                    await self._look(refused)
            except OSError as error:
                if not self._usable(self._known, refused):
                    raise
                if str(error) != self._told:
                    self._told = str(error)
                    log.error("kis_credential_not_looked_up file=%s reason=%r", self._file.name, self._told)
        return self._known.value

    async def _look(self, refused: str) -> None:
        """Take what another process has, or issue. OSError before it is issued if that could not be written down."""
        found = self._load()
        if self._fresh(found, refused) or not self._usable(self._known, refused):
            self._known = found
        if not self._fresh(self._known, refused):
            self._known = await self._renew(refused)

    async def _renew(self, refused: str) -> Kept:
        old, tries = self._known, 0
        while True:
            # What this process knows counts, too: a file that is gone must not make it ask again at once.
            asked_at = max(old.asked_at, self._asked_at)
            wait_s = min(self._interval_s, asked_at + self._interval_s - self._wall())
            if wait_s > 0:
                if self._usable(old, refused):
                    return old
                if wait_s > 1.0:
                    log.info("kis_issue_waits file=%s wait_s=%.0f", self._file.name, wait_s)
                await asyncio.sleep(wait_s)
            # Written before the question: it counts even if this process ends before the answer.
            self._store(Kept(old.value, old.ends_at, self._wall()))
            before, self._asked_at = self._asked_at, self._wall()
            tries += 1
            try:
                new = await self._issue()
            except KisError as error:
                self._asked_at = self._wall()
                if isinstance(error, UnavailableError) and error.trouble is Trouble.UNREACHABLE:
                    self._asked_at = before  # the service was not asked
                    self._store(old)
                # Too soon: another machine asked within the last minute. It is waited for, and then asked again.
                if not isinstance(error, TokenTooSoonError) or tries == _TRIES:
                    raise
                log.warning("kis_token_too_soon file=%s try=%d", self._file.name, tries)
                old = self._load()
                continue
            self._asked_at = self._wall()  # the service may have counted the question only just before its answer
            try:
                self._store(new)
            except OSError as error:
                # It was issued, and its owner told: this process uses it, and another one has to issue its own.
                log.error("kis_credential_not_kept file=%s reason=%r", self._file.name, str(error))
            return new

    def _fresh(self, kept: Kept, refused: str) -> bool:
        return self._usable(kept, refused) and kept.ends_at - self._wall() > _RENEW_S

    def _usable(self, kept: Kept, refused: str) -> bool:
        return bool(kept.value) and kept.value != refused and kept.ends_at > self._wall()

    def _load(self) -> Kept:
        try:
            found = json.loads(shared_files.read(self._file) or b"{}")
            return Kept(str(found["value"]), float(found["ends_at"]), float(found["asked_at"]))
        except (ValueError, KeyError, TypeError):
            return Kept()

    def _store(self, kept: Kept) -> None:
        shared_files.replace(self._file, json.dumps(asdict(kept)).encode())


def _end(answer: Mapping[str, Any], now: float) -> float:
    """The earlier of the two ends that the service tells: after so many seconds, and a time of day in Korea."""
    ends = []
    seconds = answer.get("expires_in")
    if isinstance(seconds, int | float) and seconds > 0:
        ends.append(now + seconds)
    try:
        written = dt.datetime.fromisoformat(str(answer.get("access_token_token_expired")))
        ends.append(written.replace(tzinfo=_KST).timestamp())
    except ValueError:
        pass
    return min(ends, default=now + _DAY_S)
