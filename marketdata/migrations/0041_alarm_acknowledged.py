from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0040_alert_watchlists"),
    ]

    operations = [
        migrations.AddField(
            model_name="alarm",
            name="cleared_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150, verbose_name="cleared by"),
        ),
        migrations.AddField(
            model_name="alarm",
            name="acknowledged_at",
            field=models.DateTimeField(null=True, verbose_name="acknowledged at"),
        ),
        migrations.AddField(
            model_name="alarm",
            name="acknowledged_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150, verbose_name="acknowledged by"),
        ),
    ]
