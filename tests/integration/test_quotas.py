"""What clients name into being has a limit: beyond it rows are refused and kept, and somebody is told."""

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from ingest import authenticator, notifications, tasks
from ingest.rights import Rights
from marketdata import alarms as alarms_module
from marketdata.ledger import batch_ledger, session_fences, stream_numbers
from marketdata.limits import quotas
from marketdata.models import (
    Alarm,
    Client,
    DeadLetter,
    Feed,
    Gap,
    IngestReject,
    IngestStream,
    Market,
    RolloverRun,
    Source,
    Symbol,
    TradeDate,
)
from marketdata.realtime import live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import DAY_US, NINE_US

EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    alarms_module.told.clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


def client(name: str = "backfill", **fields: Any) -> Client:
    rights = {"may_send": True, "may_register": True, "feeds": "*", **fields}
    return Client.objects.create_with_secret(name=name, source=Source.objects.get(code="REPLAY"), **rights)[0]


class Sender:
    """A client's batches, processed as a worker does."""

    def __init__(self, owner: Client) -> None:
        self.stream = stream_numbers.open_stream(owner, f"{owner.pk:016x}")
        self.seq = 0

    def send(self, *rows: dict[str, Any], feed: str = "krx", market: str | None = None) -> None:
        self.seq += 1
        given = [{"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **row} for row in rows]
        payload = wire.encode_rows(self.seq, feed, 1, given)
        number = batch_number(self.stream, self.seq)
        message = notifications.batch_message(number, payload, batch_ledger.now_us(), 4, market, None)
        tasks.process_batches(batches=[message], reply_to="test")


def gaps_of(sender: Sender, seq: int, *gaps: wire.Gap) -> None:
    batches_of_gaps(sender, {seq: list(gaps)})


def batches_of_gaps(sender: Sender, told: dict[int, list[wire.Gap]]) -> None:
    """Batches of gaps, by their numbers, in one message."""
    batches = []
    for seq, gaps in told.items():
        payload = wire.encode_gaps(seq, "krx", 1, gaps)
        number = batch_number(sender.stream, seq)
        batches.append(notifications.batch_message(number, payload, batch_ledger.now_us(), 4, None, None))
    tasks.process_batches(batches=batches, reply_to="test")


def alarms() -> set[tuple[str, str]]:
    return set(Alarm.objects.filter(cleared_at=None).values_list("code", "subject"))


def rejected() -> list[str]:
    return list(IngestReject.objects.order_by("batch", "idx").values_list("reasons", flat=True))


def stored(symbol: str = "005930", feed: str = "krx") -> int:
    return len(storage().read_ticks(symbol, feed, *EVER))


# --- gaps ----------------------------------------------------------------------------------------------------------


def test_a_client_reports_so_many_gaps_a_day_and_the_rest_is_kept_as_refused(settings):
    settings.QUOTA_GAPS_PER_DAY = 5
    sender = Sender(client(quotas={"gaps": 3}))
    gaps = [wire.Gap(at, at, 1, "lost", "005930" if at % 2 else None) for at in range(4)]

    gaps_of(sender, 1, *gaps[:2])
    gaps_of(sender, 2, *gaps)

    assert list(Gap.objects.order_by("batch", "idx").values_list("idx", "symbol")) == [(0, ""), (1, "005930"), (0, "")]
    assert rejected() == ["quota_reached"] * 3
    assert alarms() == {("quota_reached", "gaps_per_day backfill")}


def test_the_batches_of_a_message_share_what_is_left_of_the_quota():
    sender = Sender(client(quotas={"gaps": 4}))
    gaps = [wire.Gap(at, at, 1, "lost") for at in range(2)]

    batches_of_gaps(sender, {1: gaps, 2: [wire.Gap(0, 0, 1, "lost", "000660"), *gaps], 3: gaps})

    assert [number & 0xFFFFFFFF for number in Gap.objects.order_by("batch", "idx").values_list("batch", flat=True)] == [
        1, 1, 2, 2,
    ]  # fmt: skip
    assert rejected() == ["symbol_unknown", "quota_reached", "quota_reached"]


def test_gaps_are_counted_and_kept_for_all_batches_of_a_message_at_once():
    sender = Sender(client(quotas={"gaps": 1000}))
    gaps = [wire.Gap(1, 2, 1, "lost", "005930")]
    gaps_of(sender, 1, *gaps)

    with CaptureQueriesContext(connection) as of_one:
        gaps_of(sender, 2, *gaps)
    with CaptureQueriesContext(connection) as of_four:
        batches_of_gaps(sender, dict.fromkeys(range(3, 7), gaps))

    statements = [sum("gap" in re.findall(r"\w+", one["sql"]) for one in asked) for asked in (of_one, of_four)]
    assert statements == [statements[0]] * 2
    assert statements[0] > 0
    assert Gap.objects.count() == 6


def test_gaps_that_are_sent_again_at_the_limit_are_none_too_many():
    sender = Sender(client(quotas={"gaps": 10}))
    gaps = [wire.Gap(at, at, 1, "lost") for at in range(7)]

    gaps_of(sender, 1, *gaps)
    gaps_of(sender, 1, *gaps)

    assert (Gap.objects.count(), rejected(), alarms()) == (7, [], set())


def test_of_the_gaps_of_a_long_time_only_the_newest_are_counted(monkeypatch):
    """As many of them as the limit, whatever the spool ever told; few when the day had few."""
    monkeypatch.setattr(quotas, "FEW_GAPS", 2)
    owner = client(quotas={"gaps": 5})
    sender = Sender(owner)
    for seq in range(1, 10):
        gaps_of(sender, seq, wire.Gap(seq, seq, 1, "lost"))
        if seq < 9:
            Gap.objects.update(created_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=25))

    with CaptureQueriesContext(connection) as asked:
        assert quotas.GAPS.used(owner) == 1
    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"]]

    assert len(counts) == 1
    assert "LIMIT 2" in counts[0]
    Gap.objects.update(created_at=datetime.datetime.now(datetime.UTC))
    with CaptureQueriesContext(connection) as asked:
        assert quotas.GAPS.used(owner) == 6  # one more than the limit, of nine
    assert all("LIMIT" in query["sql"] for query in asked if "COUNT(" in query["sql"])


# --- spools --------------------------------------------------------------------------------------------------------


def test_logging_in_with_ever_new_spools_uses_up_no_number(road):
    road.ingest()
    for _ in range(5):
        terminal = road.terminal("crashy")
        terminal.login()
        terminal.close()

    assert not IngestStream.objects.exists()


def test_a_new_spool_gets_its_number_with_its_first_batch_and_is_committed(road):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()

    for seq in (1, 2, 3):
        terminal.batch(wire.encode_rows(seq, "krx", 1, [{"symbol": "005930", "time": NINE_US, "price": 1, "size": 1}]))
    terminal.until_committed(3)

    assert IngestStream.objects.get().epoch == terminal.epoch
    assert stored() == 3


def test_a_client_that_begins_too_many_spools_is_told_what_to_do():
    owner = client("crashy", quotas={"spools": 1})
    stream_numbers.open_stream(owner, "00" * 8)

    answer = authenticator.open_stream(session_fences.take(owner.pk, "test/1")[0], "11" * 8)

    assert isinstance(answer, authenticator.Refused)
    assert answer.code == "quota_reached"
    assert "lasting disk" in answer.message
    assert ("quota_reached", "spools crashy") in alarms()
    innocent, _ = session_fences.take(client("innocent").pk, "test/1")
    assert isinstance(authenticator.open_stream(innocent, "22" * 8), int)


def test_spools_of_the_day_before_do_not_count():
    owner = client("old", quotas={"spools": 1})
    stream_numbers.open_stream(owner, "00" * 8)
    IngestStream.objects.update(created_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=25))

    assert stream_numbers.open_stream(owner, "11" * 8) == IngestStream.objects.get(epoch="11" * 8).pk


