"""The page of alerts in Chromium: a rule with a target is made, what is wrong is said in the reader's language, and
whose rule it is not has nothing to press."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model

from marketdata.models import AlertRule
from tests.integration.serving import serving
from tests.integration.test_alert_delivery import receiver
from tests.integration.test_page import STILL, fits, looked_at
from tests.integration.test_stream_served import _web

__all__ = ["receiver", "serving"]

RULE = {"kind": "price", "parameters": {"direction": "above", "level": "70000"}, "symbols": ["005930"]}


@pytest.fixture
def web(serving, road):
    yield from _web(road, ALERT_WEBHOOK_NETWORKS="127.0.0.0/8")


def stored(name):
    made = AlertRule.objects.get(name=name)
    return made.parameters["level"], [one.name for one in made.targets.all()]


@pytest.mark.page
@pytest.mark.once
def test_an_operator_makes_a_rule_with_a_target(web, chromium, receiver):
    get_user_model().objects.create_superuser("desk", password="a sound password")
    other = get_user_model().objects.create_user("other")
    AlertRule.objects.create(owner=other, name="theirs", **RULE)
    origin = f"http://{web}"
    complained: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"{origin}/login/?next=/alerts", complained, language="ko") as (page, expect),
    ):
        page.context.add_cookies([{"name": "naru_language", "value": "ko", "url": origin}])
        page.fill("input[name=username]", "desk")
        page.fill("input[name=password]", "a sound password")
        page.click("form.panel button")
        page.wait_for_url(f"{origin}/alerts")
        theirs = page.locator("#rules li").filter(has_text="theirs")
        expect(theirs.locator(".whose")).to_have_text("other")
        assert theirs.get_by_role("button").count() == 0

        page.locator("#target-name").fill("hook")
        page.locator("#target-kind").select_option("webhook")
        page.locator("#target-address").fill("http://10.0.0.1/")
        page.locator("#target button").click()
        expect(page.locator("#told")).to_contain_text("주소: 10.0.0.1은(는) 공용 인터넷의 주소가 아닙니다")
        page.locator("#target-address").fill(receiver.url("/hook"))
        page.locator("#target button").click()
        expect(page.locator("#told")).to_contain_text("whsec_")
        page.locator("#targets button").first.click()
        expect(page.locator("#told")).to_contain_text("전달했습니다")
        assert [path for path, *_ in receiver.heard] == ["/hook"]

        page.locator("#new").click()
        page.locator("#name").fill("mine")
        page.locator("#level").fill("seven")
        page.locator("#symbols").fill("005930")
        page.locator("#goes-to input").check()
        page.locator("#form .buttons .primary").click()
        expect(page.locator("#wrong")).to_contain_text("가격: 소수 8자리까지의 숫자")
        page.locator("#level").fill("70,000")
        page.locator("#form .buttons .primary").click()
        mine = page.locator("#rules li").filter(has_text="mine")
        expect(mine.get_by_role("button")).to_have_count(2)
        assert aside.submit(stored, "mine").result() == ("70000", ["hook"])

        assert [one for one in complained if "422" not in one] == []  # what was refused is logged by Chromium
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_function(STILL, arg=scheme)
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
        fits(page)
