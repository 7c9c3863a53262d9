"""The page of collection in Chromium, and what it reads: what is wrong comes first with what to do, every number leads
somewhere, and a server that is away is said."""

import datetime
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from api import refusals
from api.remedies import REMEDIES
from celery_app import QUEUES
from marketdata import alarms
from marketdata.maintenance import rollover
from marketdata.models import BackupRun, DeadLetter, FanoutPosition, Gap, IngestReject, RolloverRun
from marketdata.realtime import live_state
from marketdata.realtime.pipeline_history import COARSE, FINE, Point
from marketdata.types.units import SEOUL
from tests.integration.page_links import listed, unanswered, unlinked
from tests.integration.serving import and_leave, minute, serving
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_roles import PASSWORD, person
from tests.integration.test_stream_served import _web, start_web, web

__all__ = ["serving", "web"]

DAY = datetime.date(2026, 3, 13)
LASTS_S = 900  # a test at most
REFUSED = ("symbol_unknown", "time_past", "price_missing", "size_missing", "time_missing", "symbol_missing")
ROWS_OF_A_TABLE = {"20260313": [1_200, 77, "equal"], "20260312": [34, 5, "equal"]}


@pytest.fixture
def publishing_web(serving, road):
    """As `web`, where topics of another broker are published, too."""
    yield from _web(road, PAGE_PUBLIC="1", EVENT_BUS="kafka")


def upkeep():
    """A rollover that waits after its third step, a backup that failed after one that was restored."""
    at = datetime.datetime(2026, 3, 16, 8, 1, tzinfo=datetime.UTC)
    RolloverRun.objects.create(
        trade_date=DAY, state="verified", expected=True, rows=1_234, late_rows=2, tries=3, error="10.0.0.7: no room",
        texts={"ko": "10.0.0.7: 공간 없음"},
        counted_at=at, sealed_at=at, verified_at=at,
    )  # fmt: skip
    BackupRun.objects.create(
        kind="full", vendor="sqlite", name="full-1", state="verified", started_at=at, ended_at=at, verified_at=at,
        bytes=2_500_000, report={"tables": {"market_data_tick": ROWS_OF_A_TABLE, "gap": {"": [1, 1, "equal"]}}},
    )  # fmt: skip
    BackupRun.objects.create(
        kind="full", vendor="sqlite", name="full-2", state="failed", started_at=at, error="10.0.0.7: away",
        texts={"ko": "10.0.0.7: 응답 없음"},
    )  # fmt: skip


def wrong():
    """Refused rows, a dead letter, a gap of today."""
    for idx, reasons in enumerate(("symbol_unknown", "symbol_unknown time_future", "time_future")):
        IngestReject.objects.create(batch=1, idx=idx, reasons=reasons, record="{}")
    DeadLetter.objects.create(batch=2, checksum=1, code="bad_batch", error="torn", payload=b"x")
    # What is older than a day, or has the word in its content alone, is of no number of the page.
    IngestReject.objects.create(batch=4, idx=0, reasons="symbol_missing", record='{"symbol": "time_future"}')
    old = DeadLetter.objects.create(batch=5, checksum=1, code="bad_batch", error="torn", payload=b"x")
    before = timezone.now() - datetime.timedelta(days=3)
    DeadLetter.objects.filter(pk=old.pk).update(created_at=before)
    past = IngestReject.objects.create(batch=6, idx=0, reasons="time_future", record="{}")
    IngestReject.objects.filter(pk=past.pk).update(created_at=before)
    today = rollover.current_date(rollover.utc_now())
    Gap.objects.create(batch=3, feed="krx", from_us=1, to_us=2, rows=9, reason="book:not_running", trade_date=today)


# The axes and the keys of charts are of the charts themselves; retention of other tables is noted nowhere; the error of
# a backup and when the next rollover is due are words.
BARE = (
    *(f"#chart-{name}" for name in ("rate", "commit", "feed", "queues", "flight", "rejected", "terminals", "disk")),
    "#range", "#retention", "#wrong", "#wrong-count", "#terminals-count", "#backup", "#backup-name", "#rollover-date",
    "#rollover-note", "#queues", "#topics-note",
)  # fmt: skip

