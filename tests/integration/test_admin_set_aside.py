"""Refused rows and dead letters in the administration: who sent them and why, found by that, and judged again by a
worker that is asked by the road of the page of operations."""

import datetime
import json
import re
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.quality import days
from marketdata.calendar import trading_dates
from marketdata.maintenance import requests
from marketdata.models import (
    AuditEntry,
    BackupRun,
    Client,
    DeadLetter,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestStream,
    RolloverRun,
    Source,
)
from marketdata.types.tick_arrays import batch_number
from tests.integration.serving import serving
from tests.integration.test_operations_page import left_aside, worked
from tests.integration.test_roles import browser_of, person
from tests.market import NINE_US
from tests.vendor import lose

__all__ = ["serving"]

REJECTS, LETTERS = "/admin/marketdata/ingestreject/", "/admin/marketdata/deadletter/"


def refused():
    """Rows of two clients of two sources, one of them with two spools that are no neighbours."""
    for name, code, streams in (("kis-1", "KIS", (1, 3)), ("desk-2", "INFOMAX", (2,))):
        client, _secret = Client.objects.create_with_secret(
            name=name, source=Source.objects.get(code=code), may_send=True, feeds="*"
        )
        for number in streams:
            IngestStream.objects.create(id=number, client=client, epoch=str(number).zfill(16))
    for stream, seq, reasons in (
        (1, 1, "time_future"), (2, 1, "symbol_unknown"), (3, 1, "symbol_unknown price_missing"),
        (3, 2, "price_missing"),
    ):  # fmt: skip
        IngestReject.objects.create(batch=batch_number(stream, seq), idx=0, reasons=reasons, record="{}")
    IngestReject.objects.filter(batch=batch_number(1, 1)).update(created_at=timezone.now() - datetime.timedelta(days=2))


def batches(page):
    return re.findall(r'class="field-number">(?:<a[^>]*>)?([0-9]+/[0-9]+)', page.text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["3/2", "3/1", "2/1", "1/1"]),
        ("?client=kis-1", ["3/2", "3/1", "1/1"]),
        ("?source=INFOMAX", ["2/1"]),
        ("?client=nobody", []),
        ("?reason=price_missing", ["3/2", "3/1"]),
        ("?reason=symbol_unknown&client=kis-1", ["3/1"]),
        ("?reason=time_past", []),
        ("?since=day", ["3/2", "3/1", "2/1"]),
        ("?q=3/1", ["3/1"]),
        ("?q=3/1+2/1", ["3/1", "2/1"]),
        ("?q=3/1+symbol_unknown", ["3/1"]),
        ("?q=3/1+time_future", []),
        ("?q=time_future", ["1/1"]),
        ("?q=3/", []),
        ("?date=9999-12-31", []),
        ("?date=0001-01-01", []),
        ("?date=yesterday", []),
    ],
)
def test_refused_rows_are_found_by_client_source_reason_and_time(serving, query, found):
    refused()
    browser = browser_of(person("operator"))

    page = browser.get(REJECTS + query)

    assert page.status_code == 200
    assert batches(page) == found
    if "2/1" in found:
        assert 'class="field-client">desk-2<' in page.text
        assert 'class="field-source">INFOMAX<' in page.text


def test_a_page_of_dead_letters_reads_no_payload_and_asks_as_often_however_many_there_are(serving):
    refused()
    browser = browser_of(person("operator"))

    def asked(count):
        DeadLetter.objects.all().delete()
        DeadLetter.objects.bulk_create(
            DeadLetter(batch=batch_number(1, seq), checksum=1, code="bad_batch", error="torn", payload=b"x" * 1000)
            for seq in range(1, count + 1)
        )
        with CaptureQueriesContext(connection) as captured:
            page = browser.get(LETTERS)
        assert ">1000<" in page.text
        return [one["sql"] for one in captured.captured_queries]

    browser.get(LETTERS)  # what is asked once in a process
    few, many = asked(2), asked(40)

    assert len(few) == len(many)
    pages = [sql for sql in many if "dead_letter" in sql and "LENGTH" in sql.upper()]
    assert pages
    assert not any(re.search(r"dead_letter[`\"]\.[`\"]payload[`\"],", sql) for sql in many)


