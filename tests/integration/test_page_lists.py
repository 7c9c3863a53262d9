"""The page of prices with more symbols than anybody goes through, and in the other language, in Chromium."""

import re

import pytest

from marketdata.models import Market, Symbol
from tests.integration.serving import minute, serving
from tests.integration.test_page import looked_at, shut_out
from tests.integration.test_stream_served import web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
MANY = 340
NARROW = "The first {} are shown: narrow them down by the search."
MORE = "count => document.querySelectorAll('#watch tr').length > count"
STANDING = """async (codes) => {
  const { standings } = await import("/static/api/page/afar.js");
  const known = await standings(codes.map((symbol) => ({ symbol, feed: "krx" })));
  return Object.keys(known.get("krx"));
}"""


def test_many_symbols_come_page_by_page_and_another_language_is_switched_to_where_one_is(web, serving, chromium):
    krx = Market.objects.get(code="KRX")
    Symbol.objects.bulk_create(
        Symbol(code=f"1{number:05}", name=f"가람{number}호", market=krx, primary_feed="krx") for number in range(MANY)
    )
    serving.commit([minute(number) for number in range(30)])
    serving.commit([minute(0, symbol="000660", price="4800")])
    wrong: list[str] = []
    with looked_at(chromium, f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min", wrong) as (page, expect):
        rows, below = page.locator("#watch tr"), page.locator("#others")
        page.wait_for_selector('body[data-stream="live"]')
        expect(rows).to_have_count(60)
        below.scroll_into_view_if_needed()
        page.wait_for_function(MORE, arg=60)
        codes = rows.evaluate_all("rows => rows.map((row) => row.dataset.code)")
        assert codes == sorted(set(codes))
        rows.first.focus()
        for count in (120, 180, 240):
            page.keyboard.press("End")
            page.wait_for_function(MORE, arg=count)
        expect(rows).to_have_count(300)
        expect(below.get_by_role("status")).to_have_text(NARROW.format(300))
        expect(below.locator("button")).to_be_hidden()
        assert shut_out(page) == []
        codes = rows.evaluate_all("rows => rows.map((row) => row.dataset.code)")
        assert sorted(page.evaluate(STANDING, codes)) == codes  # more than the server takes in one request
        page.fill("#search", "1003")
        expect(rows).to_have_count(40)
        expect(below.get_by_role("status")).to_be_empty()
        page.fill("#search", "")
        expect(rows).to_have_count(60)
        expect(below.locator("button")).to_have_text("More symbols")
        below.locator("button").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(MORE, arg=60)
        page.locator("#chart").click()
        page.keyboard.press("c")
        expect(page.locator("#comparison .offered li").last).to_have_text(NARROW.format(40))
        page.keyboard.press("Escape")

        page.locator('#watch tr[data-code="000660"]').click()
        expect(page.locator("#name")).to_have_text("000660")
        page.click('button[data-frame="5Min"]')
        expect(page).to_have_url(re.compile("symbol=000660&timeframe=5Min"))
        chosen = page.url
        frame = page.locator('button[data-frame="5Min"]')
        for name, language, text, other in (
            ("한국어", "ko", "5분", re.compile("실시간|지연")),  # in the hours of KRX these trades may be late
            ("English", "en", "5 min", re.compile("Live|Delayed")),
        ):
            page.wait_for_selector('body[data-stream="live"]')
            page.get_by_role("button", name=name).click()
            page.wait_for_selector(f'html[lang="{language}"]', state="attached")
            expect(frame).to_have_text(text)
            expect(frame).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#link")).to_have_text(other)
            expect(page.locator("#last")).to_have_text("4,800")
            expect(page).to_have_url(chosen)
        page.wait_for_selector('body[data-stream="live"]')

    assert wrong == []
