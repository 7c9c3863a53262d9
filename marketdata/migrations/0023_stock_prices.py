"""The table of what polled snapshots tell of a day, the category of a symbol, and what a source tells beside the levels
of an order book."""

from __future__ import annotations

import django.core.validators
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from marketdata.storage import storage_of


def create_tables(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    storage_of(editor.connection).create_tables()


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0022_texts")]
    operations = [
        migrations.CreateModel(
            name="StockPrice",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "symbol", "feed", "timestamp", "tick_id", "trade_date",
                        blank=True, editable=False, primary_key=True, serialize=False,
                    ),
                ),
                ("symbol", models.CharField(max_length=24)),
                ("feed", models.CharField(max_length=16)),
                ("timestamp", models.BigIntegerField()),
                ("tick_id", models.BigIntegerField()),
                ("trade_date", models.DateField()),
            ],
            options={
                "verbose_name": "Stock price",
                "verbose_name_plural": "Stock price",
                "db_table": "stock_prices",
                "managed": False,
            },
        ),
        migrations.AddField(
            model_name="symbol",
            name="category",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Such as kospi, kosdaq, etf, futures; when empty, what is known of its market.",
                max_length=16,
                validators=[django.core.validators.RegexValidator("\\A[a-z0-9_]{1,16}\\Z")],
                verbose_name="category",
            ),
        ),
        migrations.RunPython(create_tables, migrations.RunPython.noop),
    ]  # fmt: skip
