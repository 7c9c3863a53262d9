from django.db import migrations


def end_sessions(apps, schema_editor):
    """Rows of before hold the cookies themselves; nobody is found by them any more, so everybody logs in again."""
    apps.get_model('sessions', 'Session').objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('marketdata', '0005_counted_ahead'),
        ('sessions', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(end_sessions, migrations.RunPython.noop),
    ]
