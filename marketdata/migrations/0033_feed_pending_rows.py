"""One row of `feed_pending` for all batches of a commit and feed. What waits to be announced is carried over."""

from typing import ClassVar

import msgpack
from django.db import migrations, models


def carry(apps, schema_editor):
    pending = apps.get_model("marketdata", "FeedPending")
    for row in list(pending.objects.all()):
        row.batches = msgpack.packb([[row.id, row.ticks]])
        row.spans = msgpack.packb([msgpack.unpackb(bytes(row.spans))])
        row.save(update_fields=["batches", "spans"])


class Migration(migrations.Migration):
    dependencies: ClassVar = [("marketdata", "0032_openid_accounts")]

    operations: ClassVar = [
        migrations.RenameField("FeedPending", "batch", "id"),
        migrations.AddField("FeedPending", "batches", models.BinaryField(default=b""), preserve_default=False),
        migrations.RunPython(carry, migrations.RunPython.noop),
        migrations.RemoveField("FeedPending", "ticks"),
    ]
