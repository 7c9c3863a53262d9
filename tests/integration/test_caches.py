"""The cache tables: filled from Redis, warmed after a restart, cleaned by the database's own events."""

import datetime

import pytest
from django.db import connection

from analytics.series import candles
from marketdata.models import JobLease, Market, Symbol
from marketdata.realtime import cache_tables, live_state, seeding
from marketdata.storage import storage
from tests import market
from tests.market import MINUTE_US, NINE_US, price, tick_id

pytestmark = pytest.mark.usefixtures("road_database")


@pytest.fixture(autouse=True)
def _a_new_process(road_database, redis):
    """A process that has written nothing, and a Redis that was seeded from the empty database."""
    cache_tables._written.clear()
    seeding.seed()


def remember(**row) -> None:
    pipeline = live_state.connection().pipeline()
    live_state.remember(pipeline, market.ticks([row]))
    pipeline.execute()


def cached() -> list[tuple[str, str, int, float]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT symbol, feed, tick_id, price FROM cache_realtime_data ORDER BY symbol")
        return [(symbol, feed, tick, float(value)) for symbol, feed, tick, value in cursor.fetchall()]


def shown(text: str) -> float:
    return float(price(text)) if connection.vendor == "sqlite" else float(text)


def test_the_latest_price_is_written_once_and_again_when_it_changes(redis):
    remember(symbol="A", price=price("70000"))
    assert [cache_tables.refresh(), cache_tables.refresh()] == [1, 0]

    remember(symbol="A", price=price("70100"), tick_id=tick_id(2, 0))

    assert cache_tables.refresh() == 1
    assert cached() == [("A", "krx", tick_id(2, 0), shown("70100"))]


def test_a_table_that_a_restart_emptied_is_warmed_again(redis):
    remember(symbol="A")
    remember(symbol="B")
    cache_tables.refresh()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cache_realtime_data")

    assert cache_tables.refresh() == 2
    assert len(cached()) == 2


def test_without_redis_the_newest_candles_fill_it(redis):
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    redis.flushall()
    bars = candles.build(
        market.ticks([{"price": 5}, {"price": 7, "time_us": NINE_US + MINUTE_US, "tick_id": tick_id(2, 0)}])
    )
    storage().ensure_partitions([datetime.date(2026, 3, 16)])
    with storage().transaction():
        storage().merge_minutes(bars)

    assert cache_tables.refresh() == 1
    assert [row[:3] for row in cached()] == [("005930", "krx", tick_id(2, 0))]


def test_the_memory_table_of_a_restarted_server_is_filled_again(redis, request):
    if connection.vendor != "mysql":
        pytest.skip("only MariaDB keeps it in memory")
    server = request.getfixturevalue("mariadb_server")
    remember(symbol="A")
    cache_tables.refresh()
    connection.close()
    server.kill()
    server.start()

    assert storage().count("cache_realtime_data") == 0
    assert cache_tables.refresh() == 1


def test_the_events_are_made_enabled_and_clean_what_is_old(redis):
    if connection.vendor != "mysql":
        assert storage().keep_events() == ""
        return
    assert storage().keep_events() == ""
    with connection.cursor() as cursor:
        cursor.execute("ALTER EVENT naru_clean_caches_daily DISABLE ON SLAVE")
        assert storage().keep_events() == ""
        cursor.execute("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()")
        assert dict(cursor.fetchall()) == {"naru_clean_caches_daily": "ENABLED", "naru_clean_caches_weekly": "ENABLED"}


def body_of(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_NAME = %s", [name])
        return str(cursor.fetchone()[0])


def run_body(name: str) -> None:
    """Run an event's body now, as a procedure."""
    with connection.cursor() as cursor:
        cursor.execute("DROP PROCEDURE IF EXISTS event_now")
        cursor.execute(f"CREATE PROCEDURE event_now() {body_of(name)}".replace("%", "%%"), [])
        cursor.execute("CALL event_now()")


def test_an_event_that_another_one_holds_does_nothing(redis):
    if connection.vendor != "mysql":
        pytest.skip("only MariaDB has events")
    storage().keep_events()
    old = "INSERT INTO cache_chart_data VALUES ('A', 'krx', '1Min', '[]', '2020-01-01')"
    with connection.cursor() as cursor:
        cursor.execute(old)
    JobLease.objects.update_or_create(job="naru_clean_caches_daily", defaults={"until_us": 2**62})

    run_body("naru_clean_caches_daily")
    assert storage().count("cache_chart_data") == 1
    JobLease.objects.update(until_us=0)
    run_body("naru_clean_caches_daily")

    assert storage().count("cache_chart_data") == 0
    assert JobLease.objects.get(job="naru_clean_caches_daily").fence == 1


def test_a_changed_engine_takes_effect(redis, settings):
    if connection.vendor != "mysql":
        pytest.skip("only MariaDB has engines")
    settings.CACHE_ENGINE = "InnoDB"
    assert storage().keep_events() == ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_NAME = 'cache_realtime_data'"
        )
        assert cursor.fetchone() == ("InnoDB",)
    settings.CACHE_ENGINE = "MEMORY"
    storage().keep_events()
