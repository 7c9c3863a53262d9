"""Wrong ticks of days that are over: archived, past their time, or not whole. Nothing is made of a remainder, and what
cannot be done is told and holds up nothing else."""

import datetime
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics import tasks as voiding
from analytics import voids
from analytics.integrity import consistency, repair
from analytics.voids import Selection, orders
from ingest import requeue
from marketdata.archive import exports, files, manifests, verification
from marketdata.maintenance import dropped, retention, rollover
from marketdata.models import Alarm, FeedNotice, IngestReject, RolloverRun, VoidedTick, VoidOrder
from marketdata.realtime import feed, live_state
from marketdata.storage import storage
from marketdata.storage.base import DAILY, HISTORY, MINUTES
from tests.integration.senders import Sender
from tests.market import DAY_US, MINUTE_US, NINE_US
from tests.upkeep import Clock, seoul

pytestmark = pytest.mark.usefixtures("worker")

EVER = (-(2**62), 2**62)
DAY = datetime.date(2026, 3, 16)
NEXT = DAY + datetime.timedelta(days=1)
DONE = "2026-03-17 09:00"
CODES = ("005930", "000660")


def trades(count: int, symbol: str = "005930", *, first: int = 0, price: int = 70_000, day: int = 0) -> list[Any]:
    """Trades a minute apart, each a won dearer, from `first` minutes after nine on."""
    return [
        {"symbol": symbol, "time": NINE_US + day * DAY_US + at * MINUTE_US, "price": str(price + at)}
        for at in range(first, first + count)
    ]


def void(**given: Any) -> voids.Outcome:
    outcome = voids.void(Selection(**given), reason="wrong", by="boss")
    voids.announce()
    return outcome


def stored() -> set[int]:
    return {int(i) for code in CODES for i in storage().read_ticks(code, "krx", *EVER).tick_id}


def daily(symbol: str = "005930", date: datetime.date = DAY) -> list[tuple[int, int]]:
    """Trades and highest price of each daily candle."""
    bars = storage().read_daily(symbol, "krx", date, date + datetime.timedelta(days=1))
    return [(int(n), int(high) // 10**8) for n, high in zip(bars.n, bars.high, strict=True)]


def minutes(symbol: str = "005930") -> list[int]:
    return [int(n) for n in storage().read_minutes(symbol, "krx", *EVER).n]


def run_of(date: datetime.date = DAY) -> RolloverRun:
    return RolloverRun.objects.get(trade_date=date)


def failed(code: str) -> str:
    """The message of the one alarm of this code that stands, empty if there is none."""
    return "; ".join(Alarm.objects.filter(code=code, cleared_at=None).values_list("message", flat=True))


def told() -> int:
    """How many entries the feed has."""
    return int(live_state.connection().xlen(feed.STREAM + "krx"))


def execute(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


# --- the archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def archiving(settings, tmp_path):
    pytest.importorskip("pyarrow")
    settings.ARCHIVE, settings.ARCHIVE_DIR = True, str(tmp_path / "archive")


@pytest.fixture
def archived(archiving) -> tuple[Sender, int]:
    """A day of 60 ticks of two symbols, done and archived; its sender, and the batch of ten that were wrong."""
    sender = Sender("desk")
    sender.send(*trades(40), *trades(10, "000660"))
    wrong = sender.send(*trades(5, first=20, price=999_000), *trades(5, "000660", first=4, price=999_000))
    rollover.run_one(DAY, clock=Clock(DONE))
    assert exports.run_due() == [DAY]
    assert verification.verify(DAY).rows == 60
    return sender, wrong


def in_file() -> set[int]:
    return {int(i) for part in verification.read(manifests.path_of(DAY)) for i in part.tick_id}


def test_a_day_whose_ticks_were_voided_is_archived_again_with_exactly_the_rest(archived):
    _, wrong = archived
    void(batches=(wrong,))
    assert exports.due() == [DAY]

    assert exports.run_due() == [DAY]

    assert in_file() == stored()
    assert verification.verify(DAY).rows == 50
    assert failed("archive_failed") == ""
    assert run_of().archived_at is not None
    assert consistency.verify_day(DAY).counts == {}


def test_ticks_that_come_late_after_a_void_are_archived_with_the_rest(archived):
    sender, wrong = archived
    void(batches=(wrong,))
    sender.send(*trades(3, first=100))
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))

    assert exports.run_due() == [DAY]

    assert (in_file(), verification.verify(DAY).rows) == (stored(), 53)


def test_what_is_put_back_after_the_archive_was_made_anew_is_in_it_again(archived):
    _, wrong = archived
    before = manifests.manifest_of(DAY).figure
    void(batches=(wrong,))
    exports.run_due()

    voids.restore(VoidOrder.objects.get(), by="boss")
    assert exports.due() == []  # it waits to be moved
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))

    assert exports.run_due() == [DAY]
    assert verification.verify(DAY).figure == before
    assert consistency.verify_day(DAY).counts == {}


