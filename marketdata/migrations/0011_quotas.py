import django.core.validators
import django.db.models.deletion
import marketdata.models.reference
from django.db import migrations, models

STANDARD = ("krx", "nxt", "unified", "infomax", "bloomberg", "kis", "replay", "sim")


def fill(apps, schema_editor):
    """What is there already: the standard feeds, those that symbols and the ledger name, and the dates of the ledger."""
    feed, symbol = apps.get_model("marketdata", "Feed"), apps.get_model("marketdata", "Symbol")
    names = {*STANDARD, *symbol.objects.order_by().values_list("primary_feed", flat=True).distinct()}
    names |= set(apps.get_model("marketdata", "IngestBatch").objects.order_by().values_list("feed", flat=True).distinct())
    feed.objects.bulk_create([feed(name=name) for name in sorted(names - {""})])
    date = apps.get_model("marketdata", "TradeDate")
    known = apps.get_model("marketdata", "IngestBatchDay").objects.order_by().values_list("trade_date", flat=True)
    date.objects.bulk_create([date(trade_date=day) for day in sorted(set(known.distinct()))], batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0010_whole_upto'),
    ]

    operations = [
        migrations.CreateModel(
            name='Feed',
            fields=[
                ('name', models.CharField(max_length=16, primary_key=True, serialize=False, validators=[django.core.validators.RegexValidator('^[a-z0-9_]{1,16}$')], verbose_name='이름 name')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='등록 created')),
                ('created_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketdata.client', verbose_name='만든 클라이언트 created by')),
            ],
            options={'verbose_name': '피드 Feed', 'verbose_name_plural': '피드 Feed', 'db_table': 'feed', 'ordering': ['name']},
        ),
        migrations.CreateModel(
            name='TradeDate',
            fields=[
                ('trade_date', models.DateField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('client', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketdata.client')),
            ],
            options={'verbose_name': '거래일 Trading date', 'verbose_name_plural': '거래일 Trading date', 'db_table': 'trade_date'},
        ),
        migrations.AddField(
            model_name='client',
            name='quotas',
            field=models.JSONField(blank=True, default=dict, help_text='이 클라이언트만의 한도. Limits of its own, such as {"symbols": 50000}; others are those of the settings.', validators=[marketdata.models.reference.validate_quotas], verbose_name='한도 quotas'),
        ),
        migrations.AddField(
            model_name='symbol',
            name='registered_by',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketdata.client', verbose_name='등록한 클라이언트 registered by'),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
