"""The administration in Chromium: a home page that says what needs somebody, and every page whole, without a complaint
of the browser, in dark and light."""

import pytest
from django.contrib.auth import get_user_model

from marketdata import alarms
from marketdata.models import DeadLetter
from tests.integration.serving import minute, serving
from tests.integration.test_collection_page import past_hours, shown_by_ingest, upkeep
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_stream_served import web

__all__ = ["serving", "web"]

pytestmark = [pytest.mark.page, pytest.mark.once]
# What is wider than the place it has, on a desk's screen.
CUT_OFF = """() => [document.documentElement, ...document.querySelectorAll(".results, #content, .panel")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => [one.tagName, one.className, one.scrollWidth])"""
# What of a page is beyond the edge of what cuts it off, where nobody can scroll: on a phone.
HIDDEN = """() => {
  const hidden = (one) => {
    let right = document.documentElement.clientWidth;
    for (let up = one.parentElement; up !== document.body; up = up.parentElement) {
      const { overflowX } = getComputedStyle(up);
      if (/auto|scroll/.test(overflowX)) return false;
      if (overflowX !== "visible") right = Math.min(right, up.getBoundingClientRect().right);
    }
    return one.getBoundingClientRect().right > right + 1;
  };
  const what = "input:not([type=hidden]), select, textarea, a, img, button, label, .help";
  return [...document.querySelectorAll(`#content :is(${what})`)]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().width > 1 && hidden(one))
    .map((one) => one.id || one.className || one.textContent.trim().slice(0, 40));
}"""
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


def entered(page, origin):
    page.fill("input[name=username]", "desk")
    page.fill("input[name=password]", "a sound password")
    page.click("form.panel button")
    page.wait_for_url(f"{origin}/admin/")


def speak(page, origin, language):
    page.context.add_cookies([{"name": "naru_language", "value": language, "url": origin}])


def timetabled(page, expect, origin):
    """Every form of the timetable is filled in and saved, and a task of it changed."""

    def saved(model, **fields):
        page.goto(f"{origin}/admin/django_celery_beat/{model}/add/")
        for name, value in fields.items():
            place = page.locator(f"[name={name}]")
            if place.evaluate("one => one.tagName") == "SELECT":
                place.select_option(**value) if isinstance(value, dict) else place.select_option(value)
            else:
                place.fill(value)
        page.click("input[name=_save]")
        expect(page.locator(".messagelist .success")).to_be_visible()

    saved("intervalschedule", every="7", period="minutes")
    saved("crontabschedule", minute="5", hour="8", day_of_week="1-5")
    saved("clockedschedule", clocked_time_0="2027-01-04", clocked_time_1="08:00:00")
    saved("solarschedule", event="sunrise", latitude="37.5", longitude="127")
    saved("periodictask", name="by hand", task="marketdata.tasks.recheck", interval={"index": 1})
    page.click("text=by hand")
    crontab = page.locator("[name=crontab]")
    crontab.select_option(label="5 8 * * 1-5 (m/h/dM/MY/d) UTC")
    expect(page.locator(".field-crontab .help")).to_contain_text("08:05")  # when that is, in words
    page.locator("[name=interval]").select_option("")
    page.click("input[name=_continue]")
    expect(page.locator(".messagelist .success")).to_be_visible()


def alert_rule(page, expect, origin):
    """A rule's form has the fields of the kind that is chosen."""

    def shown():
        return set(page.locator("[data-kinds]:visible").evaluate_all("all => all.map((one) => one.name)"))

    page.goto(f"{origin}/admin/marketdata/alertrule/add/")
    page.locator("[name=kind]").select_option("queue")
    assert shown() == {"queue", "level", "band", "seconds"}
    page.locator("[name=kind]").select_option("price")
    assert shown() == {"direction", "level", "band", "symbols", "watchlist", "market", "feed"}
    assert shut_out(page) == []
    for name, text in {"name": "by hand", "level": "70,000", "symbols": "005930"}.items():
        page.locator(f"[name={name}]").fill(text)
    page.locator("[name=direction]").select_option("above")
    page.click("input[name=_save]")
    expect(page.locator(".messagelist .success")).to_be_visible()
    expect(page.locator(".field-waits_for")).to_have_text("at or above 70000")


def test_the_home_page_says_what_needs_somebody_and_every_page_is_whole(web, serving, chromium):
    serving.commit([minute(number) for number in range(5)] + [{"symbol": "NOBODY"}])
    upkeep()
    past_hours()
    shown_by_ingest()
    alarms.raise_alarm("storage_failing", "no room on the disk")
    DeadLetter.objects.create(batch=2, checksum=1, code="bad_batch", error="torn", payload=b"x")
    get_user_model().objects.create_superuser("desk", password="a sound password")
    origin = f"http://{web}"
    complained: list[str] = []

    with looked_at(chromium, f"{origin}/login/?next=/admin/", complained) as (page, expect):
        entered(page, origin)
        items = page.locator("#wrong li")
        expect(items).to_have_count(2)
        expect(items.nth(0)).to_contain_text("storage_failing")
        expect(items.nth(0).locator(".do")).to_be_visible()
        expect(items.nth(1)).to_contain_text("The rollover of 2026-03-13 is not done")
        expect(page.locator("#state")).to_have_text("2 to look at")
        tiles = page.locator("#tiles div")
        expect(tiles.filter(has_text="Dead letters")).to_contain_text("1")
        expect(tiles.filter(has_text="Refused within a day")).to_contain_text("1")
        expect(tiles.filter(has_text="Last rollover")).to_contain_text("2026-03-13")
        expect(page.locator(".bar .pages a").first).to_have_attribute("href", "/")
        assert shut_out(page) == []
        behind = page.locator("#content-main a").evaluate_all("links => [...new Set(links.map((one) => one.href))]")
        answers = {address: page.request.get(address).status for address in behind if "#" not in address}
        assert len(answers) > 40
        assert {address: status for address, status in answers.items() if status != 200} == {}

        cut_off = {}
        forms = [f"{origin}/admin/marketdata/{path}/change/" for path in ("symbol/005930", "client/1")]
        for place, address in enumerate([*sorted(one for one in answers if "/admin/" in one), *forms]):
            speak(page, origin, ("ko", "en")[place % 2])  # both for each would take twice as long
            page.set_viewport_size(DESK)
            page.goto(address)
            cut_off[address] = page.evaluate(CUT_OFF)
            page.set_viewport_size(PHONE)
            cut_off[address] += page.evaluate(HIDDEN)
        speak(page, origin, "en")
        assert {address: found for address, found in cut_off.items() if found} == {}
        assert complained == []

        for path in ("symbol/", "client/add/", "ingestreject/"):
            page.goto(f"{origin}/admin/marketdata/{path}")
            assert shut_out(page) == [], path
            fits(page)
            page.set_viewport_size(DESK)
        timetabled(page, expect, origin)
        alert_rule(page, expect, origin)
        assert complained == []
