"""Logins by an OpenID Connect provider, which is a process of its own: who gets in, as whom and with which roles, and
what is no proof."""

import html
import itertools
import json
import logging
import re
import threading
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client as Browser

from api.auth import openid
from marketdata.doctor.login_provider import login_provider
from marketdata.models import OpenIdAccount, SecondFactor
from tests.integration.serving import PATIENCE_S, serving
from tests.simulators.openid.__main__ import CLIENT_ID, CLIENT_SECRET
from tests.simulators.process import Simulator

__all__ = ["serving"]

PASSWORD = "right horse battery"


@pytest.fixture(scope="module")
def process():
    with Simulator("tests.simulators.openid") as one:
        yield one


@pytest.fixture
def provider(process, serving, settings, monkeypatch):
    """The provider, which does everything right and whose one person is a viewer."""
    monkeypatch.setattr(openid, "_said", {})
    monkeypatch.setattr(openid, "PATIENCE_S", PATIENCE_S)
    Session.objects.all().delete()
    settings.PAGE_PUBLIC = False
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = process.told["issuer"], CLIENT_ID
    settings.OIDC_CLIENT_SECRET, settings.OIDC_CREATE_ACCOUNTS = CLIENT_SECRET, True
    settings.OIDC_ROLES = {"/desk/readers": "viewer", "/desk/leads": "operator"}
    process.order("fault none")
    process.order('claims {"groups": ["/desk/readers", "/other"]}')
    process.account()
    return process


def sent(browser=None, path="/login/openid/"):
    """A browser, and the query with which the provider sends it back."""
    browser = browser or Browser()
    answer = httpx.get(browser.get(path)["Location"], timeout=PATIENCE_S)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("http://testserver/login/openid/back/?")
    return browser, urlsplit(answer.headers["location"]).query


def log_in(path="/login/openid/"):
    browser, query = sent(path=path)
    return browser, browser.get(f"/login/openid/back/?{query}")


def roles_of(name="kim"):
    return sorted(get_user_model().objects.get(username=name).groups.values_list("name", flat=True))


def told():
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("id")]


@pytest.mark.once
def test_somebody_new_gets_an_account_with_the_role_of_his_group_and_no_password(provider):
    browser, answer = log_in("/login/openid/?next=/account")

    assert answer["Location"] == "/account"
    assert browser.get("/v2/symbols").status_code == 200
    assert browser.get("/admin/").status_code == 302
    kim = get_user_model().objects.get()
    assert (kim.username, kim.has_usable_password(), kim.is_staff, roles_of()) == ("kim", False, False, ["viewer"])
    assert told() == ["account created at a login by the provider", "role viewer given"]
    log_in()
    assert get_user_model().objects.count() == OpenIdAccount.objects.count() == 1


@pytest.mark.once
def test_who_leaves_a_group_loses_its_role_at_the_next_login_and_gets_no_further_without_one(provider):
    provider.order('claims {"groups": ["/desk/leads", "/desk/readers"]}')
    browser, _ = log_in()
    assert browser.get("/admin/").status_code == 200
    kim = get_user_model().objects.get()
    kim.groups.add(Group.objects.create(name="of our own"))

    provider.order('claims {"groups": ["/desk/readers"]}')
    log_in()
    assert roles_of() == ["of our own", "viewer"]
    assert browser.get("/admin/").status_code == 302  # in the session of before, too

    provider.order("claims {}")
    late, answer = log_in()

    assert answer.status_code == 403
    assert b"no role here" in answer.content
    assert late.get("/v2/symbols").status_code == 401
    assert roles_of() == ["of our own"]
    assert told()[-2:] == ["role operator removed", "role viewer removed"]
    Group.objects.get(name="of our own").delete()


@pytest.mark.once
def test_groups_that_only_the_user_info_tells_count(provider):
    provider.order('claims {"groups_of_userinfo": ["/desk/leads"]}')
    log_in()
    assert roles_of() == ["operator"]

    provider.order("fault userinfo of another")
    assert log_in()[1].status_code == 403


