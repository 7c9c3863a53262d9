"""Backups: taken, restored beside the original, compared, kept for a while (docs/backups.md)."""

from __future__ import annotations

from marketdata.backups.register import age_from
from marketdata.backups.restoration import latest, restore
from marketdata.backups.runs import check_overdue, make, run_due
from marketdata.backups.verification import verify
from marketdata.backups.workspace import Options, options

__all__ = ["Options", "age_from", "check_overdue", "latest", "make", "options", "restore", "run_due", "verify"]
