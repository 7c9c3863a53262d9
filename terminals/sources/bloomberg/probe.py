"""What `check` finds out about Bloomberg: a session, its service, and what each security answers."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from terminals.finding import Finding, Level
from terminals.sources.bloomberg import reasons
from terminals.sources.bloomberg.live import POLL_MS, Subscriptions, failure_of, new_session
from terminals.sources.bloomberg.settings import SERVICE, Settings
from terminals.wire.language import gettext as _

PATIENCE_S: Final = 20.0
_NAMED: Final = 10  # securities that are named one by one; the rest is counted


def check(blpapi: Any, settings: Settings) -> Iterator[Finding]:
    """One finding a step; ends at the first that fails."""
    version = getattr(blpapi, "__version__", "?")
    yield Finding(Level.GOOD, _("the Bloomberg SDK is there, version {version}").format(version=version))
    session, where = new_session(blpapi, settings), f"{settings.host}:{settings.port}"
    try:
        if not session.start():
            told = _("no session at {where}: {reason}").format(where=where, reason=failure_of(blpapi, session))
            yield Finding(Level.WRONG, told, _("start the Terminal on this PC and log in to it as this user"))
            return
        if not session.openService(SERVICE):
            told = _("{service} cannot be opened: {reason}").format(service=SERVICE, reason=failure_of(blpapi, session))
            yield Finding(
                Level.WRONG, told, _("ask the desk's Bloomberg contact for real-time data of the Desktop API")
            )
            return
        yield Finding(Level.GOOD, _("session at {where}, {service} is open").format(where=where, service=SERVICE))
        yield from _securities(blpapi, session, settings)
    finally:
        with contextlib.suppress(blpapi.Exception):
            session.stop()


def _securities(blpapi: Any, session: Any, settings: Settings) -> Iterator[Finding]:
    subscriptions = Subscriptions(blpapi, session, settings)
    subscriptions.subscribe(settings.securities)
    refused: dict[str, Mapping[str, Any]] = {}
    fields: dict[str, str] = {}
    delayed: dict[str, bool] = {}
    painted: set[str] = set()
    deadline, settled = time.monotonic() + PATIENCE_S, False
    while time.monotonic() < deadline and not (settled and len(painted) + len(refused) >= len(settings.securities)):
        event = session.nextEvent(POLL_MS)
        settled = event.eventType() == blpapi.Event.TIMEOUT
        for record in subscriptions.records(event):
            if record.security is None:
                continue
            if record.kind in ("SubscriptionFailure", "SubscriptionTerminated"):
                refused[record.security] = record.content
            for one in record.content.get("exceptions") or ():
                fields[str(one.get("fieldId"))] = record.security
            if record.is_picture:
                painted.add(record.security)
            if isinstance(said := record.content.get("IS_DELAYED_STREAM"), bool):
                delayed[record.security] = said
    yield from _told(settings, refused, fields, delayed, painted)


def _told(
    settings: Settings,
    refused: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, str],
    delayed_by: Mapping[str, bool],
    painted: set[str],
) -> Iterator[Finding]:
    delayed = {security for security, said in delayed_by.items() if said}
    unknown = painted - delayed_by.keys()
    for security, content in list(refused.items())[:_NAMED]:
        told = _("{security} is refused: {reason}").format(security=security, reason=reasons.describe(content))
        yield Finding(Level.WRONG, told, reasons.explain(reasons.category_of(content)))
    if len(refused) > _NAMED:
        yield Finding(Level.WRONG, _("{count} more are refused").format(count=len(refused) - _NAMED))
    for name, security in fields.items():
        told = _("field {field} is refused, for {security} at least").format(field=name, security=security)
        yield Finding(Level.DOUBTFUL, told, _("what it would say is left empty"))
    if delayed:
        told = _("{count} securities are delayed, {security} among them").format(
            count=len(delayed), security=min(delayed)
        )
        yield Finding(Level.WRONG, told, _("without real-time permission nothing of these is sent"))
    if unknown:
        told = _("of {count} securities Bloomberg does not say whether they are delayed, {security} among them").format(
            count=len(unknown), security=min(unknown)
        )
        yield Finding(Level.WRONG, told, _("nothing of these is sent: ask for the field IS_DELAYED_STREAM"))
    silent = set(settings.securities) - painted - set(refused)
    if silent:
        told = _("{count} securities gave no picture within {seconds:g} s, {security} among them").format(
            count=len(silent), seconds=PATIENCE_S, security=min(silent)
        )
        yield Finding(Level.DOUBTFUL, told, _("look them up in the Terminal"))
    count = len(painted - delayed - unknown)
    level = Level.GOOD if count else Level.WRONG
    told = _("{count} of {all} securities come in real time").format(count=count, all=len(settings.securities))
    yield Finding(level, told)
