"""A contract is lived by the database that DB names; `make test` names each in turn."""

import os
from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from marketdata.storage import Storage, storage
from tests import database

pytest.register_assert_rewrite("tests.contract.storage")
collect_ignore = [f"test_storage_{name}.py" for name in ("sqlite", "mariadb") if name != os.environ.get("DB", "sqlite")]


@pytest.fixture
def store(
    django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Storage]:
    """The storage of an empty database, on this thread's connection."""
    with django_db_blocker.unblock(), database.road(tmp_path_factory.getbasetemp()):
        yield storage()
