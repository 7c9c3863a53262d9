"""Fixtures of the suites that use a database outside any transaction: it empty, and the road on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests import database
from tests.servers import Server

if TYPE_CHECKING:
    from tests.road import Road


@pytest.fixture(autouse=True)
def a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process does for the database is tried again however long it took before, and a moment in which a
    partition can be made is waited for longer."""
    from django.db import connection

    from marketdata import connections  # once Django is set up

    monkeypatch.setattr(connections, "GIVE_UP_S", 300.0)
    if connection.vendor == "mysql":
        monkeypatch.setattr("marketdata.storage.mariadb.partitions.PATIENCE_S", 60.0)
    elif connection.vendor == "postgresql":
        monkeypatch.setattr("marketdata.storage.postgresql.days.ROOM_S", 60.0)


@pytest.fixture
def road_database(
    django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker, private_folder: Path
) -> Iterator[None]:
    """Django points at an empty database outside any transaction: what is committed, all see."""
    with django_db_blocker.unblock(), database.road(private_folder):
        yield


@pytest.fixture
def database_without_tables(
    django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[None]:
    """Django points at a database of its own in which no migration has run yet."""
    with django_db_blocker.unblock(), database.without_tables(tmp_path):
        yield


@pytest.fixture
def road(road_database: None, redis_server: Server, redis: object, tmp_path: Path) -> Iterator[Road]:
    """The road with an empty database and an empty Redis; the test starts what it needs."""
    from tests.road import Road  # models can be imported only once Django is set up

    with Road(tmp_path / "road", redis_server.url) as made:
        yield made
