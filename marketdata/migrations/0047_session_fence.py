import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0046_texts_of_outcomes"),
    ]

    operations = [
        migrations.CreateModel(
            name="SessionFence",
            fields=[
                (
                    "client",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="session_fence",
                        serialize=False,
                        to="marketdata.client",
                    ),
                ),
                ("number", models.PositiveBigIntegerField(default=0)),
                ("holder", models.CharField(blank=True, max_length=120)),
                ("previous", models.CharField(blank=True, max_length=120)),
                ("guarded", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "Session fence",
                "verbose_name_plural": "Session fence",
                "db_table": "session_fence",
            },
        ),
    ]
