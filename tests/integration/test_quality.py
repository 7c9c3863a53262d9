"""The quality of days: what is computed of hand-made days, when, and what is told of it."""

import datetime
import html
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics import voids
from analytics.quality import due, series
from analytics.voids import Selection
from api import refusals
from marketdata import connections, metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention
from marketdata.models import CalendarOverride, FeedOwner, Gap, QualityDay, RolloverRun, Symbol
from marketdata.realtime import due_times, live_state, quality_due
from marketdata.storage import storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.units import day_of
from tests.integration.serving import and_leave, minute, serving
from tests.integration.test_roles import browser_of, person
from tests.market import MINUTE_US, NINE_US
from tests.waiting import until

__all__ = ["serving"]

DAY = datetime.date(2026, 3, 16)
AFTER = datetime.datetime(2026, 3, 17, 0, 30, tzinfo=datetime.UTC)
CLOSE = NINE_US + 380 * MINUTE_US
State = RolloverRun.State


def quiet(_words):
    """Nobody watches."""


def minutes(numbers, **other):
    return [minute(number, price="70000", **other) for number in numbers]


def rolled_over(date=DAY, **other):
    given = {"state": State.DONE, "done_at": AFTER, "rows": 1, **other}
    return RolloverRun.objects.update_or_create(trade_date=date, defaults=given)[0]


def row(symbol="005930", feed="krx", date=DAY):
    return QualityDay.objects.get(trade_date=date, symbol=symbol, feed=feed)


def codes(one):
    return [code for _, code, _ in one.figures["reasons"]]


def usual(symbol, ticked, *, session=380, count=3, **other):
    """Rows of the trading days before on which so many minutes of the session had a tick."""
    calendar, date = trading_dates.calendar("KRX"), DAY
    for _ in range(count):
        date = calendar.previous_session(date)
        values = {
            "feed": "krx", "market": "KRX", "grade": "A", "stored": ticked, "received": ticked, "repeated": 0,
            "rejected": 0, "late": 0, "voided": 0, "gaps": 0, "missing": 0, "session": session, "present": ticked,
            "lost": 0, "proof": "x" * 32, "computed_at": AFTER,
        }  # fmt: skip
        figures = {
            "parts": {"regular": [ticked, session]}, "reasons": [], "refused": {}, "missing_volume": 0, "gap_s": 0.0,
            "expected": None, "other": "", "halted": False,
        }  # fmt: skip
        QualityDay.objects.create(trade_date=date, symbol=symbol, figures=figures, **{**values, **other})


def test_a_day_is_computed_once_it_was_rolled_over_and_again_when_it_changed(serving):
    serving.commit(minutes(range(380)))
    serving.commit([*minutes(range(0, 380, 60), symbol="000660"), minute(1, symbol="000660", price="-1")])
    assert due.finish(AFTER) == []
    rolled_over()

    assert due.finish(AFTER) == [DAY]

    good, other = row(), row("000660")
    assert (good.grade, good.stored, good.received, good.session, good.present, good.lost) == (
        "A",
        380,
        380,
        380,
        380,
        0,
    )
    assert good.proof == RolloverRun.objects.get(trade_date=DAY).graded_as != ""
    assert (other.grade, other.stored, other.received, other.rejected, other.lost) == ("C", 7, 8, 1, 0)
    assert (codes(other), other.figures["refused"]) == (["many_refused"], {"price_not_positive": 1})
    assert due.finish(AFTER) == []

    voids.void(Selection(symbols=("005930",), start_us=NINE_US, end_us=NINE_US + MINUTE_US), reason="wrong", by="kim")
    assert due.finish(AFTER) == [DAY]
    assert (row().grade, row().voided, row().stored, row().received) == ("B", 1, 379, 380)
    assert row().pk == good.pk

    gap = Gap.objects.create(
        batch=9, feed="krx", symbol="005930", from_us=NINE_US, to_us=NINE_US + 90_000_000, rows=7, missing=2_500_000,
        reason="volume_hole of 2.5",
    )  # fmt: skip
    later = gap.created_at + datetime.timedelta(seconds=1)
    assert due.finish(later) == [DAY]
    assert (row().grade, row().gaps, row().missing) == ("C", 1, 7)
    assert (row().figures["missing_volume"], row().figures["gap_s"]) == (2_500_000, 90.0)
    assert due.finish(later) == []
    assert due.finish(later + datetime.timedelta(days=30)) == []  # that the gap is old by now is no change

    rolled_over(rows=2)  # late ticks went after the others
    assert due.finish(later) == [DAY]


