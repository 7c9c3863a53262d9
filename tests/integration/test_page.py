"""The page as a desk uses it, in Chromium: what stands in the address, old candles, the order book, search, keys, a
server that is away, and who reads by ear or sees less."""

import datetime
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from analytics import voids
from analytics.voids import Selection
from marketdata.models import Gap, Market, ReadRule, Symbol, Watchlist
from tests.integration.page_while_open import (
    CANDLES,
    KST_S,
    holding,
    moves_only_before_who_wants_it,
    session_tells_what_comes_next,
    takes_back_what_was_wrong,
)
from tests.integration.processing import process
from tests.integration.serving import KIS, and_leave, minute, serving
from tests.integration.test_stream_served import start_web, web
from tests.integration.test_worker_records import book, books, event, events
from tests.market import MINUTE_US, NINE_US, price, size
from tests.waiting import until

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
MINUTES = 2_300  # more than two pages of candles
PATIENCE_MS = 120_000  # for what comes at once unless the machine is busy with something else
HELD = {"A": ("000660", "나래전자", "krx"), "B": ("005930", "가람전자", "krx"), "C": ("035420", "다온통신", "nxt")}
# All pages of a symbol's candles as the page's own module reads them.
WALK = """async () => {
  const { History, joined } = await import("/static/api/page/history.js");
  const history = new History("005930", "krx", "1Min");
  let bars = [], pages = 0;
  while (history.more) {
    bars = joined(await history.older(), bars);
    pages += 1;
  }
  const renewed = joined(bars, await history.renewed(bars));
  return { pages, times: bars.map((bar) => bar.t), renewed: renewed.map((bar) => bar.t) };
}"""
JOINED = """async () => {
  const { joined } = await import("/static/api/page/history.js");
  const bars = (...times) => times.map((t) => ({ t }));
  const made = [joined(bars("1", "2", "4"), bars("2", "3")), joined(bars("1"), []), joined([], bars("5"))];
  return made.map((all) => all.map((bar) => bar.t).join(""));
}"""


# The chart and the sockets that the page makes, kept where a test finds them, with what each socket tells of by now.
KEPT = """Object.defineProperty(window, "LightweightCharts", {
  configurable: true,
  set(library) {
    const createChart = (...given) => (window.drawn = library.createChart(...given));
    const createSeriesMarkers = (...given) => (window.marked = library.createSeriesMarkers(...given));
    Object.defineProperty(window, "LightweightCharts", { value: { ...library, createChart, createSeriesMarkers } });
  },
});
window.sockets = [];
window.WebSocket = class extends WebSocket {
  subscribed = {};
  constructor(...given) {
    super(...given);
    sockets.push(this);
    this.addEventListener("message", ({ data }) => {
      for (const one of JSON.parse(data)) if (one.T === "subscription") this.subscribed = one;
    });
  }
  send(text) {
    if (window.unsent) unsent.push([text, () => super.send(text)]);
    else super.send(text);
  }
}"""
SERIES = "([nth, values]) => drawn.panes()[0].getSeries()[nth].data().map((one) => one.value).join() === values.join()"
TOLD = "([channel, codes]) => codes.every((code) => sockets.at(-1)?.subscribed[channel]?.includes(code))"
# A key as a keyboard tells it that no test can switch to Hangul: the dialog that it opened, which is closed again.
PRESSED = """(given) => {
  document.body.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...given }));
  const opened = document.querySelector("dialog[open]");
  opened?.close();
  return opened?.id ?? "";
}"""


# What Chromium says of the machine and not of the page: an interface came or went meanwhile, as drills make them; a
# handshake was so slow that the page was left before it was over, or the server gave it up.
OF_THE_MACHINE = ("ERR_NETWORK_CHANGED", "WebSocket connection to")


def complained(message):
    """Whether the browser's console tells that something is wrong with the page."""
    return message.type in ("error", "warning") and not any(one in message.text for one in OF_THE_MACHINE)


