"""Where a webhook may go. A name is resolved once, and what is connected to is the address that was looked at, so that
a name cannot lead elsewhere a moment later."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
LONGEST = 500
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
# What `is_global` of some versions of Python that Naru runs on takes for public (IANA's special-purpose registries,
# 2026): site-local addresses, protocol assignments, the relay of 6to4, NAT64 of one's own network, documentation.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    map(ipaddress.ip_network, ("fec0::/10", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20"))
)


class RefusedError(ValueError):
    """Why nothing is sent there, in English; of `text`, filled in with `values`, the catalogue has the Korean."""

    def __init__(self, text: str, **values: str | int) -> None:
        super().__init__(text.format(**values) if values else text)
        self.text, self.values = text, values


def _(text: str) -> str:
    """Marks a text for the catalogue, in which others look: here is no Django (`chat_process`)."""
    return text


ANSWERED = _("answered {status}")
"""What failed where somebody was there, by the status of his HTTP."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook's address in parts; `host` is the name in it, and `path` begins with a slash."""

    scheme: str
    host: str
    port: int
    path: str


def parse(url: str) -> Endpoint:
    """RefusedError unless it is http or https with a host, and has neither user, password nor fragment."""
    if len(url) > LONGEST or not url.isascii() or any(not "!" <= letter <= "~" or letter == "\\" for letter in url):
        raise RefusedError(_("an address has at most {most} letters of ASCII, and no blanks"), most=LONGEST)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedError(_("this is no address")) from error
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise RefusedError(_("an address begins with https:// and names a host"))
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedError(_("an address has no user, password or #fragment: the signature says who sends"))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path)


def resolved(endpoint: Endpoint, allowed: Sequence[Network], resolve: Resolve) -> str:
    """The address to connect to. RefusedError if the name leads to none, or one of those it leads to is not of the
    public internet nor within the `allowed` networks; plain http is for these only."""
    try:
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in resolve(endpoint.host, endpoint.port)]
    except (OSError, ValueError) as error:
        raise RefusedError(_("{host} cannot be resolved"), host=endpoint.host) from error
    if not found:
        raise RefusedError(_("{host} leads to no address"), host=endpoint.host)
    for one in found:
        allow(one, allowed, endpoint.scheme, endpoint.host)
    return str(found[0])


def allow(one: Address, allowed: Sequence[Network], scheme: str, name: str) -> None:
    """RefusedError unless this address, which a name led to, is of the public internet or within the `allowed`
    networks; of http unless it is within these."""
    if any(_real(one) in network for network in allowed if network.version == _real(one).version):
        return
    if not _is_public(one):
        raise RefusedError(_("{host} leads to an address that is not of the public internet"), host=name)
    if scheme != "https":
        raise RefusedError(_("https is needed outside of the networks of ALERT_WEBHOOK_NETWORKS"))


def system_resolve(host: str, port: int) -> list[str]:
    """As this machine resolves names."""
    return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _real(address: Address) -> Address:
    """The address behind one of IPv6 that stands for one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64 or address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
    return address


def _is_public(address: Address) -> bool:
    real = _real(address)
    if any(real in network for network in _NOT_PUBLIC if network.version == real.version):
        return False
    return real.is_global and not real.is_multicast and not real.is_reserved and not real.is_unspecified
