from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0020_patterns"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="ingestrequeue",
            name="whole",
        ),
    ]
