"""In-flight windows and batches for them."""

from ingest.in_flight import InFlightBatch, InFlightWindow

REDRIVE_S = 5.0


def window(*, messages: int = 4, ticks: int = 5000) -> InFlightWindow:
    return InFlightWindow(messages, ticks, REDRIVE_S)


def entry(seq: int, *, rows: int = 1, stream: int = 1, since: float = 0.0, size: int = 100) -> InFlightBatch:
    return InFlightBatch(
        number=stream << 32 | seq,
        stream=stream,
        seq=seq,
        payload=bytes(size),
        rows=rows,
        received_us=1,
        source_id=4,
        register_market=None,
        since=since,
    )


def seqs(chosen: list[InFlightBatch]) -> list[int]:
    return [one.seq for one in chosen]
