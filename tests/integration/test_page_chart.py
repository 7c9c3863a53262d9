"""The chart of the page of prices in Chromium: indicators as REST has them, drawings as people keep them."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model

from api import drawings
from marketdata.models import AdjustmentFactor, Drawing, Market, Symbol
from marketdata.storage import storage
from marketdata.types.order_books import MarketEvent
from tests.integration.page_while_open import CANDLES, KST_S, holding
from tests.integration.serving import and_leave, minute, serving
from tests.integration.test_page import MINUTES, PICTURES, follows, held, looked_at, shut_out
from tests.integration.test_stream_served import web
from tests.market import DAY_US, MINUTE_US, NINE_US
from tests.waiting import until

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
# What is drawn of a pane's series, save where there is no value: by second, on Korea's clock.
DRAWN = """([pane, nth]) => {
  const found = drawn.panes()[pane]?.getSeries()[nth]?.data().filter((one) => one.value !== undefined) ?? [];
  return Object.fromEntries(found.map((one) => [one.time, one.value]));
}"""
SAME_DRAWN = f"([pane, nth, values]) => JSON.stringify(({DRAWN})([pane, nth])) === JSON.stringify(values)"
LINEAR, LOGARITHMIC, PERCENT = 0, 1, 2  # PriceScaleMode
NEWER = re.compile(r"/v2/stocks/bars\?symbols=005930&.*start=")
STANDINGS = re.compile(r"/v2/stocks/snapshots\?symbols=IX")
DRAWINGS = "**/v2/drawings?symbol=*"
SCALE = "drawn.priceScale('right').options().mode"


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


def shows(page, pane, nth, values):
    """Waits until a pane's series is this: what is drawn comes by and by, and as often as it moves."""
    page.wait_for_function(SAME_DRAWN, arg=[pane, nth, values])


def kept(page):
    """The drawings of a visitor, which are in his browser."""
    found = page.evaluate("JSON.parse(localStorage.getItem('naru.drawings') ?? '{}')").get("005930", [])
    return [(one["kind"], one["points"]) for one in found]


def stored():
    """The same of the server's, with times and prices as the chart has them."""
    found = [drawings.shown(one) for one in Drawing.objects.order_by("id")]
    return [
        (
            one["kind"],
            [{**({"t": at["t"][:19] + "Z"} if "t" in at else {}), "p": float(bytes(at["p"]))} for at in one["points"]],
        )
        for one in found
    ]


# Where a time and a price are, once that has been the same for ten pictures and half a second: the chart finds its
# scale anew when a bar of tools comes or candles do.
PLACE = """async ([when, value]) => {
  const at = () => {
    const box = drawn.panes()[0].getHTMLElement().getBoundingClientRect();
    const y = drawn.panes()[0].getSeries()[0].priceToCoordinate(value);
    return [box.left + drawn.timeScale().timeToCoordinate(when), box.top + y];
  };
  for (let before = at(), same = 0; same < 10; ) {
    await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 50)));
    const now = at();
    same = now.join() === before.join() ? same + 1 : 0;
    before = now;
  }
  return at();
}"""


def place(page, when, value):
    """Where a candle's time (s, on Korea's clock) and a price are on the screen."""
    x, y = page.evaluate(PLACE, [when, value])
    return x, y


def drawn_by_hand(page, found):
    """A level, moved and taken back to where it was; a trend line, removed and taken back; in the end nothing."""
    bars = page.evaluate("drawn.panes()[0].getSeries()[0].data().slice(-60).map((one) => [one.time, one.close])")
    (from_s, low), (to_s, high) = bars[10], bars[40]
    page.click('[data-tool="level"]')
    page.mouse.click(*place(page, from_s, high))
    until(lambda: len(found(page)) == 1, seconds=60, what="a level")
    ((kind, [level]),) = found(page)
    assert (kind, list(level)) == ("level", ["p"])
    a_pixel = abs(
        page.evaluate(
            "(([series]) => series.coordinateToPrice(0) - series.coordinateToPrice(1))(drawn.panes()[0].getSeries())"
        )
    )
    assert abs(level["p"] - high) <= 1.5 * a_pixel
    x, y = place(page, from_s, level["p"])
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40, steps=4)
    page.mouse.up()
    until(
        lambda: abs(level["p"] - 40 * a_pixel - found(page)[0][1][0]["p"]) <= 2 * a_pixel,
        seconds=60,
        what="a moved level",
    )
    page.keyboard.press("Control+z")
    until(lambda: found(page) == [("level", [level])], seconds=60, what="the level where it was")
    page.click('[data-tool="trend"]')
    page.mouse.click(*place(page, from_s, low))
    page.mouse.click(*place(page, to_s, high))
    until(lambda: len(found(page)) == 2, seconds=60, what="a trend line")
    kind, points = found(page)[1]
    assert kind == "trend"
    assert [datetime.fromisoformat(one["t"]).timestamp() + KST_S for one in points] == [from_s, to_s]
    assert all(abs(one["p"] - wished) <= 1.5 * a_pixel for one, wished in zip(points, (low, high), strict=True))
    page.keyboard.press("Delete")
    until(lambda: len(found(page)) == 1, seconds=60, what="no trend line")
    page.keyboard.press("Control+z")
    until(lambda: found(page) == [("level", [level]), ("trend", points)], seconds=60, what="the trend line again")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")


