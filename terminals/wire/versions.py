"""What a server of some version reads, and what a batch asks of it. A server says it in CHALLENGE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from terminals.wire import limits
from terminals.wire.batch_header import Buffer, Encoding, parse_header
from terminals.wire.batches import Column, parse_columns


@dataclass(frozen=True, slots=True)
class Readable:
    """The finest sizes, the latest encoding and the latest column that a server reads."""

    size_scale: int = limits.SIZE_SCALE
    encoding: int = max(Encoding)
    column: int = max(Column)

    @classmethod
    def of(cls, said: Mapping[str, int]) -> Self:
        """What the limits of a CHALLENGE say. What they do not name is as in the first version."""
        return cls(
            said.get("size_scale", limits.OLDEST_SIZE_SCALE),
            said.get("encoding", limits.OLDEST_ENCODING),
            said.get("column", limits.OLDEST_COLUMN),
        )

    def refusal(self, payload: Buffer) -> tuple[str, str] | None:
        """Why a batch may not be sent there, which would be refused for good: the code of the session's end, and words.
        The batch itself is right."""
        if self.size_scale >= limits.SIZE_SCALE and self.encoding >= max(Encoding) and self.column >= max(Column):
            return None  # nearly always
        header = parse_header(payload)
        if header.encoding > self.encoding:
            return "encoding_refused", f"is of {header.encoding.name.lower()}, which this server does not read"
        if (
            header.encoding is Encoding.GAP
            and self.encoding < Encoding.EVENTS
            and payload[header.body_offset] == _ARRAY
        ):
            return "encoding_refused", "is an array of gaps, which this server does not read"
        if header.encoding is not Encoding.COLUMNS:
            return None
        layout = parse_columns(payload, header)
        if layout.size_scale > self.size_scale:
            told = f"has sizes of {layout.size_scale} decimal places, this server reads {self.size_scale}"
            return "size_scale_refused", told
        if (latest := max(layout.offsets, default=0)) > self.column:
            return "encoding_refused", f"has the column {Column(latest).name.lower()}, which this server does not read"
        return None


_ARRAY = ord("[")
