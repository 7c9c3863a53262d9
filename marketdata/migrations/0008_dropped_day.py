"""What retention removed is remembered for ever; and what it removed before there was a place for that."""

from __future__ import annotations

import datetime
import re

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q, Sum

from marketdata.types.checksums import PRIME, Figure
from marketdata.storage import storage_of
from marketdata.storage.base import MINUTES

REASON = "dropped when its time was over"
"""How a difference was accepted by itself when ticks came for a day whose ticks had been dropped."""


def remember(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    runs = apps.get_model("marketdata", "RolloverRun").objects
    marks = apps.get_model("marketdata", "DroppedDay").objects
    ledger = apps.get_model("marketdata", "IngestBatchDay").objects
    now = datetime.datetime.now(datetime.UTC)
    for run in runs.filter(~Q(dropped_at=None) | Q(accepted__endswith=f": {REASON}")):
        there = Figure(run.rows or 0, run.checksum or 0)
        gone = Figure()
        if earlier := re.match(rf"([+-]\d+) rows, ([+-]\d+): {REASON}", run.accepted):
            gone = Figure() - Figure(int(earlier[1]), int(earlier[2]))
            runs.filter(pk=run.pk).update(accepted="")
        whole = gone + there
        if run.dropped_at is not None:
            gone, there = whole, Figure()
        marks.create(
            trade_date=run.trade_date, kind="ticks", rows=gone.rows, checksum=gone.checksum, times=1,
            dropped_at=run.dropped_at or run.sealed_at or now,
        )  # fmt: skip
        sums = ledger.filter(trade_date=run.trade_date).aggregate(sum_rows=Sum("rows"), sum_checksum=Sum("checksum"))
        forgotten = whole - Figure(int(sums["sum_rows"] or 0), int(sums["sum_checksum"] or 0) % PRIME)
        if forgotten.rows > 0:
            marks.create(
                trade_date=run.trade_date, kind="ledger", rows=forgotten.rows, checksum=forgotten.checksum, times=1,
                dropped_at=now,
            )  # fmt: skip
    for date in _without_minutes(storage_of(editor.connection), runs.filter(daily__gt=0)):
        marks.create(trade_date=date, kind="minutes", times=1, dropped_at=now)


def _without_minutes(store, runs) -> list[datetime.date]:  # type: ignore[no-untyped-def]  # historical models
    """The days that had daily candles and have no minute candles."""
    dates = list(runs.values_list("trade_date", flat=True))
    if not dates:
        return []
    parts = store.partitions(MINUTES)
    if parts:
        return [date for date in dates if not any(part.start <= date < part.end for part in parts)]
    there = set(store.dates(MINUTES))
    return [date for date in dates if date not in there]


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0007_markets_that_never_close")]
    operations = [
        migrations.CreateModel(
            name="DroppedDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trade_date", models.DateField(verbose_name="거래일 trading date")),
                ("kind", models.CharField(choices=[("ticks", "틱 ticks"), ("minutes", "분봉 minute candles"), ("ledger", "원장 ledger")], max_length=8, verbose_name="종류 kind")),
                ("rows", models.BigIntegerField(default=0, verbose_name="행 rows")),
                ("checksum", models.BigIntegerField(default=0, verbose_name="체크섬 checksum")),
                ("times", models.PositiveIntegerField(default=0, verbose_name="횟수 times")),
                ("dropped_at", models.DateTimeField(verbose_name="최근 삭제 last dropped")),
            ],
            options={
                "verbose_name": "기한 만료 삭제 Dropped day",
                "verbose_name_plural": "기한 만료 삭제 Dropped day",
                "db_table": "dropped_day",
                "ordering": ["-trade_date", "kind"],
                "constraints": [models.UniqueConstraint(fields=("trade_date", "kind"), name="dropped_day_once")],
            },
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
