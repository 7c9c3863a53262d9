"""The page of quality in Chromium: the map of days with its keys, its filters and its parts, the minutes of a day, and
what the address remembers."""

import datetime
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from analytics.quality import due
from marketdata.models import Gap, QualityDay, ReadRule, Symbol
from tests.integration.page_links import unanswered, unlinked
from tests.integration.serving import and_leave, serving
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_quality import DAY, minutes, rolled_over, usual
from tests.integration.test_roles import PASSWORD, person
from tests.integration.test_stream_served import start_web, web
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
OTHERS = 100
UNTIL = "end=2026-03-16"
# The rows of lists themselves, the strip's own key, and words: why a day has its grade.
BARE = ("#stretches", "#gaps", "#hours", "#states", "#because", "#place", "#one-title", "#one", "#filters", "#scrolls")
FIGURES = """list => Object.fromEntries(
  [...list.querySelectorAll("dt")].map((one) => [one.textContent, one.nextElementSibling.textContent]))"""


def graded(serving):
    """A share with half an hour lost and a gap, one that seldom trades, and a hundred without a fault."""
    Symbol.objects.filter(code="005930").update(name="가람전자")
    usual("005930", 375)
    usual("000660", 8)
    serving.commit(minutes([*range(100), *range(130, 380)]))
    serving.commit(minutes([5, 300], symbol="000660"))
    Gap.objects.create(
        batch=9, feed="krx", symbol="005930", from_us=NINE_US + 100 * MINUTE_US, to_us=NINE_US + 110 * MINUTE_US,
        rows=7, missing=12_500_000, reason="spool_damaged: batches 10 to 14", trade_date=DAY,
    )  # fmt: skip
    rolled_over()
    due.finish(datetime.datetime.now(datetime.UTC))
    (good,) = QualityDay.objects.filter(symbol="000660", trade_date=DAY)
    same = {one.attname: getattr(good, one.attname) for one in QualityDay._meta.fields if not one.primary_key}
    QualityDay.objects.bulk_create(
        QualityDay(**{**same, "symbol": f"9{number:05}", "feed": "nxt"}) for number in range(OTHERS)
    )


def test_the_map_shows_the_worst_first_and_a_cell_its_minutes(web, serving, road, chromium):
    graded(serving)
    told = serving.read("/v2/quality/2026-03-16/005930", lang="en")["feeds"][0]
    origin = f"http://{web}"
    complained: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"{origin}/quality?{UNTIL}", complained) as (page, expect),
    ):
        expect(page.locator(".pages a[aria-current=page]")).to_have_text("Quality")
        rows = page.locator("#grid tbody tr")
        expect(rows).to_have_count(100)
        expect(page.locator("#place")).to_have_text(f"1–100 of {OTHERS + 2} series")
        expect(rows.nth(0).locator("th")).to_contain_text("005930")
        expect(rows.nth(0).locator("td")).to_have_text(["A", "A", "A", "C"])
        expect(page.locator("#grid thead tr:nth-child(2) th")).to_have_text(["Series with C or D", "·", "·", "·", "1"])
        page.click("#next")
        expect(rows).to_have_count(OTHERS + 2 - 100)
        expect(page.locator("#next")).to_be_hidden()
        page.click("#before")
        expect(rows).to_have_count(100)

        # One stop of the tab key, arrows, Enter.
        stop = page.locator('#grid td[tabindex="0"]')
        expect(stop).to_have_count(1)
        stop.focus()
        page.keyboard.press("Control+Home")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("End")
        page.keyboard.press("ArrowUp")
        expect(page.locator("#grid td:focus")).to_have_text("C")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"date=2026-03-16&symbol=005930&of=krx"))
        expect(page.locator("#one-title")).to_contain_text("005930 · krx · 2026-03-16")
        expect(page.locator("#one-title i")).to_have_text("C")
        because = page.locator("#because li")
        expect(because).to_have_text(told["because"])
        expect(page.locator("#stretches tr td").nth(1)).to_have_text("10:40")
        lost = page.locator("#states [data-state=g], #states [data-state=m]")
        counted = sum(int(text.split()[-1]) for text in lost.all_inner_texts())
        assert counted == told["lost"] == 30
        widths = page.locator("#strip rect[data-state=p]").evaluate_all(
            "all => all.map(one => one.width.baseVal.value)"
        )
        assert sum(widths) == told["present"] == 350
        expect(page.locator("#gaps td").nth(0)).to_have_text(
            "the terminal's spool was damaged: batches 10 to 14 volume 12.5"
        )
        expect(page.locator("#gaps td").nth(3)).to_have_text("7")
        figures = page.locator("#figures").evaluate(FIGURES)
        assert told["received"] == told["stored"] == 350
        assert {name: figures[name] for name in ("Received", "Stored", "Time in gaps", "Missing volume")} == {
            "Received": "350", "Stored": "350", "Time in gaps": "600 s", "Missing volume": "12.5",
        }  # fmt: skip

        links = page.locator("#links a").evaluate_all("all => all.map(one => one.href)")
        assert f"{origin}/?feed=krx&symbol=005930&timeframe=1Min" in links
        assert f"{origin}/lists/gaps?date=2026-03-16&feed=krx&symbol=005930" in links
        assert [page.request.get(address).status for address in links] == [200] * len(links)
        assert shut_out(page) == []
        fits(page)
        page.set_viewport_size({"width": 1280, "height": 800})

        # The address says it all: again, and back.
        page.select_option("[name=feed]", "krx")
        expect(rows).to_have_count(2)
        page.fill("[name=search]", "가람")
        expect(rows).to_have_count(1)
        page.reload()
        expect(rows).to_have_count(1)
        expect(page.locator("#one-title span")).to_have_text("가람전자 · 005930 · krx · 2026-03-16")
        expect(page.locator("#grid td[aria-selected=true]")).to_have_text("C")
        expect(page.locator("#stretches tr td").nth(1)).to_have_text("10:40")
        page.fill("[name=search]", "nobody")
        expect(page.locator("#nothing")).to_be_visible()
        page.go_back()
        expect(rows).to_have_count(100)
        page.select_option("[name=grade]", "C,D")
        expect(rows).to_have_count(1)
        assert complained == []

        aside.submit(and_leave, lambda: QualityDay.objects.filter(symbol="005930").delete()).result()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#nothing")).to_be_visible()
        road.kill("web")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#state")).to_have_text("Disconnected")
        start_web(road, int(web.rpartition(":")[2]))
        expect(page.locator("#state")).to_have_text("Live")
        expect(page.locator("#away")).to_be_hidden()
    assert [text for text in complained if "ERR_" not in text] == []