def test_an_account_is_found_by_its_subject_whatever_its_name_is_by_now(provider):
    log_in()
    provider.order('claims {"groups": ["/desk/readers"], "preferred_username": "kim-lee"}')
    assert log_in()[1].status_code == 302
    provider.order('claims {"groups": ["/desk/readers"], "sub": "PERSON-1"}')

    assert log_in()[1].status_code == 403  # somebody else of the same name
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize(
    ("made", "enters"),
    [
        ({}, True),
        ({"password": PASSWORD}, False),
        ({"is_staff": True}, False),
        ({"is_superuser": True}, False),
        ({"is_active": False}, False),
        ({"username": "KIM"}, None),
    ],
)
def test_of_the_accounts_that_are_there_one_without_a_password_is_taken_into_use(provider, settings, made, enters):
    settings.OIDC_CREATE_ACCOUNTS = False
    get_user_model().objects.create_user(**{"username": "kim", **made})

    browser, answer = log_in()

    assert answer.status_code == (302 if enters else 403)
    assert (browser.get("/v2/symbols").status_code == 200) is bool(enters)
    assert get_user_model().objects.count() == 1
    assert OpenIdAccount.objects.count() == int(bool(enters))


@pytest.mark.once
@pytest.mark.parametrize(
    ("name_claim", "claims"),
    [
        ("preferred_username", '"preferred_username": null'),
        ("preferred_username", '"preferred_username": ["kim"]'),
        ("preferred_username", '"preferred_username": "a b"'),
        ("preferred_username", f'"preferred_username": "{"k" * 151}"'),
        ("email", '"email": "kim@example.com"'),
        ("email", '"email": "kim@example.com", "email_verified": "true"'),
        ("email", '"email_verified": true'),
    ],
)
def test_claims_that_name_nobody_make_no_account(provider, settings, name_claim, claims):
    settings.OIDC_NAME_CLAIM = name_claim
    provider.order(f'claims {{"groups": ["/desk/readers"], {claims}}}')

    assert log_in()[1].status_code == 403
    assert get_user_model().objects.count() == 0


@pytest.mark.once
def test_a_verified_address_names_an_account_and_accounts_are_made_only_where_the_setting_says_so(provider, settings):
    settings.OIDC_NAME_CLAIM = "email"
    provider.order('claims {"groups": ["/desk/readers"], "email": "kim@example.com", "email_verified": true}')
    settings.OIDC_CREATE_ACCOUNTS = False
    assert log_in()[1].status_code == 403
    settings.OIDC_CREATE_ACCOUNTS = True

    assert log_in()[1].status_code == 302
    assert roles_of("kim@example.com") == ["viewer"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("wrong signature", "BadSignatureError"),
        ("other key", "BadSignatureError"),
        ("no signature", "ID token"),
        ("secret as key", "ID token"),
        ("wrong nonce", "nonce"),
        ("no nonce", "nonce"),
        ("wrong audience", "aud"),
        ("second audience", "another client"),
        ("wrong issuer", "iss"),
        ("expired", "exp"),
        ("no ID token", "no ID token"),
        ("garbage", "ID token"),
        ("no JSON", "no JSON"),
        ("packed", "no JSON"),  # not "too long": what was not asked for is not unpacked
    ],
)
def test_what_is_no_proof_lets_nobody_in(provider, caplog, fault, reason):
    provider.order(f"fault {fault}")
    with caplog.at_level(logging.WARNING, "api.views.openid"):
        browser, answer = log_in()

    assert answer.status_code == 403
    assert b"proves nothing" in answer.content
    assert reason in caplog.text
    assert CLIENT_SECRET not in caplog.text
    assert browser.get("/v2/symbols").status_code == 401
    assert get_user_model().objects.count() == 0


@pytest.mark.once
def test_an_answer_that_was_not_asked_for_or_comes_again_lets_nobody_in(provider):
    owner, query = sent()
    thief = Browser()
    assert thief.get(f"/login/openid/back/?{query}").status_code == 403
    thief, _ = sent()
    assert thief.get(f"/login/openid/back/?{query}").status_code == 403  # the state is another's
    assert owner.get(f"/login/openid/back/?{query}").status_code == 302
    assert owner.get(f"/login/openid/back/?{query}").status_code == 403  # once
    again, other = sent()
    assert again.get(f"/login/openid/back/?{other}&iss=https://other.example.com").status_code == 403
    again, other = sent()
    assert again.get(f"/login/openid/back/?{other}&code=another").status_code == 403
    for nothing in ("", "?state=", "?code=x", "?state=%00"):
        assert Browser().get(f"/login/openid/back/{nothing}").status_code in (400, 403)


