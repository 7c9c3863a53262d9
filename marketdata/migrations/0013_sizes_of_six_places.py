"""Sizes and volumes have six decimal places instead of four (docs/adr/0013): every row of every day is written anew."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from marketdata.storage import storage_of


def refine(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    store = storage_of(editor.connection)
    if editor.connection.in_atomic_block:
        store.refine_sizes()
        return
    with store.long_running():
        store.refine_sizes()


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0012_scopes")]
    operations = [migrations.RunPython(refine, migrations.RunPython.noop)]