def test_silence_counts_as_lost_where_it_is_not_usual(serving):
    usual("005930", 375)
    usual("000660", 8)
    usual("035420", 370)
    serving.commit(minutes([*range(100), *range(130, 380)]))
    serving.commit(minutes([5, 300], symbol="000660"))
    rolled_over()

    due.finish(AFTER)

    assert (row().lost, row().grade, codes(row()), row().figures["expected"]) == (30, "C", ["lost_minutes"], 375)
    assert (row("000660").lost, row("000660").grade, row("000660").present) == (0, "A", 2)
    dead = row("035420")  # nothing came at all of what trades nearly every minute
    assert (dead.stored, dead.lost, dead.grade, codes(dead)) == (0, 380, "D", ["nothing_stored", "lost_minutes"])


def test_nothing_is_lost_while_trading_is_halted_or_on_a_holiday(serving):
    usual("005930", 375)
    usual("035420", 370)
    Symbol.objects.filter(code="035420").update(is_halted=True)
    serving.commit(minutes(range(100)))
    storage().ensure_partitions([DAY], ("market_events",))
    storage().store_events(
        [
            MarketEvent(
                time_us=NINE_US + 100 * MINUTE_US, event_id=1, trade_date=day_of(DAY), feed="krx",
                source_id=3, kind="halt", symbol="005930", body={"halted": True},
            )
        ]
    )  # fmt: skip
    (live,) = series.Reader(DAY, CLOSE).read([("035420", "krx")])
    series.store([series.as_row(live, proof="", now=AFTER)])
    Symbol.objects.filter(code="035420").update(is_halted=False)  # by the next morning's master file
    rolled_over()

    due.finish(AFTER)

    assert (row().lost, row().grade, row().session) == (0, "A", 100)
    assert (row("035420").lost, row("035420").grade, row("035420").stored) == (0, "A", 0)
    CalendarOverride.objects.create(market_id="KRX", date=DAY, is_open=False, note="closed")
    trading_dates.forget()
    assert due.recompute(DAY, AFTER, progress=quiet) == 2
    assert (row().session, row().grade, row().stored) == (0, "A", 100)
    trading_dates.forget()


def test_two_sources_of_a_venue_are_compared_and_two_venues_are_not(serving):
    serving.commit(minutes(range(100)))
    serving.commit([minute(number, price="70100" if number < 75 else "70200") for number in range(100)], name="infomax")
    serving.commit([minute(number, price="71000") for number in range(100)], name="nxt")
    rolled_over()

    due.finish(AFTER)

    for feed, other in (("krx", "infomax"), ("infomax", "krx")):
        one = row(feed=feed)
        assert (one.compared, one.differing, one.figures["other"]) == (100, 25, other)
        assert ["C", "differing", {"minutes": 25, "compared": 100, "feed": other}] in one.figures["reasons"]
    assert row(feed="nxt").compared == 0


