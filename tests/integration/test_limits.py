"""Requests and failed logins are counted, whoever asks and whatever state Redis is in."""

import threading
import time
from contextlib import ExitStack

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.utils import translation

from api.auth import authentication
from api.auth.authentication import TooManyFailuresError
from api.throttling import counters, login_throttle
from api.throttling.counters import LocalWindows
from marketdata import alarms
from marketdata.models import Alarm, Client
from marketdata.realtime import live_state
from tests.integration.serving import PATIENCE_S, serving
from tests.integration.test_stream_served import _web

__all__ = ["serving"]

KEY, SECRET = authentication.KEY_HEADER, authentication.SECRET_HEADER
PASSWORD = "right horse battery"


@pytest.fixture(autouse=True)
def _what_is_under_way_stays_so(monkeypatch):
    """However long a busy machine takes between two tries."""
    monkeypatch.setattr(counters, "UNDER_WAY_S", 600.0)


@pytest.fixture
def boss(serving):
    return get_user_model().objects.create_superuser("boss", password=PASSWORD)


@pytest.fixture(params=["full", "away"])
def broken_redis(request, serving, settings, redis):
    """A Redis that takes nothing more, or is not there."""
    if request.param == "away":
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        live_state.connection.cache_clear()
    else:
        redis.config_set("maxmemory", 1)
    yield
    redis.config_set("maxmemory", "512mb")


def guess(browser, name="boss", password="wrong", address="127.0.0.1"):
    return browser.post("/login/", {"username": name, "password": password}, REMOTE_ADDR=address).status_code


# --- logins ----------------------------------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("rights", [{}, {"is_staff": True}])
def test_who_is_logged_in_cannot_guess_another_s_password_without_limit(boss, rights):
    get_user_model().objects.create_user("plain", password=PASSWORD, **rights)
    browser = Browser()
    assert guess(browser, "plain", PASSWORD) == 302

    guesses = [guess(browser, "boss", f"wrong {number}") for number in range(login_throttle.MOST_PER_KEY + 5)]

    assert guesses == [200] * login_throttle.MOST_PER_KEY + [429] * 5
    assert guess(browser, "boss", PASSWORD) == 429


@pytest.mark.once
def test_an_account_is_not_guessed_from_many_addresses_and_its_owner_still_gets_in(boss):
    assert guess(Browser(), "boss", PASSWORD, "192.0.2.1") == 302
    for number in range(login_throttle.MOST_PER_PERSON):
        assert guess(Browser(), "ＢＯＳＳ" if number % 2 else " boss", "wrong", f"198.51.100.{number}") == 200

    assert guess(Browser(), "boss", "wrong", "203.0.113.200") == 429
    assert guess(Browser(), "boss", PASSWORD, "203.0.113.201") == 429
    assert guess(Browser(), "boss", PASSWORD, "192.0.2.1") == 302
    assert guess(Browser(), "other", "wrong", "203.0.113.202") == 200


@pytest.mark.once
def test_who_guesses_beside_the_owner_locks_out_everybody_but_the_owner_s_browser(boss):
    owner = Browser()
    assert guess(owner, "boss", PASSWORD) == 302
    owner.post("/logout/")
    guesses = [guess(Browser(), "boss", f"wrong {number}") for number in range(login_throttle.MOST_PER_KEY + 1)]
    assert guesses[-1] == 429
    assert guess(Browser(), "boss", PASSWORD) == 429

    assert guess(owner, "boss", PASSWORD) == 302

    assert guess(owner, "other", "wrong") == 200
    stolen, forged = Browser(), Browser()
    stolen.cookies[login_throttle.COOKIE] = owner.cookies[login_throttle.COOKIE].value
    forged.cookies[login_throttle.COOKIE] = login_throttle.browser_cookie("other")
    assert guess(forged, "boss", PASSWORD) == 429  # known to another account only
    guesses = [guess(stolen, "boss", f"wrong {number}") for number in range(login_throttle.MOST_PER_KEY + 1)]
    assert guesses == [200] * login_throttle.MOST_PER_KEY + [429]


