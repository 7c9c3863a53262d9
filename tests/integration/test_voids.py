"""Wrong ticks are taken back: kept aside whole, gone from ticks, candles, days and latest prices, told to subscribers,
and put back again to the digit."""

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client as Browser

from analytics import tasks as voiding
from analytics import voids
from analytics.integrity import consistency
from analytics.voids import Selection, moves, orders
from marketdata.maintenance import leases, rollover
from marketdata.models import (
    Alarm,
    DeadLetter,
    DroppedDay,
    FeedNotice,
    IngestBatch,
    RolloverRun,
    VoidedTick,
    VoidOrder,
)
from marketdata.realtime import feed, live_state
from marketdata.storage import StorageError, storage
from tests import market
from tests.integration.senders import Sender
from tests.market import MINUTE_US, NINE_US

pytestmark = pytest.mark.usefixtures("worker")

EVER = (-(2**62), 2**62)
DAY = datetime.date(2026, 3, 16)


def prices(symbol: str = "005930") -> list[int]:
    return [int(price) // 10**8 for price in storage().read_ticks(symbol, "krx", *EVER).price]


def candle(minute_us: int = NINE_US, symbol: str = "005930") -> tuple[int, ...] | None:
    """(open, high, low, close, trades) in won, None if there is no candle."""
    bars = storage().read_minutes(symbol, "krx", minute_us, minute_us + 1)
    if not len(bars):
        return None
    prices_of = [int(getattr(bars, name)[0]) // 10**8 for name in ("open", "high", "low", "close")]
    return (*prices_of, int(bars.n[0]))


def entries() -> list[feed.FeedEntry]:
    answer: Any = live_state.connection().xrange(feed.STREAM + "krx")
    return [feed.decode("krx", number, values) for number, values in answer]


def latest(symbol: str = "005930") -> int | None:
    found = live_state.latest("krx", [symbol]).get(symbol)
    return None if found is None else int(found["price"] or 0) // 10**8


def consistent() -> dict[str, int]:
    return consistency.verify_day(DAY).counts


def void(**given: Any) -> voids.Outcome:
    outcome = voids.void(Selection(**given), reason="wrong", by="boss")
    voids.announce()
    return outcome


def test_a_voided_tick_counts_nowhere_and_is_kept_whole():
    sender = Sender("desk")
    sender.send({"price": "70000"}, {"price": "70100", "time": NINE_US + 2})
    wrong = sender.send({"price": "999999", "time": NINE_US + 1, "size": "2.5", "seq": 7, "side": "buy"})
    assert candle() == (70_000, 999_999, 70_000, 70_100, 3)

    outcome = void(batches=(wrong,))

    assert outcome.series == {(DAY, "005930", "krx"): 1}
    assert prices() == [70_000, 70_100]
    assert candle() == (70_000, 70_100, 70_000, 70_100, 2)
    assert int(storage().read_minutes("005930", "krx", *EVER).rev[0]) >= 1
    kept = VoidedTick.objects.get()
    assert (kept.symbol, kept.feed, kept.source_id, kept.order.reason) == ("005930", "krx", 4, "wrong")
    record = json.loads(kept.record)
    assert (Decimal(record["price"]), Decimal(record["size"]), record["seq"]) == (Decimal(999_999), Decimal("2.5"), 7)
    assert consistent() == {}
    assert IngestBatch.objects.get(batch=wrong).stored == 0


def test_subscribers_are_told_once_with_the_corrected_candle_and_the_latest_price_is_the_valid_one():
    sender = Sender("desk")
    sender.send({"price": "70000"})
    wrong = sender.send({"price": "999999", "time": NINE_US + 1})
    assert latest() == 999_999

    void(batches=(wrong,))
    voids.announce()

    assert latest() == 70_000
    told = entries()[-1]
    assert len(entries()) == 3
    assert told.ticks.kind.tolist() == [feed.CANCELLED]
    assert [int(price) // 10**8 for price in told.ticks.price] == [999_999]
    assert (told.first, told.last) == (3, 3)
    assert market.candles(told.bars) == market.candles(storage().read_minutes("005930", "krx", *EVER))
    assert not FeedNotice.objects.exists()


def test_who_dies_between_telling_and_noting_it_does_not_tell_twice():
    sender = Sender("desk")
    wrong = sender.send({"price": "999999"})
    voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")
    notice = FeedNotice.objects.get()
    voids.announce()
    notice.save(force_insert=True)  # as if the deletion had been rolled back

    voids.announce()

    assert len(entries()) == 2
    assert not FeedNotice.objects.exists()


def test_a_minute_and_a_latest_price_that_have_nothing_left_are_gone():
    wrong = Sender("desk").send({"price": "999999"})

    void(batches=(wrong,))

    assert (prices(), candle(), latest()) == ([], None, None)
    assert storage().dates("temp_market_data") == []


def test_what_was_voided_is_put_back_to_the_digit():
    sender = Sender("desk")
    sender.send({"price": "70000"})
    sender.send(
        {"price": "70100.5", "time": NINE_US + 1, "size": "0.25", "seq": 9, "side": "sell", "cum_volume": "12"},
        {
            "symbol": "000660",
            "kind": "quote",
            "price": None,
            "bid": "1.5",
            "bid_size": "3",
            "ask": "2",
            "ask_size": "4",
        },
    )
    before = [market.rows_of(storage().read_ticks(code, "krx", *EVER)) for code in ("005930", "000660")]
    candles = market.candles(storage().read_minutes("005930", "krx", *EVER))
    void(client="desk")
    order = VoidOrder.objects.get()
    assert (prices(), prices("000660")) == ([], [])

    assert voids.restore(order, by="boss") == 3
    voids.announce()

    assert [market.rows_of(storage().read_ticks(code, "krx", *EVER)) for code in ("005930", "000660")] == before
    assert market.candles(storage().read_minutes("005930", "krx", *EVER)) == candles
    assert latest() == 70_100
    assert not VoidedTick.objects.exists()
    assert consistent() == {}
    assert voids.restore(order, by="boss") == 0


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"client": "one"}, {"005930": [3], "000660": []}),
        ({"client": "one", "symbols": ("005930",)}, {"005930": [3], "000660": [4]}),
        ({"symbols": ("005930",), "end_us": NINE_US + 1}, {"005930": [2], "000660": [4]}),
        ({"symbols": ("005930",), "start_us": NINE_US + 1, "end_us": NINE_US + 2}, {"005930": [1, 3], "000660": [4]}),
        ({"symbols": ("005930",), "feed": "nxt"}, {"005930": [1, 3, 2], "000660": [4]}),
    ],
)
def test_only_what_was_selected_goes(given, left):
    one, two = Sender("one"), Sender("two")
    one.send({"price": "1"}, {"price": "2", "time": NINE_US + 1}, {"symbol": "000660", "price": "4"})
    two.send({"price": "3"})

    count = voids.preview(Selection(**given)).ticks
    assert void(**given).ticks == count

    assert {code: prices(code) for code in left} == left
    assert consistent() == {}


