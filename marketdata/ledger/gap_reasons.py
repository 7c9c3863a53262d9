"""Why something is missing, in words for who reads the pages. The reasons themselves are public (docs/protocol.md), and
programs get them as they were said."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from terminals.wire import gap_reasons

LEDGER_HOLE = "ledger_hole"
WORDS: dict[str, Promise] = {
    "book": gettext_lazy("order books alone, no trades"),
    "expected": gettext_lazy("expected prices alone, no trades"),
    "status": gettext_lazy("statuses alone, no trades"),
    "index": gettext_lazy("index values alone, no trades"),
    gap_reasons.SPOOL_FULL: gettext_lazy("the terminal's spool was full"),
    gap_reasons.SPOOL_DAMAGED: gettext_lazy("the terminal's spool was damaged"),
    gap_reasons.NOT_TAKEN: gettext_lazy("came while the terminal stopped or could not write"),
    gap_reasons.DISCONNECTED: gettext_lazy("no connection to the source"),
    gap_reasons.NOT_RUNNING: gettext_lazy("the terminal did not run"),
    gap_reasons.NO_ROOM: gettext_lazy("more came than the terminal had room for"),
    gap_reasons.VOLUME_HOLE: gettext_lazy("trades are missing, by the volume of the day"),
    gap_reasons.BEFORE_FIRST_TRADE: gettext_lazy("the day's trades before the first one that came"),
    gap_reasons.VOLUME_FELL: gettext_lazy("the volume of the day fell"),
    gap_reasons.VOLUME_WRONG: gettext_lazy("the volume that one trade told fits none of the others"),
    gap_reasons.BLOOMBERG_DISCONNECTED: gettext_lazy("no connection to Bloomberg"),
    gap_reasons.BLOOMBERG_DATA_LOSS: gettext_lazy("Bloomberg told of lost data"),
    gap_reasons.BLOOMBERG_SLOW_CONSUMER: gettext_lazy("Bloomberg dropped data that the terminal read too slowly"),
    LEDGER_HOLE: gettext_lazy("the ledger lacks batches, and no spool has them"),
}
"""By the reason, or a part of it up to a colon."""
_BATCHES = re.compile(r"batches (\d+) to (\d+)(?: of epoch (\S+))?", re.ASCII)


def of_ledger(first: int, last: int, epoch: str) -> str:
    """The reason of a gap of batches that the ledger lacks and no spool has."""
    return f"{LEDGER_HOLE}: batches {first} to {last} of epoch {epoch}"


def words(reason: str) -> str:
    """A reason in the reader's language; one that is not known, or a part of it, as it is."""
    code, colon, more = reason.partition(":")
    if code not in WORDS:
        return reason
    return f"{WORDS[code]}: {_more(more.strip())}" if colon else str(WORDS[code])


def _more(text: str) -> str:
    found = _BATCHES.fullmatch(text)
    if found is None:
        return words(text)
    first, last, epoch = found.groups()
    if epoch is None:
        return _("batches {first} to {last}").format(first=first, last=last)
    return _("batches {first} to {last} of epoch {epoch}").format(first=first, last=last, epoch=epoch)
