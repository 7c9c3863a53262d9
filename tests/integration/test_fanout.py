"""What was committed, to another broker and back from it: over real TCP, against Tansu, or against the broker that
KAFKA_BOOTSTRAP names."""

import os
import threading
import time
import uuid
from contextlib import ExitStack
from decimal import Decimal

import pytest
from confluent_kafka.admin import AdminClient
from django.db.models import F, Max

from analytics import voids
from api.views import status
from fanout import consumer, copies, findings, service
from fanout import publisher as publishers
from fanout.consumer import Series
from fanout.delivery import Delivery
from fanout.messages import TOPICS
from fanout.publisher import Publisher
from marketdata import doctor, metrics
from marketdata.doctor.findings import Level
from marketdata.ledger import commits
from marketdata.maintenance import leases
from marketdata.maintenance.leases import LeaseHeld, LeaseLost
from marketdata.models import Alarm, FanoutPosition, IngestBatch
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.types.units import MINUTE_US
from tests.frozen import freeze, thaw
from tests.integration.processing import clock_at, clock_off, process, rows, trade
from tests.integration.serving import and_leave, serving
from tests.market import NINE_US
from tests.road import Road
from tests.servers import free_port
from tests.servers.s3 import S3
from tests.servers.tansu import Tansu
from tests.waiting import until

__all__ = ["serving"]

GIVEN = os.environ.get("KAFKA_BOOTSTRAP", "")
LATER_US = NINE_US + 10 * MINUTE_US


@pytest.fixture(scope="module")
def broker():
    if GIVEN:
        yield GIVEN
        return
    with Tansu() as server:
        yield server.url


@pytest.fixture
def prefix():
    return f"test-{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def publishing(worker, broker, prefix):
    """Publish until there is nothing more to publish."""

    def publish(turns=4, *, form="json"):
        with leases.hold(service.JOB, ttl_s=600) as lease:
            out = Delivery(broker, {}, prefix=prefix, form=form, fence=lease.fence, wait=lambda _trouble: None)
            try:
                publisher = Publisher(live_state.connection(), out, lease, form=form)
                out.make_topics(partitions=3, replication=0)
                for _ in range(turns):
                    publisher.turn()
                publisher.save()
            finally:
                out.close()

    return publish


def told(broker, prefix) -> consumer.Account:
    return consumer.read({"bootstrap.servers": broker}, prefix=prefix, idle_s=2.0)


def commit(seq, *trades, name="krx"):
    process(rows(*[trade(**one) for one in trades], seq=seq, name=name))


def stored_candles(symbols=("005930", "000660"), name="krx"):
    bars = storage().read_minutes_of(sorted(symbols), name, 0, 1 << 62)
    return {
        (Series(name, bars.symbols[bars.symbol[at]]), int(bars.time_us[at])): (
            Decimal(int(bars.open[at])) / 10**8, Decimal(int(bars.close[at])) / 10**8,
            Decimal(int(bars.volume[at])) / 10**6, int(bars.n[at]),
        )
        for at in range(len(bars))
    }  # fmt: skip


def made_candles(account):
    return {key: (one.open, one.close, one.volume, one.trades) for key, one in account.trades.candles().items()}


def test_what_was_committed_is_published_once_and_its_candles_are_those_of_the_database(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "70100.5", "size": "3"}, {"symbol": "000660", "price": "120000"})
    commit(2, {"price": "69900", "time": NINE_US + MINUTE_US}, {"price": "70000", "time": LATER_US})

    publishing()

    account = told(broker, prefix)
    assert made_candles(account) == stored_candles()
    assert len(account.charts) == 3  # of the newest minute, which is not over, nothing is told
    assert list(account.differences()) == []
    assert (account.trades.repeated, account.trades.fenced) == (0, 0)