def test_a_repeat_of_a_voided_batch_is_recognised_and_stays_out():
    sender = Sender("desk")
    sender.send({"price": "70000", "time": NINE_US + 1})
    wrong = sender.send({"price": "999999"})
    void(batches=(wrong,))
    sender.seq -= 1

    assert sender.send({"price": "999999"}) == wrong

    assert prices() == [70_000]
    assert consistent() == {}


@pytest.mark.parametrize(("symbols", "left"), [((), []), (("000660",), [70_000])])
def test_a_voided_batch_that_lost_its_claim_row_is_known_when_it_comes_again_and_stays_voided(symbols, left):
    sender = Sender("desk")
    rows = ({"price": "70000"}, {"symbol": "000660", "price": "2", "size": "0.25", "seq": 9})
    number = sender.send(*rows)
    void(batches=(number,), symbols=symbols)
    IngestBatch.objects.all().delete()
    sender.seq -= 1

    assert sender.send(*rows) == number

    batch = IngestBatch.objects.get()
    assert (prices(), prices("000660"), batch.state, batch.stored) == (left, [], "stored", len(left))
    assert not DeadLetter.objects.exists()
    assert "came again with the same content" in Alarm.objects.get(code="claim_restored").message
    assert consistent() == {}
    voids.restore(VoidOrder.objects.get(), by="boss")
    assert (prices(), prices("000660"), IngestBatch.objects.get().stored) == ([70_000], [2], 2)
    assert consistent() == {}


