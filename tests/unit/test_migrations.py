"""A migration runs while processes of the version before go on: what these write and read must still be there."""

import re

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

OURS = "marketdata"
SINCE = 41
"""Older ones were before updates of a running stack; nobody runs a version from before them any more."""
REMOVING = (
    migrations.DeleteModel, migrations.RemoveField, migrations.RenameField, migrations.RenameModel,
    migrations.AlterModelTable,
)  # fmt: skip
UNUSED: set[str] = set()
"""What may go all the same, as `model.field` or `model`: the version before does not use it any more."""


def troubles(operation: object) -> list[str]:
    """What processes of the version before could not do after an operation."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return [one for inner in operation.database_operations for one in troubles(inner)]
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if field.null or field.many_to_many or field.db_default is not NOT_PROVIDED:
            return []
        return [
            f"{operation.model_name}.{operation.name} has neither null nor db_default: older processes do not fill it"
        ]
    if isinstance(operation, REMOVING):
        told = vars(operation)
        parts = [told.get("model_name"), told.get("old_name") or told.get("name")]
        what = ".".join(str(part).lower() for part in parts if part)
        return [] if what in UNUSED else [f"{what} is gone while older processes use it"]
    return []


def newer() -> list[migrations.Migration]:
    loader = MigrationLoader(connection, load=False)
    loader.load_disk()
    return [
        one
        for (app, name), one in sorted(loader.disk_migrations.items())
        if app == OURS and int(re.match(r"\d+", name)[0]) >= SINCE  # type: ignore[index]
    ]


def test_a_migration_takes_nothing_from_processes_of_the_version_before():
    assert [
        f"{one.name}: {what}" for one in newer() for operation in one.operations for what in troubles(operation)
    ] == []


@pytest.mark.parametrize(
    ("operation", "is_safe"),
    [
        (migrations.AddField("client", "note", models.TextField(default="")), False),
        (migrations.AddField("client", "note", models.TextField(db_default="")), True),
        (migrations.AddField("client", "note", models.TextField(null=True)), True),
        (migrations.RemoveField("client", "note"), False),
        (migrations.RenameField("client", "note", "remark"), False),
        (migrations.DeleteModel("client"), False),
        (migrations.CreateModel("desk", [("id", models.AutoField(primary_key=True))]), True),
        (migrations.SeparateDatabaseAndState(database_operations=[migrations.DeleteModel("client")]), False),
    ],
)
def test_what_older_processes_could_not_bear_is_seen(operation, is_safe):
    assert (troubles(operation) == []) is is_safe
