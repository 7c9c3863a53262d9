"""A client whose batches are processed as a worker does it, in the process of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from ingest import notifications, tasks
from ingest.rights import Rights
from marketdata import alarms
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.models import Client, Market, Source, Symbol
from marketdata.realtime import live_state, seeding
from marketdata.reference.symbols import Directory
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import NINE_US


@contextmanager
def worker_of(redis_url: str) -> Iterator[None]:
    """This process is a worker that knows 005930 and 000660 of KRX; database and Redis are empty."""
    with override_settings(REDIS_URL=redis_url), pytest.MonkeyPatch.context() as patched:
        live_state.connection.cache_clear()
        alarms.told.clear()
        patched.setattr(tasks, "directory", Directory(retry_s=0.0))
        patched.setattr(tasks, "rights", Rights(keep_s=-1.0))
        for code in ("005930", "000660"):
            Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"))
        assert seeding.seed()  # this Redis knows all there is: nothing yet
        yield
        live_state.connection().close()
        live_state.connection.cache_clear()


class Sender:
    """A client's batches, processed as a worker does."""

    def __init__(self, name: str) -> None:
        source = Source.objects.get(code="REPLAY")
        self.client, _ = Client.objects.create_with_secret(
            name=name, source=source, may_send=True, feeds="*", shares_feeds=True
        )
        self.stream = stream_numbers.open_stream(self.client, f"{self.client.pk:016x}")
        self.seq = 0

    def send(self, *rows: dict[str, Any], feed: str = "krx") -> int:
        """The batch's number."""
        self.seq += 1
        given = [{"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **row} for row in rows]
        number = batch_number(self.stream, self.seq)
        payload = wire.encode_rows(self.seq, feed, 1, given)
        message = notifications.batch_message(number, payload, batch_ledger.now_us(), 4, None, None)
        tasks.process_batches(batches=[message], reply_to="test")
        return number
