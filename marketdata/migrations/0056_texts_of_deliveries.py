from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0055_texts_of_errors'),
    ]

    operations = [
        migrations.AddField(
            model_name='alertdelivery',
            name='texts',
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='alerttarget',
            name='texts',
            field=models.JSONField(editable=False, null=True),
        ),
    ]
