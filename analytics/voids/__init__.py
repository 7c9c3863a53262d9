"""Taking wrong ticks back, and putting them back again. A voided tick is moved out of the tables of ticks into
`voided_tick`, whole; so candles stay a pure function of the stored ticks, and the ledger, the counts of a day, archive
and answers need not know of it.

Each series of a day is one transaction (`moves`): ticks, ledger, candles, and what subscribers are to be told. An order
that was interrupted is gone on with by `resume`; what was committed is never done twice, for those ticks are not there
any more.
"""

from __future__ import annotations

from analytics.voids.notices import MOST_NOTICES, announce
from analytics.voids.orders import NotDone, Outcome, preview, restore, resume, void
from analytics.voids.selection import NothingChosen, Selection, of_batches

__all__ = [
    "MOST_NOTICES",
    "NotDone",
    "NothingChosen",
    "Outcome",
    "Selection",
    "announce",
    "of_batches",
    "preview",
    "restore",
    "resume",
    "void",
]