def begun_before_they_are_there(page, expect, held_back):
    """What is kept comes while a line is being drawn: it is there once that is done."""
    bars = page.evaluate("drawn.panes()[0].getSeries()[0].data().slice(-60).map((one) => [one.time, one.close])")
    begin, end = bars[10], bars[40]
    page.click('[data-tool="trend"]')
    page.mouse.click(*place(page, *begin))
    until(lambda: page.evaluate("1") and held_back, seconds=60, what="the drawings asked for")
    with page.expect_response(DRAWINGS):
        for one in held_back:
            one.continue_()
    page.unroute(DRAWINGS)
    page.mouse.click(*place(page, *end))
    page.click("#drawn")
    expect(page.locator("#drawings .shown li")).to_have_count(2)
    page.keyboard.press("Escape")


def drawn_by_values(page, expect, found):
    """By the keyboard alone."""
    page.locator("#drawn").focus()
    page.keyboard.press("Enter")
    form = page.locator("#drawings form.values")
    form.locator("[name=price]").fill("71000.5")
    page.keyboard.press("Enter")
    until(lambda: found(page) == [("level", [{"p": 71000.5}])], seconds=60, what="the level of a form")
    form.locator("[name=kind]").select_option("note")
    form.locator("[name=price]").fill("70500")
    form.locator("[name=time]").fill("2026-03-16T10:00")
    form.locator("[name=text]").fill("thin book")
    page.keyboard.press("Enter")
    expect(page.locator("#drawings .shown")).to_contain_text("thin book")
    note = ("note", [{"t": "2026-03-16T01:00:00.000Z", "p": 70500}])
    until(lambda: found(page)[1:] == [note], seconds=60, what="the note of a form")


# What the address names beside the candles of a feed, what it cannot mean, and how the former is written again.
NAMED = """async (given) => {
  const { compared, key, named } = await import("/static/api/page/address.js");
  return given.map(([vs, shown]) => {
    const { found, wrong } = compared(vs, shown);
    return [found.map(key), wrong, named(found, shown)];
  });
}"""
ADDRESSES: tuple[tuple[tuple[str, str], tuple[list[str], list[str], str]], ...] = (
    (("000660,000660", "krx"), (["krx:000660"], [], "000660")),
    (("nxt:000660,krx:000660,000660", "krx"), (["nxt:000660", "krx:000660"], [], "nxt:000660,000660")),
    (("krx:000660,bb:ESA Index", "nxt"), (["krx:000660", "bb:ESA Index"], [], "krx:000660,bb:ESA Index")),
    (("KRX:000660,krx:A:1,krx:b:1", "krx"), (["krx:KRX:000660", "krx:A:1", "krx:b:1"], [], "KRX:000660,A:1,krx:b:1")),
    ((",krx:,*,nxt:*, A ", "krx"), (["krx:A"], ["krx:", "*", "nxt:*"], "A")),
)
SAME = """async (given) => {
  const { isSame } = await import("/static/api/page/told_indices.js");
  return given.map(([code, symbol, name, name_en]) => isSame(code, { symbol, name, name_en }));
}"""