def test_half_of_all_numbers_of_spools_is_an_alarm_and_the_last_one_the_end():
    owner = client()
    IngestStream.objects.create(pk=140_000, client=owner, epoch="00" * 8)

    quotas.watch()

    assert alarms() == {("quota_near", "streams")}
    assert REGISTRY.get_sample_value("naru_quota_used", {"quota": "streams", "client": ""}) == 140_000
    IngestStream.objects.create(pk=(1 << 18) - 1, client=owner, epoch="01" * 8)
    with pytest.raises(quotas.QuotaReached):
        stream_numbers.open_stream(client("innocent"), "02" * 8)
    assert IngestStream.objects.count() == 2


# --- symbols -------------------------------------------------------------------------------------------------------


def test_symbols_beyond_the_quota_are_refused_and_kept_with_the_reason():
    owner = client(quotas={"symbols": 2})

    Sender(owner).send(*({"symbol": f"NEW{n}"} for n in range(5)), market="KRX")

    assert Symbol.objects.filter(registered_by=owner).count() == 2
    assert rejected() == ["symbol_unknown quota_reached"] * 3
    assert ("quota_reached", "symbols backfill") in alarms()
    assert [stored(f"NEW{n}") for n in range(5)] == [1, 1, 0, 0, 0]


def test_known_symbols_go_on_when_the_quota_is_used_up_and_a_raised_one_takes_more():
    owner = client(quotas={"symbols": 0})
    sender = Sender(owner)
    sender.send({}, {"symbol": "NEW1"}, market="KRX")
    owner.quotas = {"symbols": 1}
    owner.save()

    sender.send({"symbol": "NEW1"}, market="KRX")

    assert (stored(), stored("NEW1")) == (1, 1)


