"""Accounts at KIS: appkeys, their secrets and where they are used. From a private TOML file or the environment.

A file has one table for each appkey. `calls_per_s` is a number, or numbers with the day from which each holds:

    [[account]]
    name = "main"
    kind = "real"                     # or "virtual"
    appkey = "..."
    appsecret = "..."
    calls_per_s = [{ since = 2026-04-20, calls = 15 }]

Without a file the environment is read: NARU_KIS_APPKEY, NARU_KIS_APPSECRET and, if need be, NARU_KIS_KIND,
NARU_KIS_REST_URL and NARU_KIS_WEBSOCKET_URL; the second account has the same names with _2 behind them, and so on.
"""

import datetime as dt
import hashlib
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from terminals.finding import in_words
from terminals.wire import is_open_to_others
from terminals.wire.language import gettext as _

REAL_REST: Final = "https://openapi.koreainvestment.com:9443"
REAL_WEBSOCKET: Final = "ws://ops.koreainvestment.com:21000"
VIRTUAL_REST: Final = "https://openapivts.koreainvestment.com:29443"
VIRTUAL_WEBSOCKET: Final = "ws://ops.koreainvestment.com:31000"
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_TEXTS: Final = ("name", "kind", "appkey", "appsecret", "rest_url", "websocket_url", "customer")
_KNOWN: Final = (*_TEXTS, "calls_per_s")
_MOST_CALLS: Final = 1000


class AccountKind(StrEnum):
    """A real account or KIS's mock investment."""

    REAL = "real"
    VIRTUAL = "virtual"


