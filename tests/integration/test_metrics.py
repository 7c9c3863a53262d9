"""What Prometheus is told by each program, whichever of its processes dies, and of what belongs to none."""

import datetime
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.db import OperationalError
from prometheus_client.parser import text_string_to_metric_families

import marketdata
from analytics.series import candles
from celery_app import app
from marketdata import metrics
from marketdata.calendar import trading_dates
from marketdata.models import Client, FeedOwner, Market, Source, Symbol
from marketdata.monitoring.deployment import Deployment
from marketdata.realtime import feed, live_state
from marketdata.storage import StorageError, storage
from marketdata.storage.base import PERIODS
from marketdata.types.units import SEOUL
from terminals import wire
from tests import market
from tests.road import Road
from tests.servers import free_port
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("road_database")
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
PROGRAMS = {
    "ingest": ["manage.py", "runingest"],
    "worker": ["manage.py", "runworkers", "-c", "2", "-n", "told@%h", "-Q", "raw_market_data"],
    "slow": ["-m", "celery", "-A", "celery_app", "worker", "-n", "slow@%h", "-c", "1", "-Q", "chart-data", *QUIET],
    "backups": ["-m", "celery", "-A", "celery_app", "worker", "-n", "kept@%h", "-c", "1", "-Q", "backups", *QUIET],
    "beat": ["-m", "celery", "-A", "celery_app", "beat", "--pidfile="],
    "web": ["manage.py", "runweb", "--port"],
}
DAY_S = 86_400
PATIENCE_S = 100.0  # a busy machine looks longer than anybody should wait


