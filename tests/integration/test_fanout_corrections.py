"""What changes of a feed otherwise than by a commit, to another broker: daily candles, candles made anew, trades that
were voided, put back or judged again, however long nobody published and although Redis forgot it."""

import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from analytics import voids
from analytics.integrity import repair
from analytics.voids import moves
from fanout.consumer import Candle, Series
from ingest import requeue
from marketdata.ledger import commits
from marketdata.maintenance import retention, rollover
from marketdata.models import DroppedDay, FanoutPosition, FeedChange, IngestBatch, Symbol, VoidedTick, VoidOrder
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.types import feed_changes
from marketdata.types.feed_changes import What
from marketdata.types.units import MINUTE_US
from tests.integration.senders import Sender
from tests.integration.test_fanout import (
    LATER_US,
    broker,
    commit,
    made_candles,
    prefix,
    publishing,
    stored_candles,
    told,
)
from tests.market import NINE_US

__all__ = ["broker", "prefix", "publishing"]

DAY = datetime.date(2026, 3, 16)
HOUR_US = 3_600_000_000
SAMSUNG, HYNIX = Series("krx", "005930"), Series("krx", "000660")


def stored_days():
    """As the consumer keeps them: the last price is the close."""
    return {
        (Series("krx", symbol), DAY.isoformat()): Candle(
            open=Decimal(int(bar.open[0])).scaleb(-8),
            high=Decimal(int(bar.high[0])).scaleb(-8),
            low=Decimal(int(bar.low[0])).scaleb(-8),
            close=Decimal(int(bar.last[0])).scaleb(-8),
            volume=Decimal(int(bar.volume[0])).scaleb(-6),
            value=Decimal(int(bar.value[0])) + Decimal(int(bar.value_frac[0])).scaleb(-14),
            trades=int(bar.n[0]),
        )
        for symbol, bar in storage().daily_of(DAY, "krx", ["000660", "005930"]).items()
    }


def high_of(account):
    return account.days[SAMSUNG, DAY.isoformat()].high


def void(**given):
    voids.void(voids.Selection(**given), reason="wrong", by="boss")
    voids.announce()


def an_hour_ago():
    """Whatever was committed, and how far it was published, is an hour older."""
    IngestBatch.objects.update(committed_us=F("committed_us") - HOUR_US)
    VoidedTick.objects.update(gone_us=F("gone_us") - HOUR_US)
    FanoutPosition.objects.update(committed_us=F("committed_us") - HOUR_US, published_us=F("published_us") - HOUR_US)


def redis_is_lost():
    live_state.connection().flushdb()


def test_a_daily_candle_is_told_once_the_rollover_made_it_and_whenever_it_changes(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "71000", "time": NINE_US + 5}, {"symbol": "000660", "price": "120000.5"})
    commit(2, {"price": "70500", "size": "2.5", "time": NINE_US + MINUTE_US})
    publishing()
    assert told(broker, prefix).days == {}

    rollover.run_one(DAY)
    publishing()

    account = told(broker, prefix)
    assert account.days == stored_days()
    assert high_of(account) == 71_000
    assert account.days == account.trades.days()
    assert not FeedChange.objects.exists()

    void(symbols=("005930",), start_us=NINE_US + 5, end_us=NINE_US + 6)
    void(symbols=("000660",))
    publishing()

    account = told(broker, prefix)
    assert {key: day for key, day in account.days.items() if day} == stored_days()
    assert high_of(account) == 70_500
    assert account.days[HYNIX, "2026-03-16"] is None, "every trade of it was taken back"
    assert list(account.differences()) == []


def test_a_daily_candle_is_whole_in_arrow_as_well(publishing, broker, prefix):
    commit(1, {"price": "70000"})
    rollover.run_one(DAY)

    publishing(form="arrow")

    assert not FeedChange.objects.exists(), "it was delivered"


def test_a_late_trade_of_a_date_whose_candles_retention_removed_takes_none_back(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "70100", "time": LATER_US})
    publishing()
    DroppedDay.objects.create(trade_date=DAY, kind=DroppedDay.Kind.MINUTES, dropped_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM market_data_minute")
    commit(2, {"price": "70200", "time": NINE_US + 5}, {"price": "70200", "time": NINE_US + 2 * MINUTE_US})
    publishing()

    account = told(broker, prefix)

    assert not stored_candles()
    assert account.charts[SAMSUNG, NINE_US] is not None
    assert (SAMSUNG, NINE_US + 2 * MINUTE_US) not in account.charts, "there never was one"


def test_candles_that_were_made_anew_are_told_although_redis_never_heard_of_it(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "70100", "time": LATER_US})
    publishing()
    before = told(broker, prefix).messages
    with connection.cursor() as cursor:
        cursor.execute("UPDATE market_data_minute SET n = 9 WHERE symbol = '005930'")

    repair.rebuild_candles(DAY)
    publishing()

    account = told(broker, prefix)
    assert account.messages == before + 1, "that of the newest minute, which is not over, is told when it is"
    assert {key: one for key, one in made_candles(account).items() if key in account.charts} == {
        key: one for key, one in stored_candles().items() if key in account.charts
    }
    assert not FeedChange.objects.exists()


