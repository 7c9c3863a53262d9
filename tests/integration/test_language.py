"""Pages speak Korean until somebody chooses English on one of them; the API speaks English."""

import json

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


def test_the_api_speaks_english_whatever_was_chosen(desk):
    answer = desk.delete("/v2/symbols")

    assert answer.status_code in (401, 403, 405)
    assert answer.json()["message"].isascii()
