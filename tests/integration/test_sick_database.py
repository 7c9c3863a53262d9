"""A database that refuses what it is given: nothing is buried for it, all are told, and everything is stored later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from ingest import batch_decoding, failures, recovery
from ingest.batch_decoding import Batch
from marketdata.models import Alarm, DeadLetter, IngestBatch, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests import database
from tests.conftest import DB
from tests.fakes import FakeTerminal
from tests.market import NINE_US
from tests.road import Road
from tests.servers import MariaDB, Server
from tests.waiting import until

EVER = (-(2**62), 2**62)
CODE = "storage_failing"


@pytest.fixture(autouse=True)
def _symbol(road_database: None) -> None:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def stored() -> list[int]:
    return [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


# --- ways to be sick --------------------------------------------------------------------------------------------------


@contextmanager
def table_missing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Somebody restored half a backup."""
    sql("ALTER TABLE market_data_minute RENAME TO market_data_minute_elsewhere")
    yield
    sql("ALTER TABLE market_data_minute_elsewhere RENAME TO market_data_minute")


@contextmanager
def never_heard_of(request: pytest.FixtureRequest) -> Iterator[None]:
    """An error nobody knows, for whatever is written."""
    with failing("market_data_minute"):
        yield


@contextmanager
def failing(table: str) -> Iterator[None]:
    """Nothing can be added to the table, for a reason that nobody knows."""
    if connection.vendor == "mysql":
        sql(
            f"CREATE TRIGGER sick BEFORE INSERT ON {table} FOR EACH ROW"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the moon is in the seventh house'"
        )
    elif connection.vendor == "postgresql":
        sql(
            "CREATE FUNCTION sick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'the moon is in the seventh house'; END $$;"
            f" CREATE TRIGGER sick BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION sick()"
        )
    else:
        sql(
            f"CREATE TRIGGER sick BEFORE INSERT ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'the moon is in the seventh house'); END"
        )
    try:
        yield
    finally:
        sql("DROP FUNCTION sick CASCADE" if connection.vendor == "postgresql" else "DROP TRIGGER sick")


@contextmanager
def load_data_switched_off(request: pytest.FixtureRequest) -> Iterator[None]:
    """MariaDB was started without its configuration."""
    server: MariaDB = request.getfixturevalue("mariadb_server")
    server.sql("SET GLOBAL local_infile=0;")
    yield
    server.sql("SET GLOBAL local_infile=1;")


