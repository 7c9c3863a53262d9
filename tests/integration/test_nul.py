"""A NUL is refused like any other malformed input, in the API's shape and on every database."""

import base64

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser

from tests.integration.serving import serving

__all__ = ["serving"]

PATHS = [
    "/v2/symbols?search=%00",
    "/v2/symbols?market=%00",
    "/v2/symbols?feed=a%00b",
    "/v2/symbols?x%00=1",
    "/v2/symbols/A%00",
    "/v2/stocks/bars?symbols=%00",
    "/v2/stocks/005930/trades?start=%00",
    "/v2/symbols?page_token=" + base64.urlsafe_b64encode(b"\0|symbols|0|0").decode().rstrip("="),
    "/v2/stocks/trades?symbols=005930&page_token=" + base64.urlsafe_b64encode(b"\0|trades|0|0").decode().rstrip("="),
    "/login/?next=%00",
    "/admin/marketdata/symbol/?market__code__exact=%00",
]


def refused(response):
    return response.status_code == 400 and set(response.json()) >= {"code", "message", "request_id"}


@pytest.mark.parametrize("path", PATHS)
def test_a_nul_in_an_address_is_malformed(serving, path):
    staff = Browser(raise_request_exception=False, headers=serving.headers)
    staff.force_login(get_user_model().objects.create_superuser("boss"))

    assert refused(staff.get(path))


@pytest.mark.parametrize("form", [{"username": "a\0b", "password": "x"}, {"username": "a", "password": "\0"}])
def test_a_nul_in_a_form_is_malformed(serving, form):
    browser = Browser(raise_request_exception=False)
    coded = "&".join(f"{name}={value.replace(chr(0), '%00')}" for name, value in form.items())

    assert refused(browser.post("/login/", coded, content_type="application/x-www-form-urlencoded"))
    assert browser.post("/login/", form).status_code in (200, 400)  # in parts: the form itself refuses it


def test_a_nul_in_a_cookie_is_malformed(serving):
    for name in ("sessionid", "naru_page", "csrftoken"):
        assert refused(Browser(raise_request_exception=False).get("/", headers={"Cookie": f"{name}=a\0b"}))


def test_a_nul_that_only_the_database_finds_is_malformed(serving, monkeypatch):
    def ask(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", ["a\0b"])

    monkeypatch.setattr("api.views.symbols.NoQuery.read", ask)
    answer = Browser(raise_request_exception=False, headers=serving.headers).get("/v2/symbols/005930")

    assert refused(answer) if connection.vendor == "postgresql" else answer.status_code == 200


def test_a_form_without_its_token_is_refused_in_the_api_s_shape(serving):
    answer = Browser(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"})

    assert (answer.status_code, answer.json()["code"]) == (403, 40310001)
    assert answer.json()["request_id"] == answer["X-Request-ID"]
