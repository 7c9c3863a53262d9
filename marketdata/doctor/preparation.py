"""What an installation was given: tables of this version, a calendar that reaches far enough, keys of its own."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import __version__
from marketdata.calendar import trading_dates
from marketdata.doctor.findings import Finding, Level
from marketdata.maintenance import rollover


def program() -> Iterator[Finding]:
    """Versions, and settings that are for a trial only."""
    yield Finding(what="Naru", value=f"{__version__}, Python {platform.python_version()}", wanted="", level=Level.OK)
    has_key = bool(settings.HAS_SECRET_KEY)
    yield Finding(
        what="SECRET_KEY", value=_("given") if has_key else _("missing"), wanted=_("given"),
        level=Level.OK if has_key else Level.UNKNOWN if settings.MAY_LACK_SECRET_KEY else Level.WARNING,
        remedy=_("set it, the same for all processes: without it every process has its own, and logins end with it"),
    )  # fmt: skip
    if settings.DEBUG:
        yield Finding(
            what="DEBUG", value="1", wanted="0", level=Level.ERROR,
            remedy=_("leave it out: it shows the inside of the server to whoever makes it fail"),
        )  # fmt: skip


def migrations() -> Iterator[Finding]:
    """Whether the tables are those of this version."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    yield Finding(
        what=_("migrations"), wanted=_("done"),
        value=format_lazy(_("{number} to be done"), number=len(waiting)) if waiting else _("done"),
        level=Level.ERROR if waiting else Level.OK, remedy="manage.py migrate",
    )  # fmt: skip


def calendar() -> Iterator[Finding]:
    """Whether the trading calendar reaches far enough."""
    ahead = rollover.current_date(rollover.utc_now()) + rollover.KNOWN_AHEAD
    covers = trading_dates.calendar(rollover.MARKET).covers(ahead)
    yield Finding(
        what=format_lazy(_("calendar of {market}"), market=rollover.MARKET),
        value=format_lazy(_("reaches {date}") if covers else _("does not reach {date}"), date=ahead),
        wanted=_("two months ahead"), level=Level.OK if covers else Level.WARNING, remedy="docs/calendar.md",
    )  # fmt: skip