@pytest.mark.once
def test_many_browsers_of_an_account_guess_together_no_more_than_strangers_do(boss, monkeypatch):
    monkeypatch.setattr(login_throttle, "MOST_CODES", 4)
    monkeypatch.setattr(login_throttle, "MOST_PER_PERSON", 6)
    login_throttle.succeeded("192.0.2.1", "boss")

    def fails(*, code, browser=None):
        """The seconds to wait, or 0 and it failed."""
        new = browser or login_throttle.browser_cookie("boss")  # as whoever knew the password may have collected
        with login_throttle.attempt("192.0.2.1", "boss", person=True, code=code, browser=new) as one:
            one.failed()
        return one.wait_s

    assert [fails(code=True) for _ in range(4)] == [0] * 4
    assert fails(code=True) > 3600
    assert [fails(code=False) for _ in range(2)] == [0] * 2
    assert 0 < fails(code=False) <= login_throttle.WINDOW_S + 1
    assert fails(code=True, browser="of a stranger") == 0  # strangers' failures are apart


@pytest.mark.once
@pytest.mark.parametrize("right", [False, True])
def test_who_guesses_at_the_same_time_guesses_no_oftener_and_who_is_right_is_not_counted(serving, monkeypatch, right):
    monkeypatch.setattr(login_throttle, "BUSY_S", 0.0)

    def attempt():
        return login_throttle.attempt("192.0.2.1", "NA0001")

    with ExitStack() as under_way:
        tries = [under_way.enter_context(attempt()) for _ in range(login_throttle.MOST_PER_KEY)]
        assert {one.wait_s for one in tries} == {0}
        with attempt() as one:
            assert one.wait_s == 1, "as many as may fail are being tried"
        for other in tries:
            if not right:
                other.failed()

    with attempt() as last:
        assert last.wait_s == 0 if right else last.wait_s > 1
    with login_throttle.attempt("192.0.2.1", "NA0002") as other_key:
        assert other_key.wait_s == 0


@pytest.mark.once
def test_who_comes_while_others_are_trying_waits_for_them(serving, monkeypatch):
    monkeypatch.setattr(login_throttle, "MOST_PER_KEY", 1)
    monkeypatch.setattr(login_throttle, "BUSY_S", PATIENCE_S)
    first = ExitStack()
    first.enter_context(login_throttle.attempt("192.0.2.1", "NA0001"))
    soon = threading.Timer(0.1, first.close)
    soon.start()

    with login_throttle.attempt("192.0.2.1", "NA0001") as second:
        assert second.wait_s == 0
    soon.join(PATIENCE_S)


@pytest.mark.once
@pytest.mark.parametrize("what", ["its own key", "other keys", "tries under way"])
def test_a_key_that_was_right_waits_for_no_failures_of_others_at_its_address(serving, monkeypatch, what):
    monkeypatch.setattr(login_throttle, "BUSY_S", 0.0)
    key, fresh = serving.reader.key_id, "never shown before"
    assert ask(serving).status_code == 200
    with ExitStack() as stack:
        if what == "tries under way":
            for _ in range(login_throttle.MOST_PER_KEY):
                stack.enter_context(login_throttle.attempt("127.0.0.1", key))
        elif what == "its own key":
            assert {ask(serving, **{SECRET: "of before"}).status_code for _ in range(20)} == {401, 429}
        else:
            others = [f"nobody {number % 4}" for number in range(login_throttle.MOST_PER_ADDRESS + 1)]
            assert ask_all(serving, others)[-1] == 429

        assert ask(serving, **{SECRET: fresh}).status_code == 429
        assert ask(serving).status_code == 200


@pytest.mark.once
def test_a_key_that_was_right_and_is_no_more_is_known_no_longer(serving):
    assert ask(serving).status_code == 200
    Client.objects.update(is_active=False)

    answers = [ask(serving).status_code for _ in range(login_throttle.MOST_PER_KEY + 2)]

    assert answers == [401] * login_throttle.MOST_PER_KEY + [429] * 2
    Client.objects.update(is_active=True)
    assert ask(serving).status_code == 429
    assert not any(name for name in live_state.connection().scan_iter("naru:right-key:*"))