def test_a_day_of_which_everything_was_voided_is_a_file_without_rows(archived):
    void(client="desk")

    assert exports.run_due() == [DAY]

    assert (verification.verify(DAY).rows, in_file(), daily()) == (0, set(), [])


def _one_more_is_gone(tick: VoidedTick) -> None:
    """As if it had not been voided, and an older database restored."""
    tick.delete()


def _another_was_voided(tick: VoidedTick) -> None:
    """Under this number the database had another tick than the file has."""
    VoidedTick.objects.filter(pk=tick.pk).update(record=json.dumps({**json.loads(tick.record), "price": "1"}))


@pytest.mark.parametrize("late", [0, 20])
@pytest.mark.parametrize("harm", [_one_more_is_gone, _another_was_voided])
def test_one_tick_more_than_the_voids_explain_keeps_the_archive_as_it_is(archived, harm, late):
    """However many came late: what is compared is what the file has, not how much."""
    sender, wrong = archived
    before = manifests.path_of(DAY).read_bytes(), manifests.manifest_of(DAY)
    void(batches=(wrong,))
    if late:
        sender.send(*trades(late, first=100))
        rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))
    harm(VoidedTick.objects.order_by("tick_id")[0])

    assert exports.run_due() == []

    assert "has 60 ticks, and 1 of them are not in the database" in failed("archive_failed")
    assert (manifests.path_of(DAY).read_bytes(), manifests.manifest_of(DAY)) == before
    assert run_of().archived_at is None
    manifests.folder_of(DAY).rename(manifests.folder_of(DAY).with_name("elsewhere"))
    out = StringIO()
    call_command("archive", "2026-03-16", stdout=out)
    assert f"{50 + late} ticks" in out.getvalue()
    assert failed("archive_failed") == ""


def test_a_void_while_the_day_is_archived_makes_it_due_again(archived):
    _, wrong = archived
    (manifests.folder_of(DAY) / "_ticks.json").unlink()
    manifests.path_of(DAY).unlink()

    def meanwhile(words: str) -> None:
        if "reading back" in words:
            voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")

    with pytest.raises(files.ArchiveError, match="were voided while it was archived"):
        exports.make(DAY, progress=meanwhile)

    assert exports.run_due() == [DAY]
    assert in_file() == stored()


@pytest.mark.usefixtures("archiving")
def test_a_row_that_is_judged_again_after_its_day_was_archived_comes_into_the_file():
    sender = Sender("desk")
    sender.send(*trades(3), {"price": "-1", "time": NINE_US + 9 * MINUTE_US})
    rollover.run_one(DAY, clock=Clock(DONE))
    exports.run_due()
    reject = IngestReject.objects.get()
    reject.record = json.dumps({**json.loads(reject.record), "price": "70001"})
    reject.save()

    assert [result.stored for result in requeue.run(requeue.Selection(), asked_by="test")] == [1]
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))

    assert exports.run_due() == [DAY]
    assert (in_file(), verification.verify(DAY).rows, daily()[0][0]) == (stored(), 4, 4)
    assert consistency.verify_day(DAY).counts == {}