def test_the_day_that_goes_on_is_computed_for_what_changed_and_for_what_is_silent(serving):
    now = datetime.datetime.fromtimestamp((NINE_US + 200 * MINUTE_US) / 1e6, datetime.UTC)
    usual("035420", 370)
    serving.commit(minutes(range(100)))
    quality_due.mark(live_state.connection(), [("krx", "005930")], series_us(now))
    serving.reader.clock_offset_us = -3_000_000
    serving.reader.save()
    FeedOwner.objects.create(feed="krx", symbol="005930", client=serving.reader, changed_us=1)

    assert due.compute(now) == 2

    mine, silent = row(), row("035420")
    assert (mine.proof, mine.present, mine.session, mine.clock_us) == ("", 100, 198, -3_000_000)
    assert (mine.lost, mine.grade, codes(mine)) == (98, "C", ["lost_minutes", "clock"])
    assert (silent.lost, silent.grade) == (198, "D")
    assert due.compute(now) == 0
    later = now + datetime.timedelta(minutes=16)
    assert due.compute(later) == 2  # nothing came, which is what must be seen
    assert row("035420").lost == 214
    evening = datetime.datetime(2026, 3, 16, 12, 0, tzinfo=datetime.UTC)
    assert due.compute(evening) == 2
    assert due.compute(evening + datetime.timedelta(hours=1)) == 0

    serving.reader.clock_offset_us = 0
    serving.reader.save()
    rolled_over()
    due.finish(AFTER)
    assert row().clock_us == -3_000_000  # the next morning's clock is another day's
    assert due.compute(now) == 0  # what is final stays


def series_us(moment):
    return int(moment.timestamp() * 1e6)


def gap(**other):
    given = {
        "batch": 9,
        "feed": "krx",
        "symbol": "005930",
        "from_us": NINE_US,
        "to_us": NINE_US + 90_000_000,
        "rows": 7,
    }
    return Gap.objects.create(**{**given, "reason": "volume_hole", **other})


def test_a_gap_makes_its_series_due_at_once_and_one_of_a_feed_all_that_are_expected_of_it(serving):
    now = datetime.datetime.fromtimestamp((NINE_US + 200 * MINUTE_US) / 1e6, datetime.UTC)
    usual("035420", 370)
    usual("000660", 370, feed="nxt")
    serving.commit(minutes(range(200)))
    gap(idx=1, symbol="000660", feed="nxt")  # known when the day begins
    quality_due.mark(live_state.connection(), [("krx", "005930")], series_us(now))
    assert due.compute(now) == 3
    assert (row().grade, row().gaps) == ("A", 0)

    gap(idx=2)
    assert due.compute(now + datetime.timedelta(seconds=15)) == 1
    assert (row().grade, row().gaps, codes(row())) == ("C", 1, ["gaps"])
    assert due.compute(now + datetime.timedelta(seconds=30)) == 0
    gap(idx=3, symbol="", batch=10)
    assert due.compute(now + datetime.timedelta(seconds=45)) == 2
    assert (row().gaps, row("035420").gaps) == (2, 1)


def test_what_was_computed_while_the_day_was_rolled_over_is_not_written(serving, monkeypatch):
    now = datetime.datetime.fromtimestamp((NINE_US + 200 * MINUTE_US) / 1e6, datetime.UTC)
    serving.commit(minutes(range(200)))
    quality_due.mark(live_state.connection(), [("krx", "005930")], series_us(now))
    real = series.Reader.read
    between: list[Callable[[], object]] = []

    def read(self, pairs):
        found = real(self, pairs)
        while between:
            between.pop()()
        return found

    monkeypatch.setattr(series.Reader, "read", read)

    def over():
        rolled_over()
        assert due.finish(AFTER) == [DAY]

    between.append(over)
    assert due.compute(now) == 0
    assert row().proof == RolloverRun.objects.get(trade_date=DAY).graded_as != ""

    rolled_over(rows=2)  # late ticks went after the others
    between.append(lambda: rolled_over(rows=3))  # and again while it is computed
    assert due.finish(AFTER) == []
    assert row().proof != dict(due.due_days(AFTER))[DAY]
    assert due.finish(AFTER) == [DAY]
    between.append(lambda: rolled_over(rows=4))
    assert due.recompute(DAY, AFTER, progress=quiet) == 1
    assert row().proof == RolloverRun.objects.get(trade_date=DAY).graded_as
    assert due.due_days(AFTER) == []


