import errno

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded

from ingest import batch_decoding, failures
from ingest.batch_decoding import Batch
from marketdata.storage import StorageBusyError
from marketdata.storage.base import Blame
from terminals import wire
from tests.market import NINE_US


@pytest.mark.parametrize(
    "error",
    [
        SoftTimeLimitExceeded(),
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        redis.OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.ConnectionError("gone"),
        StorageBusyError("somebody holds the table"),
    ],
)
def test_no_batch_is_to_blame_for_what_the_machine_lacks(error):
    assert failures.blame(error) is Blame.INFRASTRUCTURE


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("source"), ZeroDivisionError()])
def test_a_defect_may_be_the_batchs_own(error):
    assert failures.blame(error) is Blame.UNKNOWN


def test_the_probe_has_the_shape_of_the_largest_batch_and_values_beyond_doubt():
    row = {"symbol": "005930", "time": NINE_US, "price": "-1", "size": "odd", "trade_date": "2026-03-16"}
    batches = [
        Batch(number=1 << 32 | seq, payload=wire.encode_rows(seq, "nxt", 1, [row] * rows), received_us=1, source_id=3)
        for seq, rows in ((1, 2), (2, 40))
    ]
    batch_decoding.decode(batches)

    ticks = failures._neutral(batches)

    assert (len(ticks), ticks.feed, ticks.source_id, ticks.symbols) == (40, "nxt", 3, [failures.PROBE_SYMBOL])
    assert set(ticks.time_us.tolist()) == {NINE_US}
    assert len(set(ticks.tick_id.tolist())) == 40
    assert (ticks.price > 0).all()
    assert (ticks.size > 0).all()


def test_of_a_batch_that_cannot_even_be_read_the_probe_is_one_tick_of_today():
    batch = Batch(number=1 << 32 | 1, payload=b"?", received_us=1, source_id=3)

    assert len(failures._neutral([batch])) == 1