@pytest.mark.usefixtures("archiving")
def test_ticks_voided_in_history_and_while_they_wait_to_be_moved_leave_the_rest_everywhere():
    sender = Sender("desk")
    sender.send(*trades(10))
    rollover.run_one(DAY, clock=Clock(DONE))
    exports.run_due()
    sender.send(*trades(3, first=4, price=999_000))

    assert void(client="desk", end_us=NINE_US + 5 * MINUTE_US).ticks == 6
    assert consistency.verify_day(DAY).counts == {}
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))

    assert exports.run_due() == [DAY]
    assert (in_file(), len(stored())) == (stored(), 7)
    assert consistency.verify_day(DAY).counts == {}


def test_after_a_void_there_is_nothing_for_rebuilding_to_mend(archived):
    _, wrong = archived
    void(batches=(wrong,))
    before = storage().table_figures(MINUTES), storage().table_figures(DAILY)

    rebuilt = repair.rebuild_candles(DAY)

    assert (rebuilt.changed, rebuilt.counts) == (0, {})
    assert (storage().table_figures(MINUTES), storage().table_figures(DAILY)) == before


# --- days past their time ---------------------------------------------------------------------------------------------


def expire(settings, *, ticks: int = 365, candles: int = 365) -> None:
    """The day was done in time, and retention is at it fifteen months later."""
    settings.RETENTION_TICKS_DAYS, settings.RETENTION_MINUTES_DAYS = ticks, candles
    settings.RETENTION_LEDGER_DAYS = 3650
    RolloverRun.objects.exclude(trade_date=DAY).delete()
    RolloverRun.objects.update(done_at=seoul(DONE), expected=False)
    retention.apply(seoul("2027-06-02 10:00"), progress=lambda _: None)


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        ({}, {"ticks", "minutes"}),
        ({"candles": 3650}, {"ticks"}),
        ({"ticks": 3650}, {"minutes"}),
    ],
)
def test_late_ticks_of_a_day_past_its_time_are_not_voided_and_change_no_candle(settings, kept, gone, capsys):
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"))
    rollover.run_one(DAY, clock=Clock(DONE))
    expire(settings, **kept)
    assert dropped.kinds(DAY) == gone
    late = sender.send(*trades(2, first=1, price=999_000))
    rollover.run_one(DAY, clock=Clock("2027-06-02 10:01"))
    before = [storage().table_figures(table) for table in (HISTORY, MINUTES, DAILY)]
    announced = told()

    outcome = void(batches=(late,))
    call_command("void", "--client", "desk", "--reason", "wrong")

    assert (outcome.ticks, outcome.dropped) == (0, [DAY])
    assert "as they are: 1 days from 2026-03-16" in capsys.readouterr().out
    assert [storage().table_figures(table) for table in (HISTORY, MINUTES, DAILY)] == before
    assert (told(), FeedNotice.objects.count(), VoidedTick.objects.count()) == (announced, 0, 0)
    assert consistency.verify_day(DAY).is_consistent


@pytest.mark.usefixtures("archiving")
@pytest.mark.parametrize(
    ("kept", "trades_of_day", "parts"),
    [({}, 3, [3, 1]), ({"candles": 3650}, 4, [3, 1]), ({"ticks": 3650}, 3, [4])],
)
def test_a_row_judged_again_after_its_day_was_dropped_replaces_nothing(settings, kept, trades_of_day, parts):
    sender = Sender("desk")
    sender.send(*trades(3), {"price": "-1", "time": NINE_US + 9 * MINUTE_US})
    rollover.run_one(DAY, clock=Clock(DONE))
    exports.run_due()
    expire(settings, **kept)
    reject = IngestReject.objects.get()
    reject.record = json.dumps({**json.loads(reject.record), "price": "70001"})
    reject.save()

    assert [result.stored for result in requeue.run(requeue.Selection(), asked_by="test")] == [1]
    rollover.run_one(DAY, clock=Clock("2027-06-02 10:01"))

    assert exports.run_due() == [DAY]
    assert [verification.verify(DAY, part=part).rows for part in manifests.parts_of(DAY)] == parts
    assert daily() == [(trades_of_day, 70_002)]
    assert consistency.verify_day(DAY).counts == {}


