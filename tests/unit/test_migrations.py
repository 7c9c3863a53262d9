"""A migration runs while processes of the version before go on: what these write and read must still be there."""

import re
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED, Field

OURS = "marketdata"
SINCE = 41
"""Older ones were before updates of a running stack; nobody runs a version from before them any more."""
REMOVING = (
    migrations.DeleteModel, migrations.RemoveField, migrations.RenameField, migrations.RenameModel,
    migrations.AlterModelTable, migrations.RemoveConstraint,
)  # fmt: skip
HARMLESS = (
    migrations.CreateModel, migrations.AddIndex, migrations.RemoveIndex, migrations.RenameIndex,
    migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AlterModelTableComment,
)  # fmt: skip
WIDER = {
    "SmallIntegerField": {"IntegerField", "BigIntegerField"},
    "IntegerField": {"BigIntegerField"},
    "PositiveSmallIntegerField": {"PositiveIntegerField", "PositiveBigIntegerField"},
    "PositiveIntegerField": {"PositiveBigIntegerField"},
    "CharField": {"TextField"},
}
"""By type of column: those that hold whatever it held."""
ALLOWED = {
    "0045_names_of_markets_and_fields: RunPython part_names": (
        "five rows of market, no table that grows; the version before shows the Korean name alone meanwhile"
    ),
}
"""What may be all the same, as `migration: what`, and why no process of the version before is harmed by it."""


def name_of(operation: Any) -> str:
    """How ALLOWED names an operation."""
    kind = type(operation).__name__
    if isinstance(operation, migrations.RunPython):
        return f"{kind} {getattr(operation.code, '__name__', operation.code)}"
    if isinstance(operation, migrations.RunSQL):
        return f"{kind} {str(operation.sql).split()[0]}"
    told = vars(operation)
    name = told.get("old_name") or told.get("name") or getattr(told.get("constraint"), "name", None)
    return f"{kind} " + ".".join(str(part).lower() for part in (told.get("model_name"), name) if part)


def troubles(operation: Any, before: ProjectState, made: Collection[str] = ()) -> list[str]:
    """What processes of the version before could not do after an operation, and what nobody could take back. `before`
    is what it finds, `made` the models that the same migration made: nobody older uses these."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        found, at = [], before.clone()
        for inner in operation.database_operations:
            found += troubles(inner, at, made)
            inner.state_forwards(OURS, at)
        return found
    if isinstance(operation, migrations.RunPython | migrations.RunSQL):
        words = "" if operation.reversible else ", and cannot be taken back"
        return [f"may lock or change what older processes use{words}"]
    if str(getattr(operation, "model_name", "")).lower() in made:
        return []
    if isinstance(operation, migrations.AddField):
        return _added(operation.field)
    if isinstance(operation, migrations.AlterField):
        return _altered(before.models[OURS, operation.model_name.lower()].fields[operation.name], operation.field)
    if isinstance(operation, migrations.AddConstraint | migrations.AlterUniqueTogether):
        return ["may refuse what older processes write"]
    if isinstance(operation, REMOVING):
        return ["is gone while older processes use it"]
    return [] if isinstance(operation, HARMLESS) else ["is of a kind that this test does not know"]


def _added(field: Any) -> list[str]:
    if field.many_to_many or field.null:
        return []
    if field.db_default is NOT_PROVIDED:
        return ["has neither null nor db_default: older processes do not fill it"]
    return ["is unique: older processes write the same default twice"] if field.unique else []


def _altered(old: Any, new: Any) -> list[str]:
    found = []
    if old.null and not new.null:
        found.append("is NOT NULL: older processes write NULL")
    if new.unique and not old.unique:
        found.append("is unique: older processes may write a value twice")
    if old.db_default is not NOT_PROVIDED and new.db_default is NOT_PROVIDED and not new.null:
        found.append("has no db_default any more: older processes do not fill it")
    if _column(old) != _column(new):
        found.append("has another column: older processes use the one before")
    kinds = old.get_internal_type(), new.get_internal_type()
    if kinds[0] != kinds[1] and kinds[1] not in WIDER.get(kinds[0], set()):
        found.append(f"is a {kinds[1]} and was a {kinds[0]}")
    elif _narrower(old, new):
        found.append("holds less than it did")
    return found


def _column(field: Any) -> tuple[Any, ...]:
    """Its name in the database, where it differs from the field's, and what it refers to."""
    told = field.remote_field
    return field.db_column, told and (str(told.model).lower(), getattr(field, "db_constraint", None))


def _narrower(old: Any, new: Any) -> bool:
    """Whether a value may be too long for the new one; no limit is the longest."""
    endless = float("inf")
    if isinstance(new, models.DecimalField) and isinstance(old, models.DecimalField):
        whole = new.max_digits - new.decimal_places < old.max_digits - old.decimal_places
        return whole or new.decimal_places < old.decimal_places
    return (new.max_length or endless) < (old.max_length or endless)


