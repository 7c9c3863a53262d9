from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0038_drawings"),
    ]

    operations = [
        migrations.AddField(
            model_name="rolloverrun",
            name="reported_at",
            field=models.DateTimeField(null=True, verbose_name="quality reported at"),
        ),
        migrations.AddField(
            model_name="rolloverrun",
            name="reported_to",
            field=models.JSONField(default=list, editable=False),
        ),
        migrations.AddField(
            model_name="rolloverrun",
            name="report_tries",
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="rolloverrun",
            name="report_next_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
    ]
