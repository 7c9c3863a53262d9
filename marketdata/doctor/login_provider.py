"""The OpenID Connect provider of the settings, if there is one."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level

PROVIDER_S, PROVIDER_CLOCK_S = 5.0, 60
"""How long a login provider may take to answer, and how far its clock may be off (`api.auth.openid.LEEWAY_S`)."""


def login_provider(clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Whether the OpenID Connect provider of the settings, if any, answers, calls itself as they do, and has our time:
    its tokens are believed for so long only. A warning as long as passwords let in as well."""
    if not settings.OIDC_ISSUER:
        return
    import httpx  # a tenth of the start of every process, which only those need that have a provider

    wrong = Level.WARNING if settings.PASSWORD_LOGIN else Level.ERROR
    address = f"{settings.OIDC_ISSUER.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = httpx.get(address, timeout=PROVIDER_S).raise_for_status()
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        yield Finding(
            what="OIDC_ISSUER", value=type(error).__name__, wanted=_("an answer"), level=wrong,
            remedy=format_lazy(_("see whether {address} can be reached from here"), address=address),
        )  # fmt: skip
        return
    issuer = told.get("issuer") if isinstance(told, dict) else None
    yield Finding(
        what=_("name of the login provider"), value=str(issuer)[:200], wanted=settings.OIDC_ISSUER,
        level=Level.OK if issuer == settings.OIDC_ISSUER else wrong,
        remedy=_("set OIDC_ISSUER to the letter as the provider calls itself"),
    )  # fmt: skip
    offset_s = _behind_s(answer.headers.get("date", ""), clock())
    yield Finding(
        what=_("clock of this machine minus the login provider's"),
        value=_("not told") if offset_s is None else f"{offset_s:+.0f} s",
        wanted=format_lazy(_("at most {limit:g} s apart"), limit=PROVIDER_CLOCK_S),
        level=Level.UNKNOWN if offset_s is None else Level.OK if abs(offset_s) <= PROVIDER_CLOCK_S else wrong,
        remedy=_("set both by NTP (timedatectl)"),
    )  # fmt: skip
    # A provider may do without: then a login that it ends lasts here until it is idle.
    offers = isinstance(told, dict) and told.get("backchannel_logout_supported") is True
    yield Finding(
        what=_("back-channel logout of the login provider"), value=_("offered") if offers else _("not offered"),
        wanted=_("may be there"), level=Level.OK, remedy="docs/access.md",
    )  # fmt: skip


def _behind_s(date: str, now_s: float) -> float | None:
    """How far a time of a Date header (RFC 9110, section 5.6.7: in whole seconds) is behind; None if it is none."""
    try:
        return now_s - email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None