def across_feeds(page, expect, first, commit):
    """Symbols of other feeds beside the candles: found by the search over all feeds or of a named one, at the times of
    the candles whatever their hours, moving, and still the same beside another feed."""
    late = MINUTES - 10
    commit([minute(late, symbol="035420", price="303"), minute(late + 3, symbol="035420", price="306")], name="nxt")
    commit([minute(late, price="71000"), minute(MINUTES, price="71710")], name="nxt")
    page.goto(first)
    page.wait_for_selector('body[data-stream="live"]')
    page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 500")
    assert page.evaluate(NAMED, [given for given, _ in ADDRESSES]) == [list(told) for _, told in ADDRESSES]

    page.keyboard.press("c")
    page.keyboard.insert_text("다온")
    page.wait_for_selector('#comparison .offered button[data-code="035420"][data-feed="nxt"]')
    offered, told = page.locator("#comparison .offered button"), page.locator("#comparison [role=status]")
    # Where a word cannot be asked for, Enter adds nothing of what another one found.
    page.route("**/v2/symbols?*search=0006*", lambda route: route.fulfill(status=404, json={}))
    page.fill("#comparison input", "0006")
    page.keyboard.press("Enter")
    expect(told).to_have_text("Symbols could not be read: try again.")
    expect(page).to_have_url(first)
    page.unroute_all()
    page.fill("#comparison input", "다온")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{first}&vs=nxt:035420")
    page.fill("#comparison input", "nofeed:00")
    expect(told).to_have_text("no such feed")
    expect(offered).to_have_count(0)
    page.fill("#comparison input", "nxt:0")  # what that feed has brought, less what is compared already
    expect(offered).to_have_count(1)
    expect(offered).to_have_attribute("data-code", "005930")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{first}&vs=nxt:035420,nxt:005930")
    assert shut_out(page) == []
    page.locator("#comparison form button").press(
        "Enter"
    )  # a pointer would be left on the chart, which tells of its candle
    candles = page.evaluate("drawn.panes()[0].getSeries()[0].data().map((one) => one.time)")
    at = {number: NINE_US // 1_000_000 + KST_S + number * 60 for number in (late, late + 3)}
    stood = {str(when): 300 if when < at[late] else 303 if when < at[late + 3] else 306 for when in candles}
    shows(page, 0, 2, stood)
    page.wait_for_function(f"expected => ({DRAWN})([0, 3])[expected] === 71000", arg=str(candles[-2]))
    view = {"from": len(candles) - 90, "to": len(candles)}  # whatever the width of a phone made of it
    page.evaluate("view => drawn.timeScale().setVisibleLogicalRange(view)", view)
    value = page.locator('#compared [data-code="035420"]')
    expect(value.locator("span")).to_have_text("+2.00%")
    expect(value.locator("b")).to_have_text("다온통신 nxt")

    # No stream tells of it: it is asked for, and how the minutes between ended. What takes it away stays where it is.
    page.evaluate("window.off = document.querySelector('#compared [data-code=\"035420\"] button')")
    commit([minute(MINUTES - 1, symbol="035420", price="309")], name="nxt")
    commit([minute(MINUTES + 5, symbol="035420", price="312")], name="nxt")
    expect(value.locator("span")).to_have_text("+4.00%")
    page.wait_for_function(f"expected => ({DRAWN})([0, 2])[expected] === 309", arg=str(candles[-2]))
    assert page.evaluate("off.isConnected")

    # Beside another feed they are what they were; the one that is looked at comes back when another one is.
    page.fill("#search", "다온")
    page.locator('#watch tr[data-code="035420"]').click()
    expect(page.locator("#name")).to_have_text("다온통신")
    expect(page).to_have_url(re.compile("feed=nxt&symbol=035420&timeframe=1Min&vs=035420,005930$"))
    expect(page.locator("#compared li")).to_have_count(2)
    expect(page.locator("#compared b").nth(1)).to_have_text("가람전자")
    page.fill("#search", "나래")
    page.locator('#watch tr[data-code="000660"]').click()
    expect(page).to_have_url(re.compile("feed=krx&symbol=000660&timeframe=1Min&vs=nxt:035420,nxt:005930$"))
    expect(page.locator("#compared li")).to_have_count(3)
    page.wait_for_selector('body[data-stream="live"]')
    page.fill("#search", "")
    expect(page.locator('#watch tr[data-code="005930"]')).to_be_visible()  # all of the feed again
    page.select_option("#feed", "nxt")
    expect(page).to_have_url(re.compile("feed=nxt&symbol=[^&]+&timeframe=1Min&vs=035420,005930$"))
    page.wait_for_selector('body[data-stream="live"]')

    # What cannot be is told, and changes nothing.
    wrong = f"{first}&vs=nofeed:000660,krx:,nxt:035420"
    page.goto(wrong)
    expect(page.locator("#ignored")).to_have_text("not compared: krx:")
    expect(page.locator('#compared [data-feed="nofeed"]')).to_contain_text("no such feed")
    expect(value.locator("span")).to_have_text("+4.00%")
    expect(page).to_have_url(wrong)
    page.wait_for_selector('body[data-stream="live"]')
    reads_at_once(page, f"{first}&vs=nxt:035420")
    expect(value.locator("span")).to_have_text("+4.00%")
    page.unroute_all()
    page.goto(f"{first}&vs=nxt:035420,nxt:005930,000660,035420")
    expect(page.locator("#ignored")).to_have_text("not compared: 035420 (at most 3 at a time)")
    expect(page.locator("#compared li")).to_have_count(4)
    page.wait_for_selector('body[data-stream="live"]')
    page.goto(first)
    page.wait_for_selector('body[data-stream="live"]')
    page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 500")


def reads_at_once(page, address):
    """What is compared is read page by page when the connection comes back and it is read once more: the readings have
    each other's pages, and none may take a later one away. Nothing else mends it."""
    held_back: dict[str, list[Any]] = {}

    def answered(route):
        asked = parse_qs(urlsplit(route.request.url).query)
        token = asked.get("page_token", [""])[0]
        if "start" in asked:  # a third reading, of the last ones alone
            return route.fulfill(json={"bars": {}, "next_page_token": None})
        if token not in held_back and len(held_back) == 2:
            return route.continue_()
        return held_back.setdefault(token, []).append(route)  # of more than two readings the others end here

    def wanted(nth, readings=2):
        return page.evaluate("1") and len(held_back) == nth and len([*held_back.values()][-1]) >= readings

    def let_go():
        for one in [*held_back.values()][-1][:2]:
            one.continue_(url=one.request.url.replace("limit=1000", "limit=1"))

    page.route(re.compile(r"/v2/stocks/snapshots\?.*feed=nxt"), lambda route: route.fulfill(json={}))
    page.route("**/v2/stocks/bars?symbols=035420&*", answered)
    page.goto(address)
    page.wait_for_selector('body[data-stream="live"]')
    # Where there are no candles yet nothing is short of older ones, and one reading would end with its first page.
    page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 500")
    until(lambda: wanted(1, readings=1), seconds=60, what="the first page asked for")
    if not wanted(1):  # the stream was there before
        page.evaluate("sockets.at(-1).close()")
    until(lambda: wanted(1), seconds=60, what="the first page asked for twice")
    let_go()
    until(lambda: wanted(2), seconds=60, what="the second page asked for twice")
    let_go()


def set_beside(page, expect, first, commit):
    """Another symbol beside the candles by keys: a line at their times in percent, that moves and goes away again. The
    scale is logarithmic by a key, but in percent while there is another symbol."""
    page.keyboard.press("l")
    assert page.evaluate(SCALE) == LOGARITHMIC
    expect(page.locator("#log")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("c")
    page.keyboard.type("000660")
    page.wait_for_selector('#comparison .offered button[data-code="000660"]')
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{first}&vs=000660")
    assert shut_out(page) == []
    page.keyboard.press("Escape")
    candles = page.evaluate("drawn.panes()[0].getSeries()[0].data().map((one) => String(one.time))")
    shows(page, 0, 2, dict.fromkeys(candles, 4800.25))
    assert page.evaluate(SCALE) == PERCENT

    follows(page, "bars", "000660")
    commit([minute(MINUTES, symbol="000660", price="4900.5")])
    expect(page.locator('#compared [data-code="000660"] span')).to_have_text("+2.09%")
    shows(page, 0, 2, {**dict.fromkeys(candles, 4800.25), candles[-1]: 4900.5})

    page.goto(f"{first}&vs=000660,NOSUCH,005930")
    expect(page.locator('#compared [data-code="NOSUCH"]')).to_contain_text("not registered")
    expect(page.locator('#compared [data-code="000660"] span')).to_have_text("+2.09%")
    page.locator('#compared [data-code="NOSUCH"] button').click()
    expect(page.locator('#compared [data-code="000660"] span')).to_have_text("+2.09%")
    page.keyboard.press("l")
    expect(page.locator("#log")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(SCALE) == PERCENT
    page.locator('#compared [data-code="000660"] button').click()
    expect(page).to_have_url(first)
    page.wait_for_function("() => drawn.panes()[0].getSeries().length === 2")
    assert page.evaluate(SCALE) == LOGARITHMIC
    page.keyboard.press("l")
    assert page.evaluate(SCALE) == LINEAR
    page.wait_for_selector('body[data-stream="live"]')


def told_index(page, expect, aside):
    """An index that is no symbol and of another feed, as KIS tells it: its value and change, and how its day went."""

    def told(number, value, moved, sign, feed="index"):
        body = {"index": "1001", "prpr_nmix": value, "bstp_nmix_prdy_vrss": moved, "prdy_vrss_sign": sign}
        time_us = time.time_ns() // 1000
        one = MarketEvent(time_us=time_us, event_id=number, trade_date=time_us // 86_400_000_000, feed=feed,
                          source_id=4, kind="index", symbol="", body=body)  # fmt: skip
        aside.submit(and_leave, lambda: storage().store_events([one])).result()

    told(1, "5.00", "3.75", "5", feed="elsewhere")
    told(2, "871.25", "3.75", "5")
    page.reload()
    index = page.locator("#indices li")
    expect(index).to_have_text("KOSDAQ 871.25 ▼ 3.75 (0.43%)")
    told(3, "880.00", "5.00", "2")
    expect(index).to_have_text("KOSDAQ 880.00 ▲ 5.00 (0.57%)")
    index.locator("a").focus()
    with page.expect_response(lambda answer: "/v2/events?index=1001" in answer.url) as answered:
        page.keyboard.press("Enter")
    assert answered.value.status == 200  # the feed of it is of no symbol
    course = page.locator("#told")
    expect(course.locator("h2")).to_have_text("KOSDAQ 1001")
    expect(course.locator("dl")).to_contain_text("▲ 5.00 (0.57%)")
    expect(course.locator("[role=status]")).to_contain_text("The day as it was told")
    values = page.evaluate("drawn.panes()[0].getSeries()[0].data().map((one) => one.value)")
    assert values in ([871.25, 880.0], [880.0])  # one of them of each second
    assert shut_out(page) == []
    page.keyboard.press("Escape")
    expect(course).to_be_hidden()


def strip_above(page, expect, commit, save):
    """The indices of the feed and then of others, with their change since the open while no day before is known; they
    move and open. Each is there once."""
    commit(
        [
            minute(0, symbol="K200", price="400.25", size="0.000001"),
            minute(5, symbol="K200", price="396.5", size="0.000001"),
        ]
    )
    page.wait_for_selector('body[data-stream="live"]')
    page.reload()
    index = page.locator("#indices a:not([data-told])")
    expect(index).to_have_count(1)
    expect(index).to_have_text("KOSPI 200 396.50 ▼ 3.75 (0.94%)")
    assert page.evaluate("document.querySelector('#indices polyline').points.length") == 2
    page.wait_for_selector('body[data-stream="live"]')
    follows(page, "bars", "K200")
    commit([minute(6, symbol="K200", price="402.25", size="0.000001")])
    expect(index).to_have_text("KOSPI 200 402.25 ▲ 2.00 (0.50%)")

    save(code="A_FX", name="USD/KRW", primary_feed="nxt", category="fx")
    save(code="KSQ", name="코스닥 지수", primary_feed="nxt", category="index")
    save(code="NONE", name="Never traded", primary_feed="nxt", category="index")
    rate = {"symbol": "A_FX", "size": "0.000001"}
    commit([minute(0, price="1400.5", **rate), minute(5, price="1414.505", **rate)], name="nxt")
    commit([minute(0, symbol="KSQ", price="900")], name="nxt")
    page.reload()
    # That of another feed is of an earlier day than what is told, so the latter is there.
    expect(page.locator("#indices li")).to_have_text([
        "KOSPI 200 402.25 ▲ 2.00 (0.50%)", "USD/KRW nxt 1,414.505 ▲ 14.005 (1.00%)", "KOSDAQ 880.00 ▲ 5.00 (0.57%)"
    ])  # fmt: skip
    page.wait_for_selector('body[data-stream="live"]')
    commit([minute(6, price="1386.495", **rate)], name="nxt")
    expect(index.nth(1)).to_have_text("USD/KRW nxt 1,386.495 ▼ 14.005 (1.00%)")
    commit([{"symbol": "KSQ", "price": "910", "time": time.time_ns() // 1000}], name="nxt")
    page.reload()
    expect(page.locator("#indices [data-code]")).to_have_count(3)
    expect(page.locator("#indices [data-told]")).to_have_count(0)
    expect(index.nth(2)).to_contain_text("코스닥 지수 nxt 910")
    alike = [("1001", "KSQ", "코스닥 지수", ""), ("2001", "X", "", "KOSPI 200 Index"), ("0001", "KOSPI 200", "", "")]
    assert page.evaluate(SAME, [*alike, ("9", "KOSPI", "", "")]) == [True, True, False, False]
    assert shut_out(page) == []
    index.nth(1).click()
    expect(page.locator("#name")).to_have_text("USD/KRW")
    expect(page).to_have_url(re.compile("feed=nxt&symbol=A_FX"))
    expect(page.locator("#last")).to_have_text("1,386.495")
    expect(index.first).to_have_text("USD/KRW 1,386.495 ▼ 14.005 (1.00%)")
    page.go_back()
    page.wait_for_selector('body[data-stream="live"]')
    expect(page.locator("#indices li").first).to_have_text("KOSPI 200 402.25 ▲ 2.00 (0.50%)")
    index = index.first
    index.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("KOSPI 200")
    expect(page.locator("#last")).to_have_text("402.25")
    page.go_back()
    page.wait_for_selector('body[data-stream="live"]')


def test_the_chart_of_a_desk(web, serving, chromium):
    held(serving)
    krx = Market.objects.get(code="KRX")
    person = get_user_model().objects.create_superuser("desk", password="a sound password")
    first = f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min"
    wrong: list[str] = []
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, f"{first}&i=rsi:3,foo,rsi:999", wrong) as (page, expect):

        def rest(**query):
            return aside.submit(and_leave, lambda: of_rest(serving, **query)).result()

        # What the address cannot mean is told, and the rest of it is drawn.
        expect(page.locator("#ignored")).to_contain_text("foo: there is no such indicator")
        expect(page.locator("#ignored")).to_contain_text("rsi:999: period is a whole number from 2 to 250")
        expect(page).to_have_url(f"{first}&i=rsi:3")
        rsi = {"name": "rsi", "period": 3, "timeframe": "1Min"}
        shows(page, 1, 0, rest(**rsi, last=1000))

        # By keys: the menu, a search, one more, another parameter of it.
        page.wait_for_selector('body[data-stream="live"]')
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
        shows(page, 0, 2, rest(**sma, last=1000))

        # The newest candle moves, another one begins; older ones come.
        follows(page, "bars", "005930")
        rows = [minute(MINUTES - 1, price="75000"), minute(MINUTES, price="76000.5")]
        aside.submit(and_leave, lambda: serving.commit(rows)).result()
        shows(page, 1, 0, rest(**rsi, last=1001))
        shows(page, 0, 2, rest(**sma, last=1001))
        expect(page.locator('.studies [data-key="sma:5"]')).to_contain_text("73,578.30")
        moved_while_it_is_read(page)
        page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 1001")
        page.evaluate("drawn.timeScale().setVisibleLogicalRange({ from: -20, to: 100 })")
        shows(page, 1, 0, rest(**rsi))
        shows(page, 0, 2, rest(**sma))

        # Another timeframe, a reload, the way back; a symbol with too few candles.
        page.click('button[data-frame="5Min"]')
        shows(page, 0, 2, rest(**{**sma, "timeframe": "5Min"}))
        page.wait_for_selector('body[data-stream="live"]')
        page.reload()
        shows(page, 1, 0, rest(**{**rsi, "timeframe": "5Min"}))
        page.click('#watch tr[data-code="000660"]')
        expect(page).to_have_url(re.compile("symbol=000660&timeframe=5Min&i=rsi:3,sma:5$"))
        expect(page.locator('.studies [data-key="rsi:3"]')).to_contain_text("–")
        page.get_by_role("button", name="remove RSI 3").click()
        expect(page).to_have_url(re.compile("i=sma:5$"))
        page.wait_for_function("() => drawn.panes().length === 1")
        page.go_back()
        page.wait_for_function("() => drawn.panes().length === 2")
        page.wait_for_selector('body[data-stream="live"]')

        # What stands above it: no strip without an index.
        def commit(rows, **other):
            aside.submit(and_leave, lambda: serving.commit(rows, **other)).result()

        def save(**fields):
            aside.submit(and_leave, Symbol(market=krx, **fields).save).result()

        expect(page.locator("#indices")).to_be_hidden()
        told_index(page, expect, aside)
        save(code="K200", name="KOSPI 200", primary_feed="krx", category="index")
        strip_above(page, expect, commit, save)

        # Drawings of a visitor: by the pointer, moved, taken back; by their values; there again after a reload.
        page.goto(first)
        page.wait_for_selector('body[data-stream="live"]')
        page.wait_for_function("() => drawn.panes()[0].getSeries()[0].data().length > 500")
        set_beside(page, expect, first, commit)
        across_feeds(page, expect, first, commit)
        page.keyboard.press("d")
        expect(page.locator("#drawtold")).to_contain_text("Kept in this browser only")
        drawn_by_hand(page, kept)
        drawn_by_values(page, expect, kept)
        assert shut_out(page) == []
        page.keyboard.press("Escape")
        mine = kept(page)
        page.click('button[data-frame="5Min"]')
        page.wait_for_selector('body[data-stream="live"]')
        page.reload()
        page.wait_for_selector('body[data-stream="live"]')
        page.click("#draw")
        page.click("#drawn")
        expect(page.locator("#drawings .shown li")).to_have_count(2)
        assert kept(page) == mine
        page.locator("#drawings .shown li").first.get_by_role("button", name="remove").click()
        expect(page.locator("#drawings .shown li")).to_have_count(1)
        page.keyboard.press("Escape")

        # Those of somebody who is logged in are the server's, which refuses with a word.
        one = Drawing(user=person, symbol="005930", kind="level", price=1)
        aside.submit(and_leave, one.save).result()
        held_back = holding(page, DRAWINGS)
        page.goto(f"http://{web}/login/?next=/%3Ffeed%3Dkrx%26symbol%3D005930")
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#legend")).to_contain_text("close")
        page.click("#draw")
        expect(page.locator("#drawtold")).to_have_text("")

        def on_server(_):
            return aside.submit(and_leave, stored).result()

        begun_before_they_are_there(page, expect, held_back)
        until(lambda: len(on_server(page)) == 2, seconds=60, what="both on the server")
        aside.submit(and_leave, Drawing.objects.all().delete).result()
        page.reload()
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#legend")).to_contain_text("close")
        page.click("#draw")
        drawn_by_hand(page, on_server)
        until(lambda: on_server(page) == [], seconds=60, what="nothing drawn")
        bounded = [Drawing(user=person, symbol="005930", kind="level", price=1) for _ in range(drawings.MOST_OF_SYMBOL)]
        aside.submit(and_leave, lambda: Drawing.objects.bulk_create(bounded)).result()
        at = page.locator("#chart").bounding_box()
        page.click('[data-tool="level"]')
        page.mouse.click(at["x"] + 300, at["y"] + 110)
        expect(page.locator("#drawtold")).to_contain_text("remove one first")
        # Of these the browser complains, too.
        wrong[:] = [text for text in wrong if "422" not in text and "404" not in text]
        page.wait_for_selector('body[data-stream="live"]')

    assert wrong == []


def moved_while_it_is_read(page):
    """The chart is moved to its beginning while it is read anew, for the stream was away."""
    held_back = holding(page, NEWER)
    page.evaluate("sockets.at(-1).close()")
    until(lambda: page.evaluate("1") and held_back, seconds=60, what="the newest candles asked for")
    page.evaluate("drawn.timeScale().setVisibleLogicalRange({ from: -20, to: 100 })")
    page.evaluate(PICTURES)
    for one in held_back:
        one.continue_()
    page.unroute(NEWER)


def comes_while_others_are_read(page, expect, commit):
    """The day of another index begins while they are read because of the first one: what was read lacks it."""
    held_back: list[Any] = []

    def answered(route):
        held_back.append((route, route.fetch()))

    page.route(STANDINGS, answered)
    commit(4, "102", "IX1")
    until(
        lambda: page.evaluate("1") and any("IX6" in route.request.url for route, _ in held_back),
        seconds=60,
        what="the indices asked for",
    )
    commit(4, "103", "IX2")
    expect(page.locator('#watch tr[data-code="IX2"] .price')).to_have_text("103")
    for route, answer in held_back:
        route.fulfill(response=answer)
    page.unroute(STANDINGS)
    expect(page.locator('#indices [data-code="IX1"]')).to_have_text("IX1 102 ▲ 1 (0.99%)")
    expect(page.locator('#indices [data-code="IX2"]')).to_have_text("IX2 103 ▲ 2 (1.98%)")


def test_over_a_split_prices_of_before_are_told_as_if_it_had_been_in_force_then(web, serving, chromium):
    def day(number, price, symbol="005930", hours=0):
        return {"symbol": symbol, "time": NINE_US + number * DAY_US + hours * 60 * MINUTE_US, "price": price}

    # A date of New York begins 13 hours after that of Seoul, and its trades are at night there.
    abroad = Market.objects.create(code="ABROAD", timezone="America/New_York")
    Symbol.objects.create(code="USX", market=abroad, primary_feed="us")
    serving.commit([day(0, "200", "USX", 14), day(1, "210", "USX", 14)], name="us")
    AdjustmentFactor.objects.create(symbol="005930", ex_date="2026-03-17", kind="split", old_rate=1, new_rate=5)
    serving.commit([day(0, "70000"), day(0, "100", "000660")])
    serving.commit([day(1, "14140"), day(1, "101", "000660")])
    closes = f"() => ({CANDLES})().map((one) => one[4]).join()"
    wrong: list[str] = []
    first = f"http://{web}/?feed=krx&symbol=005930&timeframe=1Day&i=sma:2&vs=000660"
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, first, wrong) as (page, expect):

        def drawn(expected):
            page.wait_for_function(f"expected => ({closes})() === expected", arg=expected)

        page.wait_for_selector('body[data-stream="live"]')
        drawn("14000,14140")
        expect(page.locator("#change")).to_have_text("▲ 140 (1.00%)")
        expect(page.locator('#watch tr[data-code="005930"] td').nth(2)).to_have_text("▲ 1.00%")
        expect(page.locator("#legend")).to_contain_text("2026-03-17 split 1 → 5")
        expect(page.locator('.studies [data-key="sma:2"]')).to_contain_text("14,070")
        expect(page.locator("#compared li").first).to_contain_text("+1.00%")
        aside.submit(and_leave, lambda: serving.commit([{**day(1, "14280"), "time": NINE_US + DAY_US + 1}])).result()
        expect(page.locator("#change")).to_have_text("▲ 280 (2.00%)")
        drawn("14000,14280")
        page.click('button[data-frame="1Min"]')
        drawn("14000,14280")
        expect(page.locator("#legend")).to_contain_text("split 1 → 5")
        page.click('button[data-frame="1Week"]')
        drawn("14280")
        # Compared with the other way round, it is the same; a day is that of its date, whatever its zone.
        page.goto(f"http://{web}/?feed=krx&symbol=000660&timeframe=1Day&vs=005930,us:USX")
        expect(page.locator("#compared li").nth(1)).to_contain_text("+2.00%")
        expect(page.locator("#compared li").nth(2)).to_contain_text("+5.00%")
        page.wait_for_selector('body[data-stream="live"]')
        seoul_s = NINE_US // 1_000_000 - 9 * 3600 + KST_S
        first_s, second_s, third_s = (str(seoul_s + number * DAY_US // 1_000_000) for number in range(3))
        shows(page, 0, 3, {first_s: 200, second_s: 210})
        shows(page, 0, 2, {first_s: 14000, second_s: 14280})

        # A new day: one that is another share from it on is adjusted, and one of another feed is asked for.
        follows(page, "bars", "000660", "005930")
        again = AdjustmentFactor(symbol="005930", ex_date="2026-03-18", kind="split", old_rate=1, new_rate=2)
        aside.submit(and_leave, again.save).result()
        aside.submit(and_leave, lambda: serving.commit([day(2, "7140"), day(2, "101", "000660")])).result()
        aside.submit(and_leave, lambda: serving.commit([day(2, "220", "USX", 14)], name="us")).result()
        shows(page, 0, 2, {first_s: 7000, second_s: 7140, third_s: 7140})
        shows(page, 0, 3, {first_s: 200, second_s: 210, third_s: 220})

        # Candles of a day before that come late are read again together.
        late: list[str] = []
        page.on("request", lambda one: late.append(one.url) if "bars?symbols=005930" in one.url else None)
        rows = [{**day(1, "14200"), "time": NINE_US + DAY_US + number * MINUTE_US} for number in range(10, 30)]
        aside.submit(and_leave, lambda: serving.commit(rows)).result()
        shows(page, 0, 2, {first_s: 7000, second_s: 7100, third_s: 7140})
        assert 0 < len(late) < 10  # of twenty; where the machine is slow they come by and by

        # Indices that have a new day at the same time are read together.
        codes = [f"IX{number}" for number in range(1, 7)]
        for code in codes:
            one = Symbol(code=code, market_id="KRX", primary_feed="krx", category="index")
            aside.submit(and_leave, one.save).result()
        aside.submit(and_leave, lambda: serving.commit([day(2, "100", code, 1) for code in codes])).result()
        page.wait_for_selector('body[data-stream="live"]')
        page.reload()
        expect(page.locator("#indices a")).to_have_text([f"{code} 100 0 (0.00%)" for code in codes])
        page.wait_for_selector('body[data-stream="live"]')
        follows(page, "bars", *codes)
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if "category=index" in one.url else None)
        aside.submit(and_leave, lambda: serving.commit([day(3, "101", code) for code in codes])).result()
        expect(page.locator("#indices a")).to_have_text([f"{code} 101 ▲ 1 (1.00%)" for code in codes])
        # Those of the feed and those of all; once more, where some came while the others were read.
        assert len(asked) <= 4

        def commit(*given):
            aside.submit(and_leave, lambda: serving.commit([day(*given)])).result()

        comes_while_others_are_read(page, expect, commit)

    assert wrong == []
