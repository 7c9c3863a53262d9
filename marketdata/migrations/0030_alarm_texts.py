from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0029_candle_revision")]

    operations = [
        migrations.AddField(
            model_name="alarm",
            name="texts",
            field=models.JSONField(editable=False, null=True),
        ),
    ]