@contextmanager
def read_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failover left us with the standby: it answers, and takes nothing, not even the alarm."""
    if connection.vendor == "mysql":
        server: MariaDB = request.getfixturevalue("mariadb_server")
        server.sql("SET GLOBAL read_only=1;")
        yield
        server.sql("SET GLOBAL read_only=0;")
        return
    name = connection.settings_dict["NAME"]
    sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on", END_OTHERS)
    yield
    sql("SET default_transaction_read_only = off")
    sql(f"ALTER DATABASE {name} RESET default_transaction_read_only", END_OTHERS)


END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)
Sickness = Callable[[pytest.FixtureRequest], object]
WAYS: dict[str, list[tuple[Sickness, str]]] = {
    "sqlite": [(table_missing, "migrate"), (never_heard_of, "seventh house")],
    "mariadb": [
        (table_missing, "migrate"),
        (never_heard_of, "seventh house"),
        (load_data_switched_off, "SET GLOBAL local_infile=ON"),
        (read_only, "read_only=OFF"),
    ],
    "postgresql": [
        (table_missing, "migrate"),
        (never_heard_of, "seventh house"),
        (read_only, "default_transaction_read_only"),
    ],
}


@pytest.fixture
def road(
    road_database: None, redis_server: Server, redis: object, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Road]:
    """A road whose processes are users without privileges over the server: what is read-only is so for them."""
    url = database.url()
    if connection.vendor == "mysql":
        server: MariaDB = request.getfixturevalue("mariadb_server")
        server.sql(
            "CREATE OR REPLACE USER limited@'127.0.0.1' IDENTIFIED BY 'naru';"
            f"GRANT ALL ON {connection.settings_dict['NAME']}.* TO limited@'127.0.0.1';"
        )
        url = url.replace("//naru:", "//limited:")
    with Road(tmp_path / "road", redis_server.url, DATABASE_URL=url) as made:
        yield made


def shown_alarm(redis) -> str:
    """What the status page would say: alarms of the database, or of the ingest server while that takes none."""
    from marketdata.realtime import live_state

    live_state.connection.cache_clear()
    held = [one for server in live_state.status()["ingest"] for one in server["alarms"]]
    return next((one["message"] for one in held if one["code"] == CODE), "")


def credit_of(terminal: FakeTerminal, credit: int) -> wire.Ack:
    return terminal.expect(wire.Ack, such=lambda ack: ack.credit == credit)


@pytest.mark.parametrize(("sickness", "remedy"), WAYS[DB], ids=[way.__name__ for way, _ in WAYS[DB]])
def test_nothing_is_buried_and_everything_is_stored_when_it_works_again(
    road, redis, redis_server, settings, request, sickness, remedy
):
    settings.REDIS_URL = redis_server.url
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    terminal.batch(batch(1))
    terminal.until_committed()

    with sickness(request):
        for seq in range(2, 12):
            terminal.batch(batch(seq))
        credit_of(terminal, 1)
        told = road.until(lambda: shown_alarm(redis), seconds=60, what="the alarm")
        road.until(lambda: road.tail("ingest").count("storage failing batches=1 ") >= 3, seconds=60, what="probes")
        buried, claimed = DeadLetter.objects.count(), IngestBatch.objects.count()

    credit_of(terminal, wire.WINDOW_BATCHES)
    terminal.until_committed()
    assert remedy in told
    assert (buried, claimed) == (0, 1)
    assert stored() == list(range(1, 12))
    assert not DeadLetter.objects.exists()
    assert int(storage().read_minutes("005930", "krx", *EVER).n.sum()) == 11
    alarm = until(
        lambda: Alarm.objects.filter(code=CODE, cleared_at__isnull=False).first() or not shown_alarm(redis),
        seconds=60,
        what="the alarm's end",
    )
    assert alarm
    until(lambda: not Alarm.objects.filter(code=CODE, cleared_at=None).exists(), seconds=60, what="a cleared alarm")


def test_one_batch_a_database_cannot_take_is_buried_at_last_and_holds_up_nobody(road):
    """The other side: when the road is well and one batch alone fails, its content is to blame."""
    Symbol.objects.create(code="000660", market=Market.objects.get(code="KRX"))
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    if connection.vendor == "mysql":
        sql(
            "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW"
            " IF NEW.symbol = '000660' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poison'; END IF"
        )
    elif connection.vendor == "postgresql":
        sql(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.symbol = '000660' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;"
            " CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW EXECUTE FUNCTION poison()"
        )
    else:
        sql(
            "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute WHEN NEW.symbol = '000660'"
            " BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    try:
        terminal.rows([{"symbol": "000660", "time": NINE_US, "price": "1", "size": 1}])
        for seq in range(2, 6):
            terminal.batch(batch(seq))
        road.until(lambda: stored() == [2, 3, 4, 5], seconds=60, what="the others")
        road.until(lambda: road.tail("ingest").count("worker failed batch=") >= 3, seconds=60, what="counted failures")
    finally:
        sql("DROP FUNCTION poison CASCADE" if connection.vendor == "postgresql" else "DROP TRIGGER poison")

    terminal.until_committed(5)
    assert not Alarm.objects.filter(code=CODE, cleared_at=None).exists()
    assert not DeadLetter.objects.exists()


TABLES = (
    "ingest_batch", "ingest_batch_day", "ingest_reject", "dead_letter", "gap", "feed_pending", "temp_market_data",
    "market_data_minute", "feed", "feed_owner", "symbol", "trade_date", "job_lease",
)  # fmt: skip


def payload_of(table: str) -> bytes:
    """A batch of which something is written to this table."""
    books, events = wire.Books(), wire.Events()
    books.append(symbol="005930", time_us=NINE_US, bids=((10**8, 1),))
    events.append(event="vi", time_us=NINE_US)
    if table == "stock_prices":
        row = {"symbol": "005930", "time": NINE_US, "price": "70000", "kind": "snapshot", "open": "69000"}
        return wire.encode_rows(1, "krx", 1, [row])
    return books.encode(1, "krx", 1) if table == "order_books" else events.encode(1, "krx", 1)


@pytest.mark.parametrize("table", ["order_books", "market_events", "index_close", "stock_prices"])
def test_a_table_that_only_some_batches_are_written_to_is_found_to_take_nothing_when_batches_hold_such(table):
    given = [Batch(number=1 << 32 | 1, payload=payload_of(table), received_us=NINE_US, source_id=4)]
    batch_decoding.decode(given)

    with failing(table):
        sick = failures.road_is_well(given)
        of_ticks = failures.road_is_well([Batch(number=1 << 32 | 2, payload=b"", received_us=NINE_US, source_id=4)])

    assert (sick, of_ticks) == (False, True)
    assert failures.road_is_well(given)
    assert storage().count(table) == 0


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_takes_nothing_is_found_by_the_probe_and_a_well_database_keeps_nothing_of_it(table):
    given = [Batch(number=1 << 32 | 1, payload=batch(1), received_us=NINE_US, source_id=4)]
    batch_decoding.decode(given)

    before = [storage().count(one) for one in TABLES[:-1]]
    with failing(table):
        sick = failures.road_is_well(given)

    assert not sick
    assert failures.road_is_well(given)
    assert [storage().count(one) for one in TABLES[:-1]] == before


def test_what_a_worker_has_announced_is_not_forgotten_by_a_probe(monkeypatch):
    monkeypatch.setattr(recovery, "_announced", {1})

    assert failures.road_is_well([Batch(number=1 << 32 | 1, payload=batch(1), received_us=NINE_US, source_id=4)])

    assert recovery._announced == {1}