def test_a_day_past_its_time_stays_voided_and_the_others_of_the_order_are_put_back(settings):
    sender = Sender("desk")
    sender.send(*trades(2), *trades(2, day=1))
    rollover.run_one(DAY, clock=Clock("2026-03-18 09:00"))
    void(client="desk")
    order = VoidOrder.objects.get()
    assert VoidedTick.objects.count() == 4
    dropped.note_ticks([DAY], seoul(DONE))

    with pytest.raises(voids.NotDone, match="2026-03-16 krx 005930"):
        voids.restore(order, by="boss")

    assert set(VoidedTick.objects.values_list("trade_date", flat=True)) == {DAY}
    assert len(stored()) == 2
    order.refresh_from_db()
    assert order.restored_at is None


def test_an_order_that_was_interrupted_until_the_candles_were_dropped_keeps_the_daily_candle(settings, monkeypatch):
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"))
    wrong = sender.send(*trades(1, first=5, price=999_000))
    rollover.run_one(DAY, clock=Clock(DONE))
    with monkeypatch.context() as patched:
        patched.setattr(orders, "_daily", killed)
        with pytest.raises(SystemExit):
            voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")
    expire(settings)

    voiding.finish_voids()

    assert (daily(), daily("000660")) == ([(4, 999_005)], [(2, 70_001)])
    assert VoidOrder.objects.get().done_at is not None


# --- interrupted, and days that are not whole -------------------------------------------------------------------------


def killed(*_: Any) -> None:
    raise SystemExit("killed")


def test_an_order_killed_before_the_daily_candle_makes_it_though_nothing_of_the_batch_is_left(monkeypatch):
    sender = Sender("desk")
    sender.send(*trades(3))
    wrong = sender.send(*trades(1, first=5, price=999_000))
    rollover.run_one(DAY, clock=Clock(DONE))
    with monkeypatch.context() as patched:
        patched.setattr(orders, "_daily", killed)
        with pytest.raises(SystemExit):
            voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")
    assert daily() == [(4, 999_005)]

    voiding.finish_voids()

    assert daily() == [(3, 70_002)]
    assert VoidOrder.objects.get().done_at is not None
    assert consistency.verify_day(DAY).counts == {}


def test_the_rollover_between_a_killed_order_and_its_daily_candle_holds_up_neither(monkeypatch):
    sender = Sender("desk")
    sender.send(*trades(3))
    wrong = sender.send(*trades(1, first=5, price=999_000))
    rollover.run_one(DAY, clock=Clock(DONE))
    with monkeypatch.context() as patched:
        patched.setattr(orders, "_daily", killed)
        with pytest.raises(SystemExit):
            voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))
    assert "005930 krx: 4, not 3" in failed("daily_not_whole")

    voiding.finish_voids()

    assert (daily(), failed("daily_not_whole")) == ([(3, 70_002)], "")


def test_a_void_between_two_steps_of_a_rollover_corrects_the_daily_candle(monkeypatch):
    """Late ticks took a done day back to `sealed`, where it waits for a person."""
    sender = Sender("desk")
    sender.send(*trades(3))
    wrong = sender.send(*trades(1, first=5, price=999_000))
    rollover.run_one(DAY, clock=Clock(DONE))
    RolloverRun.objects.update(state="sealed")

    void(batches=(wrong,))
    rollover.run_one(DAY, clock=Clock("2026-03-17 09:05"))

    assert (run_of().state, run_of().rows) == ("done", 3)
    assert (daily(), failed("daily_not_whole")) == ([(3, 70_002)], "")