# Where the page of quality leads whoever operates.
OF_A_SYMBOL = """() => import("/static/api/collection/links.js").then((links) => [
  links.gaps("2026-03-16", "krx", undefined, "005930"), links.voided("2026-03-16", "krx", "005930")])"""


def behind(page, numbers):
    """The rows of the lists to which numbers lead, which are the numbers themselves."""
    found = page.locator(numbers).evaluate_all("links => links.map((one) => [one.textContent, one.href])")
    rows = [page.request.get(address).text().count('class="field-number"') for _text, address in found]
    assert [int(text) for text, _address in found] == rows
    return rows


def topics():
    """One feed whose topics are up to date, and one whose broker went away an hour ago."""
    now_us = time.time_ns() // 1000
    row = {"published_us": now_us - 1_000_000, "seen_us": now_us + LASTS_S * 1_000_000}
    FanoutPosition.objects.create(
        feed="krx", epoch="e", offset=1_234, newest_us=now_us - 1_000_000, delivered_us=now_us - 60_000_000, **row
    )
    FanoutPosition.objects.create(
        feed="nxt", newest_us=now_us + 90_000_000, trouble="10.0.0.9 refused", trouble_us=now_us - 3_600_000_000, **row
    )


def shown_by_ingest(**client):
    now = time.time()
    told = {
        "client": "desk-1", "source": "KIS", "since": now - 3600, "heard": now + LASTS_S, "rate": 12.5,
        "clock_offset_ms": 1500, "waiting": 7, "address": "10.0.0.7",
    }  # fmt: skip
    live_state.show_ingest(
        "one", {"instance": "one", "inflight_batches": 3, "paused": False, "clients": [told | client]}, ttl_s=LASTS_S
    )


