"""Whether this machine reaches the server and is let in: a real login that sends no batch and leaves no trace."""

import contextlib
import datetime
import select
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from typing import Final

from terminals import session as sessions
from terminals import session_events
from terminals.clock import wall_us
from terminals.connection import Address, CannotConnect, Connection, RefusedByRule
from terminals.finding import Finding, Level, in_words
from terminals.gap_filling import GapFillingReader
from terminals.spool import Spool
from terminals.wire.language import gettext as _
from terminals.wire.limits import EARLIEST_US

CLOCK_US: Final = 2_000_000
"""A clock further from the server's than this is an alarm there, unless its CLOCK_OFFSET_ALARM_S says otherwise."""
CERTIFICATE_DAYS: Final = 14
_PATIENCE_S: Final = 15.0
_DAY_S: Final = 86_400


def check(address: Address, identity: sessions.Identity) -> Iterator[Finding]:
    """From the name of the server to its clock, one finding a step; ends at the first step that fails. A session that
    this client has elsewhere ends by it, so its terminal must not run."""
    if wrong := _ca_file(address):
        yield wrong
        return
    try:
        socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: it cannot be a name at all
        reason = getattr(error, "strerror", None) or error
        told = _("the name {host} is not known here: {reason}").format(host=address.host, reason=reason)
        yield Finding(Level.WRONG, told, _("look for a typing error in --server, or write its IP address"))
        return
    try:
        connection = Connection(address)
    except (RefusedByRule, CannotConnect) as error:
        yield Finding(Level.WRONG, str(error), _remedy_of_connection(address, error))
        return
    with contextlib.closing(connection):
        yield Finding(Level.GOOD, _("{address} takes connections").format(address=address))
        if isinstance(connection.socket, ssl.SSLSocket):
            yield _certificate(connection.socket)
        elif address.plain:
            told = _("prices travel in plain text")
            yield Finding(Level.DOUBTFUL, told, _("use --tls, or --ca-file with the server's own CA"))
        yield from _log_in(connection, identity)


def _log_in(connection: Connection, identity: sessions.Identity) -> Iterator[Finding]:
    # A spool of its own: the server notes a spool with its first batch, and there is none.
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Spool(folder)) as spool:
        for event in _converse(
            connection,
            sessions.Session(
                identity,
                GapFillingReader(spool, "-"),
                now=time.monotonic(),
                time_us=wall_us(),
                channel_binding=connection.channel_binding,
            ),
        ):
            match event:
                case session_events.Welcomed():
                    yield Finding(
                        Level.GOOD,
                        _("the server knows client {client} and its key, and proved its own").format(
                            client=identity.client
                        ),
                    )
                case session_events.ServerClock(time_us) if time_us >= EARLIEST_US:
                    yield _clock(wall_us() - time_us)
                    return
                case session_events.Ended(code, message):
                    told = _("the login failed with {code}: {message}").format(code=code, message=message)
                    yield Finding(Level.WRONG, told, _remedy_of_login(code))
                    return
                case _:
                    pass
    told = _("the server did not say what time it is within {seconds:g} s").format(seconds=_PATIENCE_S)
    yield Finding(Level.DOUBTFUL, told, _("check this machine's clock by hand"))


def _converse(connection: Connection, session: sessions.Session) -> Iterator[session_events.Event]:
    """What the session tells until the reader has enough, or for as long as the patience lasts."""
    deadline, pending = time.monotonic() + _PATIENCE_S, memoryview(b"")
    try:
        while (now := time.monotonic()) < deadline:
            pending = pending or memoryview(session.outgoing(now=now))
            try:
                pending = pending[connection.send(pending) if pending else 0 :]
            except OSError as error:
                yield session_events.Ended("closed", str(error.strerror or error))
                return
            writers = [connection.socket] if pending or connection.wants_write else []
            select.select([connection.socket], writers, [], min(0.2, deadline - now))
            data = connection.receive()
            now, time_us = time.monotonic(), wall_us()
            yield from (
                session.tick(now=now, time_us=time_us)
                if data is None
                else session.receive(data, now=now, time_us=time_us)
            )
    finally:
        session.goodbye()
        with contextlib.suppress(OSError):
            connection.send(memoryview(session.outgoing(now=time.monotonic())))


def _ca_file(address: Address) -> Finding | None:
    """What is wrong with the file of --ca-file, if something is."""
    try:
        ssl.create_default_context(cafile=address.ca_file)
    except OSError as error:  # ssl.SSLError is one
        reason = _("it has no certificate in PEM form") if isinstance(error, ssl.SSLError) else in_words(error)
        told = _("the CA file {file} cannot be used: {reason}").format(file=address.ca_file, reason=reason)
        return Finding(Level.WRONG, told, _("copy the PEM file of the CA that signed the server's certificate here"))
    return None


def _certificate(connection: ssl.SSLSocket) -> Finding:
    until_s = ssl.cert_time_to_seconds(str((connection.getpeercert() or {})["notAfter"]))
    until = datetime.datetime.fromtimestamp(until_s, datetime.UTC).date()
    told = _("TLS: the certificate is trusted until {date}").format(date=until)
    if until_s - time.time() > CERTIFICATE_DAYS * _DAY_S:
        return Finding(Level.GOOD, told)
    return Finding(Level.DOUBTFUL, told, _("have the server's certificate renewed before that day"))


def _clock(offset_us: int) -> Finding:
    """`offset_us`: this clock minus the server's, with the way of the message in it."""
    told = _("this clock and the server's are {seconds:+.3f} s apart").format(seconds=offset_us / 1e6)
    if abs(offset_us) <= CLOCK_US:
        return Finding(Level.GOOD, told)
    remedy = _("set this clock by the network: Windows `w32tm /resync`, Linux `timedatectl set-ntp true`")
    return Finding(Level.WRONG, told, remedy)


def _remedy_of_connection(address: Address, error: Exception) -> str:
    match error.__cause__:
        case ssl.SSLCertVerificationError():
            return _(
                "give the CA that signed the server's certificate with --ca-file, and write the server as its"
                " certificate names it"
            )
        case ssl.SSLError():
            return _("this port speaks no TLS: is it the ingest port, and has the server a certificate?")
        case ConnectionRefusedError():
            return _("nothing listens there: is the ingest server running, and is the port right?")
        case TimeoutError():
            return _("nothing answers: is the address right, and does a firewall let {port} through?").format(
                port=address.port
            )
        case OSError():
            return _("is this machine on the network, and is the address right?")
        case _:
            return ""  # the message says what to do


def _remedy_of_login(code: str) -> str:
    match code:
        case "not_authorised":
            return _("look up the client's name, its key, and whether it is active and may send, in the admin")
        case "source_mismatch":
            return _("this client is registered for another source: use its own name and key, or change its source")
        case "register_refused":
            return _("allow the client to register symbols of this market, or give --register-market -")
        case "server_proof_wrong":
            return _("another server answers there, or the key is an old one: look up both")
        case "server_busy" | "too_many_connections" | "internal":
            return _("the server has trouble of its own: try again, and look at its log")
        case "closed" | "handshake_timeout" | "bad_server_frame":
            return _("no ingest server speaks there, or it wants TLS: check the port, and try --tls")
        case _:
            return _("docs/protocol.md says what this code means")
