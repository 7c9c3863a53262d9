from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0052_targets_say_how_they_do'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(fields=['acknowledged_at', 'owner'], name='alert_unseen'),
        ),
    ]