def test_trades_that_were_put_back_are_told_although_the_feed_has_forgotten_them(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "71000", "time": NINE_US + 5}, {"price": "70000", "time": LATER_US})
    publishing()
    void(symbols=("005930",), start_us=NINE_US + 5, end_us=NINE_US + 6)
    publishing()
    assert made_candles(told(broker, prefix))[SAMSUNG, NINE_US][-1] == 1
    an_hour_ago()

    voids.restore(VoidOrder.objects.get(), by="boss")
    voids.announce()
    redis_is_lost()
    publishing()

    account = told(broker, prefix)
    assert made_candles(account) == stored_candles()
    assert made_candles(account)[SAMSUNG, NINE_US][-1] == 2
    assert list(account.differences()) == []
    assert FeedChange.objects.filter(what=What.TICKS).count() == 1, "its commit may be told again"
    FeedChange.objects.update(changed_us=F("changed_us") - HOUR_US)
    publishing()
    assert not FeedChange.objects.exists()


def test_many_trades_that_were_put_back_are_noted_and_read_a_few_at_a_time(publishing, broker, prefix, monkeypatch):
    monkeypatch.setattr(feed_changes, "MOST_TICKS", 2)
    monkeypatch.setattr(commits, "_BATCHES", 1)
    for batch in range(1, 4):
        at = NINE_US + batch * 10
        commit(batch, {"price": "70000", "time": at}, {"price": "71000", "time": at + 1})
    publishing()
    void(symbols=("005930",), start_us=NINE_US, end_us=NINE_US + 31)
    publishing()
    an_hour_ago()

    voids.restore(VoidOrder.objects.get(), by="boss")
    moves.restore(VoidOrder.objects.get(), DAY, "005930", "krx")  # as after a commit whose answer was lost
    voids.announce()
    redis_is_lost()
    publishing()

    account = told(broker, prefix)
    assert FeedChange.objects.filter(what=What.TICKS).count() == 3
    assert made_candles(account) == stored_candles()
    assert made_candles(account)[SAMSUNG, NINE_US][-1] == 6


def test_rows_that_were_judged_again_are_told_although_the_feed_has_forgotten_them(publishing, broker, prefix):
    sender = Sender("desk")
    sender.send({"price": "70000"}, {"symbol": "035720", "price": "50000"})
    publishing()
    Symbol.objects.create(code="035720", market_id="KRX")
    an_hour_ago()

    assert [result.stored for result in requeue.run(requeue.Selection(), asked_by="boss")] == [1]
    requeue.announce()
    redis_is_lost()
    publishing()

    account = told(broker, prefix)
    codes = ("005930", "035720")
    assert made_candles(account) == stored_candles(codes)
    assert (Series("krx", "035720"), NINE_US) in made_candles(account)


def test_who_dies_while_the_database_is_read_forgets_no_cancel(publishing, broker, prefix, monkeypatch):
    commit(1, {"price": "70000"}, {"price": "71000", "time": NINE_US + 5})
    publishing()
    an_hour_ago()
    void(symbols=("005930",), start_us=NINE_US + 5, end_us=NINE_US + 6)
    for seq in (2, 3):
        IngestBatch.objects.update(committed_us=F("committed_us") - HOUR_US)
        commit(seq, {"price": "70200", "time": LATER_US + seq})
    VoidedTick.objects.update(gone_us=F("gone_us") - HOUR_US - HOUR_US // 2)
    FanoutPosition.objects.update(committed_us=F("committed_us") - 2 * HOUR_US)
    redis_is_lost()
    monkeypatch.setattr(commits, "PAGE_BATCHES", 1)

    publishing(turns=2)  # two pages, of which the second is of after the void
    assert FanoutPosition.objects.get(feed="krx").epoch == "", "it is not through"
    publishing()

    account = told(broker, prefix)
    assert made_candles(account) == stored_candles()


@pytest.mark.once
def test_what_nobody_is_told_of_is_kept_for_a_day_and_as_long_as_the_ledger_where_somebody_is(worker, settings):
    now = datetime.datetime(2026, 3, 20, tzinfo=datetime.UTC)

    def forgotten(days):
        changed_us = int((now - datetime.timedelta(days=days)).timestamp()) * 1_000_000
        FeedChange.objects.create(what=What.MINUTES, feed="krx", symbol="005930", content="[]", changed_us=changed_us)
        gone = retention.forget_changes(now, progress=lambda _text: None)
        FeedChange.objects.all().delete()
        return gone

    settings.EVENT_BUS = "none"
    assert [forgotten(days) for days in (0, 2)] == [0, 1]
    settings.EVENT_BUS = "kafka"
    assert [forgotten(days) for days in (2, settings.RETENTION_LEDGER_DAYS + 1)] == [0, 1]