@pytest.mark.once
def test_what_the_provider_is_asked_has_a_challenge_and_no_secret(provider):
    browser = Browser()
    asked = parse_qs(urlsplit(browser.get("/login/openid/?next=https://evil.example.com/")["Location"]).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://testserver/login/openid/back/"]
    assert CLIENT_SECRET not in str(asked)
    cookie = browser.cookies["naru_openid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/login/openid/")
    assert log_in("/login/openid/?next=https://evil.example.com/")[1]["Location"] == "/"


@pytest.mark.once
def test_a_provider_that_is_away_is_told_in_the_reader_s_language_and_no_error(provider, settings, monkeypatch):
    browser, query = sent()
    provider.order("fault away")
    answer = browser.get(f"/login/openid/back/?{query}")
    assert (answer.status_code, b"does not answer now" in answer.content) == (503, True)
    assert b'action="/login/"' in answer.content  # the other way in

    monkeypatch.setattr(openid, "_said", {})
    browser.cookies[settings.LANGUAGE_COOKIE_NAME] = "ko"
    answer = browser.get("/login/openid/")
    assert answer.status_code == 503
    assert "로그인 제공자가 지금 응답하지 않습니다" in answer.content.decode()

    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert Browser().get("/login/openid/").status_code == 503


@pytest.mark.once
def test_a_provider_of_another_name_and_one_that_refuses_let_nobody_in(provider):
    provider.order("fault refuses")
    assert b"let nobody in" in log_in()[1].content
    provider.order("fault other name")
    openid._said.clear()

    assert Browser().get("/login/openid/").status_code == 403
    provider.order("fault none")
    assert log_in()[1].status_code == 302  # once it is mended, without waiting


@pytest.mark.once
def test_keys_that_changed_under_the_same_name_are_asked_for(provider):
    provider.order("fault other key")
    assert log_in()[1].status_code == 403
    provider.order("fault none")

    assert log_in()[1].status_code == 302


@pytest.mark.once
def test_what_a_provider_by_tls_names_is_asked_by_tls(provider):
    secure = openid.Provider("https://login.example.com", CLIENT_ID, CLIENT_SECRET, "openid")
    for address in ("http://login.example.com/token", "ftp://login.example.com/", None, 5):
        with pytest.raises(openid.NotProven):
            openid._address(secure, {"token_endpoint": address}, "token_endpoint")


@pytest.mark.once
def test_a_provider_that_is_slow_holds_up_some_of_the_threads_only(provider, monkeypatch):
    browser, query = sent()
    monkeypatch.setattr(openid, "_turns", threading.BoundedSemaphore(1))
    openid._turns.acquire()
    assert browser.get(f"/login/openid/back/?{query}").status_code == 503
    openid._turns.release()
    assert log_in()[1].status_code == 302  # each has given its turn back

    browser, query = sent()
    hours = itertools.count(0, 3601)
    monkeypatch.setattr(openid, "time", SimpleNamespace(monotonic=lambda: float(next(hours))))
    assert browser.get(f"/login/openid/back/?{query}").status_code == 503  # an answer that does not end


@pytest.mark.once
@pytest.mark.parametrize("subject", ["5", '["person-1"]', '"a\\u0000b"'])
def test_a_subject_that_is_no_text_is_no_proof(provider, subject):
    provider.order(f'claims {{"groups": ["/desk/readers"], "sub": {subject}}}')

    assert log_in()[1].status_code == 403
    assert get_user_model().objects.count() == 0


def test_the_second_factor_is_asked_here_unless_the_provider_asked_for_one_that_is_trusted(provider, settings):
    settings.REQUIRE_SECOND_FACTOR, settings.OIDC_TRUSTED_AMR = True, ["mfa"]
    provider.order('claims {"groups": ["/desk/leads"], "amr": ["pwd"]}')
    browser, answer = log_in()
    assert answer["Location"] == "/login/code/"
    assert browser.get("/admin/").status_code == 302

    provider.order('claims {"groups": ["/desk/leads"], "amr": ["pwd", "mfa"]}')
    browser, answer = log_in()

    assert answer["Location"] == "/"
    assert browser.get("/admin/").status_code == 200


@pytest.mark.once
def test_who_has_no_password_proves_himself_with_codes(provider, monkeypatch):
    monkeypatch.setattr("marketdata.reference.second_factors.STEPS_AROUND", 20)
    browser, _ = log_in()
    secret = browser.get("/account/second-factor").context["secret"].replace(" ", "")
    page = browser.post("/account/second-factor", {"action": "enrol", "code": pyotp.TOTP(secret).now()})
    code = page.context["codes"][0]

    assert browser.post("/account/second-factor", {"action": "remove", "code": "000000000000"}).status_code == 200
    assert SecondFactor.objects.count() == 1
    assert browser.post("/account/second-factor", {"action": "remove", "code": code}).status_code == 302
    assert SecondFactor.objects.count() == 0


@pytest.mark.once
def test_logins_by_password_can_be_turned_off_and_stay_on_unless_they_are(provider, settings):
    get_user_model().objects.create_superuser("boss", password=PASSWORD)
    given = {"username": "boss", "password": PASSWORD}
    page = Browser().get("/login/?next=/account").content
    assert b'name="password"' in page
    assert b"/login/openid/?next=/account" in page
    assert Browser().post("/login/", given).status_code == 302

    settings.PASSWORD_LOGIN = False

    assert b'name="password"' not in Browser().get("/admin/login/").content
    for path in ("/login/", "/admin/login/"):
        browser = Browser()
        assert browser.post(path, given).status_code == 403
        assert browser.get("/account").status_code == 302
    assert log_in()[1].status_code == 302


@pytest.mark.once
def left(browser, path="/logout/"):
    """Where the page after a logout leads, None where it leads to our own login."""
    page = browser.post(path)
    assert browser.get("/v2/symbols").status_code == 401
    if page.status_code == 302:
        assert page["Location"] == "/login/"
        return None
    (address,) = set(re.findall(r'(?:url=|href=")(http[^"]+)"', page.content.decode()))
    return html.unescape(address)


@pytest.mark.once
def test_who_came_by_the_provider_is_logged_out_there_too_if_it_offers_that(provider):
    for path in ("/logout/", "/admin/logout/"):
        provider.order('claims {"groups": ["/desk/leads"]}')
        browser, _ = log_in()

        there = httpx.get(left(browser, path), timeout=PATIENCE_S)

        assert (there.status_code, there.headers["location"]) == (302, "http://testserver/login/")
    browser, _ = log_in()
    openid._said.clear()
    provider.order("fault no logout")
    assert left(browser) is None
    provider.order("fault none")
    browser, _ = log_in()
    openid._said.clear()
    provider.order("fault away")
    assert left(browser) is None, "nobody stays logged in because the provider is away"


@pytest.mark.once
def test_a_person_of_a_password_is_sent_nowhere_at_his_logout(provider):
    get_user_model().objects.create_user("lee", password=PASSWORD)
    browser = Browser()
    browser.post("/login/", {"username": "lee", "password": PASSWORD})

    assert left(browser) is None


def end(provider, expected=200, **claims):
    """The provider ends logins; how we answer."""
    token = provider.order(f"logout {json.dumps(claims)}")["logout_token"]
    answer = Browser(enforce_csrf_checks=True).post("/login/openid/ended/", {"logout_token": token})
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (expected, True), answer.content
    return token


def is_in(*browsers):
    return [browser.get("/account").status_code == 200 for browser in browsers]


def test_a_login_that_the_provider_ends_is_ended_here_and_no_other(provider):
    readers = '"groups": ["/desk/readers"]'
    browsers, before = [], int(time.time()) - 30
    for session, person in (("a", "1"), ("b", "1"), ("c", "2")):
        name = f'"sub": "person-{person}", "preferred_username": "kim{person}"'
        provider.order(f'claims {{{readers}, {name}, "sid": "{session}"}}')
        browsers.append(log_in()[0])
    get_user_model().objects.create_user("lee", password=PASSWORD)
    lee = Browser()
    lee.post("/login/", {"username": "lee", "password": PASSWORD})
    browsers.append(lee)
    assert is_in(*browsers) == [True] * 4

    end(provider, sid="z")
    end(provider, sid="a", sub="person-2")  # of nobody
    end(provider, sub="person-1", iat=before)  # of before they came
    assert is_in(*browsers) == [True] * 4
    token = end(provider, sid="a", sub="person-1")
    assert is_in(*browsers) == [False, True, True, True]
    end(provider, sub="person-1")
    assert is_in(*browsers) == [False, False, True, True]
    end(provider, sid="c")
    assert is_in(*browsers) == [False, False, False, True]
    assert [one for one in told() if one.startswith("logged out")] == ["logged out by the login provider"] * 3
    again = Browser().post("/login/openid/ended/", {"logout_token": token})
    assert again.status_code == 200
    assert is_in(*browsers) == [False, False, False, True]


@pytest.mark.once
def test_a_login_that_wants_its_second_factor_yet_is_ended_too(provider, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    provider.order('claims {"groups": ["/desk/leads"], "sid": "a"}')
    browser, answer = log_in()
    assert answer["Location"] == "/login/code/"
    assert browser.get("/login/code/").status_code == 200

    end(provider, sid="a")

    assert browser.get("/login/code/").status_code == 302
    assert Session.objects.count() == 0


@pytest.mark.once
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"sub": None}, "names nobody"),
        ({"sub": 5}, "sub"),
        ({"sid": ["a"]}, "names nobody"),
        ({"sub": "person-1", "nonce": "x"}, "is an ID token"),
        ({"sub": "person-1", "events": None}, "events"),
        ({"sub": "person-1", "events": {"http://schemas.openid.net/event/backchannel-logout": 1}}, "no logout"),
        ({"sub": "person-1", "events": {"https://example.com/other": {}}}, "no logout"),
        ({"sub": "person-1", "events": []}, "events"),
        ({"sub": "person-1", "jti": None}, "jti"),
        ({"sub": "person-1", "aud": "other"}, "aud"),
        ({"sub": "person-1", "iss": "https://other.example.com"}, "iss"),
        ({"sub": "person-1", "exp": 1}, "exp"),
        ({"sub": "person-1", "exp": None}, "exp"),
        ({"sub": "person-1", "iat": None}, "iat"),
        ({"sub": "person-1", "typ": "at+jwt"}, "another type"),
        ({"sub": "person-1", "more": "x" * openid.MOST_TOKEN_BYTES}, "too long"),
    ],
)
def test_what_is_no_logout_token_ends_nothing(provider, caplog, claims, reason):
    browser, _ = log_in()
    with caplog.at_level(logging.WARNING, "api.views.openid"):
        end(provider, 400, **claims)

    assert reason in caplog.text
    assert is_in(browser) == [True]