def test_other_content_under_the_number_of_a_voided_batch_that_lost_its_claim_row_is_set_aside():
    sender = Sender("desk")
    void(batches=(sender.send({"price": "999999"}),))
    IngestBatch.objects.all().delete()
    sender.seq -= 1

    sender.send({"price": "70000"})

    assert (prices(), DeadLetter.objects.get().code) == ([], "checksum_mismatch")


def test_a_day_in_history_is_corrected_with_its_daily_candle_and_its_count(settings):
    sender = Sender("desk")
    sender.send({"price": "70000"}, {"price": "70100", "time": NINE_US + MINUTE_US})
    wrong = sender.send({"price": "999999", "time": NINE_US + 1})
    rollover.run_one(DAY)
    assert storage().dates("market_data_tick") == [DAY]

    void(batches=(wrong,))
    order = VoidOrder.objects.get()

    daily = storage().read_daily("005930", "krx", DAY, DAY + datetime.timedelta(days=1))
    assert int(daily.high[0]) // 10**8 == 70_100
    assert consistent() == {}
    assert RolloverRun.objects.get(trade_date=DAY).rows == 2

    voids.restore(order, by="boss")
    rollover.run_one(DAY)

    daily = storage().read_daily("005930", "krx", DAY, DAY + datetime.timedelta(days=1))
    assert int(daily.high[0]) // 10**8 == 999_999
    assert consistent() == {}
    assert RolloverRun.objects.get(trade_date=DAY).rows == 3


def test_the_rollover_of_a_day_with_voided_ticks_finds_what_the_ledger_says():
    sender = Sender("desk")
    sender.send({"price": "70000"})
    void(batches=(sender.send({"price": "999999", "time": NINE_US + 1}),))

    run = rollover.run_one(DAY)

    assert (run.state, run.rows) == ("done", 1)


def test_what_is_left_of_a_dropped_day_is_neither_voided_nor_put_back():
    sender = Sender("desk")
    sender.send({"price": "1"})
    void(batches=(sender.send({"price": "2", "time": NINE_US + 1}),))
    DroppedDay.objects.create(trade_date=DAY, kind="ticks", dropped_at=datetime.datetime.now(datetime.UTC))
    before = candle()

    assert void(client="desk").ticks == 0
    with pytest.raises(voids.NotDone):
        voids.restore(VoidOrder.objects.order_by("pk")[0], by="boss")

    assert (prices(), candle()) == ([1], before)


def test_an_interrupted_order_is_gone_on_with_and_nothing_is_done_twice(monkeypatch):
    sender = Sender("desk")
    sender.send({"price": "1"}, {"symbol": "000660", "price": "2"})
    rollover.run_one(DAY)
    carried: list[Any] = []
    real = moves.void

    def dies_at_the_second(*given: Any) -> int:
        if carried:
            raise SystemExit("killed")
        carried.append(given)
        return real(*given)

    monkeypatch.setattr(moves, "void", dies_at_the_second)
    with pytest.raises(SystemExit):
        voids.void(Selection(client="desk"), reason="wrong", by="boss")
    assert VoidedTick.objects.count() == 1
    monkeypatch.setattr(moves, "void", real)

    voiding.finish_voids()

    assert VoidedTick.objects.count() == 2
    assert VoidOrder.objects.get().done_at is not None
    assert len(storage().read_daily("005930", "krx", DAY, DAY + datetime.timedelta(days=1))) == 0
    assert consistent() == {}
    assert sorted(len(entry.ticks) for entry in entries()) == [1, 1, 2]
    assert not FeedNotice.objects.exists()