# --- trading dates -------------------------------------------------------------------------------------------------


def test_dates_beyond_the_quota_are_refused_and_make_no_room_and_no_rollover():
    Sender(client(quotas={"dates": 3})).send(*({"time": NINE_US - n * 7 * DAY_US} for n in range(10)))

    assert stored() == 3
    assert rejected() == ["quota_reached"] * 7
    assert TradeDate.objects.count() == 3
    assert storage().dates("temp_market_data") == sorted(TradeDate.objects.values_list("trade_date", flat=True))
    assert ("quota_reached", "dates_per_day backfill") in alarms()


def test_today_is_always_taken(settings):
    settings.QUOTA_DATES = 0
    sender = Sender(client(quotas={"dates": 0}))

    sender.send({"time": batch_ledger.now_us()}, {"time": NINE_US})

    assert stored() == 1
    assert rejected() == ["quota_reached"]


def test_a_known_date_uses_no_quota_for_anybody():
    Sender(client("first")).send({})

    Sender(client("second", quotas={"dates": 0})).send({}, feed="nxt")

    assert stored(feed="nxt") == 1


def test_all_dates_together_have_a_limit_and_dropped_ones_do_not_count(settings):
    settings.QUOTA_DATES = 2
    sender = Sender(client())
    sender.send(*({"time": NINE_US - n * 7 * DAY_US} for n in range(3)))
    assert stored() == 2
    gone = TradeDate.objects.order_by("trade_date").values_list("trade_date", flat=True)[0]
    RolloverRun.objects.create(trade_date=gone, dropped_at=datetime.datetime.now(datetime.UTC))

    sender.send({"time": NINE_US - 21 * DAY_US})

    assert stored() == 3
    assert ("quota_reached", "dates") in alarms()


# --- feeds ---------------------------------------------------------------------------------------------------------


def test_a_new_feed_beyond_the_quota_is_refused_with_its_batch_and_kept(settings):
    sender = Sender(client())
    sender.send({}, feed="mine")
    settings.QUOTA_FEEDS = Feed.objects.count()

    sender.send({}, feed="more")
    sender.send({}, feed="mine")

    assert (stored(feed="mine"), stored(feed="more")) == (2, 0)
    assert DeadLetter.objects.get().code == "quota_reached"
    assert "QUOTA_FEEDS" in DeadLetter.objects.get().error
    assert live_state.connection().exists("naru:feed:more") == 0
    assert ("quota_reached", "feeds") in alarms()


# --- for people ----------------------------------------------------------------------------------------------------


def test_an_alarm_is_cleared_when_the_limit_is_raised(settings):
    settings.QUOTA_FEEDS = Feed.objects.count()
    Sender(client()).send({}, feed="more")
    assert ("quota_reached", "feeds") in alarms()

    settings.QUOTA_FEEDS = 1000
    quotas.watch()

    assert alarms() == set()


def test_an_alarm_of_a_client_is_cleared_when_its_own_limit_is_raised():
    owner = client(quotas={"symbols": 1})
    Sender(owner).send({"symbol": "A"}, {"symbol": "B"}, market="KRX")
    owner.quotas = {"symbols": 100}
    owner.save()

    quotas.watch()

    assert alarms() == set()


@pytest.mark.once
@pytest.mark.parametrize("wrong", [["symbols"], {"symbol": 1}, {"symbols": -1}, {"symbols": "many"}, {"symbols": True}])
def test_limits_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        client(quotas=wrong)


@pytest.mark.once
def test_limits_of_its_own_are_given_by_command(capsys):
    limits = ("--quota", "symbols=50000", "--quota", "dates=4000")
    call_command("addclient", "bulk", "--source", "REPLAY", "--register", *limits)

    assert Client.objects.get(name="bulk").quotas == {"symbols": 50_000, "dates": 4_000}