def past_hours():
    now_us = time.time_ns() // 1000
    for resolution in (FINE, COARSE):
        for number in range(60, -LASTS_S // 10, -1):  # ahead as well: no point is old while the test lasts
            point = Point(
                figures={"ticks_per_s": 100 + number, "commit_ms_p50": 5, "commit_ms_p95": 9, "commit_ms_p99": 90.5,
                         "feed_ms_p50": 11, "feed_ms_p95": 29, "feed_ms_p99": 31},
                queues={"raw_market_data": number % 5, "chart-data": 3, "backups": 0},
                rejected={reason: 1 + place for place, reason in enumerate(REFUSED)},
                terminals={"desk-1": {"rate": 1, "waiting": 7}},
            )  # fmt: skip
            at_ms = resolution.start_ms(now_us - number * resolution.step_s * 1_000_000)
            live_state.connection().xadd(resolution.key, {"p": point.packed()}, id=f"{at_ms}-0")


@pytest.mark.once
def test_the_upkeep_is_told_step_by_step_and_its_errors_to_operators_alone(serving):
    upkeep()
    wrong()

    told = serving.read("/v2/status/upkeep")

    (run,) = told["rollovers"]
    assert (run["date"], run["state"], run["ticks"], run["error"]) == ("2026-03-13", "verified", 1_234, "")
    assert (run["texts"], told["backup"]["texts"]) == ({}, {})
    assert [one["step"] for one in run["steps"] if one["at"]] == ["counted", "sealed", "verified"]
    assert (told["backup"]["name"], told["backup"]["state"], told["backup"]["error"]) == ("full-2", "failed", "")
    verified = told["verified_backup"]
    assert (verified["name"], verified["tables"], verified["rows"]) == ("full-1", 2, 1_235)
    assert told["rejects"]["reasons"] == {"symbol_unknown": 2, "time_future": 2, "symbol_missing": 1}
    assert (told["rejects"]["rows"], told["rejects"]["cut"]) == (4, False)
    assert told["dead_letters"] == {"bad_batch": 1}
    assert told["gaps"]["of"] == [{"feed": "krx", "reason": "book:not_running", "gaps": 1, "rows": 9}]
    assert {one["table"] for one in told["retention"]} >= {"market_data_tick", "order_books"}
    assert all(one["free"] <= one["total"] for one in told["disks"])


@pytest.mark.once
def test_of_each_terminal_the_minutes_are_counted_in_which_it_sent(serving, monkeypatch):
    from api.views import status_upkeep

    begin = int(datetime.datetime(2026, 3, 16, 9, 0, tzinfo=SEOUL).timestamp()) * 1_000_000
    sent = ({"desk-1": {"rate": 5.0}}, {"desk-1": {"rate": 0.0}, "desk-2": {"rate": 1.0}}, {"desk-1": {"rate": 1.0}})
    for number, terminals in enumerate(sent):
        at_ms = begin // 1000 + number * 60_000
        live_state.connection().xadd(COARSE.key, {"p": Point(terminals={**terminals}).packed()}, id=f"{at_ms}-0")

    told = status_upkeep._coverage(datetime.date(2026, 3, 16), begin + 5 * 60_000_000)

    assert told == {"date": "2026-03-16", "minutes": 5, "measured": 3, "terminals": {"desk-1": 2, "desk-2": 1}}
    assert status_upkeep._coverage(datetime.date(2026, 3, 16), begin) is None


@pytest.mark.page
@pytest.mark.once
def test_the_page_tells_what_is_wrong_first_and_leads_to_every_list(publishing_web, serving, road, chromium):
    web = publishing_web
    serving.commit([minute(number) for number in range(5)])
    upkeep()
    topics()
    wrong()
    past_hours()
    shown_by_ingest()
    alarms.raise_alarm("partitions_short", "room ends", subject="market_data_tick")
    alarms.raise_alarm("storage_failing", "no room on the disk")
    get_user_model().objects.create_superuser("desk", password="a sound password")
    today = rollover.current_date(rollover.utc_now())  # here, for it may ask the database
    origin = f"http://{web}"
    complained: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"{origin}/login/?next=/collection", complained) as (page, expect),
    ):
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_url(f"{origin}/collection")
        expect(page.locator(".pages a[aria-current=page]")).to_have_text("Collection")
        items = page.locator("#wrong li")
        expect(items).to_have_count(3)
        expect(items.nth(0)).to_contain_text("database does not store · storage_failing")
        expect(items.nth(0)).to_have_attribute("data-level", "bad")
        expect(items.nth(1)).to_contain_text("room ends")
        expect(items.nth(1).locator(".do")).to_have_text(str(REMEDIES["partitions_short"]))
        expect(items.nth(2)).to_contain_text("The rollover of 2026-03-13 is not done")
        expect(page.locator("#state")).to_have_text("3 to look at")
        items.nth(0).locator("a").focus()
        since = items.nth(0).locator("small")
        expect(since).not_to_have_text(since.inner_text())
        expect(items.nth(0).locator("a")).to_be_focused()  # older it is the same link
        cells = page.locator("#terminals tr td")
        expect(cells.nth(0)).to_have_text("desk-1")
        expect(cells.nth(4)).to_have_text("13/s")
        expect(cells.nth(5)).to_have_text("7")
        expect(cells.nth(6)).to_have_class(re.compile("warn"))
        expect(page.locator("#topics-note")).to_contain_text("the broker is away since")
        expect(page.locator("#topics td").nth(0)).to_have_text("nxt read from the database")
        expect(page.locator("#topics td").nth(1)).to_have_text("91.0 s")
        expect(page.locator("#topics td").nth(1)).to_have_class(re.compile("warn"))
        expect(page.locator("#topics td").nth(3)).to_have_text("krx up to 1,234")
        expect(page.locator("#topics td").nth(4)).to_have_text("0.0 s")
        expect(page.locator("#rollover li[data-done]")).to_have_count(3)
        expect(page.locator("#rollover-note")).to_contain_text("no room")
        expect(page.locator("#backup")).to_contain_text("2 tables, 1,235 rows compared")
        expect(page.locator("#backup")).to_contain_text("failed")
        expect(page.locator("#rejects tr").nth(0)).to_contain_text("bad_batch")
        expect(page.locator("#rejects")).to_contain_text("symbol_unknown the symbol is not registered")
        assert behind(page, "#rejects td a") == [1, 2, 2, 1]
        expect(page.locator("#gaps td").nth(1)).to_have_text(
            "book:not_running order books alone, no trades: the terminal did not run"
        )
        expect(page.locator("#gaps td").nth(2)).to_have_text("1")
        lost = page.locator("#gaps td a").evaluate_all("links => [...new Set(links.map((one) => one.search))]")
        assert lost == [f"?trade_date={today}&feed=krx&reason=book%3Anot_running"]
        expect(page.locator("#gaps td a")).to_have_count(2)
        bare = page.locator("#disks td:nth-child(n + 2):not(:has(a)), #backup dd:not(:has(a))")
        expect(bare).to_have_text(["–", "10.0.0.7: away"])  # of the failed one, which tells no number
        assert unlinked(page, but=BARE) == []
        for name, lines in (
            ("commit", ["p50", "p95", "p99"]), ("feed", ["p50", "p95", "p99"]),
            ("queues", ["caches and quality", "batches to store"]),
            ("rejected", ["no price", "no size", "no symbol", "no time", str(refusals.ROWS["time_past"])]),
            ("terminals", []),
        ):  # fmt: skip
            expect(page.locator(f"#chart-{name} .key")).to_have_text(lines)
            expect(page.locator(f"#chart-{name} path")).to_have_count(max(len(lines), 1))
        expect(page.locator("#chart-feed .now")).to_have_text("11 ms p95 29 ms")
        expect(page.locator("#queues td").nth(0)).to_have_text("batches to store raw_market_data")
        page.locator("#chart-queues svg").hover()
        expect(page.locator("#chart-queues .key").first).to_have_text("caches and quality 3")
        expect(page.locator('#queues td a[href="#chart-queues"]')).to_have_count(len(QUEUES))
        assert page.evaluate("import('/static/api/page/format.js').then(({ number }) => number(-0.3))") == "0"
        drawn = page.locator("#charts svg path").first
        expect(drawn).to_have_attribute("d", re.compile(r"^M[^L]*(L[^L]*){80}"))
        page.locator("#charts svg").first.hover()
        expect(page.locator("#charts output").first).to_contain_text(":")
        page.click('button[data-resolution="1Min"]')
        expect(page.locator('button[data-resolution="1Min"]')).to_have_attribute("aria-pressed", "true")
        expect(drawn).to_have_attribute("d", re.compile(r"^M[^L]*(L[^L]*){80}"))

        expect(page.locator("#terminal")).to_be_hidden()
        cells.nth(5).locator("a").click()
        expect(page.locator("#terminal h2 b")).to_have_text("desk-1")
        expect(page.locator("#terminal-charts .now")).to_have_text(["1.0", "7", "–"])
        path = page.locator("#terminal-charts path").nth(1)
        expect(path).to_have_attribute("d", re.compile(r"^M[^L]*(L[^L]*){80}"))
        expect(page.locator("#terminal-note")).not_to_be_empty()  # nobody answers for the ingest server
        page.reload()
        expect(page.locator("#terminal-charts .now")).to_have_text(["1.0", "7", "–"])
        expect(page.locator("#terminals tr")).to_have_count(1)

        assert shut_out(page) == []
        fits(page)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.click("#terminal h2 a")
        expect(page.locator("#terminal")).to_be_hidden()
        expect(page.locator("#retention a")).to_have_count(2)
        kept = page.locator("#retention a").evaluate_all("links => links.map((one) => one.search)")
        assert kept == ["?kind__exact=minutes", "?kind__exact=ticks"]  # of other tables no days are noted
        addresses = page.locator("main a").evaluate_all("links => [...new Set(links.map(one => one.href))]")
        assert len(addresses) > 12
        addresses += [f"{origin}{path}" for path in page.evaluate(OF_A_SYMBOL)]
        answers = [(address, page.request.get(address).status) for address in addresses if "#" not in address]
        assert [one for one in answers if one[1] != 200] == []
        assert [text for text in complained if "503" not in text] == []  # Chromium tells of who did not answer

        page.context.add_cookies([{"name": "naru_language", "value": "ko", "url": origin}])
        page.reload()
        expect(page.locator("#backup")).to_contain_text("10.0.0.7: 응답 없음")
        expect(page.locator("#rollover-note")).to_contain_text("공간 없음")
        page.context.add_cookies([{"name": "naru_language", "value": "en", "url": origin}])
        page.reload()
        expect(page.locator("#backup")).to_contain_text("10.0.0.7: away")

        aside.submit(and_leave, lambda: alarms.resolve("storage_failing")).result()
        expect(items).to_have_count(2)
        road.kill("web")
        expect(page.locator("#state")).to_have_text("Disconnected")
        expect(page.locator("#away")).to_contain_text("what is shown is as of")
        start_web(road, int(web.rpartition(":")[2]))
        expect(page.locator("#state")).to_have_text("2 to look at")
        expect(page.locator("#away")).to_be_hidden()
    assert [text for text in complained if "ERR_" not in text and "503" not in text] == []


