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


@pytest.fixture
def krx_symbols(road_database: None) -> None:
    """005930 and 000660 of KRX in an empty database; no calendar is remembered."""
    from marketdata.calendar import trading_dates
    from marketdata.models import Symbol

    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in ("005930", "000660")])
    trading_dates.forget()
