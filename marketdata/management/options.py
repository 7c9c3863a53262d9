"""Options of management commands that are words of Naru; numbers and times are in `terminals.wire.options`."""

from __future__ import annotations

import argparse

from django.utils.translation import gettext as _

from marketdata.types.tick_arrays import SEQ_BITS, STREAM_BITS, batch_number
from terminals import wire


def batch(text: str) -> int:
    """The ledger's number of a batch written STREAM/SEQ, as the admin shows it. ArgumentTypeError for anything else."""
    stream, _slash, seq = text.partition("/")
    try:
        return batch_number(
            wire.numbers.whole(stream, 1, (1 << STREAM_BITS) - 1), wire.numbers.whole(seq, 1, (1 << SEQ_BITS) - 1)
        )
    except ValueError:
        raise argparse.ArgumentTypeError(
            _("{text!r}: STREAM/SEQ as the admin shows batches, such as 3/1042").format(text=text)
        ) from None