@pytest.mark.page
@pytest.mark.once
def test_a_visitor_sees_the_page_in_korean_without_addresses_of_the_administration(web, serving, chromium):
    serving.commit([minute(0)])
    complained: list[str] = []
    with looked_at(chromium, f"http://{web}/collection", complained, "ko") as (page, expect):
        expect(page.locator("#wrong li").first).to_contain_text("수집 서버가 실행되고 있지 않습니다")
        expect(page.locator("#noterminals")).to_be_visible()
        expect(page.locator("#norejects")).to_be_visible()
        expect(page.locator("#fanout")).to_be_hidden()
        expect(page.locator("#backup")).to_contain_text("아직 백업이 없습니다")
        expect(page.locator("#disks td").first).to_have_text("작업 파일 VAR_DIR")
        expect(page.locator("#disks tr").last).to_contain_text("데이터베이스")
        assert page.locator('main a[href*="/admin/"]').count() == 0
        assert unanswered(page) == []
        assert shut_out(page) == []
    assert complained == []


@pytest.mark.page
@pytest.mark.once
def test_who_may_only_read_is_led_to_lists_of_just_what_the_numbers_tell(web, serving, chromium):
    serving.commit([minute(number) for number in range(5)])
    upkeep()
    wrong()
    past_hours()
    shown_by_ingest()
    person("viewer", "desk")
    complained: list[str] = []
    origin = f"http://{web}"
    with looked_at(chromium, f"{origin}/login/?next=/collection", complained) as (page, expect):
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", PASSWORD)
        page.click("form.panel button")
        expect(page.locator("#rejects-count")).to_have_text("4")
        expect(page.locator("#terminals tr")).to_have_count(1)
        assert unlinked(page, but=BARE) == []
        told = page.locator("#rejects-count a, #rejects td a, #gaps-count a, #gaps td:nth-child(3) a").evaluate_all(
            "links => links.map((one) => [one.textContent, one.href])"
        )
        assert [text for text, _address in told] == ["4", "1", "2", "2", "1", "1", "1"]
        assert [listed(page, address) for _text, address in told] == [int(text) for text, _address in told]
        for address, words in (
            ("/lists/rollovers?date=2026-03-13", "1,234"), ("/lists/backups", "2,500,000"), ("/lists/batches", "1/1"),
        ):  # fmt: skip
            assert page.locator(f'main a[href="{address}"]').count(), address
            assert words in page.request.get(f"{origin}{address}").text()
        assert unanswered(page) == []
        assert page.locator('main a[href*="/admin/"]').count() == 0
        page.locator("#terminals a", has_text="desk-1").click()
        expect(page.locator("#terminal h2 b")).to_have_text("desk-1")
        page.locator("#rejects td a").first.click()
        expect(page.locator("main h2")).to_contain_text("Dead letters")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert shut_out(page) == []
        fits(page)
    assert [text for text in complained if "403" not in text and "503" not in text] == []