def test_who_goes_on_publishes_what_came_meanwhile_and_nothing_twice(publishing, broker, prefix):
    commit(1, {"price": "70000"})
    publishing()
    commit(2, {"price": "70100"}, {"price": "70200", "time": LATER_US})
    publishing()

    account = told(broker, prefix)

    assert account.messages == 4  # three trades, a candle
    assert made_candles(account) == stored_candles()


def test_what_the_feed_has_no_more_comes_from_the_database(publishing, broker, prefix):
    commit(1, {"price": "70000"})
    publishing()
    commit(2, {"price": "70100"})
    live_state.connection().flushdb()
    commit(3, {"price": "70300"}, {"price": "70200", "time": LATER_US})

    publishing()

    account = told(broker, prefix)
    assert made_candles(account) == stored_candles()
    assert list(account.differences()) == []
    assert account.trades.repeated >= 1  # what was told before is told again, with what overlaps


def prices(account) -> set[int]:
    return {int(price) for known in account.trades.of.values() for _, price, *_ in known.values()}


def test_no_commit_is_missing_of_hosts_whose_clocks_are_apart(publishing, broker, prefix):
    commit(1, {"price": "1"})
    publishing()
    live_state.connection().flushdb()
    with clock_off(commits.CLOCKS_US - 1_000_000):
        commit(2, {"price": "2"})  # the feed has it before the database is read, and it says that it is of later
    publishing()
    assert prices(told(broker, prefix)) == {1, 2}

    with clock_off(1_000_000 - commits.OVERLAP_US):  # behind, and it took as long as a transaction may
        commit(3, {"price": "3"})
    live_state.connection().flushdb()
    publishing()
    assert prices(told(broker, prefix)) == {1, 2, 3}


def test_a_clock_that_is_an_hour_ahead_leaves_out_nothing_of_others(publishing, broker, prefix):
    with clock_off(3_600_000_000):
        commit(1, {"price": "1"})
    publishing()
    commit(2, {"price": "2"})
    live_state.connection().flushdb()

    publishing()

    assert prices(told(broker, prefix)) == {1, 2}


def test_a_reading_that_was_broken_off_leaves_out_nothing_that_waited(publishing, broker, prefix, monkeypatch):
    monkeypatch.setattr(commits, "PAGE_BATCHES", 1)
    commit(1, {"price": "1"})
    publishing()
    ago_us = time.time_ns() // 1000 - 600_000_000
    for seq in (2, 3, 4):
        with clock_off(seq * 1_000_000 - 600_000_000):
            commit(seq, {"price": str(seq)})
    live_state.connection().flushdb()
    FanoutPosition.objects.update(committed_us=ago_us)  # as one that waited for the feed had it

    publishing(3)  # of which the last reads a page
    publishing(8)

    assert prices(told(broker, prefix)) == {1, 2, 3, 4}


def test_what_was_voided_while_nobody_published_is_told_as_cancels(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "71000", "time": NINE_US + 5}, {"price": "70000", "time": LATER_US})
    publishing()
    selection = voids.Selection(symbols=("005930",), start_us=NINE_US + 5, end_us=NINE_US + 6)
    voids.void(selection, reason="test", by="test")
    live_state.connection().flushdb()

    publishing()

    account = told(broker, prefix)
    assert made_candles(account) == stored_candles()
    first = account.charts[Series("krx", "005930"), NINE_US]
    assert first is not None
    assert first.trades == 1
    assert list(account.differences()) == []


def test_arrow_goes_over_the_wire_as_well(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "70100", "time": LATER_US})
    publishing(form="arrow")

    with pytest.raises(ValueError, match="json"):
        told(broker, prefix)


