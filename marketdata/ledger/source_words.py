"""What sources tell of themselves once a minute, through their terminals' wire: buffers, coverage, requests. Whoever
shows it says what of it."""

from __future__ import annotations

from marketdata.models import IngestStream
from marketdata.storage import storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import STREAM_SHIFT

KIND = "vendor_status"
AGE_US = 150_000_000  # a source tells once a minute
READ = 1000


def newest(now_us: int) -> dict[str, MarketEvent]:
    """The last word of each terminal that told one within AGE_US, by its name. Whoever sent it, whatever it says
    itself: nobody tells the state of another."""
    told = storage().read_events(now_us - AGE_US, now_us + AGE_US, limit=READ, kinds=[KIND], newest=True)
    streams = IngestStream.objects.filter(pk__in={event.event_id >> STREAM_SHIFT for event in told})
    names = dict(streams.values_list("pk", "client__name"))
    found = {}
    for event in told:
        client = names.get(event.event_id >> STREAM_SHIFT)
        if client is not None:
            found[client] = event
    return {client: found[client] for client in sorted(found)}
