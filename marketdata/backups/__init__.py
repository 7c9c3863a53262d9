"""Backups: taken, restored beside the original, compared, kept for a while (docs/backups.md)."""

from __future__ import annotations

from marketdata.backups.runs import Options, latest, make, options, restore, run_due, verify

__all__ = ["Options", "latest", "make", "options", "restore", "run_due", "verify"]