def test_a_recomputation_that_the_database_ends_as_a_deadlock_is_done_again(serving):
    if connection.vendor == "sqlite":
        pytest.skip("one writes at a time, in a file")
    usual("000660", 8, count=200, session=0, lost=0)  # what the other transaction changed beside: it is the dearer one
    serving.commit([*minutes(range(380)), *minutes(range(380), symbol="035420")])
    rolled_over()
    due.finish(AFTER)
    first, last = QualityDay.objects.filter(trade_date=DAY).order_by("pk").values_list("pk", flat=True)
    holds, go = threading.Event(), threading.Event()

    def other():
        def work():
            with storage().transaction():
                QualityDay.objects.exclude(trade_date=DAY).update(market="KRX", late=1)
                QualityDay.objects.filter(pk=last).update(late=1)
                holds.set()
                assert go.wait(300)
                QualityDay.objects.filter(pk=first).update(late=1)

        connections.steadily(work)

    with ThreadPoolExecutor(2) as pool:
        told = pool.submit(and_leave, other)
        assert holds.wait(300)
        before = metrics.TRANSACTION_RETRIES._value.get()
        done = pool.submit(and_leave, lambda: due.recompute(DAY, AFTER, progress=quiet))
        # MariaDB tells the same again to who asks within a tenth of a second.
        until(is_anybody_waiting, seconds=60, what="a lock that is waited for", every=0.5)
        go.set()
        told.result(300)
        assert done.result(300) == 2

    assert metrics.TRANSACTION_RETRIES._value.get() > before
    assert {(one.late, one.proof != "") for one in QualityDay.objects.filter(trade_date=DAY)} == {(0, True)}


def is_anybody_waiting():
    """For a lock of a row, as the database tells."""
    asked = {
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    }
    with connection.cursor() as cursor:
        cursor.execute(asked[connection.vendor])
        return cursor.fetchone()[0]


def test_what_a_clock_that_was_ahead_put_off_is_due(serving):
    told = live_state.connection()
    hour_us = 3_600_000_000
    quality_due.mark(told, [("krx", "005930"), ("krx", "000660")], hour_us + 300_000_000)
    assert quality_due.take(told, hour_us + 300_000_000, most=1) == [("krx", "000660")]

    found = quality_due.take(told, 1_000, most=5)  # an hour and more is back; whoever took one is dead

    assert sorted(found) == [("krx", "000660"), ("krx", "005930")]
    assert quality_due.take(told, 1_000, most=5) == []


def test_what_a_dead_worker_took_is_taken_again(serving):
    connection = live_state.connection()
    quality_due.mark(connection, [("krx", "005930"), ("krx", "000660")], 1_000)
    quality_due.mark(connection, [("krx", "005930")], 2_000)  # due already

    assert quality_due.take(connection, 999, most=5) == []
    assert quality_due.take(connection, 1_000, most=1) == [("krx", "000660")]
    assert quality_due.take(connection, 1_000, most=5) == [("krx", "005930")]
    quality_due.settle(connection, [("krx", "005930")])
    assert quality_due.take(connection, 1_000 + due_times.LEASE_US, most=5) == [("krx", "000660")]


def test_a_commit_makes_its_series_due(serving):
    from analytics.statistics import due as statistics

    serving.commit(minutes([0]))
    statistics.compute()

    far = series_us(AFTER + datetime.timedelta(days=3650))
    assert ("krx", "005930") in quality_due.take(live_state.connection(), far, most=5)


def test_ticks_that_came_after_the_day_was_sealed_are_counted(serving):
    serving.commit(minutes(range(380)))
    sealed = datetime.datetime.now(datetime.UTC)
    serving.commit([minute(3), minute(4)])
    rolled_over(sealed_at=sealed, late_rows=2)

    due.finish(AFTER)

    assert (row().late, row().grade, codes(row())) == (2, "B", ["late"])


