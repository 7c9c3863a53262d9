"""A non-blocking socket to the server, plain or TLS, and the rule that plain text stays on this machine."""

import ipaddress
import socket
import ssl
from dataclasses import dataclass

from terminals.finding import in_words
from terminals.wire import numbers, proof
from terminals.wire.language import gettext as _

CONNECT_S = 5.0
_CHUNK = 64 * 1024


class CannotConnect(Exception):
    """The connection could not be made; worth another try later."""


class RefusedByRule(Exception):
    """The connection must not be made as configured; another try will not help."""


@dataclass(frozen=True)
class Address:
    """Where the server is and how to talk to it."""

    host: str
    port: int
    tls: bool = False
    ca_file: str | None = None
    plain: bool = False

    @classmethod
    def parse(cls, text: str, *, tls: bool = False, ca_file: str | None = None, plain: bool = False) -> "Address":
        """From `host:port` or `[v6]:port`; ValueError if it is neither."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        try:
            number = numbers.whole(port, 1, 65535)
        except ValueError:
            number = 0
        if not colon or not host or not number:
            raise ValueError(
                _("{text!r} is no address: write host:port, for instance 127.0.0.1:9700").format(text=text)
            )
        return cls(host, number, tls or ca_file is not None, ca_file, plain)

    @classmethod
    def parse_all(
        cls, text: str, *, tls: bool = False, ca_file: str | None = None, plain: bool = False
    ) -> tuple["Address", ...]:
        """From addresses with commas between, in the order they are to be tried, each once; ValueError as `parse`."""
        words = dict.fromkeys(word.strip() for word in text.split(","))
        return tuple(cls.parse(word, tls=tls, ca_file=ca_file, plain=plain) for word in words)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection:
    """Reads and writes never block: None (or 0 bytes written) means 'not now'."""

    def __init__(self, address: Address) -> None:
        try:
            self.socket = _dial(address)
        except OSError as error:
            raise CannotConnect(f"{address}: {_reason(error)}") from error
        self.channel_binding = ""
        if isinstance(self.socket, ssl.SSLSocket):
            self.channel_binding = proof.certificate_binding(self.socket.getpeercert(binary_form=True) or b"")
        self.socket.setblocking(False)
        # TLS may have to write before it can go on reading; the caller then waits for writability too.
        self.wants_write = False

    def receive(self) -> bytes | None:
        """What has arrived; empty bytes when the server has closed, None when nothing is there."""
        self.wants_write = False
        try:
            return self.socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return None
        except OSError:
            return b""

    def send(self, data: memoryview) -> int:
        """How many of the bytes were taken; OSError when the connection is gone."""
        try:
            return self.socket.send(data[:_CHUNK])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def close(self) -> None:
        """Without ceremony; BYE was said in the session."""
        self.socket.close()


def _dial(address: Address) -> socket.socket:
    if not address.tls and not address.plain and not _is_loopback(address.host):
        raise RefusedByRule(
            _("{address} is another machine: use --tls (or --ca-file), or --plain to send prices in plain text").format(
                address=address
            )
        )
    raw = socket.create_connection((address.host, address.port), timeout=CONNECT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not address.tls:
        return raw
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context.wrap_socket(raw, server_hostname=address.host)
    except BaseException:
        raw.close()
        raise


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("the server's certificate is not trusted: {reason}").format(reason=error.verify_message)
    return in_words(error)