def test_an_alarm_says_that_nobody_publishes_and_ends_when_somebody_does(publishing, settings):
    settings.EVENT_BUS = "kafka"

    doctor.recheck()

    assert Alarm.objects.filter(code="fanout_behind", cleared_at=None).count() == 1
    commit(1, {"price": "70000"})
    publishing()
    doctor.recheck()
    assert not Alarm.objects.filter(code="fanout_behind", cleared_at=None).exists()
    FanoutPosition.objects.update(newest_us=F("published_us") + 3_600_000_000, trouble="Connection refused")
    doctor.recheck()
    assert "3600 s behind (Connection refused)" in Alarm.objects.get(code="fanout_behind", cleared_at=None).message
    now_us = time.time_ns() // 1000
    FanoutPosition.objects.update(newest_us=F("published_us"), trouble_us=now_us - 7_200_000_000)
    doctor.recheck()
    assert Alarm.objects.filter(code="fanout_behind", cleared_at=None).exists(), "nothing waits, and the broker is away"
    FanoutPosition.objects.update(trouble_us=now_us)
    doctor.recheck()
    assert not Alarm.objects.filter(code="fanout_behind", cleared_at=None).exists()
    settings.EVENT_BUS = "none"
    doctor.recheck()
    assert not Alarm.objects.filter(code="fanout_behind", cleared_at=None).exists()


def test_the_state_of_the_pipeline_says_how_far_the_topics_are_behind(serving, settings, monkeypatch):
    monkeypatch.setattr(status, "KEEP_S", -1.0)
    assert serving.read("/v2/status")["fanout"] is None
    settings.EVENT_BUS = "kafka"
    assert serving.read("/v2/status")["fanout"] == {
        "behind_s": None, "silent_s": None, "publishes": False, "delivered": None, "away_since": None, "feeds": [],
    }  # fmt: skip
    row = {"seen_us": 2 * NINE_US, "published_us": NINE_US}  # it was looked at in the future
    FanoutPosition.objects.create(
        feed="krx", newest_us=NINE_US + 1_500_000, trouble="10.1.2.3 refused", trouble_us=NINE_US, **row
    )
    FanoutPosition.objects.create(
        feed="nxt", newest_us=NINE_US + 7_250_000, epoch="e", offset=12, delivered_us=NINE_US + 1_000_000, **row
    )
    FanoutPosition.objects.create(feed="new")
    monkeypatch.setattr(status, "FANOUT_FEEDS", 2)

    shown = serving.read("/v2/status")["fanout"]
    by_an_operator = status.read()["fanout"]

    assert (shown["behind_s"], shown["silent_s"], shown["publishes"]) == (Decimal("7.25"), 0, True)
    assert shown["away_since"] == "2026-03-16T00:00:00.000000Z"
    assert shown["delivered"] == "2026-03-16T00:00:01.000000Z"
    assert [(one["o"], one["late"]) for one in shown["feeds"]] == [(12, False), (None, False)]
    behind = [(one["feed"], one["behind_s"]) for one in shown["feeds"]]
    assert behind == [("nxt", Decimal("7.25")), ("krx", Decimal("1.5"))], "those that are behind most"
    assert {one["published"] for one in shown["feeds"]} == {"2026-03-16T00:00:00.000000Z"}
    assert [one["trouble"] for one in shown["feeds"]] == ["", ""]
    assert [one["trouble"] for one in by_an_operator["feeds"]] == ["", "10.1.2.3 refused"]


def all_published() -> bool:
    newest = IngestBatch.objects.aggregate(newest=Max("committed_us"))["newest"]
    return FanoutPosition.objects.filter(feed="krx", published_us__gte=newest).exists()