class CredentialsError(ValueError):
    """There are no usable accounts; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Rate:
    """From `since` on, at most `calls` calls in a second."""

    since: dt.date
    calls: int


# KIS counts per account over all calls: 20 and 2 a second until April 2026, 18 and 1 from 2026-04-20 (notice of the
# portal; the text of a newer notice of 2026-09-16 is not known). 15 keeps a margin.
RATES: Final[Mapping[AccountKind, tuple[Rate, ...]]] = {
    AccountKind.REAL: (Rate(dt.date(2020, 1, 1), 15),),
    AccountKind.VIRTUAL: (Rate(dt.date(2020, 1, 1), 1),),
}


@dataclass(frozen=True, slots=True)
class Account:
    """One appkey. Neither `repr` nor `str` shows the key or the secret."""

    name: str
    kind: AccountKind
    appkey: str = field(repr=False)
    appsecret: str = field(repr=False)
    rest_url: str
    websocket_url: str
    customer: str = "P"  # P person, B corporate (header custtype)
    rates: tuple[Rate, ...] = ()

    @property
    def key_id(self) -> str:
        """Stands for the appkey in names of files and in logs; the key cannot be found from it."""
        return hashlib.sha256(self.appkey.encode()).hexdigest()[:16]

    def calls_per_s(self, day: dt.date) -> int:
        """How many calls a second are allowed on `day`."""
        begun = [rate for rate in self.rates or RATES[self.kind] if rate.since <= day]
        return max(begun, key=lambda rate: rate.since).calls if begun else 1


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> list[Account]:
    """The accounts of `file`, or of the environment if there is none. CredentialsError."""
    if file is not None:
        return _read_file(file)
    accounts = _read_environment(os.environ if environment is None else environment)
    if not accounts:
        raise CredentialsError(
            _("no appkey: give a file with [[account]] tables, or set NARU_KIS_APPKEY and NARU_KIS_APPSECRET")
        )
    return _distinct(accounts)


def _read_file(file: Path) -> list[Account]:
    try:
        with file.open("rb") as opened:
            _refuse_if_open_to_others(file, opened.fileno())
            content = tomllib.load(opened)
    except OSError as error:
        raise CredentialsError(_("{file} cannot be read: {reason}").format(file=file, reason=in_words(error))) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The decoder quotes what it cannot read, which may be a secret.
        raise CredentialsError(
            _("{file} is no TOML file: texts need quotes, one name = value a line").format(file=file)
        ) from None
    tables = content.get("account")
    if not isinstance(tables, list) or not tables:
        raise CredentialsError(_("{file} has no [[account]] table").format(file=file))
    return _distinct(_account(table, f"{file}, account {number}") for number, table in enumerate(tables, 1))


def _refuse_if_open_to_others(file: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if is_open_to_others(found):
        mode = stat.S_IMODE(found.st_mode)
        raise CredentialsError(
            _("{file} has mode {mode:04o}, others may read the keys: run chmod 600 {file}").format(file=file, mode=mode)
        )


def _read_environment(environment: Mapping[str, str]) -> list[Account]:
    accounts: list[Account] = []
    while True:
        suffix = f"_{len(accounts) + 1}" if accounts else ""
        given = {
            name: environment.get(f"NARU_KIS_{name.upper()}{suffix}", "").strip() for name in _TEXTS if name != "name"
        }
        if not given["appkey"]:
            return accounts
        table: dict[str, Any] = {name: text for name, text in given.items() if text}
        accounts.append(_account({"name": f"account{suffix or '_1'}", **table}, f"NARU_KIS_APPKEY{suffix}"))


def _account(table: object, where: str) -> Account:
    if not isinstance(table, dict):
        raise CredentialsError(_("{where}: is no table").format(where=where))
    unknown = sorted(set(table) - set(_KNOWN))
    if unknown:
        raise CredentialsError(
            _("{where}: unknown {unknown}; known are {known}").format(
                where=where, unknown=", ".join(unknown), known=", ".join(_KNOWN)
            )
        )
    for name in _TEXTS:
        if not isinstance(table.get(name, ""), str):
            raise CredentialsError(_("{where}: {name} must be a text in quotes").format(where=where, name=name))
    for name in ("appkey", "appsecret"):
        text = table.get(name, "")
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise CredentialsError(
                _("{where}: {name} is missing or has characters that no key has").format(where=where, name=name)
            )
    try:
        kind = AccountKind(table.get("kind", AccountKind.REAL))
    except ValueError:
        raise CredentialsError(_("{where}: kind must be real or virtual").format(where=where)) from None
    customer = table.get("customer", "P")
    if customer not in ("P", "B"):
        raise CredentialsError(_("{where}: customer must be P (person) or B (corporate)").format(where=where))
    rest, websocket = (REAL_REST, REAL_WEBSOCKET) if kind is AccountKind.REAL else (VIRTUAL_REST, VIRTUAL_WEBSOCKET)
    return Account(
        name=table.get("name") or where,
        kind=kind,
        appkey=table["appkey"],
        appsecret=table["appsecret"],
        rest_url=_address(table.get("rest_url", rest), ("https", "http"), f"{where}: rest_url"),
        websocket_url=_address(table.get("websocket_url", websocket), ("wss", "ws"), f"{where}: websocket_url"),
        customer=customer,
        rates=_rates(table.get("calls_per_s"), f"{where}: calls_per_s"),
    )


def _address(text: str, schemes: tuple[str, str], where: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise CredentialsError(_("{where} must be like {scheme}://host:port").format(where=where, scheme=schemes[0]))
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise CredentialsError(
            _("{where}: keys are sent over https only, save to a simulator on this machine").format(where=where)
        )
    return text.rstrip("/")


def _rates(given: object, where: str) -> tuple[Rate, ...]:
    if given is None:
        return ()
    if isinstance(given, int):
        given = [{"since": dt.date(2020, 1, 1), "calls": given}]
    if not isinstance(given, list):
        raise CredentialsError(
            _("{where} must be a number or a list of {{ since = DATE, calls = NUMBER }}").format(where=where)
        )
    rates = []
    for one in given:
        since, calls = (one.get("since"), one.get("calls")) if isinstance(one, dict) else (None, None)
        if type(since) is not dt.date or type(calls) is not int or not 1 <= calls <= _MOST_CALLS:
            raise CredentialsError(
                _("{where} must have since = DATE and calls = 1 to {most} in each entry").format(
                    where=where, most=_MOST_CALLS
                )
            )
        rates.append(Rate(since, calls))
    return tuple(rates)


def _distinct(accounts: Iterable[Account]) -> list[Account]:
    found: dict[str, Account] = {}
    for account in accounts:
        if account.key_id in found:
            raise CredentialsError(
                _("{one} and {other} have the same appkey").format(one=account.name, other=found[account.key_id].name)
            )
        found[account.key_id] = account
    return list(found.values())
