"""What these tests share."""

from collections.abc import Iterator

import pytest

from tests.fixtures import database_without_tables, road, road_database
from tests.servers import Server

__all__ = ["database_without_tables", "road", "road_database"]


@pytest.fixture
def worker(road_database: None, redis: object, redis_server: Server) -> Iterator[None]:
    """An empty database and an empty Redis; the test's process is a worker."""
    from tests.integration.senders import worker_of  # models can be imported only once Django is set up

    with worker_of(redis_server.url):
        yield