@pytest.mark.once
def test_the_name_of_a_right_key_tells_neither_key_nor_secret_and_any_text_has_one(serving):
    assert ask(serving).status_code == 200

    (name,) = live_state.connection().scan_iter("naru:right-key:*")

    assert serving.secret.encode() not in name
    assert serving.reader.key_id.encode() not in name
    assert 0 < live_state.connection().ttl(name) <= login_throttle.KNOWN_S
    assert authentication.login("아무도", "\xff\x00", "127.0.0.1") is None


@pytest.mark.once
def test_who_failed_too_often_is_told_in_his_language_by_rest_and_in_english_by_sockets(serving):
    key = serving.reader.key_id
    while ask(serving, **{SECRET: "wrong"}).status_code != 429:
        pass

    told = ask(serving, **{SECRET: "wrong", "Accept-Language": "ko"})

    assert told.json()["message"].startswith("로그인 실패가 너무 많습니다")
    with (
        translation.override("ko"),
        pytest.raises(TooManyFailuresError, match=r"^too many failed logins; try again in"),
    ):
        authentication.login(key, "wrong", "127.0.0.1")


def ask(serving, **headers):
    """An answer to the client's key, looked up anew."""
    authentication.forget()
    return serving.get("/v2/clock", headers={**serving.headers, **headers})


def ask_all(serving, keys):
    return [ask(serving, **{KEY: key, SECRET: "wrong"}).status_code for key in keys]


@pytest.mark.once
def test_addresses_of_one_network_are_one_caller(boss):
    for number in range(login_throttle.MOST_PER_KEY):
        assert guess(Browser(), address=f"2001:db8::{number + 1:x}") == 200

    assert guess(Browser(), address="2001:db8::ffff") == 429


@pytest.mark.once
def test_a_right_password_is_not_counted(boss):
    for _ in range(login_throttle.MOST_PER_ADDRESS + 1):
        assert guess(Browser(), "boss", PASSWORD) == 302


@pytest.mark.once
def test_wrong_keys_are_limited_while_redis_cannot_count(serving, broken_redis):
    wrong = {KEY: serving.reader.key_id, SECRET: "wrong"}

    codes = [serving.get("/v2/symbols", headers=wrong).status_code for _ in range(login_throttle.MOST_PER_KEY + 4)]

    assert codes == [401] * login_throttle.MOST_PER_KEY + [429] * 4


@pytest.mark.once
def test_wrong_passwords_are_limited_while_redis_cannot_count(boss, broken_redis):
    codes = [guess(Browser()) for _ in range(login_throttle.MOST_PER_KEY + 4)]

    assert codes == [200] * login_throttle.MOST_PER_KEY + [429] * 4


def test_what_was_counted_here_counts_when_redis_is_back(serving, settings, redis_server):
    wrong = {KEY: serving.reader.key_id, SECRET: "wrong"}
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live_state.connection.cache_clear()
    for _ in range(login_throttle.MOST_PER_KEY):
        assert serving.get("/v2/symbols", headers=wrong).status_code == 401
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()

    assert serving.get("/v2/symbols", headers=wrong).status_code == 429


@pytest.mark.once
def test_a_process_counts_a_bounded_number_of_names_and_the_rest_together():
    windows = LocalWindows(most=3)
    for number in range(100):
        windows.add(f"name {number}", 60, now=0)

    assert len(windows) <= 4
    assert windows.add("name 0", 60, now=1).count == 2
    assert windows.look("never seen", now=1).count == 97
    assert windows.add("later", 60, now=61) == counters.Count(1, 60)


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_key_has_so_many_requests_a_minute_and_is_told(serving, settings, monkeypatch):
    settings.API_RATE_LIMIT = 3
    monkeypatch.setattr(alarms, "told", {})

    answers = [serving.get("/v2/symbols") for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one["X-RateLimit-Remaining"] for one in answers] == ["2", "1", "0", "0"]
    assert {one["X-RateLimit-Limit"] for one in answers} == {"3"}
    assert 0 <= int(answers[0]["X-RateLimit-Reset"]) - time.time() <= 61
    assert answers[3].json()["code"] == 42910000
    assert 0 < int(answers[3]["Retry-After"]) <= 60
    (alarm,) = Alarm.objects.filter(code="limit_reached")
    assert alarm.subject == "requests client reader"
    assert "API_RATE_LIMIT" in alarm.message


