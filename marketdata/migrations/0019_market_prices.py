"""Which markets have prices of zero and below: futures, spreads and rates of CME have (WTI on 2020-04-20), shares not."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def declare(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("marketdata", "Market").objects.filter(code="CME").update(nonpositive_prices=True)


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0018_feed_pending")]
    operations = [
        migrations.AddField(
            model_name="market",
            name="nonpositive_prices",
            field=models.BooleanField(
                default=False,
                help_text="선물·스프레드·금리처럼 가격이 0이나 음수일 수 있는 시장. Where a price may be zero or negative.",
                verbose_name="0 이하 가격 prices of zero and below",
            ),
        ),
        migrations.RunPython(declare, migrations.RunPython.noop),
    ]