def test_nothing_is_missing_after_a_publisher_was_killed_and_the_broker_froze(worker, redis_server, prefix, tmp_path):
    with ExitStack() as stack:
        server = None if GIVEN else stack.enter_context(Tansu())
        broker = server.url if server is not None else GIVEN
        road = stack.enter_context(
            Road(
                tmp_path / "road",
                redis_server.url,
                EVENT_BUS="kafka",
                KAFKA_BOOTSTRAP=broker,
                KAFKA_TOPIC_PREFIX=prefix,
            )
        )
        commit(1, {"price": "70000"})
        for name in ("one", "two"):
            road.start(name, ["manage.py", "runfanout"])
        road.until(all_published, seconds=120, what="the first commit is published")
        fence = FanoutPosition.objects.get(feed="krx").fence
        publisher = next(name for name in ("one", "two") if f"publishing fence={fence}" in road.tail(name))
        for seq in range(2, 12):
            commit(seq, {"price": str(70000 + seq), "time": NINE_US + seq}, {"symbol": "000660", "price": "120000"})

        road.kill(publisher)
        commit(12, {"price": "70012", "time": NINE_US + 2 * MINUTE_US})
        road.until(all_published, seconds=120, what="the other one publishes")

        if server is not None:
            freeze(server.pid)
        for seq in range(13, 23):
            commit(seq, {"price": str(70000 + seq), "time": NINE_US + 3 * MINUTE_US + seq})
        commit(23, {"price": "70000", "time": LATER_US})
        if server is not None:
            thaw(server.pid)
        road.until(all_published, seconds=120, what="what waited for the broker is published")

        account = told(broker, prefix)
        assert made_candles(account) == stored_candles()
        assert list(account.differences()) == []
        assert FanoutPosition.objects.get(feed="krx").fence > fence


@pytest.mark.once
@pytest.mark.skipif(bool(GIVEN), reason="the broker that was given is not ours to kill")
def test_nothing_is_missing_after_a_broker_that_keeps_its_data_was_killed_and_began_anew(
    worker, redis_server, prefix, tmp_path
):
    with ExitStack() as stack:
        disk = stack.enter_context(S3())
        disk.make_bucket("topics")
        broker = stack.enter_context(Tansu(ports=(free_port(), free_port()), storage=disk.url, bucket="topics"))
        environment = {"EVENT_BUS": "kafka", "KAFKA_BOOTSTRAP": broker.url, "KAFKA_TOPIC_PREFIX": prefix}
        road = stack.enter_context(Road(tmp_path / "road", redis_server.url, KAFKA_PARTITIONS="2", **environment))
        commit(1, {"price": "70000"})
        road.start("fanout", ["manage.py", "runfanout"])
        road.until(all_published, seconds=120, what="the first commit is published")

        broker.kill()
        for seq in range(2, 12):
            commit(seq, {"price": str(70000 + seq), "time": NINE_US + seq}, {"symbol": "000660", "price": "120000"})
        road.until(lambda: FanoutPosition.objects.get(feed="krx").trouble, seconds=120, what="it is noticed")
        commit(12, {"price": "70000", "time": LATER_US})
        broker.start()
        road.until(all_published, seconds=240, what="what waited for the broker is published")

        account = told(broker.url, prefix)
        assert made_candles(account) == stored_candles()
        assert list(account.differences()) == []


def test_who_is_slower_than_the_feed_says_how_far_it_is_behind(worker, broker, prefix, monkeypatch):
    monkeypatch.setattr(publishers, "ENTRIES", 1)
    begin_us = time.time_ns() // 1000 - 10_000_000
    for seq in range(1, 5):
        with clock_at(begin_us + seq * 1_000_000):
            commit(seq, {"price": "70000"})
    with leases.hold(service.JOB, ttl_s=600) as lease:
        out = Delivery(broker, {}, prefix=prefix, form="json", fence=lease.fence, wait=lambda _trouble: None)
        out.make_topics(partitions=1, replication=0)
        one = Publisher(live_state.connection(), out, lease, form="json")
        lags = []
        for _ in range(5):
            one.turn()
            one.save()
            lags.append(round(metrics.FANOUT_LAG.labels("krx")._value.get()))
        out.close()

    assert lags == [3, 2, 1, 0, 0]


