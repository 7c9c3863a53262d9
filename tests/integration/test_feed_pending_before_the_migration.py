"""A database in which batches waited for the feed when they had a row each: the migration loses none of them."""

from typing import Any

import msgpack
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ingest import recovery
from marketdata.models import FeedPending

pytestmark = pytest.mark.usefixtures("database_without_tables")

SPANS: list[Any] = [["005930", 20_528, 5, 9], ["000660", 20_528, 7, 7]]


def test_what_waits_for_the_feed_is_carried_over():
    call_command("migrate", "marketdata", "0032", verbosity=0)
    state = MigrationExecutor(connection).loader.project_state([("marketdata", "0032_openid_accounts")])
    before: Any = state.apps.get_model("marketdata", "FeedPending")
    for batch, ticks, spans in ((1 << 32 | 7, 3, SPANS), (2 << 32 | 1, 1, SPANS[:1])):
        before.objects.create(batch=batch, feed="krx", ticks=ticks, committed_us=11, spans=msgpack.packb(spans))

    call_command("migrate", "marketdata", verbosity=0)

    rows = FeedPending.objects.order_by("id").values_list(*recovery.PENDING[1:])
    assert [recovery._batches_of(*row) for row in rows] == [
        [recovery.Pending(1 << 32 | 7, "krx", 3, 11, SPANS)],
        [recovery.Pending(2 << 32 | 1, "krx", 1, 11, SPANS[:1])],
    ]
