from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0045_names_of_markets_and_fields"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="texts",
            field=models.JSONField(editable=False, null=True),
        ),
    ]