def test_a_turn_may_be_ended_midway_and_what_was_delivered_by_then_is_noted(worker, broker, prefix, monkeypatch):
    monkeypatch.setattr(publishers, "ROWS", 2)
    for seq in range(1, 5):
        commit(seq, {"price": "70000"})
    looks = []

    def between():
        looks.append(one._courses["krx"].position.offset)
        if looks[-1] == 2:
            raise service.Stopped

    with leases.hold(service.JOB, ttl_s=600) as lease:
        out = Delivery(broker, {}, prefix=prefix, form="json", fence=lease.fence, wait=lambda _trouble: None)
        out.make_topics(partitions=1, replication=0)
        one = Publisher(live_state.connection(), out, lease, form="json", between=between)
        with pytest.raises(service.Stopped):
            one.turn()
        one.save()
        out.close()

    assert looks == [0, 2]
    assert FanoutPosition.objects.get(feed="krx").offset == 2


def test_who_stands_by_tells_nothing_of_how_far_the_feeds_are(worker, settings):
    metrics.FANOUT_LAG.labels("krx").set(400)
    metrics.FANOUT_AWAY.set(400)
    stopped = threading.Event()
    with leases.hold(service.JOB, ttl_s=600):
        thread = threading.Thread(target=and_leave, args=(lambda: service.run(stopped),))
        thread.start()
        try:
            until(lambda: not metrics.FANOUT_AWAY._value.get(), seconds=60, what="it waits for the other one")
        finally:
            stopped.set()
            thread.join(300)

    assert metrics.FANOUT_LAG.labels("krx")._value.get() == 0


@pytest.fixture
def made_topics(worker, broker, prefix):
    """Make the topics, in so many copies; how many there are, and must be in sync, of each."""

    def make(replication):
        out = Delivery(broker, {}, prefix=prefix, form="json", fence=1, wait=lambda _trouble: None)
        out.make_topics(partitions=1, replication=replication)
        out.close()
        return copies.look(AdminClient({"bootstrap.servers": broker}), [prefix + topic for topic in TOPICS])

    return make


@pytest.mark.once
@pytest.mark.skipif(bool(GIVEN), reason="how many brokers were given is not known")
def test_topics_of_three_copies_want_two_in_sync_and_those_of_one_copy_are_warned_of(made_topics, caplog):
    found = made_topics(3)

    assert [(one.copies, one.in_sync) for one in found] == [(3, 2)] * len(TOPICS)
    assert "topic may lose messages" not in caplog.text


@pytest.mark.once
@pytest.mark.skipif(bool(GIVEN), reason="how many brokers were given is not known")
def test_topics_that_were_there_before_are_left_as_they_are_and_warned_of(made_topics, caplog):
    before = made_topics(1)
    caplog.clear()

    assert made_topics(3) == before
    assert [(one.copies, one.in_sync) for one in before] == [(1, None)] * len(TOPICS)
    assert caplog.text.count("topic may lose messages") == len(TOPICS)


@pytest.mark.once
@pytest.mark.skipif(bool(GIVEN), reason="how many brokers were given is not known")
def test_topics_in_as_many_copies_as_the_broker_likes_want_two_in_sync_where_there_are_enough(made_topics, monkeypatch):
    monkeypatch.setattr(copies, "FEWEST_COPIES", 1)

    assert [one.in_sync for one in made_topics(0)] == [2] * len(TOPICS)


@pytest.mark.once
@pytest.mark.skipif(bool(GIVEN), reason="how many brokers were given is not known")
def test_the_doctor_says_which_topics_may_lose_what_was_delivered(made_topics, broker, prefix, settings):
    settings.EVENT_BUS, settings.KAFKA_BOOTSTRAP, settings.KAFKA_TOPIC_PREFIX = "kafka", [broker], prefix
    made_topics(0)

    found = [one for one in doctor.examine() if prefix in str(one.what)]

    assert [(one.level, one.value) for one in found] == [(Level.WARNING, "1, min.insync.replicas=?")] * len(TOPICS)
    settings.KAFKA_BOOTSTRAP = [f"127.0.0.1:{free_port()}"]
    assert [one.level for one in findings.topics()] == [Level.WARNING], "it does not answer"
    settings.EVENT_BUS = "none"
    assert list(findings.topics()) == []