def test_while_the_rollover_is_at_it_the_order_waits():
    wrong = Sender("desk").send({"price": "999999"})

    with leases.hold(leases.UPKEEP), pytest.raises(leases.LeaseHeld):
        voids.void(Selection(batches=(wrong,)), reason="wrong", by="boss")
    assert prices() == [999_999]
    voiding.finish_voids()

    assert prices() == []


def test_a_latest_price_told_late_by_a_worker_is_corrected_at_the_next_look():
    sender = Sender("desk")
    sender.send({"price": "70000"})
    wrong = sender.send({"price": "999999", "time": NINE_US + 1})
    ticks = storage().read_ticks("005930", "krx", *EVER)
    void(batches=(wrong,))
    pipeline = live_state.connection().pipeline()
    live_state.remember(pipeline, ticks)
    pipeline.execute()
    assert latest() == 999_999

    voiding.finish_voids()

    assert latest() == 70_000


# --- by command and in the admin -----------------------------------------------------------------------------------


@pytest.mark.once
def test_the_command_shows_voids_lists_and_restores(capsys):
    sender = Sender("desk")
    wrong = sender.send({"price": "999999"})
    name = f"{wrong >> 32}/{wrong & 0xFFFFFFFF}"

    call_command("void", "--batch", name, "--dry-run")
    assert "1 ticks would be voided" in capsys.readouterr().out
    assert prices() == [999_999]
    call_command("void", "--batch", name, "--reason", "fat finger")
    assert prices() == []
    call_command("void", "--list")
    assert "fat finger" in capsys.readouterr().out
    call_command("void", "--restore", str(VoidOrder.objects.get().pk))

    assert prices() == [999_999]
    assert latest() == 999_999


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "name a batch"),
        (("--feed", "krx", "--reason", "x"), "name a batch"),
        (("--batch", "7/7", "--reason", "x"), "7/7"),
        (("--batch", "seven", "--reason", "x"), "STREAM/SEQ"),
        (("--client", "nobody", "--reason", "x"), "no such client"),
        (("--symbol", "005930"), "say why"),
        (("--symbol", "005930", "--from", "2026-03-16T09:00", "--reason", "x"), "time zone"),
        (("--symbol", "005930", "--from", "morning", "--reason", "x"), "no time"),
        (("--restore", "7"), "no such order"),
    ],
)
def test_a_command_that_names_nothing_says_what_is_missing(given, told):
    with pytest.raises(CommandError, match=told):
        call_command("void", *(given or ("--reason", "x")))


@pytest.mark.once
def test_batches_are_voided_and_put_back_in_the_admin():
    wrong = Sender("desk").send({"price": "999999"})
    get_user_model().objects.create_superuser("boss", password="correct horse battery")
    browser = Browser()
    browser.login(username="boss", password="correct horse battery")

    browser.post("/admin/marketdata/ingestbatch/", {"action": "void", "_selected_action": [wrong]})
    assert prices() == []
    assert VoidOrder.objects.get().ordered_by == "boss"
    browser.post(
        "/admin/marketdata/voidorder/", {"action": "restore", "_selected_action": [VoidOrder.objects.get().pk]}
    )

    assert prices() == [999_999]
    get_user_model().objects.all().delete()


def test_batches_what_is_voided_and_what_is_judged_again_never_share_a_note_of_the_feed():
    makers = (feed.void_note, feed.requeue_note, feed.batch_note)
    notes = [make(number, moment) for make in makers for number in range(1, 50) for moment in (1, 2)]

    assert len(set(notes)) == len(notes)


def test_an_order_that_cannot_be_carried_out_is_an_alarm_and_holds_up_no_other(monkeypatch):
    given = [VoidOrder.objects.create(reason="x", ordered_by="test", selection="{}") for _ in range(2)]
    done = []

    def carry_out(order, progress):
        if order.pk == given[0].pk:
            raise StorageError("a day is not whole")
        done.append(order.pk)

    monkeypatch.setattr(orders, "_carry_out", carry_out)

    assert voids.resume() == 2
    assert done == [given[1].pk]
    assert Alarm.objects.get(code="void_failed", cleared_at=None).subject == str(given[0].pk)