@pytest.mark.once
def test_strangers_use_up_their_own_requests_only(serving, settings, boss):
    settings.API_RATE_LIMIT_UNKNOWN = 3
    staff = Browser()
    staff.force_login(boss)

    strange = [
        Browser().get(path).status_code for path in ("/v2/symbols", "/login/", "/nowhere", "/login/", "/v2/schema")
    ]

    assert strange == [401, 200, 404, 429, 429]
    assert Browser().get("/v2/docs").json()["code"] == 42910000
    assert Browser().get("/login/", REMOTE_ADDR="192.0.2.1").status_code == 200
    assert serving.get("/v2/symbols").status_code == 200
    assert staff.get("/admin/").status_code == 200
    assert Browser().get("/healthz").status_code == Browser().get("/readyz").status_code == 200


@pytest.mark.once
@pytest.mark.parametrize("path", ["/v2/schema", "/v2/symbols", "/nowhere", "/lists/batches"])
@pytest.mark.parametrize("headers", [{"Authorization": "Bearer x"}, {"Cookie": "sessionid=x; naru_page=y"}])
def test_what_looks_like_a_login_and_is_none_is_a_stranger_s(serving, settings, path, headers):
    settings.API_RATE_LIMIT_UNKNOWN = 2

    codes = [Browser().get(path, headers=headers).status_code for _ in range(4)]

    assert codes[2:] == [429, 429]
    assert 429 not in codes[:2]


@pytest.fixture
def other_process(serving, road):
    """The address of a web process beside this one."""
    yield from _web(road, PAGE_PUBLIC="1", API_RATE_LIMIT="3", API_RATE_LIMIT_UNKNOWN="3")


@pytest.mark.once
def test_whoever_asks_has_one_budget_in_two_web_processes(serving, settings, boss, other_process):
    settings.API_RATE_LIMIT = settings.API_RATE_LIMIT_UNKNOWN = 3
    settings.PAGE_PUBLIC = True
    person = Browser()
    person.force_login(boss)
    session, page = person.cookies[settings.SESSION_COOKIE_NAME].value, authentication.page_cookie()
    askers = {
        "key": ("/v2/symbols", serving.headers),
        "person": ("/v2/symbols", {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"}),
        "visitor": ("/v2/symbols", {"Cookie": f"{authentication.PAGE_COOKIE}={page}"}),
        "stranger": ("/login/", {}),
    }

    def here(path, headers):
        answer = Browser().get(path, headers=headers)
        return answer.status_code, answer["X-RateLimit-Remaining"]

    def there(path, headers):
        answer = httpx.get(f"http://{other_process}{path}", headers=headers, timeout=PATIENCE_S)
        return answer.status_code, answer.headers["X-RateLimit-Remaining"]

    told = {who: [ask(*asked) for ask in (here, there, here, there, here)] for who, asked in askers.items()}

    assert told == {who: [(200, "2"), (200, "1"), (200, "0"), (429, "0"), (429, "0")] for who in askers}


@pytest.mark.once
def test_requests_are_limited_while_redis_cannot_count(serving, settings, broken_redis):
    settings.API_RATE_LIMIT = settings.API_RATE_LIMIT_UNKNOWN = 3

    assert [serving.get("/v2/symbols").status_code for _ in range(5)] == [200] * 3 + [429] * 2
    assert [Browser().get("/login/").status_code for _ in range(5)] == [200] * 3 + [429] * 2
