"""The tables of history, daily candles, books, events and caches; and the ledger by trading date of what was stored
before there was one."""

from __future__ import annotations

import datetime

import numpy as np
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from marketdata.types import checksums
from marketdata.storage import storage_of
from marketdata.types.units import EPOCH_DATE
from marketdata.types.tick_arrays import ABSENT, SEQ_BITS, SIZES, TICK_BITS, packed_ratio

FAR_US = 2**62


def create_tables(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    storage_of(editor.connection).create_tables()


def fill_ledger(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """From the ticks themselves: series by series, each batch's rows of each trading date."""
    store, model = storage_of(editor.connection), apps.get_model("marketdata", "IngestBatchDay")
    runs = apps.get_model("marketdata", "RolloverRun")
    found: dict[tuple[int, int], checksums.Figure] = {}
    sources = dict(apps.get_model("marketdata", "IngestStream").objects.values_list("id", "client__source_id"))
    for date in store.dates("temp_market_data"):
        for symbol, feed in store.day_series(date):
            ticks = store.read_day_ticks(date, symbol, feed)
            if store.vendor == "sqlite":  # which holds integers of 1e-4 until 0013
                for name in SIZES:
                    values = getattr(ticks, name)
                    setattr(ticks, name, np.where(values == ABSENT, ABSENT, values * packed_ratio()))
            streams = ticks.tick_id >> (TICK_BITS + SEQ_BITS)
            for stream in np.unique(streams).tolist():  # a series may have come from several sources
                part = ticks.take(streams == stream)
                part.source_id = sources.get(stream) or part.source_id
                for key, figure in checksums.by_batch(part, part.tick_id >> TICK_BITS).items():
                    found[key] = found.get(key, checksums.Figure()) + figure
        runs.objects.get_or_create(trade_date=date)
    model.objects.bulk_create(
        [
            model(
                batch=batch,
                trade_date=EPOCH_DATE + datetime.timedelta(days=day),
                rows=figure.rows,
                checksum=figure.checksum,
            )
            for (batch, day), figure in sorted(found.items())
        ],
        batch_size=1000,
    )


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0003_keeping")]
    operations = [
        migrations.RunPython(create_tables, migrations.RunPython.noop),
        migrations.RunPython(fill_ledger, migrations.RunPython.noop),
    ]
