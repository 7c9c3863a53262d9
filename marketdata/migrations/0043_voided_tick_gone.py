from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0042_alert_chat"),
    ]

    operations = [
        migrations.AddField(
            model_name="voidedtick",
            name="gone_us",
            field=models.BigIntegerField(editable=False, null=True),
        ),
    ]