@contextmanager
def looked_at(chromium, address, wrong, language="en"):
    """A page of the browser at an address of it; what it complains of is added to `wrong`."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", color_scheme="dark")
        page.context.set_default_timeout(PATIENCE_MS)  # of `page.request`, too
        page.add_init_script(KEPT)
        page.context.add_cookies([{"name": "naru_language", "value": language, "url": address}])
        page.on("console", lambda message: wrong.append(message.text) if complained(message) else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        yield page, expect
        browser.close()


def follows(page, channel, *codes):
    """Waits until the stream of the page tells of these symbols: of what is committed before that it tells nobody."""
    page.wait_for_function(TOLD, arg=[channel, codes])


def fits(page, width=390):
    """Waits until nothing of the page is wider than a phone, to which it is drawn anew by and by."""
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_function("width => innerWidth === width && document.documentElement.scrollWidth <= width", arg=width)


def moved_to_the_oldest(page):
    """Pulls the chart to the right until the crosshair is at a candle of its third page, as a hand would."""
    box = page.locator("#chart").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    for _ in range(30):
        page.mouse.wheel(0, 400)  # zoomed out: half a pixel a candle

    def there():
        told = page.locator("#legend").inner_text()  # open 72,299  high …
        number = int(told.split()[1].replace(",", "")) - 70_000
        if number < MINUTES - 2_000:
            return True
        beyond = number == MINUTES - 1  # no candle at the crosshair, so the last one is told
        page.mouse.down()
        page.mouse.move(x + (-120 if beyond else 100), y, steps=5)  # the first step only begins it
        page.mouse.up()
        page.mouse.move(x, y)
        return False

    until(there, seconds=300, what="the oldest candles")  # a dozen pulls


def held(serving):
    """Candles of one symbol for days, an order book in an auction, a gap and a VI; a name for each symbol."""
    for code, name, feed in HELD.values():
        Symbol.objects.filter(code=code).update(name=name, primary_feed=feed)
    serving.commit([minute(number, size=str(1 + number % 9)) for number in range(MINUTES)])
    serving.commit([minute(number, symbol="000660", price="4800.25") for number in range(3)])
    serving.commit([minute(0, symbol="035420", price="300")], name="nxt")
    levels = [(price(str(72_000 - 100 * place)), size(str(place + 1))) for place in range(10)]
    asks = [(price(str(72_100 + 100 * place)), size("2.5")) for place in range(10)]
    process(
        books(
            book(
                bids=tuple(levels), asks=tuple(asks), bid_total=size("55"), ask_total=size("25"),
                expected_price=price("72050"), expected_size=size("7"), time_us=NINE_US + MINUTES * MINUTE_US,
            ),
            seq=9_001,
        ),
        events(event(time_us=NINE_US + (MINUTES - 1) * MINUTE_US, body={"state": "on"}), seq=9_002),
    )  # fmt: skip
    Gap.objects.create(
        batch=1, feed="krx", from_us=NINE_US + (MINUTES - 1) * MINUTE_US, to_us=NINE_US + MINUTES * MINUTE_US, rows=3,
        reason="<b>disk full</b>",
    )  # fmt: skip


def test_what_is_looked_at_stands_in_the_address_and_old_candles_come_as_the_chart_is_moved(web, serving, chromium):
    held(serving)
    first = f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min"
    stored = [bar["t"] for _, bar in serving.pages("/v2/stocks/bars", "bars", symbols="005930", timeframe="1Min")]
    wrong: list[str] = []

    def commit(rows):
        aside.submit(and_leave, lambda: serving.commit(rows)).result()

    def take_back(rows):
        chosen = Selection(symbols=("005930",), start_us=rows[0]["time"], end_us=rows[0]["time"] + 1)
        aside.submit(and_leave, lambda: voids.void(chosen, reason="fat finger", by="desk")).result()
        aside.submit(and_leave, voids.announce).result()

    with ThreadPoolExecutor(1) as aside, looked_at(chromium, first, wrong) as (page, expect):
        legend = page.locator("#legend")
        expect(page.locator("#name")).to_have_text("가람전자")
        expect(legend).to_contain_text("close 72,299")
        expect(legend).to_contain_text("gap: <b>disk full</b>")
        words = "import('/static/api/page/reasons.js').then(({ inWords }) => inWords('book:volume_hole'))"
        assert page.evaluate(words) == "order books alone, no trades: trades are missing, by the volume of the day"
        expect(legend).to_contain_text("VI")

        moved_to_the_oldest(page)
        walked = page.evaluate(WALK)
        assert walked == {"pages": 3, "times": stored, "renewed": stored}
        assert page.evaluate(JOINED) == ["123", "1", "5"]

        page.click('button[data-frame="30Min"]')
        page.click('#watch tr[data-code="000660"]')
        expect(page.locator("#last")).to_have_text("4,800.25")
        expect(page.locator("#tape tr").first.locator("td").nth(1)).to_have_text("4,800.25")
        expect(page).to_have_url(re.compile("feed=krx&symbol=000660&timeframe=30Min$"))
        page.wait_for_selector('body[data-stream="live"]')  # browsers complain of a socket that was not there yet
        page.reload()
        expect(page.locator("#name")).to_have_text("나래전자")
        expect(page.locator('button[data-frame="30Min"]')).to_have_attribute("aria-pressed", "true")
        page.go_back()
        expect(page.locator("#name")).to_have_text("가람전자")
        page.go_back()
        expect(page.locator('button[data-frame="1Min"]')).to_have_attribute("aria-pressed", "true")
        expect(page).to_have_url(first)
        page.wait_for_selector('body[data-stream="live"]')

        session_tells_what_comes_next(page)
        follows(page, "trades", "005930")
        moves_only_before_who_wants_it(page, expect, commit, MINUTES - 1)
        takes_back_what_was_wrong(page, expect, commit, take_back, MINUTES - 1)
        page.wait_for_selector('body[data-stream="live"]')

    assert wrong == []


def test_the_ladder_the_tape_the_search_and_the_keys_shut_nobody_out(web, serving, chromium):
    held(serving)
    get_user_model().objects.create_superuser("desk", password="a sound password")
    told = serving.read("/v2/orderbooks/latest", symbols="005930")["orderbooks"]["005930"]
    wrong: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,  # the player runs an event loop, beside which nobody may ask the database
        looked_at(chromium, f"http://{web}/?feed=krx&symbol=005930", wrong) as (page, expect),
    ):
        expect(page.locator("#ladder tr").nth(10).locator("td").nth(1)).to_have_text("72,000")
        ladder = page.locator("#ladder tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(c => c.innerText))"
        )
        plain = [[text.replace(",", "") for text in cells] for cells in ladder]
        assert [[Decimal(cells[1]), Decimal(cells[0])] for cells in plain[9::-1]] == [
            [a["p"], a["s"]] for a in told["a"]
        ]
        assert [[Decimal(cells[1]), Decimal(cells[2])] for cells in plain[10:]] == [[b["p"], b["s"]] for b in told["b"]]
        expect(page.locator("#sums")).to_contain_text("25")
        expect(page.locator("#expected")).to_have_text("expected 72,050 × 7")
        expect(page.locator("#session")).to_contain_text("KRX")

        page.fill("#least", "9")
        expect(page.locator("#tape tr").first).to_be_visible()
        sizes = page.locator("#tape tr td:nth-child(3)")
        expect(sizes.first).to_have_text("9")
        assert set(sizes.all_inner_texts()) == {"9"}
        page.fill("#least", "")
        page.wait_for_selector('body[data-stream="live"]')
        moved = book(time_us=NINE_US + (MINUTES + 1) * MINUTE_US, bids=((price("72300"), size("4")),))
        aside.submit(and_leave, lambda: process(books(moved, seq=9_003))).result()
        expect(page.locator("#ladder tr").nth(10).locator("td").nth(1)).to_have_text("72,300")
        expect(page.locator("#expected")).to_be_hidden()

        page.locator("#chart").click()
        page.keyboard.press("/")
        page.keyboard.insert_text("ㄷㅇ")  # of another feed
        expect(page.locator("#watch tr")).to_have_count(1)
        expect(page.locator("#watch tr")).to_contain_text("nxt")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#name")).to_have_text("다온통신")
        expect(page).to_have_url(re.compile("feed=nxt&symbol=035420"))
        page.go_back()
        expect(page.locator("#name")).to_have_text("가람전자")
        page.fill("#search", "")
        expect(page.locator("#watch tr")).to_have_count(2)
        expect(page.locator('#watch tr[tabindex="0"]')).to_have_attribute("data-code", "005930")
        page.locator("#chart").click()
        page.keyboard.press("w")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.locator("#name")).to_have_text("나래전자")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()
        for given, opened in (
            ({"key": "ㅊ", "code": "KeyC"}, "comparison"),
            ({"key": "C", "code": "KeyC"}, "comparison"),  # Caps Lock
            ({"key": "c", "code": "KeyJ"}, "comparison"),  # keys in another order
            ({"key": "j", "code": "KeyC"}, ""),
            ({"key": "C", "code": "KeyC", "shiftKey": True}, ""),
        ):
            assert page.evaluate(PRESSED, given) == opened, given
        assert shut_out(page) == []
        grounds = []
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert grounds[0] != grounds[1]

        lists_are_kept(page, expect, "a visitor's")
        page.wait_for_selector('body[data-stream="live"]')
        origin = f"http://{web}"
        page.goto(f"{origin}/login/?next=/account")
        assert shut_out(page) == []
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_url(f"{origin}/account")
        assert shut_out(page) == []
        page.goto(f"{origin}/?feed=krx&symbol=005930")
        lists_are_kept(page, expect, "a person's")
        kept = aside.submit(and_leave, lambda: list(Watchlist.objects.values_list("name", "symbols"))).result()
        assert kept == [("a person's", ["000660", "005930"])]

        # A feed that one may not read is told in words, and what one may read is there beside it.
        page.wait_for_selector('body[data-stream="live"]')
        aside.submit(and_leave, lambda: confined("krx")).result()
        page.reload()
        denied = page.locator('#watch tr[data-code="035420"]')
        expect(denied).to_contain_text("no right to read")
        expect(page.locator('#watch tr[data-code="000660"]')).to_contain_text("4,800.25")
        denied.click()
        expect(page.locator("#name")).to_have_text("나래전자")
        assert shut_out(page) == []
        aside.submit(and_leave, lambda: get_user_model().objects.update(is_superuser=True)).result()
        aside.submit(and_leave, lambda: Watchlist.objects.all().delete()).result()
        page.keyboard.press("s")
        expect(page.locator("#listtold")).to_have_text("This list was deleted elsewhere.")
        expect(page.locator("#lists")).to_have_value("")
        expect(page.locator("#lists option")).to_have_text(["All symbols", "New list…"])
        page.wait_for_selector('body[data-stream="live"]')
        page.goto(f"{origin}/admin/")
        assert shut_out(page) == []

    # The browser tells of what was refused, as the page did in words: a name twice, a feed, a list deleted elsewhere.
    refused = [text.partition("status of ")[2][:3] for text in wrong]
    assert list(dict.fromkeys(refused)) == ["422", "403", "404"]
    assert [refused.count("422"), refused.count("404")] == [1, 1]


def confined(feeds):
    """The person at the desk may read these feeds alone, and has a symbol of another one in the list."""
    desk = get_user_model().objects.get(username="desk")
    desk.groups.add(Group.objects.get(name="viewer"))
    get_user_model().objects.update(is_superuser=False)
    ReadRule.objects.create(user=desk, feeds=feeds)
    Watchlist.objects.update(symbols=["035420", "000660"])


def lists_are_kept(page, expect, name):
    """Makes a list with two symbols of 005930's page, in another order than they came, and tries what cannot be. It
    is shown at the end."""
    told = page.locator("#listtold")

    def order(*expected):
        page.wait_for_function(
            "codes => [...document.querySelectorAll('#watch tr')].map(row => row.dataset.code).join(' ') === codes",
            arg=" ".join(expected),
        )

    page.locator('#watch tr[data-code="005930"]').click()
    expect(page.locator("#name")).to_have_text("가람전자")
    page.locator("#chart").click()
    page.keyboard.press("s")  # there is no list yet
    page.fill("#listdialog input", name)
    assert shut_out(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#listdialog")).to_be_hidden()
    expect(page.locator("#lists option:checked")).to_have_text(name)
    expect(page.locator("#star")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(re.compile("symbol=005930&.*&list="))
    order("005930")

    page.fill("#search", "다온")
    page.locator('#watch tr[data-code="035420"]').click()
    expect(page.locator("#name")).to_have_text("다온통신")
    page.locator("#star").click()
    expect(told).to_have_text(f"035420 is in {name} now")
    page.fill("#search", "나래")
    page.locator('#watch tr[data-code="000660"]').click()
    expect(page.locator("#name")).to_have_text("나래전자")
    page.locator("#star").click()
    expect(told).to_have_text(f"000660 is in {name} now")
    page.fill("#search", "")
    order("005930", "035420", "000660")
    assert shut_out(page) == []

    moved_while_it_is_read(page, order)
    order("005930", "000660", "035420")
    expect(page.locator('#watch tr[data-code="000660"]')).to_be_focused()
    expect(page.locator('#watch tr[tabindex="0"]')).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    expect(told).to_have_text(f"035420 is no longer in {name}")
    order("005930", "000660")
    grip, first = page.locator('#watch tr[data-code="000660"] .grip'), page.locator("#watch tr").first
    place, above = grip.bounding_box(), first.bounding_box()
    page.mouse.move(place["x"] + 5, place["y"] + 5)
    page.mouse.down()
    page.mouse.move(place["x"] + 5, above["y"] + 3, steps=4)
    page.mouse.up()
    order("000660", "005930")

    page.select_option("#lists", "+")
    page.fill("#listdialog input", name)
    page.keyboard.press("Enter")
    expect(page.locator("#listdialog [role=alert]")).to_have_text(f"There is a list called {name}.")
    page.fill("#listdialog input", "another")
    page.keyboard.press("Enter")
    expect(page.locator("#nothing")).to_contain_text("This list is empty")
    page.click("#editlist")
    page.fill("#listdialog input", "renamed")
    page.keyboard.press("Enter")
    expect(page.locator("#lists option:checked")).to_have_text("renamed")
    page.click("#editlist")
    page.click("#listdialog [value=delete]")
    page.click("#listdialog [value=delete]")
    expect(told).to_have_text("renamed was deleted")
    expect(page.locator("#lists option")).to_have_text(["All symbols", name, "New list…"])
    page.select_option("#lists", label=name)
    order("000660", "005930")
    page.wait_for_selector('body[data-stream="live"]')
    page.reload()
    order("000660", "005930")
    expect(page.locator("#lists option:checked")).to_have_text(name)


def moved_while_it_is_read(page, order):
    """A row is moved while the list is read: what it was when it was asked for is not shown any more."""
    asked = "**/v2/symbols?symbols=*"
    page.wait_for_selector('body[data-stream="live"]')  # for which the list is read, too
    held_back = holding(page, asked)
    page.dispatch_event("#search", "input")
    until(lambda: page.evaluate("1") and held_back, seconds=60, what="the list asked for")
    page.locator('#watch tr[data-code="000660"]').focus()
    page.keyboard.press("Alt+ArrowUp")
    order("005930", "000660", "035420")
    held_back.pop().continue_()
    until(lambda: page.evaluate("1") and held_back, seconds=60, what="the list asked for once more")
    held_back.pop().continue_()
    page.unroute(asked)


PICTURES = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(go))))"
STILL = "scheme => matchMedia(`(prefers-color-scheme: ${scheme})`).matches && document.getAnimations().length === 0"


def shut_out(page):
    """What axe-core finds that keeps people from reading or using a page, dark on a desk and light on a phone."""
    found = []
    for scheme, width in (("light", 390), ("dark", 1280)):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.evaluate(PICTURES)  # what is as wide as the page was is drawn anew
        page.wait_for_function(STILL, arg=scheme)  # the admin's links change their colours over a while
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found += [(scheme, fault["id"], node["target"]) for node in fault["nodes"]]
    return found


def test_a_page_without_its_server_says_so_and_is_whole_again_without_a_reload(web, serving, road, chromium):
    # Trades all day and every day, whenever this runs.
    Symbol.objects.create(
        code="FARONE", market=Market.objects.create(code="FAR", open_on_weekends=True), primary_feed="far"
    )
    serving.commit([minute(number) for number in range(5)])
    serving.commit([minute(4, symbol="000660", price="4800")])
    serving.commit([minute(0, symbol="FARONE", price="100")], name="far")
    wrong: list[str] = []

    def traded_before(seconds):
        row = {"symbol": "FARONE", "time": time.time_ns() // 1000 - seconds * 1_000_000}
        aside.submit(and_leave, lambda: serving.commit([row], name="far", source=KIS)).result()
        return datetime.datetime.fromtimestamp(row["time"] // 1_000_000 + KST_S, datetime.UTC).strftime("%M:%S")

    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"http://{web}/?feed=krx&symbol=005930&timeframe=1Min&vs=far:FARONE", wrong, "ko") as (
            page,
            expect,
        ),
    ):
        page.wait_for_selector('body[data-stream="live"]')
        beside = page.locator("#compared span").nth(1)
        expect(beside).to_have_text("0.00%")
        expect(page.locator("#last")).to_have_text("70,004")
        seldom = page.locator('#watch tr[data-code="000660"] .price')
        expect(seldom).to_have_text("4,800")
        page.evaluate("window.untouched = true")

        road.kill("web")
        expect(page.locator("#link")).to_have_text("연결 끊김")
        expect(page.locator("#away")).to_contain_text("연결 끊김")
        missed = [minute(4, price="70900"), *(minute(number) for number in range(5, 9))]
        missed.append(minute(4, symbol="000660", price="4850"))  # in the minute that is known already
        aside.submit(and_leave, lambda: serving.commit(missed)).result()
        far = [minute(6, symbol="FARONE", price="110"), minute(8, symbol="FARONE", price="120")]
        aside.submit(and_leave, lambda: serving.commit(far, name="far")).result()
        start_web(road, int(web.rpartition(":")[2]))
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#link")).not_to_have_text(
            "연결 끊김"
        )  # in the hours of KRX a busy machine makes it "지연"
        expect(page.locator("#last")).to_have_text("70,008")
        expect(seldom).to_have_text("4,850")
        page.wait_for_function(f"({CANDLES})().length === 9")
        drawn = page.evaluate(CANDLES)
        expect(beside).to_have_text("+20.00%")  # of another feed, without a reload, too
        page.wait_for_function(SERIES, arg=[2, [100] * 6 + [110] * 2 + [120]])
        bars = aside.submit(
            and_leave,
            lambda: serving.read("/v2/stocks/005930/bars", timeframe="1Min")["bars"],
        ).result()

        assert page.evaluate("window.untouched")

        # The stream is well, but what the workers store is old. A replay was of now, whatever follows it is not.
        page.goto(f"http://{web}/?feed=far&symbol=FARONE")
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#nature")).to_have_text("재생")
        stamp = traded_before(400)
        expect(page.locator("#link")).to_have_text("지연")
        expect(page.locator("#away")).to_contain_text("지연: ")
        expect(page.locator("#away")).to_contain_text(stamp)
        page.wait_for_selector('body[data-stream="live"]')
        traded_before(0)
        expect(page.locator("#link")).to_have_text("실시간")
        expect(page.locator("#away")).to_be_hidden()
    assert [one[1:] for one in drawn] == [[bar[key] for key in "ohlc"] for bar in bars]
    assert [one[0] for one in drawn] == [datetime.datetime.fromisoformat(bar["t"]).timestamp() + KST_S for bar in bars]
    assert [text for text in wrong if "ERR_" not in text and "WebSocket" not in text] == []