def told_by(port):
    """The samples of a program by name and labels; nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return {}
    return samples(text_string_to_metric_families(text))


def samples(families):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for metric in families for sample in metric.samples
    }


@pytest.mark.once
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_answers_on_its_own_port_for_all_of_its_processes(tmp_path, redis_server, name):
    port = free_port()
    command = [*PROGRAMS[name], *([str(free_port())] if name == "web" else [])]
    children = {"worker": 2, "slow": 1, "backups": 1}.get(name, 0)
    with Road(tmp_path / "road", redis_server.url) as road:
        road.start(name, command, METRICS_PORT=str(port))

        until(lambda: told_by(port).get(("naru_processes",)) == 1 + children, seconds=120, what="all are there")

        told = told_by(port)
        assert told["naru_build_info", ("version", marketdata.__version__)] == 1
        assert told["process_resident_memory_bytes",] > 10 << 20
        assert 0 < told["process_open_fds",] < told["process_max_fds",]
        assert (("naru_queue_length", ("queue", "maintenance")) in told) == (name == "beat")
        places = {labels[0][1] for (figure, *labels) in told if figure == "naru_disk_free_bytes"}
        assert places == {"VAR_DIR", "database file", *(("BACKUP_DIR",) if name == "backups" else ())}
        assert [path.name for path in (tmp_path / "road/metrics").iterdir()] == [str(port)]


@pytest.mark.once
def test_a_worker_that_is_killed_takes_nothing_with_it_and_the_port_comes_back_with_its_program(tmp_path, redis_server):
    port = free_port()
    with Road(tmp_path / "road", redis_server.url) as road:
        Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
        road.ingest()
        road.start("worker", PROGRAMS["worker"], METRICS_PORT=str(port))
        terminal = road.terminal("desk")
        terminal.login()
        terminal.rows([{"symbol": "005930", "time": market.NINE_US, "price": "70000", "size": "1"}])
        until(lambda: told_by(port).get(("naru_stored_ticks_total",)) == 1, seconds=120, what="a tick is stored")
        folder = tmp_path / "road/metrics" / str(port)
        before = children_of(road.processes["worker"].pid)
        assert told_by(port)["naru_program_exits_total", ("program", "worker-process")] == 0

        for child in before:
            os.kill(child, signal.SIGKILL)

        until(
            lambda: len(children_of(road.processes["worker"].pid) - before) == 2, seconds=120, what="others are there"
        )
        assert told_by(port)["naru_stored_ticks_total",] == 1
        assert told_by(port)["naru_program_exits_total", ("program", "worker-process")] == 2
        owners = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
        assert not owners & {str(child) for child in before}
        road.kill("worker")
        road.start("worker", PROGRAMS["worker"], METRICS_PORT=str(port))
        until(lambda: told_by(port).get(("naru_processes",)) == 3, seconds=120, what="it is back on its port")
        assert told_by(port)["naru_stored_ticks_total",] == 1
        assert road.stop("worker") == 0


@pytest.mark.once
def test_what_a_terminal_says_of_itself_is_told_by_the_server_it_is_connected_to_and_by_none_it_left(road):
    port = free_port()
    road.start("ingest", PROGRAMS["ingest"], METRICS_PORT=str(port))
    road.until(road._listens, seconds=60, what="ingest server")
    with road.terminal("desk1") as terminal:
        terminal.login(time_us=time.time_ns() // 1000 - 60_000_000)

        def says():
            terminal.say(wire.Heartbeat(time_us=time.time_ns() // 1000 - 60_000_000, last=0, dropped=7))
            told = told_by(port)
            return told.get(("naru_terminal_dropped_rows_total", ("client", "desk1"))) == 7 and told

        told = until(says, seconds=60, what="what it dropped")
        assert told["naru_clock_offset_seconds", ("client", "desk1")] == pytest.approx(-60, abs=20)

    until(lambda: not any(("client", "desk1") in key for key in told_by(port)), seconds=60, what="it is forgotten")


@pytest.mark.once
def test_when_a_task_last_failed_is_told_beside_when_it_last_ended_well():
    def run():
        raise ValueError("no")

    @app.task(name="tests.fails", bind=False)
    def fails():
        run()

    try:
        with pytest.raises(ValueError, match="no"):
            fails()
        began = time.time()
        (failed,) = (one for one in samples(metrics.TASK_FAILURE.collect()).items() if "tests.fails" in str(one))
        assert began - 60 < failed[1] <= began
    finally:
        app.tasks.pop("tests.fails")


def children_of(pid):
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_what_belongs_to_no_process_is_looked_up(redis, vendor):
    Client.objects.create_with_secret(name="desk1", source=Source.objects.get(code="REPLAY"), may_send=True)
    Client.objects.create_with_secret(name="desk2", source=Source.objects.get(code="REPLAY"), may_send=True)
    Client.objects.create_with_secret(name="reader", may_read=True, may_send=False)
    live_state.show_ingest("here", {"clients": [{"client": "desk2"}]})
    redis.rpush("raw_market_data", "one", "two")
    today = datetime.datetime.now(datetime.UTC).date()
    storage().ensure_partitions([today + datetime.timedelta(days=day) for day in range(6)], tuple(PERIODS))
    at_us = 1_773_619_200_000_000
    pipeline = redis.pipeline(transaction=False)
    made = market.ticks([{}])
    feed.publish(pipeline, made, candles.build(made), notes=[feed.batch_note(1, 1)], committed_us=at_us)
    live_state.remember(pipeline, made)
    pipeline.execute()

    told = samples(Deployment(["raw_market_data", "maintenance"], wait_s=PATIENCE_S).collect())

    assert told["naru_queue_length", ("queue", "raw_market_data")] == 2
    assert told["naru_queue_length", ("queue", "maintenance")] == 0
    assert told["naru_redis_up", ("redis", "live_state")] == 1
    assert told["naru_redis_used_memory_bytes", ("redis", "live_state")] > 0
    assert told["naru_database_up",] == 1
    assert told["naru_terminal_connected", ("client", "desk1")] == 0
    assert told["naru_terminal_connected", ("client", "desk2")] == 1
    assert ("naru_terminal_connected", ("client", "reader")) not in told
    assert told["naru_feed_committed_timestamp_seconds", ("feed", "krx")] == at_us / 1e6
    assert told["naru_uncollected_symbols", ("kind", "registered")] == 0
    assert [value for (name, *_), value in told.items() if name == "naru_look_failed"] == [0] * 10
    headroom = {labels[0][1]: value for (name, *labels), value in told.items() if "headroom" in name}
    if vendor == "sqlite":
        assert headroom == {}
        assert ("naru_database_connections",) not in told
        return
    assert set(headroom) == set(PERIODS)
    assert min(headroom.values()) > 4 * DAY_S
    assert 1 <= told["naru_database_connections",] < told["naru_database_connection_limit",]
    assert told["naru_database_replicas",] == 0
    assert ("naru_galera_ready",) not in told


@pytest.fixture
def desk(redis):
    """Three terminals and what each sent last: KIS the venues of KRX, Infomax stocks of KRX, Bloomberg one abroad; and
    a replay that ended."""
    sources = Source.objects.in_bulk(field_name="code")
    markets = Market.objects.in_bulk()
    for code, where in (("005930", "KRX"), ("AAPL", "US"), ("A01703", "KRX")):
        Symbol.objects.create(code=code, market=markets[where])
    pipeline = redis.pipeline(transaction=False)
    for name, source, sent in (
        ("kis", "KIS", {"krx": "005930", "unified": "005930", "kis_night": "A01703"}),
        ("excel", "INFOMAX", {"infomax": "005930"}),
        ("blp", "BLOOMBERG", {"bloomberg": "AAPL"}),
        ("replayed", "REPLAY", {"replay": "005930"}),
    ):
        client, _ = Client.objects.create_with_secret(name=name, source=sources[source], may_send=True)
        for feed_name, code in sent.items():
            FeedOwner.objects.create(feed=feed_name, symbol=code, client=client, changed_us=1)
            live_state.remember(pipeline, market.ticks([{"symbol": code}], feed=feed_name))
    pipeline.execute()
    trading_dates.forget()


@pytest.fixture
def told_at(desk, monkeypatch):
    """What is told at a moment of Seoul's."""

    def told(*when):
        at_us = int(datetime.datetime(*when).replace(tzinfo=SEOUL).timestamp() * 1e6)
        monkeypatch.setattr("marketdata.monitoring.deployment.batch_ledger.now_us", lambda: at_us)
        return samples(Deployment([], wait_s=PATIENCE_S).collect())

    return told


