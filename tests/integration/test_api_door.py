"""Who gets in by HTTP, and what those are told who do not."""

import json
import re
import time
from types import MappingProxyType

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import URLPattern, URLResolver, get_resolver

from api import urls
from api.auth import authentication
from api.throttling import login_throttle
from marketdata.models import Client
from marketdata.realtime import live_state
from tests.integration.serving import serving

__all__ = ["serving"]

KEY, SECRET = authentication.KEY_HEADER, authentication.SECRET_HEADER
UUID = "01234567-89ab-cdef-0123-456789abcdef"


def addresses(words=MappingProxyType({}), resolver=None, before="", names=()):
    """(name, path) of every URL, with a word in place of each parameter, 1 where none is given."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            inner = (*names, entry.namespace) if entry.namespace else names
            yield from addresses(words, entry, before + plain(entry.pattern, words), inner)
        elif isinstance(entry, URLPattern):
            yield ":".join((*names, entry.name or "")), before + plain(entry.pattern, words)


def plain(pattern, words):
    """A path that the pattern matches."""
    text = re.sub(r"<uuid:[^>]*>|\(\?P<\w+>\[0-9a-f]\{8}.*?\{12}\)", UUID, str(pattern))
    for name in ("symbol", "code"):
        text = text.replace(urls.SYMBOL.replace("symbol", name), words.get(name, "1"))
    text = re.sub(r"\(\?P<([^>]*)>(?:\[[^]]*\]|[^()])*\)", lambda found: words.get(found[1], "1"), text)
    text = re.sub(r"<(?:\w+:)?([^>]*)>", lambda found: words.get(found[1], "1"), text)
    return text.strip("^$").replace("\\Z", "")


@pytest.mark.once
@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_every_address_refuses_a_caller_without_a_key(serving, settings, method):
    settings.PAGE_PUBLIC = False
    browser = Browser(enforce_csrf_checks=False)
    open_ones = []

    for name, path in addresses():
        if name in urls.PUBLIC or path in ("admin/login/", "admin/logout/", "logout/"):
            continue
        response = getattr(browser, method)("/" + path)
        login = response.status_code == 302 and "/login/" in response["Location"]
        if not login and response.status_code not in (401, 403):
            open_ones.append((name, path, response.status_code))

    assert open_ones == []


@pytest.mark.once
def test_what_is_public_has_a_name_of_its_own():
    """Or another address of the name would be taken for public, too."""
    names = [name for name, _ in addresses() if name in urls.PUBLIC]

    assert sorted(names) == sorted(set(urls.PUBLIC))


@pytest.mark.parametrize("key", ["nobody", "no\0body", "\0", "아무도"])
def test_a_key_that_nobody_has_is_refused_whatever_is_in_it(serving, key):
    answer = Browser().get("/v2/status", headers={KEY: key, SECRET: "secret\0"})

    assert answer.status_code == 401


@pytest.mark.once
def test_the_few_public_addresses_show_no_data(serving, settings):
    settings.PAGE_PUBLIC = False

    assert Browser().get("/").status_code == 302
    assert Browser().get("/healthz").json() == {"status": "ok"}
    assert Browser().get("/readyz").json() == {"status": "ok"}
    assert Browser().get("/login/").status_code == 200
    assert Browser().get("/v2/docs").status_code == 200
    assert b"005930" not in Browser().get("/v2/schema").content


@pytest.mark.once
@pytest.mark.parametrize(
    "path", ["/v2/symbols", "/v2/status", "/v2/stocks/bars?symbols=005930", "/v2/stocks/005930/trades", "/metrics"]
)
def test_who_may_read_and_who_may_not(serving, path):
    sender, sender_secret = Client.objects.create_with_secret(name="sender", may_read=False)
    gone, gone_secret = Client.objects.create_with_secret(name="gone", is_active=False)
    users = get_user_model().objects
    staff, visitor = Browser(), Browser()
    staff.force_login(users.create_user("staff", is_staff=True))
    visitor.force_login(users.create_user("visitor"))

    assert serving.get(path).status_code == 200
    assert Browser().get(path).status_code == 401
    assert Browser().get(path, headers={KEY: serving.reader.key_id, SECRET: "wrong"}).status_code == 401
    assert Browser().get(path, headers={KEY: serving.reader.key_id}).status_code == 401
    assert Browser().get(path, headers={KEY: gone.key_id, SECRET: gone_secret}).status_code == 401
    assert Browser().get(path, headers={KEY: sender.key_id, SECRET: sender_secret}).status_code == 403
    assert staff.get(path).status_code == 200
    assert visitor.get(path).status_code == 403


@pytest.mark.once
def test_a_deactivated_client_is_refused_within_seconds(serving, monkeypatch):
    assert serving.get("/v2/symbols").status_code == 200
    Client.objects.filter(pk=serving.reader.pk).update(is_active=False)

    assert serving.get("/v2/symbols").status_code == 200  # still remembered
    now = time.monotonic() + authentication.REMEMBER_S + 0.1
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert serving.get("/v2/symbols").status_code == 401


def test_failed_logins_are_counted_and_then_refused_for_a_while(serving):
    wrong = {KEY: serving.reader.key_id, SECRET: "wrong"}
    for _ in range(login_throttle.MOST_PER_KEY):
        assert serving.get("/v2/symbols", headers=wrong).status_code == 401

    refused = serving.get("/v2/symbols", headers=wrong)

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= login_throttle.WINDOW_S
    assert serving.get("/v2/symbols").status_code == 429  # the right secret as well: guessing must not pay


@pytest.mark.once
def test_without_redis_nobody_is_locked_out(serving, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live_state.connection.cache_clear()

    assert serving.get("/v2/symbols").status_code == 200
    assert serving.get("/v2/stocks/005930/trades").status_code == 200
    assert serving.get("/v2/stocks/snapshots", symbols="005930").status_code == 200
    assert serving.read("/v2/status")["redis"] is False
    assert json.loads(serving.get("/readyz").content)["status"] == "degraded"


@pytest.mark.once
def test_the_public_page_gives_a_cookie_that_may_read_and_nothing_else(serving, settings):
    settings.PAGE_PUBLIC = True
    visitor = Browser(enforce_csrf_checks=True)

    assert visitor.get("/").status_code == 200
    assert visitor.get("/v2/symbols").status_code == 200
    assert "ticket" in visitor.post("/v2/stream/ticket").json()
    assert visitor.get("/metrics").status_code == 401
    assert visitor.get("/admin/").status_code == 302
    settings.PAGE_PUBLIC = False
    assert visitor.get("/v2/symbols").status_code == 401


@pytest.mark.once
def test_a_forged_page_cookie_is_worth_nothing(serving, settings):
    settings.PAGE_PUBLIC = True
    visitor = Browser()
    visitor.cookies[authentication.PAGE_COOKIE] = "visitor:1abc:forged"

    assert visitor.get("/v2/symbols").status_code == 401


@pytest.mark.once
def test_a_session_needs_its_csrf_token_to_fetch_a_ticket(serving):
    staff = Browser(enforce_csrf_checks=True)
    staff.force_login(get_user_model().objects.create_user("staff", is_staff=True))

    assert staff.post("/v2/stream/ticket").status_code == 403
    staff.get("/")
    token = staff.cookies["csrftoken"].value
    assert staff.post("/v2/stream/ticket", headers={"X-CSRFToken": token}).status_code == 200


@pytest.mark.once
def test_logins_of_people_are_counted_too(serving):
    get_user_model().objects.create_user("staff", password="right horse battery", is_staff=True)
    browser = Browser()
    for _ in range(login_throttle.MOST_PER_KEY):
        assert browser.post("/admin/login/", {"username": "staff", "password": "wrong"}).status_code == 200

    refused = browser.post("/login/", {"username": "staff", "password": "right horse battery"})

    assert refused.status_code == 429
    assert "Retry-After" in refused


@pytest.mark.once
def test_metrics_can_be_fetched_with_basic_auth(serving):
    import base64

    word = base64.b64encode(f"{serving.reader.key_id}:{serving.secret}".encode()).decode()

    response = serving.get("/metrics", headers={"Authorization": f"Basic {word}"})

    assert response.status_code == 200
    assert b"naru_stored_ticks_total" in response.content
    assert serving.get("/metrics", headers={"Authorization": "Basic !"}).status_code == 401