def test_a_visitor_reads_it_in_korean_and_an_address_of_nothing_says_so(web, serving, chromium):
    graded(serving)
    complained: list[str] = []
    address = f"http://{web}/quality?{UNTIL}&date=2026-03-16&symbol=005930&of=nxt"
    with looked_at(chromium, address, complained, "ko") as (page, expect):
        expect(page.locator("#one-none")).to_have_text("이 날 이 종목에 대한 기록이 없습니다.")
        page.locator('#grid td[data-grade="C"]').click()
        expect(page.locator("#because li").first).to_contain_text("공백")
        expect(page.locator("#states")).to_contain_text("누락: 확인된 공백")
        expect(page.locator("#gaps td").nth(0)).to_have_text("단말 스풀 손상: 배치 10~14 수량 12.5")
        figures = page.locator("#figures").evaluate(FIGURES)
        assert [figures[name] for name in ("수신", "공백 시간", "누락 수량")] == ["350", "600초", "12.5"]
        assert page.locator('main a[href*="/admin/"]').count() == 0
        assert unlinked(page, but=BARE) == []
        assert unanswered(page) == []
    assert complained == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_late_ticks_lead_to_the_batches_that_brought_them(web, serving, chromium, role):
    serving.commit(minutes(range(100)))
    rolled_over(sealed_at=datetime.datetime.now(datetime.UTC), late_rows=10)
    serving.commit(minutes(range(100, 110)))
    serving.commit(minutes(range(100, 110), symbol="000660"), name="nxt")
    due.finish(datetime.datetime.now(datetime.UTC))
    person(role, "desk")
    complained: list[str] = []
    address = f"http://{web}/login/?next=/quality%3F{UNTIL}%26date=2026-03-16%26symbol=005930%26of=krx"
    with looked_at(chromium, address, complained) as (page, expect):
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", PASSWORD)
        page.click("form.panel button")
        expect(page.locator('#figures dd a[href*="late=1"]')).to_have_text("10")
        assert unlinked(page, but=BARE) == []
        assert unanswered(page) == []
        numbers = {}
        for name in ("Received", "Late"):
            link = page.locator(f'#figures dt:has-text("{name}") + dd a')
            numbers[name] = page.request.get(link.evaluate("one => one.href")).text()
        shown = {name: re.findall(r"<t[dh][^>]*>(?:<a[^>]*>)?(1/[0-9]+)", text) for name, text in numbers.items()}
        assert shown == {"Received": ["1/2", "1/1"], "Late": ["1/2"]}

        # The numbers of faults of the days: above the map, by the arrows; each leads to the series that had them.
        page.locator('#grid td[tabindex="0"]').focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowUp")
        faults = page.locator("#grid thead a:focus")
        expect(faults).to_have_text("1")
        expect(page.locator('#grid [tabindex="0"]')).to_have_count(1)
        page.keyboard.press("ArrowDown")
        expect(page.locator("#grid td:focus")).to_have_count(1)
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("grade=C%2CD"))
        expect(page.locator("#place")).to_have_text("1–1 of 1 series")
        expect(page.locator("#grid thead tr:first-child th")).to_have_count(2)
    assert complained == []


def test_who_may_read_one_feed_sees_its_map_and_is_told_why_there_are_no_minutes(web, serving, chromium):
    graded(serving)
    person = get_user_model().objects.create_user("desk", password="a sound password")
    person.groups.add(Group.objects.get(name="viewer"))
    ReadRule.objects.create(user=person, feeds="krx")
    complained: list[str] = []
    with looked_at(chromium, f"http://{web}/login/?next=/quality%3F{UNTIL}", complained) as (page, expect):
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        expect(page.locator("#grid tbody tr")).to_have_count(2)
        page.evaluate("window.untouched = true")
        page.locator('#grid td[data-grade="C"]').click()
        expect(page.locator("#one-none")).to_contain_text("access to all feeds only")
        assert page.evaluate("window.untouched")
    assert [text for text in complained if "403" not in text] == []