@pytest.mark.parametrize(
    ("number", "in_sync", "level"),
    [(3, 2, Level.OK), (3, 1, Level.WARNING), (2, 1, Level.WARNING), (1, 1, Level.WARNING), (3, None, Level.UNKNOWN)],
)
def test_one_copy_is_too_few_and_so_is_one_in_sync(number, in_sync, level):
    assert copies.Copies("topic", number, in_sync).level is level


def test_a_position_is_moved_by_the_newest_publisher_alone(publishing, broker, prefix):
    commit(1, {"price": "70000"})
    publishing()
    with leases.hold(service.JOB, ttl_s=600) as lease:
        with pytest.raises(LeaseHeld), leases.hold(service.JOB):
            pass
        out = Delivery(broker, {}, prefix=prefix, form="json", fence=lease.fence, wait=lambda _trouble: None)
        publisher = Publisher(live_state.connection(), out, lease, form="json")
        publisher.turn()
        FanoutPosition.objects.update(fence=lease.fence + 1)

        with pytest.raises(LeaseLost):
            publisher.save()
        out.close()


def test_a_message_of_a_publisher_that_was_replaced_is_left_out():
    trades = consumer.Trades()

    assert [trades.is_fenced(("p", 0), fence) for fence in (1, 2, 1, 2)] == [False, False, True, False]
    assert trades.fenced == 1


def test_who_has_published_nothing_yet_is_behind_since_the_first_commit_and_not_since_1970(worker, prefix):
    commit(1, {"price": "70000"})
    with leases.hold(service.JOB, ttl_s=600) as lease:

        def wait(_trouble):
            publisher.note_waiting()
            raise service.Stopped

        away = f"127.0.0.1:{free_port()}"
        out = Delivery(away, {}, prefix=prefix, form="json", fence=lease.fence, wait=wait)
        publisher = Publisher(live_state.connection(), out, lease, form="json")
        with pytest.raises(service.Stopped):
            publisher.turn()
        out.close()

    (position,) = FanoutPosition.objects.filter(feed="krx")
    assert position.newest_us > NINE_US
    assert position.newest_us - position.published_us < 3_600_000_000
    assert (position.delivered_us, bool(position.trouble_us)) == (0, bool(position.trouble))


@pytest.mark.skipif(bool(GIVEN), reason="the broker that was given is not ours to end")
def test_a_broker_that_went_is_noticed_while_nothing_waits_for_it_and_so_is_its_return(worker, prefix):
    ports = (free_port(), free_port())
    sides = {"bid": "70000", "bid_size": "1", "ask": "70100", "ask_size": "1"}
    commit(1, {"kind": "quote", "price": None, "size": None, **sides})  # no candle, which would become due
    with Tansu(ports=ports) as server, leases.hold(service.JOB, ttl_s=600) as lease:
        out = Delivery(server.url, {}, prefix=prefix, form="json", fence=lease.fence, wait=lambda _trouble: None)
        publisher = Publisher(live_state.connection(), out, lease, form="json")
        out.make_topics(partitions=1, replication=0)

        def turned() -> FanoutPosition:
            out.idle()
            publisher.turn()
            publisher.save()
            return FanoutPosition.objects.get(feed="krx")

        until(lambda: turned().delivered_us, seconds=120, what="the first commit is delivered")
        server.kill()
        until(lambda: turned().trouble, seconds=120, what="somebody says that the broker is away")
        since_us = turned().trouble_us
        assert since_us
        assert (turned().trouble_us, turned().behind_s) == (since_us, 0), "since when, however often it is said"

        server.start()
        until(lambda: not turned().trouble, seconds=120, what="the broker answers again")
        assert turned().trouble_us == 0
        out.close()
