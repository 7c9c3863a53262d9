"""The chart of the page of prices in Chromium: indicators as REST has them."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.integration.serving import and_leave, minute, serving
from tests.integration.test_page import KST_S, MINUTES, held, looked_at, shut_out
from tests.integration.test_stream_served import web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
# What is drawn of a pane's series, save where there is no value: by second, on Korea's clock.
DRAWN = """([pane, nth]) => {
  const found = drawn.panes()[pane].getSeries()[nth].data().filter((one) => one.value !== undefined);
  return Object.fromEntries(found.map((one) => [one.time, one.value]));
}"""
COUNTS = """([pane, nth, count]) =>
  drawn.panes()[pane]?.getSeries()[nth]?.data().filter((one) => one.value !== undefined).length === count"""


def of_rest(serving, *, last=None, symbol="005930", **query):
    """Values by REST as DRAWN has them, those of the `last` candles or all."""
    page = serving.read(f"/v2/indicators/{symbol}", **query, limit=10_000)
    found = page["indicators"]
    assert page["next_page_token"] is None
    (value,) = found[0].keys() - {"t", "x", "td", "gap"}
    return {
        str(int(datetime.fromisoformat(one["t"]).timestamp()) + KST_S): float(one[value])
        for one in found[-last if last else 0 :]
        if one[value] is not None
    }


def test_the_chart_of_a_desk(web, serving, chromium):
    held(serving)
    first = f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min"
    wrong: list[str] = []
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, f"{first}&i=rsi:3,foo,rsi:999", wrong) as (page, expect):

        def rest(**query):
            return aside.submit(and_leave, lambda: of_rest(serving, **query)).result()

        def shows(pane, nth, values):
            page.wait_for_function(COUNTS, arg=[pane, nth, len(values)])
            assert page.evaluate(DRAWN, [pane, nth]) == values

        # What the address cannot mean is told, and the rest of it is drawn.
        expect(page.locator("#ignored")).to_contain_text("foo: there is no such indicator")
        expect(page.locator("#ignored")).to_contain_text("rsi:999: period is a whole number from 2 to 250")
        expect(page).to_have_url(f"{first}&i=rsi:3")
        rsi = {"name": "rsi", "period": 3, "timeframe": "1Min"}
        shows(1, 0, rest(**rsi, last=1000))

        # By keys: the menu, a search, one more, another parameter of it.
        page.wait_for_selector('#link[data-state="live"]')
        page.keyboard.press("i")
        page.keyboard.type("simple")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{first}&i=rsi:3,sma:20")
        page.locator("#parameter-1-period").fill("0")
        page.keyboard.press("Tab")
        expect(page.locator("#indicators [role=status]")).to_have_text("period is a whole number from 1 to 500")
        page.locator("#parameter-1-period").fill("5")
        page.keyboard.press("Tab")
        expect(page).to_have_url(f"{first}&i=rsi:3,sma:5")
        assert shut_out(page) == []
        page.keyboard.press("Escape")
        sma = {"name": "sma", "period": 5, "timeframe": "1Min"}
        shows(0, 2, rest(**sma, last=1000))

        # The newest candle moves, another one begins; older ones come.
        rows = [minute(MINUTES - 1, price="75000"), minute(MINUTES, price="76000.5")]
        aside.submit(and_leave, lambda: serving.commit(rows)).result()
        shows(1, 0, rest(**rsi, last=1001))
        shows(0, 2, rest(**sma, last=1001))
        expect(page.locator('.studies [data-key="sma:5"]')).to_contain_text("73,578.30")
        page.evaluate("drawn.timeScale().setVisibleLogicalRange({ from: -20, to: 100 })")
        page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 1001")
        page.evaluate("drawn.timeScale().setVisibleLogicalRange({ from: -20, to: 100 })")
        shows(1, 0, rest(**rsi))
        shows(0, 2, rest(**sma))

        # Another timeframe, a reload, the way back; a symbol with too few candles.
        page.click('button[data-frame="5Min"]')
        shows(0, 2, rest(**{**sma, "timeframe": "5Min"}))
        page.wait_for_selector('#link[data-state="live"]')
        page.reload()
        shows(1, 0, rest(**{**rsi, "timeframe": "5Min"}))
        page.click('#watch tr[data-code="000660"]')
        expect(page).to_have_url(re.compile("symbol=000660&timeframe=5Min&i=rsi:3,sma:5$"))
        expect(page.locator('.studies [data-key="rsi:3"]')).to_contain_text("–")
        page.get_by_role("button", name="remove RSI 3").click()
        expect(page).to_have_url(re.compile("i=sma:5$"))
        page.wait_for_function("() => drawn.panes().length === 1")
        page.go_back()
        page.wait_for_function("() => drawn.panes().length === 2")
        page.wait_for_selector('#link[data-state="live"]')

    assert wrong == []
