"""Backups in another place: encrypted to public keys, signed by a key that the server does not have, proven from there
and restored from there alone (docs/backups.md)."""

from __future__ import annotations

from marketdata.backups.offsite.copying import run_due
from marketdata.backups.offsite.fetching import Trust
from marketdata.backups.offsite.options import Offsite, offsite
from marketdata.backups.offsite.restoring import prove, restore

__all__ = ["Offsite", "Trust", "offsite", "prove", "restore", "run_due"]
