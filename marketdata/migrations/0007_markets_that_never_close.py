"""Markets that are open at weekends, and the markets of US equities, currencies and crypto assets."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

MARKETS = [
    ("US", "미국 주식 US equities", "America/New_York", 0, False),
    # A trading date of currencies ends at 17:00 in New York; the week begins on Sunday evening.
    ("FX", "외환 Foreign exchange", "America/New_York", 7 * 3600, False),
    ("CRYPTO", "가상자산 Crypto assets", "UTC", 0, True),
]


def fill(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    for code, name, timezone, shift, weekends in MARKETS:
        apps.get_model("marketdata", "Market").objects.get_or_create(
            code=code,
            defaults={"name": name, "timezone": timezone, "trade_date_shift_s": shift, "open_on_weekends": weekends},
        )


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0006_sessions_by_hash")]
    operations = [
        migrations.AddField(
            "market",
            "open_on_weekends",
            models.BooleanField(default=False, verbose_name="주말 개장 open on weekends"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
