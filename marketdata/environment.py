"""Reads settings from environment variables and refuses a wrong one by name. Knows no setting itself: `settings`
lists them."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from marketdata.realtime import redis_urls
from terminals import wire

T = TypeVar("T")
WATCHED = "sentinel://host:26379,host:26379/0?master=name"
NONE = "none"
DATABASES = ("mysql://", "postgres://", "postgresql://", "sqlite://")


class WrongSetting(ImproperlyConfigured):
    """A variable has a value that cannot be used; the message says which, and what would be right."""


class Environment:
    """Typed access to `variables`; every error names the variable, its value and what would be right."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.given: dict[str, str] = {}
        """What of that was read, as it was written."""

    def _read(self, name: str, default: T, parse: Callable[[str], T], right: str, *, secret: bool = False) -> T:
        raw = self._variables.get(name, "").strip()
        if not raw:
            return default
        self.given[name] = raw
        try:
            return parse(raw)
        except (ValueError, KeyError) as error:
            shown = "(not shown)" if secret else repr(raw)
            raise WrongSetting(f"{name}={shown} cannot be used: it must be {right}.") from error

    def text(self, name: str, default: str, *, secret: bool = False, min_length: int = 0) -> str:
        def parse(raw: str) -> str:
            if len(raw) < min_length:
                raise ValueError
            return raw

        return self._read(name, default, parse, f"at least {min_length} characters long", secret=secret)

    def boolean(self, name: str, default: bool) -> bool:
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        return self._read(name, default, lambda raw: words[raw.lower()], "one of 1, true, yes, on, 0, false, no, off")

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            return wire.numbers.whole(raw, low, high)

        return self._read(name, default, parse, f"a whole number from {low} to {high}")

    def not_below(self, name: str, value: int, others: Mapping[str, int], why: str) -> None:
        """Refuse a number that is smaller than others it has to do with; `why` says what for. WrongSetting if it
        is below."""
        other, least = max(others.items(), key=lambda item: item[1], default=(name, value))
        if value < least:
            raise WrongSetting(
                f"{name}={value} cannot be used: it must be at least {least}, because {other} is {least}: {why}."
                f" Set {name} to {least} or more, or {other} to {value} or less."
            )

    def seconds(self, name: str, default: float, *, low: float, high: float) -> float:
        def parse(raw: str) -> float:
            return wire.numbers.plain(raw, low, high)

        return self._read(name, default, parse, f"a number of seconds from {low:g} to {high:g}")

    def clock(self, name: str, default: str) -> datetime.time:
        """A time of day."""

        def parse(raw: str) -> datetime.time:
            if not re.fullmatch(r"[0-9]{2}:[0-9]{2}", raw):
                raise ValueError
            return datetime.time.fromisoformat(raw)

        return self._read(name, parse(default), parse, "a time of day such as 08:00")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        def parse(raw: str) -> str:
            if raw not in allowed:
                raise ValueError
            return raw

        return self._read(name, default, parse, "one of " + ", ".join(allowed))

    def choices(self, name: str, default: tuple[str, ...], allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Some of what is allowed, each once; nothing for NONE."""

        def parse(raw: str) -> tuple[str, ...]:
            found = () if raw == NONE else tuple(word.strip() for word in raw.split(","))
            if not set(found) <= set(allowed) or len(set(found)) < len(found):
                raise ValueError
            return found

        return self._read(
            name, default, parse, f"some of {', '.join(allowed)}, separated by commas and each once, or {NONE}"
        )

    def words(self, name: str, default: list[str]) -> list[str]:
        return self._read(
            name,
            default,
            lambda raw: [word.strip() for word in raw.split(",") if word.strip()],
            "words separated by commas",
        )

    def endpoints(self, name: str, default: list[str]) -> list[str]:
        """Hosts with their ports; an IPv6 address in brackets."""

        def parse(raw: str) -> list[str]:
            found = [word.strip() for word in raw.split(",") if word.strip()]
            for word in found:
                host, _, port = word.rpartition(":")
                if not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", host):
                    raise ValueError
                wire.numbers.whole(port, 1, 65_535)
            return found

        return self._read(name, default, parse, "HOST:PORT separated by commas, such as 10.0.0.5:3306,10.0.0.6:3306")

    def origins(self, name: str, default: list[str]) -> list[str]:
        """Scheme and host, with a port where it is not the usual one; no path."""

        def parse(raw: str) -> list[str]:
            found = [word.strip() for word in raw.split(",") if word.strip()]
            if not all(re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin) for origin in found):
                raise ValueError
            return found

        return self._read(name, default, parse, "origins separated by commas, such as https://pro.openbb.co")

    def mail_addresses(self, name: str, default: list[str], *, most: int) -> list[str]:
        """Addresses of mail, each once."""

        def parse(raw: str) -> list[str]:
            found = list(dict.fromkeys(word.strip() for word in raw.split(",") if word.strip()))
            if len(found) > most:
                raise ValueError
            for address in found:
                try:
                    validate_email(address)
                except ValidationError as error:
                    raise ValueError from error
            return found

        return self._read(
            name, default, parse, f"at most {most} addresses separated by commas, such as desk@example.com"
        )

    def pairs(
        self, name: str, default: str, pattern: str, *, values: str | None = None, example: str = ""
    ) -> dict[str, str]:
        """Words that stand for others; both must match the pattern, or the others that of `values`."""

        def parse(raw: str) -> dict[str, str]:
            found = [part.strip().split("=") for part in raw.split(",") if part.strip()]
            if not all(
                len(pair) == 2 and re.fullmatch(pattern, pair[0]) and re.fullmatch(values or pattern, pair[1])
                for pair in found
            ):
                raise ValueError
            if len({word for word, _ in found}) < len(found):
                raise ValueError
            return {pair[0]: pair[1] for pair in found}

        return self._read(
            name, parse(default), parse, f"pairs such as {example or default}, each word once before an ="
        )

    def issuer(self, name: str, default: str) -> str:
        """The address of an OpenID Connect provider: by TLS, or on this machine."""

        def parse(raw: str) -> str:
            if not re.fullmatch(r"(https://[^/?#@\s]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/[^?#\s]*)?", raw):
                raise ValueError
            return raw

        return self._read(name, default, parse, "an https:// address without query, as the provider calls itself")

    def secret_file(self, name: str, default: str) -> str:
        """What is in a file that nobody else may read (`wire.is_open_to_others`), without the end of its line."""

        def parse(raw: str) -> str:
            try:
                with Path(raw).open(encoding="utf-8") as file:
                    if wire.is_open_to_others(os.fstat(file.fileno())):
                        raise ValueError
                    return file.read(4096).strip()
            except OSError as error:
                raise ValueError from error

        return self._read(name, default, parse, "a file that its owner alone may read (chmod 600)")

    def from_file(self, name: str) -> None:
        """Take a variable's value from the file that NAME_FILE names, as `secret_file` has it. WrongSetting if it
        cannot be read, or if the variable itself says something else."""
        variable, value = name.removesuffix("_FILE"), self.secret_file(name, "")
        if not value:
            return
        if self._variables.get(variable, "").strip() not in ("", value):
            raise WrongSetting(f"{variable} and {name} cannot both be used: leave one of them out.")
        self._variables = {**self._variables, variable: value}

    def topic_prefix(self, name: str, default: str) -> str:
        """What the names of Kafka's topics begin with."""

        def parse(raw: str) -> str:
            if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", raw):
                raise ValueError
            return raw

        return self._read(name, default, parse, "at most 100 of the letters A-Z a-z, digits, . _ and -")

    def networks(self, name: str, default: list[str]) -> list[str]:
        """IP addresses and networks."""

        def parse(raw: str) -> list[str]:
            return [str(ipaddress.ip_network(word.strip())) for word in raw.split(",") if word.strip()]

        return self._read(name, default, parse, "addresses or networks separated by commas, such as 10.0.0.5,fd00::/8")

    def redis_url(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            if redis_urls.is_watched(raw):
                redis_urls.watched(raw)
            elif not redis_urls.is_redis(raw):
                raise ValueError
            return raw

        return self._read(name, default, parse, f"a URL such as redis://127.0.0.1:6379/0 or {WATCHED}", secret=True)

    def broker_url(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            if redis_urls.is_watched(raw):
                redis_urls.watched(raw)
            elif "://" not in raw:
                raise ValueError
            return raw

        right = f"a URL such as redis://127.0.0.1:6379/0, amqp://host or {WATCHED}"
        return self._read(name, default, parse, right, secret=True)

    def database(self, name: str, default: str) -> dict[str, Any]:
        """A Django DATABASES entry without engine options."""

        def parse(raw: str) -> dict[str, Any]:
            if not raw.startswith(DATABASES):  # environ would warn of others, password and all
                raise ValueError
            return dict(environ.Env.db_url_config(raw))

        right = (
            "mysql://user:password@host:3306/name, postgres://user:password@host:5432/name or sqlite:///path/to/file"
        )
        return self._read(name, parse(default), parse, right, secret=True)
