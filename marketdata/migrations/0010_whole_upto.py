"""How far the ledger of each spool was found whole, and claim rows of numbers that were given up."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models

SEQ_BITS = 32


def begin_at_the_newest(apps: Any, schema_editor: Any) -> None:
    """What is missing below the newest batch of a spool of before may have been forgotten by retention: no hole."""
    batches = apps.get_model("marketdata", "IngestBatch").objects
    for stream in apps.get_model("marketdata", "IngestStream").objects.all():
        low, high = stream.pk << SEQ_BITS, (stream.pk + 1) << SEQ_BITS
        newest = batches.filter(batch__gte=low, batch__lt=high).aggregate(newest=models.Max("batch"))["newest"]
        if newest is not None:
            stream.whole_upto = newest - low
            stream.save(update_fields=["whole_upto"])


class Migration(migrations.Migration):
    dependencies: ClassVar = [("marketdata", "0009_clocks")]

    operations: ClassVar = [
        migrations.AddField("ingeststream", "whole_upto", models.BigIntegerField(default=0)),
        migrations.AlterField(
            "ingestbatch",
            "state",
            models.CharField(
                choices=[
                    ("stored", "저장 stored"),
                    ("refused", "거부 refused"),
                    ("dead", "처리 불가 dead letter"),
                    ("given_up", "포기 given up for a new epoch"),
                ],
                max_length=8,
            ),
        ),
        migrations.RunPython(begin_at_the_newest, migrations.RunPython.noop),
    ]
