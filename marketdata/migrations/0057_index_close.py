from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0056_texts_of_deliveries'),
    ]

    operations = [
        migrations.CreateModel(
            name='IndexClose',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=24, verbose_name='code')),
                ('trade_date', models.DateField(verbose_name='trading date')),
                ('close', models.BigIntegerField()),
                ('feed', models.CharField(max_length=16, verbose_name='feed')),
                ('time_us', models.BigIntegerField()),
                ('event_id', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'close of an index',
                'verbose_name_plural': 'closes of indices',
                'db_table': 'index_close',
                'constraints': [models.UniqueConstraint(fields=('code', 'trade_date'), name='index_close_once')],
            },
        ),
    ]
