"""What the page of prices does while somebody looks at it: tells how the venue trades, moves, and takes back what was
wrong. Parts of a test with a browser, and no tests by themselves; `test_page` opens it."""

import datetime
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.views import calendar as clocks
from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Calendar, Override
from marketdata.types.units import microseconds
from tests.integration.serving import minute
from tests.market import MINUTE_US, NINE_US
from tests.waiting import until

KST_S = 9 * 3600
# Start (s, on Korea's clock), open, high, low and close of the candles that are drawn.
CANDLES = """() =>
  drawn.panes()[0].getSeries()[0].data().map((one) => [one.time, one.open, one.high, one.low, one.close])"""

# Time and text of the marks at candles.
MARKS = "() => marked.markers().map(({ time, text }) => [time, text])"
MARKED = f"(one) => ({MARKS})().some((mark) => mark.join() === one.join())"
DRAWN = f"""([time, prices]) =>
  ({CANDLES})().filter((one) => one[0] === time).map((one) => one.slice(1)).join() === prices"""
# What moved in the page since it was opened: the colours that prices flashed in.
FLASHES = """() => {
  window.flashes = [];
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (frames, ...given) {
    flashes.push(`${this.closest("tr")?.dataset.code} ${frames[0].backgroundColor}`);
    return animate.call(this, frames, ...given);
  };
}"""
# What the clock of the session says once it knows: its words, whether the venue is open, and whether what is so many
# seconds old is late.
SESSION = """async ([feed, ...ages]) => {
  const { Session } = await import("/static/api/page/session.js");
  const { time } = await import("/static/api/page/format.js");
  const [place, clock] = [document.createElement("span"), document.createElement("time")];
  const session = new Session(place, clock);
  session.follow("KRX", feed);
  while (!place.textContent) await new Promise((done) => setTimeout(done, 20));
  const late = ages.map((age) => session.late(new Date(session.now - age * 1000)));
  return [place.textContent, place.dataset.open, time(session.now).slice(0, 5), ...late];
}"""

# A moment in Seoul and a feed: what the clock of the session says, and whether that is a venue that is open.
NEXT = [
    ("2026-11-25T08:10", "krx", "KRX closed → 08:20 opening auction", "false"),
    ("2026-11-25T08:10", "nxt", "NXT pre-market → 08:50 closed", "true"),
    ("2026-11-25T08:10", "unified", "all venues pre-market → 08:50 opening auction", "true"),
    ("2026-11-25T08:55", "krx", "KRX opening auction → 09:00 regular session", "true"),
    ("2026-11-25T08:55", "nxt", "NXT closed → 09:00:30 regular session", "false"),
    ("2026-11-25T15:25", "krx", "KRX closing auction → 15:33 closed", "true"),
    ("2026-11-25T15:35", "nxt", "NXT off-hours at the close → 15:40 after-market", "true"),
    ("2026-11-25T18:30", "krx", "KRX after-market → 20:00 closed", "true"),
    ("2026-11-25T20:05", "nxt", "NXT closed → 08:00 pre-market", "false"),
    ("2026-11-27T20:05", "krx", "KRX closed → Mon, 11/30 08:20 opening auction", "false"),
    ("2026-12-25T10:00", "nxt", "NXT closed → Mon, 12/28 08:00 pre-market", "false"),  # Christmas
    ("2026-12-03T08:55", "krx", "KRX closed → 09:20 opening auction", "false"),  # opens late, as somebody entered
    ("2026-12-03T08:55", "nxt", "NXT closed → 10:00:30 regular session", "false"),
]
# And from when on what a feed told last is late, in seconds: (not yet, already).
LATE = [("25T08:10", "nxt", 290, 330), ("25T10:00", "krx", 110, 150), ("25T18:30", "krx", 590, 630)]
NEVER = [("25T08:55", "krx"), ("25T15:25", "krx"), ("25T20:05", "nxt"), ("25T10:00", "kis_night")]


def holding(page, pattern):
    """The page's requests of a pattern from now on, which wait until somebody continues them."""
    held_back: list[Any] = []

    def hold(route):
        held_back.append(route)

    page.route(pattern, hold)
    return held_back


