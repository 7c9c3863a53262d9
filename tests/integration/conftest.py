"""What these tests share."""

from collections.abc import Iterator

import pytest

from tests.fixtures import a_busy_machine, database_without_tables, road, road_database
from tests.servers import Server

__all__ = ["a_busy_machine", "database_without_tables", "road", "road_database"]


@pytest.fixture(autouse=True)
def _forgetful_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process remembers as a worker, whose streams are whose among it, is of one test and its database: by
    itself it forgets in a minute, and in how many tests that is depends on the machine."""
    from ingest import tasks
    from ingest.rights import Rights
    from marketdata import alarms
    from marketdata.calendar import trading_dates
    from marketdata.reference.symbols import Directory

    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(alarms, "told", {})
    trading_dates.forget()


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
