"""Who the caller is when a proxy stands in front: what X-Forwarded-For and -Proto say is believed of the proxies that
TRUSTED_PROXIES names, and of nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host", b"forwarded")
_SECURE = {"http": "https", "websocket": "wss"}
_PLAIN = {"http": "http", "websocket": "ws"}


class Proxies:
    """The networks whose word is taken; ValueError for what is none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text) for text in networks]

    def trusted(self, address: str) -> bool:
        """Whether this address is one of our proxies."""
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def caller(self, peer: str, forwarded_for: str) -> str:
        """The address of whoever asks: the last one that none of our proxies wrote down.

        Every proxy appends the address it was asked from, so only the entries that ours appended are worth anything,
        and the list is read from its end. An entry that is no address ends the reading.
        """
        entries = forwarded_for.split(",") if forwarded_for else []
        known = peer
        while entries and self.trusted(known):
            parsed = _address(entries.pop())
            if parsed is None:
                break
            known = str(parsed)
        return known

    def scope(self, scope: dict[str, Any]) -> dict[str, Any]:
        """An ASGI scope in which `client` and `scheme` are the caller's and no header contradicts them."""
        if scope["type"] not in _PLAIN:
            return scope
        peer, port = scope.get("client") or ("", 0)
        told = {name: value for name, value in scope["headers"] if name in _FORWARDED}
        headers = [(name, value) for name, value in scope["headers"] if name not in _FORWARDED]
        client, scheme = [peer, port], scope.get("scheme") or _PLAIN[scope["type"]]
        if self.trusted(peer):
            address = self.caller(peer, _joined(scope, b"x-forwarded-for"))
            client = [address, 0] if address != peer else client
            secure = told.get(b"x-forwarded-proto", b"").strip().lower() == b"https"
            scheme = (_SECURE if secure else _PLAIN)[scope["type"]]
        return {**scope, "headers": headers, "client": client if peer else None, "scheme": scheme}


class Behind:
    """An ASGI application that sees its callers and not the proxies in front."""

    def __init__(self, application: Any, proxies: Proxies) -> None:
        self._application, self._proxies = application, proxies

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await self._application(self._proxies.scope(scope), receive, send)


def _joined(scope: dict[str, Any], wanted: bytes) -> str:
    """Several lines of a header are one list."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.strip()[:64])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