def test_a_day_is_recomputed_by_command(serving, capsys):
    serving.commit(minutes(range(380)))

    call_command("recompute", quality=DAY)
    assert (row().grade, row().proof) == ("A", "")
    rolled_over()
    QualityDay.objects.update(grade="D")
    call_command("recompute", quality=DAY)
    assert (row().grade, row().proof != "") == ("A", True)
    assert "1 series" in capsys.readouterr().out
    with pytest.raises(CommandError, match="nothing is known of 2026-03-15"):
        call_command("recompute", quality=datetime.date(2026, 3, 15))
    rolled_over(dropped_at=AFTER)
    with pytest.raises(CommandError, match="are gone"):
        call_command("recompute", quality=DAY)
    with pytest.raises(CommandError, match="whole day"):
        call_command("recompute", quality=DAY, feed="krx")


def test_quality_past_its_time_is_forgotten(serving, settings):
    settings.RETENTION_QUALITY_DAYS = 3
    usual("005930", 375, count=5)

    retention.forget_quality(datetime.datetime(2026, 3, 16, tzinfo=datetime.UTC), progress=quiet)

    assert sorted(QualityDay.objects.values_list("trade_date", flat=True)) == [datetime.date(2026, 3, 13)]


def test_history_that_was_replayed_is_graded_and_kept_from_when_it_was_stored(serving, settings):
    settings.RETENTION_QUALITY_DAYS = 3
    now = AFTER + datetime.timedelta(days=1_000)
    serving.commit(minutes(range(380)))
    rolled_over(done_at=now - datetime.timedelta(days=1))

    assert due.finish(now) == [DAY]
    assert retention.forget_quality(now, progress=quiet) == 0
    assert due.recompute(DAY, now, progress=quiet) == 1
    assert (row().grade, row().stored) == ("A", 380)

    later = now + datetime.timedelta(days=3)
    assert due.finish(later) == []
    assert retention.forget_quality(later, progress=quiet) == 1
    with pytest.raises(ValueError, match="older than RETENTION_QUALITY_DAYS"):
        due.recompute(DAY, later, progress=quiet)


def test_many_days_and_series_are_told_in_pages_and_as_a_map(serving):
    usual("005930", 375)
    usual("000660", 8, grade="C")
    usual("035420", 8, feed="nxt", grade="B", count=1)
    asked = {"start": "2026-03-01", "end": "2026-03-16"}

    whole = serving.read("/v2/quality", **asked)["quality"]

    assert [one["date"] for one in whole] == ["2026-03-13"] * 3 + ["2026-03-12"] * 2 + ["2026-03-11"] * 2
    for limit in (1, 3):
        page = serving.read("/v2/quality", **asked, limit=limit)
        found = page["quality"]
        while page["next_page_token"]:
            page = serving.read("/v2/quality", **asked, limit=limit, page_token=page["next_page_token"])
            found += page["quality"]
        assert found == whole
    assert serving.read("/v2/quality", **asked, sort="asc")["quality"][0]["date"] == "2026-03-11"
    assert {one["symbol"] for one in serving.read("/v2/quality", **asked, grade="C,D")["quality"]} == {"000660"}
    assert {one["symbol"] for one in serving.read("/v2/quality", **asked, feed="krx", symbols="005930")["quality"]} == {
        "005930"
    }
    assert serving.read("/v2/quality", **asked, market="CME")["quality"] == []
    assert serving.get("/v2/quality", start="2026-03-16", end="2026-03-01").status_code == 422
    assert serving.get("/v2/quality", start="2020-03-16", end="2026-03-01").status_code == 422
    assert serving.get("/v2/quality", grade="E").status_code == 400
    assert serving.read("/v2/quality", end="0001-01-02")["quality"] == []

    told = serving.read("/v2/quality/map", **asked)

    assert told["dates"] == ["2026-03-11", "2026-03-12", "2026-03-13"]
    assert [(one["symbol"], one["feed"], one["grades"]) for one in told["series"]] == [
        ("000660", "krx", "CCC"), ("035420", "nxt", "--B"), ("005930", "krx", "AAA"),
    ]  # fmt: skip
    assert told["counts"][2] == {"A": 1, "B": 1, "C": 1, "D": 0}
    first = serving.read("/v2/quality/map", **asked, limit=2)
    second = serving.read("/v2/quality/map", **asked, limit=2, page_token=first["next_page_token"])
    assert (first["series"] + second["series"], second["next_page_token"]) == (told["series"], None)
    assert [one["symbol"] for one in serving.read("/v2/quality/map", **asked, grade="B")["series"]] == ["035420"]
    assert [one["symbol"] for one in serving.read("/v2/quality/map", **asked, search="0066")["series"]] == ["000660"]
    Symbol.objects.filter(code="000660").update(name="나래전자", name_en="Narae")
    for word in ("ㄴㄹ", "ㄴ래", "nARAE"):
        assert [one["symbol"] for one in serving.read("/v2/quality/map", **asked, search=word)["series"]] == ["000660"]