def test_a_dead_letter_is_retried_by_a_worker_and_noted(serving, redis):
    left_aside()
    browser = browser_of(person("operator"))
    letter = DeadLetter.objects.get()

    answer = browser.post(LETTERS, {"action": "retry", "_selected_action": [letter.pk]}, follow=True)
    again = browser.post(LETTERS, {"action": "retry", "_selected_action": [letter.pk]}, follow=True)

    assert "Asked a worker: requeue --code dead_letter --batch 1/1." in answer.text
    assert "is not over yet" in again.text
    assert DeadLetter.objects.exists()  # a web process does nothing of it
    assert worked(redis, "requeue") == "batches 1, judged again 1, stored 1"
    assert not DeadLetter.objects.exists()
    entry = AuditEntry.objects.get(action="requeue")
    assert (entry.actor, entry.text) == ("kim", "requeue --code dead_letter --batch 1/1")


@pytest.mark.once
def test_refused_rows_of_chosen_batches_are_judged_again_and_no_others(serving, redis):
    left_aside()
    other = IngestReject.objects.create(batch=batch_number(1, 9), idx=0, reasons="symbol_unknown", record="{}")
    browser = browser_of(person("operator"))
    chosen = IngestReject.objects.exclude(pk=other.pk).get()

    browser.post(REJECTS, {"action": "judge_again", "_selected_action": [chosen.pk]})

    assert worked(redis, "requeue").startswith("batches 1, judged again 1, stored 0")  # still nobody's symbol
    assert IngestReject.objects.filter(pk=other.pk).exists()


@pytest.mark.once
def test_what_has_other_content_is_not_retried(serving, redis):
    letter = DeadLetter.objects.create(batch=1, checksum=1, code="checksum_mismatch", error="no", payload=b"x")
    browser = browser_of(person("operator"))

    page = browser.post(LETTERS, {"action": "retry", "_selected_action": [letter.pk]}, follow=True)

    assert "None of these can be stored after all" in page.text
    assert not AuditEntry.objects.filter(action="requeue").exists()


@pytest.mark.once
def test_chosen_gaps_are_fetched_again_and_the_list_says_what_came_of_it(serving, redis, settings):
    settings.NARU_KIS_KEYS_FILE = ""
    of_symbol = lose(1, NINE_US, NINE_US, "12")
    of_feed = lose(2, NINE_US, NINE_US + 2 * 86_400_000_000, None, symbol="")
    elsewhere = lose(3, NINE_US, NINE_US, "12", feed="infomax")
    browser, path = browser_of(person("operator")), "/admin/marketdata/gap/"

    def again(*gaps):
        chosen = {"action": "fetch_again", "_selected_action": [gap.pk for gap in gaps]}
        return browser.post(path, chosen, follow=True).text

    assert "KIS has bars of trades alone, of the feeds krx, nxt, unified." in again(elsewhere)
    assert not AuditEntry.objects.filter(action="repair").exists()
    assert "Asked a worker" in again(of_symbol, of_feed, elsewhere)
    days = [f"2026-03-{day}" for day in (16, 17, 18)]
    assert AuditEntry.objects.get().text == f"repair {days[0]}/* {days[0]}/005930 {days[1]}/* {days[2]}/*"
    assert "Not asked again" in again(of_symbol)
    assert worked(redis, "repair").startswith("not done: no keys of KIS are configured")
    assert "→ not done: no keys of KIS are configured" in browser.get(path).text
    viewing = browser_of(person("viewer", "lee")).get(path)
    assert viewing.status_code == 403 or "fetch_again" not in viewing.text


@pytest.mark.once
def test_why_something_is_missing_is_told_in_the_readers_language_with_the_code_beside_it(serving):
    known = lose(1, NINE_US, NINE_US, "12", reason="before_first_trade")
    lose(2, NINE_US, NINE_US, "12", reason="the vendor's own words")
    browser = browser_of(person("operator"))
    browser.cookies["naru_language"] = "ko"

    listed = browser.get("/admin/marketdata/gap/").text

    assert "처음 받은 체결 이전의 당일 체결 누락" in listed
    assert "the vendor&#x27;s own words" in listed
    alone = browser.get(f"/admin/marketdata/gap/{known.pk}/change/").text
    assert "처음 받은 체결 이전의 당일 체결 누락" in alone
    assert "before_first_trade" in alone


@pytest.mark.once
def test_why_a_rollover_or_a_backup_failed_is_told_in_the_readers_language(serving):
    at = datetime.datetime(2026, 3, 16, 8, 1, tzinfo=datetime.UTC)
    told = {"error": "no room", "texts": {"ko": "공간 없음"}}
    RolloverRun.objects.create(trade_date=at.date(), state="sealed", tries=1, **told)
    BackupRun.objects.create(kind="full", vendor="sqlite", name="full-1", state="failed", started_at=at, **told)
    browser = browser_of(person("operator"))

    for language, words in (("ko", "공간 없음"), ("en", "no room")):
        browser.cookies["naru_language"] = language
        for model, key in (("rolloverrun", "2026-03-16"), ("backuprun", BackupRun.objects.get().pk)):
            assert words in browser.get(f"/admin/marketdata/{model}/").text
            assert words in browser.get(f"/admin/marketdata/{model}/{key}/change/").text