def newer() -> Iterator[tuple[str, Operation, ProjectState, set[str]]]:
    """Each operation of the newer migrations: its migration, it, what it finds, what the migration made before."""
    loader = MigrationLoader(None)
    names = sorted(name for app, name in loader.disk_migrations if app == OURS)
    names = [name for name in names if int(re.match(r"\d+", name)[0]) >= SINCE]  # type: ignore[index]
    for name in names:
        state: ProjectState = loader.project_state((OURS, name), at_end=False)
        made: set[str] = set()
        for operation in loader.disk_migrations[OURS, name].operations:
            yield name, operation, state, made
            operation.state_forwards(OURS, state)
            if isinstance(operation, migrations.CreateModel):
                made.add(operation.name.lower())


def test_a_migration_takes_nothing_from_processes_of_the_version_before():
    found = [
        (f"{name}: {name_of(operation)}", what)
        for name, operation, state, made in newer()
        for what in troubles(operation, state, made)
    ]

    assert [f"{where} {what}" for where, what in found if where not in ALLOWED] == []
    assert set(ALLOWED) <= {where for where, _ in found}  # nothing is allowed that is not there
    assert all(ALLOWED.values())


def nothing(_apps: object, _schema_editor: object) -> None:
    pass


@pytest.fixture
def before() -> ProjectState:
    state = ProjectState()
    fields: list[tuple[str, Field[Any, Any]]] = [
        ("id", models.AutoField(primary_key=True)),
        ("note", models.CharField(max_length=20, null=True)),
        ("name", models.CharField(max_length=20, db_default="")),
        ("size", models.IntegerField()),
        ("price", models.DecimalField(max_digits=10, decimal_places=4)),
    ]
    migrations.CreateModel("Client", fields).state_forwards(OURS, state)
    return state


ONCE = models.UniqueConstraint(fields=["name"], name="client_name_once")


@pytest.mark.parametrize(
    ("operation", "is_safe"),
    [
        (migrations.AddField("client", "text", models.TextField(default="")), False),
        (migrations.AddField("client", "text", models.TextField(db_default="")), True),
        (migrations.AddField("client", "text", models.TextField(null=True)), True),
        (migrations.AddField("client", "text", models.CharField(max_length=9, db_default="", unique=True)), False),
        (migrations.AlterField("client", "note", models.CharField(max_length=20, null=True, verbose_name="n")), True),
        (migrations.AlterField("client", "note", models.CharField(max_length=30, null=True)), True),
        (migrations.AlterField("client", "note", models.TextField(null=True)), True),
        (migrations.AlterField("client", "note", models.CharField(max_length=19, null=True)), False),
        (migrations.AlterField("client", "note", models.CharField(max_length=20, db_default="")), False),
        (migrations.AlterField("client", "note", models.CharField(max_length=20, null=True, unique=True)), False),
        (migrations.AlterField("client", "note", models.CharField(max_length=20, null=True, db_column="n")), False),
        (migrations.AlterField("client", "name", models.CharField(max_length=20)), False),
        (migrations.AlterField("client", "name", models.CharField(max_length=20, null=True)), True),
        (migrations.AlterField("client", "size", models.BigIntegerField()), True),
        (migrations.AlterField("client", "size", models.SmallIntegerField()), False),
        (migrations.AlterField("client", "price", models.DecimalField(max_digits=12, decimal_places=4)), True),
        (migrations.AlterField("client", "price", models.DecimalField(max_digits=10, decimal_places=6)), False),
        (migrations.AddConstraint("client", ONCE), False),
        (migrations.RemoveConstraint("client", "client_name_once"), False),
        (migrations.AlterUniqueTogether("client", {("name", "note")}), False),
        (migrations.AddIndex("client", models.Index(fields=["name"], name="client_name")), True),
        (migrations.RunSQL("DELETE FROM client"), False),
        (migrations.RunSQL("SELECT 1", migrations.RunSQL.noop), False),
        (migrations.RunPython(nothing), False),
        (migrations.RunPython(nothing, nothing), False),
        (migrations.RemoveField("client", "note"), False),
        (migrations.RenameField("client", "note", "remark"), False),
        (migrations.DeleteModel("client"), False),
        (migrations.CreateModel("desk", [("id", models.AutoField(primary_key=True))]), True),
        (migrations.SeparateDatabaseAndState(database_operations=[migrations.DeleteModel("client")]), False),
        (migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("client")]), True),
        (Operation(), False),
    ],
)
def test_what_older_processes_could_not_bear_is_seen(operation, is_safe, before):
    assert (troubles(operation, before) == []) is is_safe


def test_a_table_of_the_same_migration_may_get_whatever_it_likes(before):
    assert troubles(migrations.AddConstraint("client", ONCE), before, {"client"}) == []


def test_what_cannot_be_taken_back_is_said(before):
    assert "cannot be taken back" in troubles(migrations.RunPython(nothing), before)[0]
    assert "cannot be taken back" not in troubles(migrations.RunPython(nothing, nothing), before)[0]
    assert name_of(migrations.RunPython(nothing)) == "RunPython nothing"
    assert name_of(migrations.AlterField("client", "Note", models.TextField())) == "AlterField client.note"
