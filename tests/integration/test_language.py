"""Pages speak Korean until somebody chooses English on one of them; the API tells errors in English unless Korean is
asked for, and everything else without a language."""

import json
import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from tests.integration.serving import serving

__all__ = ["serving"]

pytestmark = pytest.mark.once


@pytest.fixture
def desk(serving, settings):
    """A browser that prefers English, at a server whose language is Korean."""
    settings.LANGUAGE_CODE = "ko"
    settings.PAGE_PUBLIC = True
    return Browser(headers={"Accept-Language": "en-US"}, enforce_csrf_checks=True)


@pytest.fixture
def visitor(desk):
    """Who has looked at the public page, and asks the API by its cookie."""
    desk.get("/")
    return desk


def choose(browser, language, page="/"):
    browser.get(page)
    form = {"language": language, "next": page, "csrfmiddlewaretoken": browser.cookies["csrftoken"].value}
    return browser.post("/language", form, follow=True)


@pytest.mark.parametrize("page", ["/", "/login/"])
def test_a_page_is_korean_whatever_the_browser_prefers(desk, page):
    answer = desk.get(page)

    assert answer.headers["Content-Language"] == "ko"
    assert '<html lang="ko">' in answer.text
    assert "로그인" in answer.text
    assert "Log in" not in answer.text


@pytest.mark.parametrize("page", ["/", "/login/"])
def test_english_is_chosen_on_a_page_and_stays_until_korean_is(desk, page):
    chosen = choose(desk, "en", page)

    assert chosen.redirect_chain == [(page, 302)]
    assert '<html lang="en">' in chosen.text
    assert "Log in" in chosen.text
    assert "로그인" not in chosen.text
    assert "Log in" in desk.get(page).text
    assert '<html lang="ko">' in choose(desk, "ko", page).text


def test_the_page_s_scripts_get_the_texts_of_its_language(desk):
    live = json.dumps("실시간")

    assert live in desk.get("/texts.js").text
    choose(desk, "en")
    assert live not in desk.get("/texts.js").text


def test_the_administration_has_the_switch_too(desk):
    staff = get_user_model().objects.create_superuser("staff", password="long enough to pass")
    desk.force_login(staff)

    assert 'action="/language"' in desk.get("/admin/").text
    assert "나루 관리" in desk.get("/admin/").text
    assert "Naru Administration" in choose(desk, "en", "/admin/").text


def test_a_language_nobody_has_and_a_page_elsewhere_are_not_taken(desk):
    assert '<html lang="ko">' in choose(desk, "fr").text
    desk.cookies["naru_language"] = "fr"
    assert '<html lang="ko">' in desk.get("/").text
    form = {"language": "en", "next": "https://example.com/", "csrfmiddlewaretoken": desk.cookies["csrftoken"].value}
    assert desk.post("/language", form).headers["Location"] == "/"


def test_a_market_has_a_name_of_its_own_in_each_language(desk):
    desk.force_login(get_user_model().objects.create_superuser("boss", password="long enough to pass"))

    assert '<option value="KRX">한국거래소</option>' in desk.get("/alerts").text
    assert '<option value="KRX">Korea Exchange</option>' in choose(desk, "en", "/alerts").text


KOREAN = ["ko", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "en;q=0.3,KO-kr;q=0.5", "fr,ko;q=0.1"]
ENGLISH = [None, "", "*", "en", "en-GB,en;q=0.9,ko;q=0.8", "fr", "ko;q=0", "ko-", ";;;", "x" * 2000]


def refused(desk, language, address="/v2/symbols/NOBODY", **more):
    desk.headers = {}
    headers = {**more} if language is None else {"Accept-Language": language, **more}
    return desk.get(address, headers=headers)


@pytest.mark.parametrize("language", KOREAN)
def test_an_error_of_the_api_is_korean_for_who_prefers_it(visitor, language):
    answer = refused(visitor, language)

    assert answer.status_code == 404
    assert answer.json()["message"] == "등록되지 않은 종목: NOBODY"
    assert (answer.json()["code"], answer["Content-Language"]) == (40410001, "ko")
    assert "Accept-Language" in answer["Vary"]


@pytest.mark.parametrize("language", ENGLISH)
def test_an_error_of_the_api_is_english_for_everybody_else_whatever_was_chosen_on_a_page(visitor, language):
    visitor.cookies["naru_language"] = "ko"

    answer = refused(visitor, language)

    assert answer.json()["message"] == "not registered: NOBODY"
    assert (answer.json()["code"], answer["Content-Language"]) == (40410001, "en")
    assert "Accept-Language" in answer["Vary"]


def test_the_same_question_in_two_languages_in_turn_is_answered_in_each(visitor):
    """What a process keeps from one request to the next, such as the checks of parameters, keeps no language."""
    for _ in range(2):
        assert "필수" in refused(visitor, "ko", "/v2/stocks/bars").json()["errors"]["symbols"][0]
        assert refused(visitor, "en", "/v2/stocks/bars").json()["errors"]["symbols"] == ["This field is required."]


def test_what_django_refuses_by_itself_is_in_the_language_asked_for_too(visitor):
    assert refused(visitor, "ko", "/nothing").json()["message"] == "그런 주소가 없습니다"
    assert refused(visitor, None, "/v2/nothing").json()["message"] == "there is no such address"
    assert refused(visitor, "ko", "/v2/symbols?symbols=a\0b").json()["message"] == "요청 형식이 잘못되었습니다"
    assert refused(visitor, "ko", "/udf/symbols?symbol=NOBODY").json()["errmsg"] == "등록되지 않은 종목: NOBODY"


def test_what_is_no_error_is_the_same_in_every_language(visitor):
    addresses = [
        "/v2/symbols", "/v2/status", "/v2/clock", "/v2/calendar", "/v2/indicators", "/v2/gaps", "/v2/events",
        "/v2/quality", "/v2/corrections", "/v2/stocks/bars?symbols=005930", "/v2/schema",
    ]  # fmt: skip
    for address in addresses:
        korean, english = refused(visitor, "ko", address), refused(visitor, "en", address)
        assert korean.status_code == english.status_code == 200, address
        assert masked(korean) == masked(english), address
        assert "Content-Language" not in korean, address
        assert "Accept-Language" not in korean.get("Vary", ""), address


def masked(answer):
    """An answer without its moment."""
    return re.sub(r"\d\d:\d\d:\d\d(\.\d+)?", "", answer.text)
