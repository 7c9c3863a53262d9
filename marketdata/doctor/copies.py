"""Backups in another place (BACKUP_OFFSITE): whether it can be asked, its keys are keys, copies come and are proven."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.backups import copies
from marketdata.backups.offsite import offsite, places, sealing
from marketdata.doctor.findings import Finding, Level
from marketdata.storage import StorageError


def other_place(now: datetime.datetime | None = None) -> Iterator[Finding]:
    """Nothing without BACKUP_OFFSITE."""
    where = offsite()
    if where is None:
        return
    try:
        place = where.place()
        places.identify(place)
        sealing.recipients(where.recipients)
        value = place.shown
    except StorageError as error:
        yield Finding(
            what="BACKUP_OFFSITE", value=str(error)[:300], wanted=_("a place for copies, and public keys"),
            level=Level.ERROR, remedy="docs/backups.md",
        )  # fmt: skip
    else:
        yield Finding(
            what="BACKUP_OFFSITE", value=value, wanted=_("a place for copies, and public keys"), level=Level.OK
        )
    state, now = copies.state(), now or datetime.datetime.now(datetime.UTC)
    fresh = datetime.timedelta(hours=settings.BACKUP_EVERY_H) * 1.5 + where.prove_every
    is_fresh = state.proven_at is not None and now - state.proven_at < fresh
    yield Finding(
        what=_("last proof from the other place"),
        value=_("never") if state.proven_at is None else state.proven_at.isoformat(timespec="seconds"),
        wanted=format_lazy(_("within {days:.0f} days"), days=fresh.total_seconds() / 86_400),
        level=Level.OK if is_fresh else Level.WARNING, remedy=_("manage.py copy_backups says what is wrong"),
    )  # fmt: skip
    if where.signers is not None:
        yield Finding(
            what=_("copies that nobody signed"), value=str(state.unsigned), wanted="0",
            level=Level.WARNING if state.unsigned else Level.OK,
            remedy=_("manage.py prove_backup --sign KEY, on the machine that has the key"),
        )  # fmt: skip
