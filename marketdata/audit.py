"""What was done by command: who on which machine, which command, and how it ended. What was done in the admin is in
Django's own log beside it."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured
from django.db import Error

log = logging.getLogger(__name__)

# They change nothing, or they are the servers themselves.
NOT_NOTED = frozenset(
    (
        "check", "calendar", "collectstatic", "compilemessages", "diffsettings", "doctor", "findstatic", "gaps", "help",
        "makemessages", "makemigrations", "runall", "runingest", "runserver", "runweb", "showmigrations", "sqlmigrate",
        "spectacular", "test", "testserver", "verify_backup", "verify_day", "version",
    )
)  # fmt: skip


def note_command(arguments: Sequence[str], outcome: str) -> None:
    """Keep that this command was run. Arguments hold no secrets: passwords are typed in, keys are printed."""
    command = arguments[0] if arguments else "help"
    if command in NOT_NOTED or command.startswith("-") or {"-h", "--help", "--version"} & set(arguments):
        return
    from marketdata.models import AuditEntry

    try:
        AuditEntry.objects.create(
            actor=actor()[:100], action=command[:64], text=" ".join(arguments)[:2000], outcome=outcome[:300]
        )
    except (Error, ImproperlyConfigured) as error:  # before the first migrate, or the database is away
        log.warning("command is not in the audit log command=%s error=%s", command, type(error).__name__)


def actor() -> str:
    """Who runs this process, and who became that user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{name}@{socket.gethostname()}" + (f" (sudo: {behind})" if behind else "")
