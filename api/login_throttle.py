"""Failed logins, counted by address, by account and by both, whoever asks; and who may not try for a while. A browser
that its owner logged in with is counted with others of the kind, so that nobody else locks it out (docs/adr/0021)."""

from __future__ import annotations

import hashlib
import logging
import secrets
import unicodedata

import redis
from django.core import signing

from api import counters
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
COOKIE = "naru_known"
_KNOWN = "naru:known:"


def wait_s(address: str, account: str, *, person: bool = False, code: bool = False, browser: str = "") -> int:
    """For how many seconds this address may not try this account again; 0 when it may.

    `person` says that a password is asked for, which can be guessed from many addresses; a key cannot. `code` says that
    it is a person's second factor. `browser` is the cookie of `browser_cookie`, if one came.
    """
    limits = _limits(address, account, person=person, code=code, browser=browser)
    counts = counters.look([name for name, _, _ in limits])
    waits = {
        name: one.left_s if one.count >= most else 0.0 for one, (name, most, _) in zip(counts, limits, strict=True)
    }
    of_person = _of_person(account)
    if waits.get(of_person, 0.0) > 0 and _is_known(address, account):
        waits[of_person] = 0.0
    longest = max(waits.values())
    return int(longest) + 1 if longest > 0 else 0


def failed(address: str, account: str, *, person: bool = False, code: bool = False, browser: str = "") -> None:
    """Count a refused login."""
    metrics.AUTH_FAILURES.labels("api").inc()
    log.warning("login refused address=%s", caller(address))
    limits = _limits(address, account, person=person, code=code, browser=browser)
    counters.add([(name, window_s) for name, _, window_s in limits])


def succeeded(address: str, account: str) -> None:
    """This person logged in from here; for a while failures elsewhere do not lock this address out."""
    try:
        live_state.connection().set(_KNOWN + _mark(address, account), "1", ex=KNOWN_S)
    except redis.RedisError as error:
        log.warning("address of a login is not remembered error=%s", type(error).__name__)


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
    return f"failed:person:{_mark('', account)}"


def _mark(address: str, account: str) -> str:
    """A short name of an account as seen from an address. What differs for the eye only is one account."""
    plain = unicodedata.normalize("NFKC", account).strip().casefold()
    return hashlib.sha256(f"{caller(address)}|{plain}".encode("utf-8", "replace")).hexdigest()[:32]