def test_daily_candles_that_cannot_be_made_are_told_and_hold_up_no_other_day_and_no_other_order():
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"), *trades(2, day=1))
    wrong = sender.send(*trades(1, first=5, price=999_000), *trades(1, first=5, price=999_000, day=1))
    other = sender.send(*trades(1, first=9, price=999_000, day=1))
    for date in (DAY, NEXT):
        rollover.run_one(date, clock=Clock("2026-03-18 09:00"))
    execute(f"DELETE FROM {MINUTES} WHERE symbol = '000660'")  # a hand was at it

    with pytest.raises(CommandError, match=r"2026-03-16 .*000660 krx: 2, not 0.*is tried again"):
        call_command("void", "--batch", f"{wrong >> 32}/{wrong & 0xFFFFFFFF}", "--reason", "wrong")
    VoidOrder.objects.create(selection=Selection(batches=(other,)).as_json(), reason="wrong too", ordered_by="boss")
    voiding.finish_voids()

    assert (daily(), daily("000660")) == ([(4, 999_005)], [(2, 70_001)])  # as they were
    assert (minutes()[:3], daily(date=NEXT)) == ([1, 1, 1], [(2, 70_001)])
    assert Alarm.objects.get(code="void_failed", cleared_at=None).subject == str(VoidOrder.objects.order_by("pk")[0].pk)
    assert VoidOrder.objects.filter(done_at=None).count() == 1
    assert VoidedTick.objects.count() == 3

    repair.rebuild_candles(DAY)
    voiding.finish_voids()

    assert (daily(), daily("000660")) == ([(3, 70_002)], [(2, 70_001)])
    assert failed("void_failed") == ""
    assert VoidOrder.objects.filter(done_at=None).count() == 0
    assert consistency.verify_day(DAY).counts == {}


def test_two_orders_whose_daily_candles_were_not_made_do_not_wait_for_each_other(monkeypatch):
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"))
    wrong = [sender.send(*trades(1, code, first=5, price=999_000)) for code in CODES]
    rollover.run_one(DAY, clock=Clock(DONE))
    for batch in wrong:
        with monkeypatch.context() as patched:
            patched.setattr(orders, "_daily", killed)
            with pytest.raises(SystemExit):
                voids.void(Selection(batches=(batch,)), reason="wrong", by="boss")

    voiding.finish_voids()

    assert (daily(), daily("000660")) == ([(3, 70_002)], [(2, 70_001)])
    assert (failed("void_failed"), VoidOrder.objects.filter(done_at=None).count()) == ("", 0)


def test_candles_that_know_more_than_the_ticks_are_not_made_anew_by_a_void_or_by_putting_back():
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"))
    wrong = sender.send(*trades(1, first=5, price=999_000), *trades(1, "000660", first=5, price=999_000))
    earlier = sender.send(*trades(1, first=6, price=999_000))
    void(batches=(earlier,))
    rollover.run_one(DAY, clock=Clock(DONE))
    execute(f"DELETE FROM {HISTORY} WHERE symbol = %s AND tick_id = %s", "005930", min(stored()))  # a disk was at it
    before = minutes(), daily()
    announced = told()

    with pytest.raises(voids.NotDone, match="1 minute candles have more trades than the ticks"):
        void(batches=(wrong,))
    with pytest.raises(voids.NotDone, match="1 minute candles have more trades than the ticks"):
        voids.restore(VoidOrder.objects.order_by("pk")[0], by="boss")
    voids.announce()

    assert (minutes(), daily()) == before
    assert (minutes("000660"), daily("000660")) == ([1, 1], [(2, 70_001)])
    assert told() == announced + 1  # of 000660 alone
    assert set(VoidedTick.objects.values_list("symbol", flat=True)) == {"005930", "000660"}


def test_an_order_that_cannot_be_done_is_given_up_by_putting_back_what_it_took():
    sender = Sender("desk")
    sender.send(*trades(3), *trades(2, "000660"))
    rollover.run_one(DAY, clock=Clock(DONE))
    execute(f"DELETE FROM {HISTORY} WHERE symbol = %s AND tick_id = %s", "005930", min(stored()))
    with pytest.raises(voids.NotDone):
        void(client="desk")
    voiding.finish_voids()
    assert "005930" in failed("void_failed")
    assert minutes("000660") == []

    assert voids.restore(VoidOrder.objects.get(), by="boss") == 2
    voiding.finish_voids()

    assert failed("void_failed") == ""
    assert minutes("000660") == [1, 1]