def test_a_click_shows_the_minutes_of_a_symbol_and_why(serving):
    usual("005930", 375)
    serving.commit(minutes([*range(100), *range(130, 380)]))
    rolled_over()
    due.finish(AFTER)
    Gap.objects.create(
        batch=9, feed="krx", symbol="005930", from_us=NINE_US + 100 * MINUTE_US, to_us=NINE_US + 105 * MINUTE_US - 1,
        rows=3, reason="disk full",
    )  # fmt: skip

    found = serving.read("/v2/quality/2026-03-16/005930")

    (one,) = found["feeds"]
    assert (one["minutes_from"], one["minutes"]) == (
        "2026-03-16T00:00:00.000000Z", "p" * 100 + "g" * 5 + "m" * 25 + "p" * 250,
    )  # fmt: skip
    assert one["stretches"] == [
        {"state": "gap", "from": "2026-03-16T01:40:00.000000Z", "to": "2026-03-16T01:44:00.000000Z", "minutes": 5},
        {"state": "missing", "from": "2026-03-16T01:45:00.000000Z", "to": "2026-03-16T02:09:00.000000Z", "minutes": 25},
    ]
    assert [(gap["rows"], gap["reason"]) for gap in one["gap_list"]] == [(3, "disk full")]
    assert (one["present"], one["session"], one["expected"], one["lost"], one["final"]) == (350, 380, 375, 30, True)
    assert (found["grade"], len(found["because"])) == ("C", 2)
    korean = serving.read("/v2/quality/2026-03-16/005930", lang="ko")["because"]
    assert len(korean) == 2
    assert not set(korean) & set(found["because"])
    assert serving.read("/v2/quality/2026-03-16")["counts"] == {"A": 0, "B": 0, "C": 1, "D": 0}


@pytest.mark.once
def test_the_administration_tells_the_reasons_of_a_grade_in_words(serving):
    usual("005930", 375)
    refused = [minute(number, price="-1") for number in (1, 2)]
    serving.commit([*minutes([*range(100), *range(130, 380)]), *refused])
    rolled_over()
    due.finish(AFTER)
    told = serving.read("/v2/quality/2026-03-16/005930", lang="en")["feeds"][0]
    browser = browser_of(person("operator"))
    page = "/admin/marketdata/qualityday/"

    listed = browser.get(page, {"q": "005930", "grade": told["grade"]}).text
    shown = browser.get(f"{page}{row().pk}/change/").text

    assert len(told["because"]) == 2
    because = html.escape("; ".join(told["because"]))
    assert f'<td class="field-because">{because}</td>' in listed
    assert because in shown
    assert f"<li>{refusals.ROWS['price_not_positive']} · price_not_positive: 2</li>" in shown
    assert '["C"' not in shown.replace("&quot;", '"')