def of_feeds(told, figure):
    return {labels[0][1]: value for (name, *labels), value in told.items() if name == figure and value}


@pytest.mark.once
def test_a_feed_is_open_while_its_market_trades(told_at):
    def open_feeds(*when):
        return set(of_feeds(told_at(*when), "naru_feed_open"))

    assert open_feeds(2026, 3, 16, 10, 0) == {"krx", "nxt", "unified", "infomax"}  # a Sunday in New York
    assert open_feeds(2026, 3, 17, 8, 10) == {"nxt", "unified", "bloomberg"}
    assert open_feeds(2026, 3, 16, 23, 0) == {"bloomberg"}
    assert open_feeds(2026, 3, 15, 10, 0) == set()  # a Sunday


@pytest.mark.once
def test_silence_of_a_feed_is_too_long_only_while_its_symbols_trade_continuously(told_at):
    def limits(*when):
        return of_feeds(told_at(*when), "naru_feed_silence_limit_seconds")

    assert limits(2026, 11, 20, 10, 0) == {"krx": 120, "unified": 120, "infomax": 300}
    assert limits(2026, 11, 20, 15, 25) == {}  # the closing auction: KIS tells of order books alone
    assert limits(2026, 11, 20, 15, 55) == {"unified": 600}
    assert limits(2026, 11, 20, 17, 0) == {"krx": 600, "unified": 600}
    assert limits(2026, 11, 20, 8, 40) == {"unified": 300}
    assert limits(2026, 11, 21, 10, 0) == {}


@pytest.mark.once
def test_silence_of_a_market_that_never_closes_is_too_long_on_a_sunday_too(told_at):
    Symbol.objects.create(code="BTC", market_id="CRYPTO")
    FeedOwner.objects.create(feed="coins", symbol="BTC", client=Client.objects.get(name="blp"), changed_us=1)

    assert of_feeds(told_at(2026, 11, 22, 3, 0), "naru_feed_silence_limit_seconds") == {"coins": 300}


