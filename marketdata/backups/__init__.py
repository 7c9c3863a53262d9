"""Backups: taken, restored beside the original, compared, kept for a while (docs/backups.md)."""

from __future__ import annotations

from marketdata.backups.restoration import latest, restore
from marketdata.backups.runs import make, run_due
from marketdata.backups.verification import verify
from marketdata.backups.workspace import Options, options

__all__ = ["Options", "latest", "make", "options", "restore", "run_due", "verify"]
