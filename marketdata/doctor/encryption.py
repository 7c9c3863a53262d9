"""Whether what leaves this machine is encrypted, and how long the certificate that terminals see is still good."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level
from marketdata.storage import storage

SOON = datetime.timedelta(days=21)
"""A certificate that ends sooner is told."""
_NEW_CERTIFICATE = _("put a new certificate there and start the ingest server again")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connections() -> Iterator[Finding]:
    """The database, Redis and the broker, where they are on other machines."""
    host = str(connection.settings_dict.get("HOST") or "")
    if connection.vendor != "sqlite" and host and not host.startswith("/") and not is_loopback(host):
        cipher = storage().cipher()
        yield _encrypted("DATABASE_URL", cipher, _("let it use TLS: ssl_mode or sslmode in DATABASE_URL"))
    urls = {"REDIS_URL": settings.REDIS_URL, "BROKER_URL": settings.BROKER_URL}
    if urls["BROKER_URL"] == urls["REDIS_URL"]:
        del urls["BROKER_URL"]
    for name, url in urls.items():
        parts = urlsplit(url)
        if parts.hostname and not is_loopback(parts.hostname):
            cipher = "TLS" if parts.scheme in ("rediss", "sentinels", "amqps") else ""
            yield _encrypted(name, cipher, _("let it use TLS: rediss:// (amqps://), with the server's certificate"))


def _encrypted(name: str, cipher: str, remedy: str | Promise) -> Finding:
    return Finding(
        what=format_lazy(_("encryption of {name}"), name=name), value=cipher or _("none"),
        wanted=_("TLS, or a network of the servers' own"),
        level=Level.OK if cipher else Level.UNKNOWN,  # whose network it is cannot be seen from here
        remedy=remedy,
    )  # fmt: skip


def terminals(now: datetime.datetime | None = None) -> Iterator[Finding]:
    """The certificate of the ingest server, if this machine has it."""
    if not settings.INGEST_TLS_CERT:
        is_open = not is_loopback(settings.INGEST_HOST) and settings.INGEST_ALLOW_PLAIN
        yield Finding(
            what=_("encryption of terminals"), value=_("none"), wanted=_("TLS, or this machine alone"),
            level=Level.WARNING if is_open else Level.OK,
            remedy=_("set INGEST_TLS_CERT and INGEST_TLS_KEY, and take INGEST_ALLOW_PLAIN away"),
        )  # fmt: skip
        return
    try:
        yield _certificate(now)
    except (OSError, ValueError) as error:
        yield Finding(
            what="INGEST_TLS_CERT", value=type(error).__name__, wanted=_("a PEM file that we may read"),
            level=Level.ERROR, remedy=_NEW_CERTIFICATE,
        )  # fmt: skip


def certificate_end() -> datetime.datetime:
    """When the certificate of terminals ends; OSError where the file cannot be read, ValueError where it is no
    certificate."""
    return x509.load_pem_x509_certificates(Path(settings.INGEST_TLS_CERT).read_bytes())[0].not_valid_after_utc


def certificate() -> Iterator[Finding]:
    """How long the certificate of terminals is good; nothing where this process cannot read it, as a worker without an
    ingest server beside it."""
    if settings.INGEST_TLS_CERT:
        with suppress(OSError, ValueError):
            yield _certificate(None)


def _certificate(now: datetime.datetime | None) -> Finding:
    """Raises OSError where the file cannot be read, ValueError where it is no certificate."""
    ends = certificate_end()
    left = ends - (now or datetime.datetime.now(datetime.UTC))
    return Finding(
        what="INGEST_TLS_CERT", value=format_lazy(_("good until {date}"), date=ends.date()),
        wanted=format_lazy(_("for {days} days at least"), days=SOON.days),
        level=Level.ERROR if left <= datetime.timedelta() else Level.WARNING if left < SOON else Level.OK,
        remedy=_NEW_CERTIFICATE,
    )  # fmt: skip


def pages() -> Iterator[Finding]:
    """Whether the pages are asked for by TLS where others than this machine ask for them."""
    others = sorted(host for host in settings.ALLOWED_HOSTS if not is_loopback(host.strip("[]")))
    yield Finding(
        what="BEHIND_TLS", value=_("yes") if settings.BEHIND_TLS else _("no"),
        wanted=_("yes, where ALLOWED_HOSTS names others than this machine"),
        level=Level.OK if settings.BEHIND_TLS or not others else Level.WARNING,
        remedy=_("put a proxy with TLS in front (docker/nginx/naru.conf) and set BEHIND_TLS=1"),
    )  # fmt: skip
