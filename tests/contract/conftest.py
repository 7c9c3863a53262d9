"""A contract is lived by the database that DB names; `make test` names each in turn."""

import os

import pytest

from marketdata.storage import Storage, storage
from tests.fixtures import a_busy_machine, road_database

__all__ = ["a_busy_machine", "road_database", "store"]

pytest.register_assert_rewrite(
    *(f"tests.contract.{subject}" for subject in ("storage", "ticks", "candles", "transactions"))
)
collect_ignore = [
    f"test_storage_{name}.py" for name in ("sqlite", "mariadb", "postgresql") if name != os.environ.get("DB", "sqlite")
]


@pytest.fixture
def store(road_database: None) -> Storage:
    """The storage of an empty database, on this thread's connection."""
    return storage()
