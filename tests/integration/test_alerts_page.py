"""The page of alerts in Chromium: the form has what a kind needs and nothing else, and says what is wrong with it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from marketdata.models import Alert, AlertRule, Client
from tests.integration.serving import and_leave, serving
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_stream_served import start_web, web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
OF_THE_SCOPE = ("symbols", "market", "feed")


def test_a_rule_of_each_kind_is_made_and_changed_by_the_form(web, serving, road, chromium):
    desk = get_user_model().objects.create_superuser("desk", password="a sound password")
    of_price = {"owner": desk, "revision": 1, "name": "dear", "kind": "price", "feed": "krx", "symbol": "005930"}

    def fired(episode, price):
        Alert.objects.create(**of_price, episode=episode, message=f"005930 is {price}", event_us=0,
                             fired_at=timezone.now())  # fmt: skip

    fired(1, "70,500")
    Client.objects.create_with_secret(name="kis-7", may_send=True, source_id=4)
    origin = f"http://{web}"
    complained: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"{origin}/login/?next=/alerts", complained) as (page, expect),
    ):
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_url(f"{origin}/alerts")

        chart = "/?feed=krx&symbol=005930&timeframe=1Min"
        expect(page.locator("#fired a")).to_have_attribute("href", chart)
        page.click("#new")
        page.fill("#name", "away")
        page.select_option("#kind", "terminal")
        for name in (*OF_THE_SCOPE, "level", "band", "direction", "code"):
            expect(page.locator(f"#{name}")).to_be_hidden()
        page.select_option("#client", "kis-7")
        page.fill("#seconds", "5")
        page.click("#form button.primary")
        expect(page.locator("#wrong")).to_have_text("For so long, s: is a whole number of seconds, 10 to 86400")
        expect(page.locator("#seconds")).to_have_attribute("aria-invalid", "true")
        assert shut_out(page) == []
        fits(page)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.fill("#seconds", "30")
        page.click("#form button.primary")
        expect(page.locator("#rules small")).to_have_text("terminal not connected kis-7 for 30 s")

        page.click("#new")
        page.fill("#name", "upkeep")
        page.select_option("#kind", "alarm")
        expect(page.locator("#seconds")).to_be_hidden()
        expect(page.locator("#hours")).to_be_hidden()
        page.select_option("#code", "rollover_failed")
        page.click("#form button.primary")
        expect(page.locator("#rules li")).to_have_count(2)

        page.click("#new")
        page.fill("#name", "silent")
        page.select_option("#kind", "stale")
        for name in (*OF_THE_SCOPE, "seconds"):
            expect(page.locator(f"#{name}")).to_be_visible()
        hours = page.locator("#hours")
        expect(hours).to_contain_text("Where these are not known silence is never told: ")
        for code in ("US", "CME", "FX"):
            expect(hours).to_contain_text(page.locator(f'#market option[value="{code}"]').inner_text())
        expect(hours).to_contain_text("kis_night")
        page.select_option("#market", "US")
        page.click("#form button.primary")
        expect(page.locator("#wrong")).to_have_text(
            "Market: is one whose hours are not known, so its silence is never told"
        )
        assert shut_out(page) == []
        page.select_option("#market", "KRX")
        page.click("#form button.primary")
        expect(page.locator("#rules li")).to_have_count(3)
        expect(page.locator("#rules small").first).to_have_text("no trades for 60 s · KRX")

        page.click('#rules button[aria-label="Edit: away"]')
        expect(page.locator("#client")).to_have_value("kis-7")
        expect(page.locator("#seconds")).to_have_value("30")
        page.fill("#seconds", "45")
        page.click("#form button.primary")
        expect(page.locator("#rules")).to_contain_text("kis-7 for 45 s")

        # What is done to a rule elsewhere is seen without a reload, and whoever is at its buttons stays there.
        edit = page.get_by_role("button", name="Edit: silent")
        edit.focus()
        aside.submit(and_leave, lambda: AlertRule.objects.filter(name="silent").update(enabled=False)).result()
        expect(page.get_by_role("button", name="Switch on: silent")).to_be_visible()
        expect(edit).to_be_focused()

        # A server that is away is said, and what fired meanwhile is there once it is back.
        page.evaluate("window.untouched = true")
        road.kill("web")
        expect(page.locator("#away")).to_be_visible()
        aside.submit(and_leave, lambda: fired(2, "70,600")).result()
        start_web(road, int(web.rpartition(":")[2]))
        expect(page.locator("#fired tr").first).to_contain_text("005930 is 70,600")
        expect(page.locator("#away")).to_be_hidden()
        assert page.evaluate("window.untouched")
        stored = aside.submit(and_leave, lambda: list(AlertRule.objects.order_by("pk"))).result()

    assert [(one.kind, one.parameters, one.market_id) for one in stored] == [
        ("terminal", {"client": "kis-7", "seconds": "45"}, None),
        ("alarm", {"code": "rollover_failed"}, None),
        ("stale", {"seconds": "60"}, "KRX"),
    ]
    assert [text for text in complained if "422" not in text and "ERR_" not in text] == []
