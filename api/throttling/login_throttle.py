"""Failed logins, counted by address, by account and by both, whoever asks; and who may not try for a while. A browser
that its owner logged in with is counted with others of the kind, so that nobody else locks it out (docs/adr/0021)."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from django.core import signing
from django.utils.crypto import salted_hmac

from api.throttling import counters
from marketdata import metrics
from marketdata.limits.unauthenticated import caller
from marketdata.realtime import live_state

log = logging.getLogger(__name__)

WINDOW_S = 300
MOST_PER_ADDRESS = 30
MOST_PER_KEY = 10  # of one account from one address: a stranger elsewhere cannot lock its owner out
MOST_PER_PERSON = 50  # of one person's account from anywhere; addresses it was used from before may still try
CODE_WINDOW_S = 86_400
MOST_CODES = 50  # wrong second factors of an account in a day, from anywhere: 3 of a million codes are right at a time
KNOWN_S = 30 * 86_400
BUSY_S, AGAIN_S = 2.0, 0.02  # how long a try waits for others that are under way, and how often it looks
COOKIE = "naru_known"
_KNOWN, _RIGHT, _PERSON = "naru:known:", "naru:right-key:", "failed:person:"


class Attempt:
    """One try to log in: for how many seconds it may not be made, 0 when it may, and whether it failed."""

    def __init__(self, wait_s: int) -> None:
        self.wait_s = wait_s
        self.is_failed = False

    def failed(self) -> None:
        self.is_failed = True


@contextmanager
def attempt(
    address: str, account: str, *, person: bool = False, code: bool = False, browser: str = "", secret: str = ""
) -> Iterator[Attempt]:  # fmt: skip
    """A try of this address with this account, counted at its end if it failed. Those that are made at the same time,
    in whichever processes, can fail no oftener together than one after the other: who comes while as many as may
    still fail are under way waits for them, `BUSY_S` at most.

    `person` says that a password is asked for, which can be guessed from many addresses; a key cannot. `code` says that
    it is a person's second factor. `browser` is the cookie of `browser_cookie`, if one came. `secret` is a key's: one
    that was right lately waits for nobody's failures, until it is wrong.
    """
    limits = _limits(address, account, person=person, code=code, browser=browser)
    wait_s, begun = _begin(
        limits, lambda: _is_known(address, account), lambda: secret != "" and counters.is_kept(_pair(account, secret))
    )
    made = Attempt(wait_s)
    if wait_s > 0:
        yield made
        return
    try:
        yield made
    finally:
        if made.is_failed:
            metrics.AUTH_FAILURES.labels("api").inc()
            log.warning("login refused address=%s", caller(address))
            counters.add([(name, window_s) for name, _, window_s in limits])
            if secret:
                counters.drop(_pair(account, secret))
        counters.end(begun)


def _begin(
    limits: list[tuple[str, int, int]], is_known: Callable[[], bool], was_right: Callable[[], bool]
) -> tuple[int, list[str]]:
    """(seconds to wait until a try may begin, 0 when it has begun; the names of the counts in which it is under way).
    Failures of a person's account elsewhere do not lock out an address that it was used from before, and those of
    others at an address no key that was right."""
    until = time.monotonic() + BUSY_S
    asked = [(name, most) for name, most, _ in limits]
    while True:
        counts, busy = counters.begin(asked)
        full = {name: one.left_s for one, (name, most) in zip(counts, asked, strict=True) if one.count >= most}
        if (full or busy) and was_right():
            return 0, []
        if full and all(name.startswith(_PERSON) for name in full) and is_known():
            asked = [(name, most) for name, most in asked if name not in full]
            continue
        if full:
            return int(max(full.values())) + 1, []
        if not busy:
            return 0, [name for name, _ in asked]
        if time.monotonic() > until:
            return 1, []
        time.sleep(AGAIN_S)


def succeeded(address: str, account: str) -> None:
    """This person logged in from here; for a while failures elsewhere do not lock this address out."""
    try:
        live_state.connection().set(_KNOWN + _mark(address, account), "1", ex=KNOWN_S)
    except redis.RedisError as error:
        log.warning("address of a login is not remembered error=%s", type(error).__name__)


def was_right(account: str, secret: str) -> None:
    """This secret of a key was right; for a while failures at its address do not lock it out."""
    counters.keep(_pair(account, secret), KNOWN_S)


def browser_cookie(account: str) -> str:
    """For the browser that this person has just logged in with."""
    return signing.dumps([_mark("", account), secrets.token_hex(8)], salt=COOKIE)


def _browser(cookie: str, account: str) -> str:
    """The number of a browser that the owner of this account logged in with; empty for any other."""
    try:
        mark, number = signing.loads(cookie, salt=COOKIE, max_age=KNOWN_S)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(number) if mark == _mark("", account) else ""


def _pair(account: str, secret: str) -> str:
    """A name for a key and its secret that tells neither to who has no SECRET_KEY."""
    both = f"{len(account)}:{account}{secret}".encode("utf-8", "surrogatepass")
    return _RIGHT + salted_hmac(_RIGHT, both, algorithm="sha256").hexdigest()


def _is_known(address: str, account: str) -> bool:
    try:
        return bool(live_state.connection().exists(_KNOWN + _mark(address, account)))
    except redis.RedisError:
        return False


def _limits(address: str, account: str, *, person: bool, code: bool, browser: str) -> list[tuple[str, int, int]]:
    """(name of a count, how many failures it allows, in how many seconds)."""
    number = _browser(browser, account) if person and browser else ""
    mark = _mark("", account)
    if number:  # each login makes another one, so all of the account are counted together, too
        limits = [
            (f"failed:browser:{number}", MOST_PER_KEY, WINDOW_S),
            (f"failed:browsers:{mark}", MOST_PER_PERSON, WINDOW_S),
        ]
        return [*limits, (f"failed:browsers:code:{mark}", MOST_CODES, CODE_WINDOW_S)] if code else limits
    limits = [
        (f"failed:address:{caller(address)}", MOST_PER_ADDRESS, WINDOW_S),
        (f"failed:key:{_mark(address, account)}", MOST_PER_KEY, WINDOW_S),
    ]
    if person:
        limits.append((_of_person(account), MOST_PER_PERSON, WINDOW_S))
    return [*limits, (f"failed:code:{mark}", MOST_CODES, CODE_WINDOW_S)] if code else limits


def _of_person(account: str) -> str:
    return f"{_PERSON}{_mark('', account)}"


def _mark(address: str, account: str) -> str:
    """A short name of an account as seen from an address. What differs for the eye only is one account."""
    plain = unicodedata.normalize("NFKC", account).strip().casefold()
    return hashlib.sha256(f"{caller(address)}|{plain}".encode("utf-8", "replace")).hexdigest()[:32]
