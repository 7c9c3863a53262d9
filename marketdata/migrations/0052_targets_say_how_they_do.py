from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0051_fanout_deliveries'),
    ]

    operations = [
        migrations.AddField(
            model_name='alerttarget',
            name='delivered_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='last delivered at'),
        ),
        migrations.AddField(
            model_name='alerttarget',
            name='error',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=200, verbose_name='last error'),
        ),
        migrations.AddField(
            model_name='alerttarget',
            name='failed_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='last failed at'),
        ),
    ]
