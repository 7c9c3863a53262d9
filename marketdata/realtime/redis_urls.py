"""How REDIS_URL and BROKER_URL name a Redis or Valkey: one server, or a master that Sentinels know. Text
and numbers: who connects is `marketdata.realtime.redis_clients`, and Celery its own way (`celery_app`).

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]           rediss:// by TLS, unix:// a socket
    sentinel://[[USER]:PASSWORD@]HOST[:PORT],HOST[:PORT],…[/DB]?master=NAME
                                                         sentinels:// by TLS, to the Sentinels and to the servers

User and password are those of the servers; Sentinels that want their own: &sentinel_user=…&sentinel_password=….
Further words of the query string are the client library's (ssl_ca_certs, ssl_certfile, ssl_keyfile).
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from terminals import wire

SINGLE = ("redis://", "rediss://", "unix://")
WATCHED = ("sentinel://", "sentinels://")
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT_S = 1.0
"""For an answer of one Sentinel; the next is asked after it. Once: redis-py 8.1 asks a silent one eleven times, 16 s in
all, and each new connection of a process whose first Sentinel is on a host that is gone waited as long."""
KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 8_000),  # s, s, -, ms
    )
    if hasattr(socket, name)
}  # fmt: skip
"""What a connection with `socket_keepalive` is told: a host that is gone without a word, by a power cut or a cut cable,
is found within 8 s by who only waits for it, as a worker for its next message. The kernel's own keepalive takes hours.
"""
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
_FORM = re.compile(r"sentinels?://(?:(?P<user>[^:@/?]*):(?P<password>[^@/?]*)@)?(?P<hosts>[^@/?]+)(?:/(?P<db>[0-9]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A master that Sentinels know by a name."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    db: int
    username: str = field(repr=False)
    password: str = field(repr=False)
    sentinel_username: str = field(repr=False)
    sentinel_password: str = field(repr=False)
    tls: dict[str, str] | None
    """None without TLS, else what the client library is told of it beyond that."""

    def server_options(self) -> dict[str, Any]:
        """What the client library wants to know of the servers, without their addresses."""
        return {"db": self.db, **self._login(self.username, self.password), **self._tls()}

    def sentinel_options(self) -> dict[str, Any]:
        """The same of the Sentinels."""
        limits = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
        return {**limits, "retry": None, **self._login(self.sentinel_username, self.sentinel_password), **self._tls()}

    def _tls(self) -> dict[str, Any]:
        return {} if self.tls is None else {"ssl": True, **self.tls}

    def _login(self, username: str, password: str) -> dict[str, Any]:
        return {"username": username or None, "password": password or None}


def is_redis(url: str) -> bool:
    """Whether a URL names a Redis or Valkey."""
    return url.startswith(SINGLE + WATCHED)


def is_watched(url: str) -> bool:
    """Whether it names a master by its Sentinels."""
    return url.startswith(WATCHED)


def watched(url: str) -> Watched:
    """What a URL of Sentinels says. ValueError if it is none, or names no master."""
    address, _, query = url.partition("?")
    form = _FORM.fullmatch(address)
    if form is None:
        raise ValueError("not sentinel://[user:password@]host:port,host:port/db?master=name")
    words = dict(parse_qsl(query, strict_parsing=bool(query)))
    master = words.pop("master", "")
    sentinel_username, sentinel_password = words.pop("sentinel_user", ""), words.pop("sentinel_password", "")
    is_tls = url.startswith("sentinels://")
    if not master or not set(words) <= set(_TLS if is_tls else ()):
        raise ValueError("no ?master=name, or a word that is not known")
    return Watched(
        sentinels=tuple(_endpoint(word) for word in form["hosts"].split(",")),
        master=master,
        db=int(form["db"] or 0),
        username=unquote(form["user"] or ""),
        password=unquote(form["password"] or ""),
        sentinel_username=sentinel_username,
        sentinel_password=sentinel_password,
        tls=words if is_tls else None,
    )


def _endpoint(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?", text)
    if found is None:
        raise ValueError("a host is not HOST or HOST:PORT")
    return found[1].strip("[]"), wire.numbers.whole(found[2], 1, 65_535) if found[2] else SENTINEL_PORT


def for_celery(url: str) -> str:
    """The same as Celery's transport reads it: each Sentinel a URL of its own, with the servers' user and password."""
    place = watched(url)
    login = f"{quote(place.username, safe='')}:{quote(place.password, safe='')}@" if place.password else ""
    hosts = (f"[{host}]" if ":" in host else host for host, _ in place.sentinels)
    ports = (port for _, port in place.sentinels)
    return ";".join(f"sentinel://{login}{host}:{port}/{place.db}" for host, port in zip(hosts, ports, strict=True))
