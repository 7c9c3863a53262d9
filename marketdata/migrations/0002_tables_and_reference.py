"""The tables only a storage backend can make, and the markets and sources everybody needs."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from marketdata.storage import storage_of

MARKETS = [
    ("KRX", "한국거래소 Korea Exchange", "Asia/Seoul", 0),
    # Globex opens at 17:00 Chicago time for the next trading date.
    ("CME", "시카고상품거래소 CME Globex", "America/Chicago", 7 * 3600),
]
WEEK_S = 7 * 86_400
SOURCES = [
    (1, "INFOMAX", WEEK_S, False),
    (2, "BLOOMBERG", WEEK_S, False),
    (3, "KIS", WEEK_S, False),
    (4, "REPLAY", None, False),
    (5, "SIMULATOR", WEEK_S, True),
]


def create_tables(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    storage_of(editor.connection).create_tables()


def drop_tables(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    storage_of(editor.connection).drop_tables()


def fill(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    for code, name, timezone, shift in MARKETS:
        apps.get_model("marketdata", "Market").objects.get_or_create(
            code=code, defaults={"name": name, "timezone": timezone, "trade_date_shift_s": shift}
        )
    for number, code, max_age_s, synthetic in SOURCES:
        apps.get_model("marketdata", "Source").objects.get_or_create(
            id=number, defaults={"code": code, "max_age_s": max_age_s, "is_synthetic": synthetic}
        )


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0001_initial")]
    operations = [
        migrations.RunPython(create_tables, drop_tables),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