def session_tells_what_comes_next(page):
    """By the server's clock and calendar at a given moment, whatever the browser's clock shows."""
    late_day = {datetime.date(2026, 12, 3): Override(is_open=True, shift_minutes=60, note="CSAT")}
    krx = Calendar(trading_calendar.base("KRX"), late_day)
    at = ""

    def answered(route):
        feed = parse_qs(urlsplit(route.request.url).query)["feed"][0]
        moment_us = microseconds(datetime.datetime.fromisoformat(f"{at}:00+09:00"))
        route.fulfill(json=clocks.clock(krx, feed, moment_us))

    page.route("**/v2/clock**", answered)
    for at, feed, words, is_open in NEXT:
        assert page.evaluate(SESSION, [feed]) == [words, is_open, at[-5:]]
    for day, feed, *ages in LATE:
        at = f"2026-11-{day}"
        assert page.evaluate(SESSION, [feed, *ages])[3:] == [False, True], (at, feed)
    for day, feed in NEVER:
        at = f"2026-11-{day}"
        assert page.evaluate(SESSION, [feed, 86_400])[3:] == [False], (at, feed)
    page.unroute("**/v2/clock**")


def moves_only_before_who_wants_it(page, expect, commit, newest):
    """A price flashes as it changes, unless the reader asked for less motion."""
    last = page.locator('#watch tr[data-code="005930"] .price')
    page.evaluate(FLASHES)
    for wish, price_, flashes in (
        ("reduce", "72400", []),
        ("no-preference", "72500", ["005930 var(--up-flash)"]),
        ("no-preference", "72450", ["005930 var(--up-flash)", "005930 var(--down-flash)"]),
        ("reduce", "72299", ["005930 var(--up-flash)", "005930 var(--down-flash)"]),
    ):
        page.emulate_media(reduced_motion=wish)
        commit([minute(newest, price=price_)])
        expect(last).to_have_text(f"{int(price_):,}")
        assert page.evaluate("flashes") == flashes, wish


def takes_back_what_was_wrong(page, expect, commit, take_back, last):
    """Trades that are taken back while somebody looks: the chart says so, and its candles are those without them.
    `last` is the number of the newest minute."""
    newest = NINE_US // 1_000_000 + KST_S + last * 60  # as the chart has it
    page.evaluate("window.untouched = true")

    def drawn(time_s, *prices):
        page.wait_for_function(DRAWN, arg=[time_s, ",".join(map(str, prices))])

    def wrong(number):
        return [minute(number, price="99999", time=NINE_US + number * MINUTE_US + 30_000_000)]

    drawn(newest, 72_299, 72_500, 72_299, 72_299)
    commit(wrong(last))
    drawn(newest, 72_299, 99_999, 72_299, 99_999)
    assert [newest, "taken back"] not in page.evaluate(MARKS)
    take_back(wrong(last))
    drawn(newest, 72_299, 72_500, 72_299, 72_299)
    page.wait_for_function(MARKED, arg=[newest, "taken back"])
    page.wait_for_function(MARKED, arg=[newest, ""])  # and that the candle was corrected
    legend = page.locator("#legend")
    expect(legend).to_contain_text("corrections 1")
    expect(legend).to_contain_text("taken back 99999 fat finger")
    expect(page.locator("#last")).to_have_text("72,299")

    # A candle of which nothing is left, and the last price with it.
    commit(wrong(last + 1))
    drawn(newest + 60, 99_999, 99_999, 99_999, 99_999)
    take_back(wrong(last + 1))
    drawn(newest + 60)
    expect(page.locator("#last")).to_have_text("72,299")
    expect(page.locator('#watch tr[data-code="005930"] .price')).to_have_text("72,299")
    old = last - 200  # long before what is read again anyway
    drawn(newest - 200 * 60, *[70_000 + old] * 4)
    read = re.compile(r"/v2/stocks/bars\?symbols=005930&.*start=")
    held_back = holding(page, read)
    take_back([minute(old)])
    until(lambda: page.evaluate("1") and held_back, seconds=60, what="the candles asked for")
    page.evaluate("sockets.at(-1).close()")  # once it is back, all is asked for anew, and that overtakes the other
    until(lambda: page.evaluate("1") and len(held_back) > 1, seconds=60, what="the candles asked for once more")
    for one in held_back:
        one.continue_()
    page.unroute(read)
    drawn(newest - 200 * 60)
    page.wait_for_selector('body[data-stream="live"]')

    # Wider candles, of which the server alone knows what older ones come to.
    page.click('button[data-frame="5Min"]')
    older = newest - 14 * 60
    drawn(older, 72_285, 72_289, 72_285, 72_289)
    commit(wrong(last - 11))
    drawn(older, 72_285, 99_999, 72_285, 72_289)
    take_back(wrong(last - 11))
    drawn(older, 72_285, 72_289, 72_285, 72_289)
    page.wait_for_function(MARKED, arg=[older, "taken back"])
    assert page.evaluate("window.untouched")
    page.click('button[data-frame="1Min"]')
