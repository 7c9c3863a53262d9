"""The statistics of a symbol beside its order book, in Chromium: folded, then as REST and the stream tell them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from analytics.statistics import due
from tests.integration.page_links import unanswered, unlinked
from tests.integration.serving import and_leave, serving
from tests.integration.test_api_resources import book, keep
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_statistics import trades
from tests.integration.test_stream_served import web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
# The chart and what is said of its newest price, and the trades, which are the list themselves.
BARE = ("#chart", "#last", "#change", "#legend", "#code", "#name", "#tape", "#compared")
FIGURES = """() => {
  const [names, values] = ["dt", "dd"].map((kind) => [...document.querySelectorAll(`#statistics ${kind}`)]);
  return Object.fromEntries(names.map((one, nth) => [one.firstChild.textContent, values[nth].textContent]));
}"""


def test_the_statistics_of_a_symbol_are_told_to_who_unfolds_them_and_move(web, serving, chromium):
    serving.commit(trades(70000, 70100, 70000, size="30"))
    keep(book(0))
    due.compute()
    wrong: list[str] = []
    first = f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min"
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, first, wrong) as (page, expect):
        panel, sizes = page.locator("#statistics"), page.locator("#statistics li b")
        page.wait_for_selector('body[data-stream="live"]')
        expect(panel.locator("dl")).to_be_hidden()
        panel.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(panel.get_by_role("status")).to_have_text("Trading day 2026-03-16")
        told = page.evaluate(FIGURES)
        assert {name: told[name] for name in ("VWAP", "Last against VWAP", "Flow", "Bought · sold", "Beta")} == {
            "VWAP": "70,033.33", "Last against VWAP": "−0.05%", "Flow": "0.0%", "Bought · sold": "30 · 30",
            "Beta": "no index collected",
        }  # fmt: skip
        assert sizes.all_inner_texts() == ["0", "3", "0", "0", "0", "0"]

        # Each number leads to what it is made of; the panel is one stop of the tab key, and the ladder another.
        expect(page.locator("#ladder a:visible")).to_have_text(["70,100.0", "70,000.0", "69,900.5"])
        assert unlinked(page, but=BARE) == []
        assert unanswered(page) == []
        for place in ("#statistics .scrolls", ".book table"):
            expect(page.locator(f'{place} a[tabindex="0"]')).to_have_count(1)
        page.locator('.book a[tabindex="0"]').focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        at_price = page.locator("#ladder a:focus")
        expect(at_price).to_have_text("69,900.5")
        listed = page.request.get(at_price.evaluate("one => one.href")).text()
        assert "69,900.5" in listed
        assert ">7.5<" in listed
        page.keyboard.press("ArrowDown")
        expect(page.locator("#sums a:focus")).to_have_count(1)
        sizes.nth(1).locator("a").click()
        expect(page.locator("#least")).to_have_value("10")
        expect(page.locator("#tapeframe")).to_be_focused()
        expect(page.locator("#tape tr")).to_have_count(3)
        sizes.nth(2).locator("a").click()
        expect(page.locator("#tape tr")).to_have_count(0)
        page.fill("#least", "")

        def more():
            serving.commit(trades(70200, size="500", minute=1))
            due.compute()

        aside.submit(and_leave, more).result()
        expect(sizes.nth(2)).to_have_text("1")  # without a reload
        assert page.evaluate(FIGURES)["Bought · sold"] == "530 · 30"
        assert shut_out(page) == []
        fits(page)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.wait_for_selector('body[data-stream="live"]')
        page.reload()
        expect(sizes.nth(2)).to_have_text("1")
        page.locator('#watch tr[data-code="000660"]').click()
        expect(panel.get_by_role("status")).to_have_text("No statistics yet.")
        assert set(page.evaluate(FIGURES).values()) <= {"–", "– · –", "– · – · – · –"}
        page.wait_for_selector('body[data-stream="live"]')

    assert wrong == []
