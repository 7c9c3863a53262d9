"""An alert that fires while somebody looks at prices, in Chromium: a line leads to its chart and is acknowledged there,
and the bar of every page says how many nobody has acknowledged."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from analytics.alerts import due
from marketdata.models import Alert, AlertRule
from marketdata.reference.symbols import Directory
from tests.integration.serving import and_leave, serving
from tests.integration.test_page import fits, follows, looked_at, shut_out
from tests.integration.test_stream_served import web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
# What a part of the page shows of alerts that only the list of alerts tells of, as those of other feeds.
LOOKED = """async () => {
  const { Fired } = await import("/static/api/page/fired.js");
  window.place = document.createElement("div");
  place.dataset.owner = "desk";
  window.fired = new Fired(place, { choose() {} });
  await fired.look();
  return place.textContent;
}"""
TOLD = "async () => { await fired.look(); return [...place.children].map((one) => one.textContent); }"


def stored(owner, episode, **other):
    given = {"name": "elsewhere", "kind": "price", "feed": "nxt", "symbol": "035420", "message": f"fired {episode}"}
    return Alert.objects.create(owner=owner, revision=1, episode=episode, event_us=0, fired_at=timezone.now(),
                                **{**given, **other})  # fmt: skip


def test_an_alert_is_seen_where_prices_are_looked_at_and_counted_on_every_page(web, serving, chromium, monkeypatch):
    monkeypatch.setattr(due, "directory", Directory(retry_s=0.0))
    desk = get_user_model().objects.create_superuser("desk", password="a sound password")
    AlertRule.objects.create(owner=desk, name="dear", kind="price", cooldown_s=0, symbols=["000660", "005930"],
                             parameters={"direction": "above", "level": "71000", "band": "0"})  # fmt: skip
    due.watch()

    def trade(code, price):
        serving.commit([{"symbol": code, "price": price, "time": time.time_ns() // 1000}])
        due.watch()  # what a commit left to the bell, for it took long

    for code in ("000660", "005930"):
        trade(code, "70000")
    origin = f"http://{web}"
    chart = f"{origin}/?feed=krx&symbol=005930&timeframe=1Min"
    wrong: list[str] = []
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, chart, wrong) as (page, expect):

        def meanwhile(function, *given):
            return aside.submit(and_leave, lambda: function(*given)).result()

        line, count = page.locator("#fired p"), page.locator("#unseen")
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#fired")).to_have_count(0)  # a visitor has no rules
        page.goto(f"{origin}/login/?next=/collection")
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_url(f"{origin}/collection")
        expect(count).to_be_hidden()
        meanwhile(stored, desk, 50)
        expect(count).to_have_text("1 not acknowledged")  # also of a page that lies open
        meanwhile(lambda: Alert.objects.filter(episode=50).delete())
        expect(count).to_be_hidden()
        listed = "**/v2/alerts?*"  # so that only the stream can tell
        page.route(listed, lambda route: route.fulfill(json={"alerts": [], "next_page_token": None}))
        page.goto(chart)
        page.wait_for_selector('body[data-stream="live"]')
        follows(page, "alerts", "*")

        meanwhile(trade, "000660", "71500")
        expect(line).to_have_count(1)
        expect(line).to_contain_text("000660 trades at 71500: at or above 71000")
        expect(line.locator("small")).to_have_text("dear · krx")
        expect(count).to_have_text("1 not acknowledged")
        assert shut_out(page) == []
        fits(page)
        page.set_viewport_size({"width": 1280, "height": 800})
        line.locator("a").click()
        expect(page).to_have_url(re.compile("symbol=000660"))
        expect(page.locator("#last")).to_have_text("71,500")
        line.get_by_role("button", name="Acknowledge: 000660").click()
        expect(line).to_have_count(0)
        expect(count).to_be_hidden()
        seen = meanwhile(lambda: list(Alert.objects.values_list("symbol", "acknowledged_by")))

        meanwhile(trade, "005930", "72000")
        expect(line).to_contain_text("005930 trades at 72000")
        line.get_by_role("button", name="put away: 005930").click()
        expect(line).to_have_count(0)
        page.wait_for_selector('body[data-stream="live"]')
        page.goto(f"{origin}/admin/")
        expect(count).to_have_text("1 not acknowledged")
        page.unroute(listed)
        page.goto(f"{origin}/alerts")
        page.get_by_role("button", name="Acknowledge").click()
        expect(count).to_be_hidden()

        page.goto(chart)
        before = page.evaluate(LOOKED)
        other = meanwhile(lambda: get_user_model().objects.create_user("somebody"))
        meanwhile(lambda: stored(other, 9))  # who operates may see it, in the list
        for episode in range(1, 6):
            meanwhile(stored, desk, episode)
        meanwhile(lambda: stored(desk, 6, quiet=True))
        told = page.evaluate(TOLD)
        expect(count).to_have_text("7 not acknowledged")

    assert seen == [("000660", "desk")]
    assert before == ""
    shown = [re.search(r"fired \d|.* more: all alerts", text) for text in told]
    assert [one and one.group() for one in shown] == ["fired 5", "fired 4", "fired 3", "2 more: all alerts"]
    assert wrong == []