@pytest.mark.once
def test_a_feed_that_nobody_owns_is_known_by_its_latest_trades_where_its_stream_is_gone(told_at, redis):
    Client.objects.create_with_secret(
        name="second", source=Source.objects.get(code="KIS"), may_send=True, feeds="shared"
    )
    pipeline = redis.pipeline(transaction=False)
    live_state.remember(pipeline, market.ticks([{"symbol": "005930"}], feed="shared"))
    pipeline.execute()

    assert of_feeds(told_at(2026, 11, 20, 10, 0), "naru_feed_silence_limit_seconds")["shared"] == 300


@pytest.mark.once
def test_a_terminal_is_expected_by_the_markets_of_what_it_sends(told_at):
    def expected(*when):
        told = told_at(*when)
        return {
            (dict(labels)["client"], dict(labels)["by"])
            for (name, *labels), value in told.items()
            if name == "naru_terminal_expected" and value
        }

    # The hours of New York and of the night are in no file, their trading days are known.
    by_day = {("kis", "day"), ("blp", "day")}
    assert expected(2026, 11, 20, 15, 25) == {("kis", "hours"), ("excel", "hours"), *by_day}  # in an auction as well
    assert expected(2026, 11, 20, 8, 10) == {("kis", "hours"), *by_day}
    assert expected(2026, 11, 20, 23, 0) == by_day
    assert expected(2026, 11, 21, 10, 0) == {("blp", "day")}  # Friday evening there
    assert expected(2026, 11, 22, 15, 0) == set()


@pytest.mark.once
def test_a_part_that_cannot_be_looked_at_holds_up_no_other(redis, redis_server, settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    settings.BROKER_URL = redis_server.url
    live_state.connection.cache_clear()

    told = samples(Deployment(["maintenance"], wait_s=PATIENCE_S).collect())

    assert told["naru_redis_up", ("redis", "live_state")] == 0
    assert told["naru_redis_up", ("redis", "broker")] == 1
    assert told["naru_queue_length", ("queue", "maintenance")] == 0
    assert told["naru_database_up",] == 1
    failed = {labels[0][1] for (name, *labels), value in told.items() if name == "naru_look_failed" and value}
    assert failed == {"feeds", "terminals"}
    live_state.connection.cache_clear()


@pytest.mark.once
def test_a_server_that_is_frozen_is_told_as_away_while_it_is_and_all_others_as_they_are(
    redis, redis_server, settings, monkeypatch
):
    monkeypatch.setattr("marketdata.monitoring.looks.KEEP_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # takes connections and says nothing
        settings.REDIS_URL = f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"
        settings.BROKER_URL = redis_server.url
        live_state.connection.cache_clear()
        looking = Deployment(["maintenance"], wait_s=0.5)

        def told():
            return samples(looking.collect())

        def is_seen():
            found = told()
            others = found["naru_redis_up", ("redis", "broker")], found["naru_database_up",]
            return found["naru_look_failed", ("part", "redis_live_state")] == 1 and others == (1, 1) and found

        found = until(is_seen, seconds=100, what="all others are told beside the frozen one")
        assert found["naru_redis_up", ("redis", "live_state")] == 0
        assert found["naru_look_seconds", ("part", "redis_live_state")] > 0
    live_state.connection.cache_clear()


@pytest.mark.once
def test_a_database_that_answers_and_does_not_tell_all_is_up_once(redis, monkeypatch):
    def refused(self):
        raise StorageError("no right to see this")

    monkeypatch.setattr(type(storage()), "server_state", refused)

    families = [one for one in Deployment([], wait_s=PATIENCE_S).collect() if one.name == "naru_database_up"]

    assert [sample.value for one in families for sample in one.samples] == [1]
    assert samples(Deployment([], wait_s=PATIENCE_S).collect())["naru_look_failed", ("part", "database")] == 1


def test_a_node_that_refuses_every_question_is_told_as_not_ready(redis, vendor, monkeypatch):
    def refused(self, *asked):
        raise OperationalError(1047, "WSREP has not yet prepared node for application use")

    for question in ("clock_us", "_query"):
        monkeypatch.setattr(type(storage()), question, refused)

    told = samples(Deployment([], wait_s=PATIENCE_S).collect())

    assert told["naru_database_up",] == 0
    assert told.get(("naru_galera_ready",)) == (0 if vendor == "mariadb" else None)
