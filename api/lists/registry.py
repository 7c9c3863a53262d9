"""Which lists there are, by the name in their address (`/lists/<name>`)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from api.lists import ledger, prices, upkeep
from api.lists.listing import Asked, Listing

LISTS: MappingProxyType[str, Callable[[Asked], Listing]] = MappingProxyType({
    "batches": ledger.batches, "refused": ledger.refused, "letters": ledger.letters, "gaps": ledger.gaps,
    "voided": ledger.voided, "rollovers": upkeep.rollovers, "backups": upkeep.backups, "dropped": upkeep.dropped,
    "days": prices.days, "books": prices.books,
})  # fmt: skip