@pytest.mark.once
@pytest.mark.parametrize(
    ("model", "work"),
    [("rolloverrun", "rollover"), ("rolloverrun", "retention"), ("backuprun", "backup"), ("gap", "repair")],
)
def test_the_upkeep_is_asked_for_by_buttons_that_say_what_they_do(serving, redis, model, work):
    browser = browser_of(person("operator"))
    path = f"/admin/marketdata/{model}/"

    assert f"{path}ask/{work}/" in browser.get(path).text
    assert "A worker" in browser.get(f"{path}ask/{work}/").text
    assert not AuditEntry.objects.filter(action=work).exists()
    assert "Asked a worker" in browser.post(f"{path}ask/{work}/", follow=True).text
    assert AuditEntry.objects.get(action=work, outcome=requests.ASKED).actor == "kim"
    assert "Not over yet" in browser.get(f"{path}ask/{work}/").text
    assert f"Asked last: {work} (kim, " in browser.get(path).text
    assert browser.post(f"{path}ask/requeue/").status_code == 404


def test_refused_rows_are_found_by_trading_date_feed_and_symbol_as_quality_counts_them(serving):
    refused()
    today = trading_dates.calendar("KRX").trade_date(time.time_ns() // 1000)
    at_us = days.window(today)[0]
    for number, (seq, feed, committed_us) in enumerate(
        ((1, "krx", at_us), (2, "nxt", at_us), (3, "krx", at_us - 1)), start=1
    ):
        batch = batch_number(7, seq)
        IngestBatch.objects.create(
            batch=batch, state="stored", feed=feed, rows=3, stored=0, rejected=3, checksum=number,
            received_us=committed_us, committed_us=committed_us,
        )  # fmt: skip
        for idx, symbol in enumerate(("005930", "0059300", "000660")):
            content = json.dumps({"symbol": symbol, "note": "005930"})
            IngestReject.objects.create(batch=batch, idx=idx, reasons="price_missing", record=content)
    IngestBatchDay.objects.create(batch=batch_number(7, 1), trade_date=today, rows=1, checksum=1)
    browser = browser_of(person("operator"))

    def found(**filters):
        return batches(browser.get(REJECTS, filters))

    day = today.isoformat()
    assert found(date=day) == ["7/2"] * 3 + ["7/1"] * 3
    assert found(date=day, feed="krx") == ["7/1"] * 3
    assert found(date=day, symbol="005930") == ["7/2", "7/1"]
    assert found(date=day, feed="krx", symbol="005930", reason="price_missing") == ["7/1"]
    assert found(date=day, feed="krx", symbol="005930", reason="time_past") == []
    assert found(symbol="005930") == ["7/3", "7/2", "7/1"]
    assert len(found(date=day, symbol="005930")) == days.of_symbol(today, "005930").rejected_rows


def test_batches_are_found_by_the_number_that_is_shown_and_by_client_source_and_time(serving):
    refused()
    now_us = time.time_ns() // 1000
    for stream, seq, age_us in ((1, 1042, 0), (2, 1042, 1), (3, 1, 3_600_000_000 * 2), (3, 1042, 86_400_000_000 * 3)):
        IngestBatch.objects.create(
            batch=batch_number(stream, seq), state="stored", feed="krx", rows=1, stored=1, rejected=0, checksum=1,
            received_us=now_us - age_us, committed_us=now_us - age_us,
        )  # fmt: skip
    browser = browser_of(person("operator"))

    def found(**filters):
        return batches(browser.get("/admin/marketdata/ingestbatch/", filters))

    assert found() == ["1/1042", "2/1042", "3/1", "3/1042"]
    assert found(q="3/1042") == ["3/1042"]
    assert found(q="3/1042 1/1042") == ["1/1042", "3/1042"]
    assert found(q=str(batch_number(2, 1042))) == ["2/1042"]
    assert found(q="4294967296/1") == found(q="3/x") == found(q="9/9") == []
    assert found(client="kis-1") == ["1/1042", "3/1", "3/1042"]
    assert found(source="INFOMAX") == ["2/1042"]
    assert found(since="hour") == ["1/1042", "2/1042"]
    assert found(since="day", client="kis-1") == ["1/1042", "3/1"]
    assert "such as 3/1042" in browser.get("/admin/marketdata/ingestbatch/").text
