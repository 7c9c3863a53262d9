"""Batches off the wire, whatever they hold, from bytes to arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from marketdata.types import json_rows, packed_ticks, records, tick_arrays
from marketdata.types.decoded_batches import Decoded, PackedBatch, Shared, WireBatch
from terminals import wire


def from_wire(payload: bytes, *, source_id: int, batch: int) -> Decoded:
    """Decode a batch. `wire.BatchError` when the batch as a whole is unreadable; a wrong row is only a fault."""
    (decoded,) = decode_together([WireBatch(payload, source_id, batch)])
    if isinstance(decoded, wire.BatchError):
        raise decoded
    return decoded


def decode_together(batches: Sequence[WireBatch]) -> list[Decoded | wire.BatchError]:
    """Decode batches, each as `from_wire` does, with the error in the place of one that is unreadable. Those of packed
    columns of one feed, source and shape become the same arrays."""
    answers: dict[int, Decoded | wire.BatchError] = {}
    alike: dict[Hashable, tuple[Callable[[Any], Sequence[Decoded]], list[tuple[int, PackedBatch[Any]]]]] = {}
    for place, one in enumerate(batches):
        try:
            header = wire.parse_header(one.payload)
            if header.encoding in _PACKED:
                parse, shape_of, decode = _PACKED[header.encoding]
                layout = parse(one.payload, header)
                kind = (header.encoding, header.feed, one.source_id, shape_of(layout))
                alike.setdefault(kind, (decode, []))[1].append((place, PackedBatch(one, header, layout)))
            else:
                answers[place] = _SINGLE[header.encoding](one, header)
        except wire.BatchError as error:
            answers[place] = error
    for decode, members in alike.values():
        answers |= zip((place for place, _ in members), decode([one for _, one in members]), strict=True)
    return [answers[place] for place in range(len(batches))]


def _gaps(one: WireBatch, header: wire.BatchHeader) -> Decoded:
    nothing, faults = tick_arrays.empty(header.feed, one.source_id), np.zeros(0, np.uint64)
    gaps = wire.parse_gaps(one.payload, header)
    return Decoded(header=header, faults=faults, symbols=[], gaps=gaps, shared=Shared(nothing, faults))


_PACKED: dict[wire.Encoding, tuple[Callable[..., Any], Callable[[Any], Hashable], Callable[[Any], Sequence[Decoded]]]]
_PACKED = {
    wire.Encoding.COLUMNS: (
        wire.parse_columns, lambda layout: (layout.price_scale, layout.size_scale), packed_ticks.decode,
    ),
    wire.Encoding.BOOKS: (
        wire.parse_books, lambda layout: (layout.price_scale, layout.size_scale, layout.levels), records.decode_books,
    ),
}  # fmt: skip
"""How the columns of a batch are found, what batches have in common that become the same arrays, and who decodes
them."""
_SINGLE: dict[wire.Encoding, Callable[[WireBatch, wire.BatchHeader], Decoded]] = {
    wire.Encoding.ROWS: json_rows.decode,
    wire.Encoding.GAP: _gaps,
    wire.Encoding.EVENTS: records.decode_events,
}