@pytest.mark.once
def test_a_logout_that_the_provider_did_not_sign_ends_nothing_and_asks_it_seldom(provider):
    browser, _ = log_in()
    provider.order("fault wrong signature")
    provider.account()
    for _ in range(3):
        end(provider, 400, sub="person-1")
    for token in ("", "a.b.c", "\0", "e30.e30.e30"):
        assert Browser().post("/login/openid/ended/", {"logout_token": token}).status_code == 400
    assert Browser().get("/login/openid/ended/").status_code == 405
    assert provider.account()["asked"].count("GET /keys") <= 1
    assert is_in(browser) == [True]
    openid._said.clear()
    provider.order("fault away")
    end(provider, 400, sub="person-1")


@pytest.mark.once
def test_the_doctor_sees_whether_the_provider_answers_by_its_name_and_has_our_time(provider, settings):
    def levels(**given):
        return [one.level.value for one in login_provider(**given)]

    def offered():
        *_, last = login_provider()
        return str(last.value)

    assert levels() == ["ok", "ok", "ok"]
    assert offered() == "offered"
    assert levels(clock=lambda: time.time() + 3600) == ["ok", "warning", "ok"]
    provider.order("fault no logout")
    assert offered() == "not offered"
    provider.order("fault other name")
    assert levels() == ["warning", "ok", "ok"]
    settings.PASSWORD_LOGIN = False
    assert levels() == ["error", "ok", "ok"], "nobody can log in"
    provider.order("fault away")
    assert levels() == ["error"]
    settings.OIDC_ISSUER = ""
    assert levels() == []


def test_without_a_provider_there_is_no_such_address(serving):
    assert Browser().get("/login/openid/").status_code == Browser().get("/login/openid/back/").status_code == 404
    assert Browser().post("/login/openid/ended/", {"logout_token": "x"}).status_code == 404
    assert b"openid" not in Browser().get("/login/").content
