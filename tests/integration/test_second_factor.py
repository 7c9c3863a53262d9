"""A login in two steps: enrolled, asked at every door, used once each, lost and reset."""

import asyncio
import datetime
import re
import time

import pyotp
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from api.auth import authentication, checks, logins
from api.auth.sessions import SessionStore
from api.stream import socket_logins
from api.throttling import login_throttle
from marketdata.models import RecoveryCode, SecondFactor
from marketdata.reference import api_keys, second_factors
from tests.integration.serving import and_leave, serving

__all__ = ["serving"]

PASSWORD = "right horse battery"
NOW = datetime.datetime(2026, 3, 16, 1, 0, tzinfo=datetime.UTC)
PATIENT_STEPS = 20  # a code is right for ten minutes, so that a busy machine is not too slow with it
DOORS = ("/admin/", "/account", "/account/second-factor", "/v2/symbols", "/metrics", "/v2/status", "/")


@pytest.fixture
def boss(serving, settings, monkeypatch):
    settings.PAGE_PUBLIC = False
    monkeypatch.setattr(second_factors, "STEPS_AROUND", PATIENT_STEPS)
    Session.objects.all().delete()
    return get_user_model().objects.create_superuser("boss", password=PASSWORD)


@pytest.fixture
def app(boss):
    """The app of the boss, enrolled two hours ago, so that every code of now is a new one."""
    secret = second_factors.new_secret()
    then = timezone.now() - datetime.timedelta(hours=2)
    codes = second_factors.enrol(boss, secret, pyotp.TOTP(secret).at(then), then)
    assert codes is not None
    return App(secret, codes)


class App:
    """Its time stands: a code is older or newer than another one however long the test takes between them."""

    def __init__(self, secret, codes):
        self._totp, self.recovery, self._at = pyotp.TOTP(secret), codes, time.time()

    def code(self, step=0):
        """Of the moment it was made, or of so many steps later."""
        return self._totp.at(self._at, counter_offset=step)

    def wrong(self):
        near = {self.code(step) for step in range(-2 * PATIENT_STEPS, 2 * PATIENT_STEPS)}
        return next(text for text in ("000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777")
                    if text not in near)  # fmt: skip


def begin(browser=None, path="/login/", **more):
    browser = browser or Browser()
    answer = browser.post(path, {"username": "boss", "password": PASSWORD, **more})
    return browser, answer


def say(browser, code):
    return browser.post("/login/code/", {"code": code})


def secret_on(page):
    """Of the app that is to be enrolled, from the page that shows it."""
    found = re.search(r'id="app-secret">([A-Z2-7 ]+)<', page)
    assert found is not None
    return found[1].replace(" ", "")


def open_doors(browser):
    """Which of them let this browser in, the socket by its cookie among them."""
    found = [path for path in DOORS if browser.get(path).status_code == 200]
    found += ["ticket"] if browser.post("/v2/stream/ticket").status_code == 200 else []
    cookie = browser.cookies.get("sessionid")
    store = SessionStore(cookie.value if cookie else None)
    return found + (["socket"] if socket_logins.by_session(store, "") is not None else [])


EVERYWHERE = [*DOORS, "ticket", "socket"]


@pytest.mark.once
@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_after_the_password_no_door_is_open_and_after_the_code_every_one(app, path):
    browser, answer = begin(path=path, next="/admin/auth/user/")

    assert answer["Location"] == "/login/code/"
    assert open_doors(browser) == []
    assert login_throttle.COOKIE not in browser.cookies
    assert browser.post("/admin/password_change/", {"old_password": PASSWORD}).status_code == 302
    changed = browser.post("/account/second-factor", {"action": "remove", "password": PASSWORD})
    assert "/login/" in changed["Location"]
    assert SecondFactor.objects.count() == 1

    cookie = browser.cookies["sessionid"].value
    assert say(browser, app.code())["Location"] == "/admin/auth/user/"

    assert open_doors(browser) == EVERYWHERE
    assert browser.cookies["sessionid"].value != cookie


def test_a_code_lets_in_once(app):
    code = app.code()
    first, second = begin()[0], begin()[0]

    assert say(first, code).status_code == 302
    assert say(second, code).status_code == 200
    assert open_doors(second) == []
    assert say(second, app.code(-1)).status_code == 200  # older than the one that was used
    assert say(second, app.code(1)).status_code == 302
    assert open_doors(second) == EVERYWHERE


def test_a_recovery_code_lets_in_once_however_it_is_typed(app):
    written = f" {app.recovery[3].upper().replace('-', ' ')} "
    first, second = begin()[0], begin()[0]

    assert say(first, written).status_code == 302
    assert say(second, app.recovery[3]).status_code == 200
    assert say(second, app.recovery[4]).status_code == 302
    assert RecoveryCode.objects.count() == second_factors.RECOVERY_CODES - 2


@pytest.mark.once
def test_wrong_codes_are_counted_as_wrong_passwords_are(app):
    browser, _ = begin()
    answers = [say(browser, app.wrong()) for _ in range(login_throttle.MOST_PER_KEY + 1)]

    assert [one.status_code for one in answers] == [200] * login_throttle.MOST_PER_KEY + [429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert say(browser, app.code()).status_code == 429
    assert begin()[1].status_code == 429
    assert open_doors(browser) == []


@pytest.mark.once
def test_who_knows_the_password_guesses_few_codes_in_a_day_and_the_owner_s_browser_still_gets_in(app, monkeypatch):
    monkeypatch.setattr(login_throttle, "MOST_CODES", 3)
    owner, _ = begin()
    assert say(owner, app.code()).status_code == 302
    owner.post("/logout/")
    for number in range(3):
        with login_throttle.attempt(f"198.51.100.{number}", "boss", person=True, code=True) as guess:
            guess.failed()

    other, _ = begin()
    assert say(other, app.code(1)).status_code == 429
    begin(owner)

    assert say(owner, app.code(1)).status_code == 302


@pytest.mark.once
@pytest.mark.parametrize("change", ["too late", "other password", "closed", "removed user"])
def test_half_a_login_ends(app, boss, monkeypatch, change):
    browser, _ = begin()
    if change == "too late":
        monkeypatch.setattr(logins, "time", LaterClock())
    elif change == "other password":
        boss.set_password("another horse battery")
        boss.save()
    elif change == "closed":
        get_user_model().objects.update(is_active=False)
    else:
        boss.delete()

    answer = say(browser, app.code())

    assert answer["Location"] == "/login/"
    assert open_doors(browser) == []


class LaterClock:
    @staticmethod
    def time():
        return time.time() + logins.HALF_S + 1


def test_an_app_is_enrolled_with_password_and_code_and_the_other_sessions_end(boss):
    mine, other = begin()[0], begin()[0]
    page = mine.get("/account/second-factor").content.decode()
    secret = secret_on(page)
    app = App(secret, [])
    assert "<svg" in page
    assert "<script" not in page
    assert secret not in str(list(Session.objects.values_list("session_data", flat=True)))
    assert secret_on(mine.get("/account/second-factor").content.decode()) == secret  # loaded again, it is the same

    def enrol(code, password=PASSWORD):
        return mine.post("/account/second-factor", {"action": "enrol", "code": code, "password": password})

    assert 'role="alert"' in enrol(app.code(), "wrong").content.decode()
    assert 'role="alert"' in enrol(app.wrong()).content.decode()
    assert SecondFactor.objects.count() == 0
    code = app.code()
    told = re.findall(r"<li><code>([a-z0-9-]+)</code>", enrol(code).content.decode())

    assert len(told) == second_factors.RECOVERY_CODES
    assert open_doors(mine) == EVERYWHERE
    assert open_doors(other) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM second_factor")
        kept = str(cursor.fetchall())
        cursor.execute("SELECT digest FROM recovery_code")
        kept += str(cursor.fetchall())
    assert [text for text in (secret, *told) if text in kept or text.replace("-", "") in kept] == []
    late, _ = begin()
    assert say(late, code).status_code == 200  # it was used for the enrolment
    assert say(late, told[0]).status_code == 302
    assert LogEntry.objects.get().get_change_message() == "second factor enrolled"


@pytest.mark.once
def test_recovery_codes_are_renewed_and_the_factor_removed_with_the_password_alone(app):
    browser, _ = begin()
    say(browser, app.code())

    def ask(action, password):
        return browser.post("/account/second-factor", {"action": action, "password": password})

    assert ask("remove", "wrong").status_code == 200
    assert ask("codes", "wrong").status_code == 200
    assert SecondFactor.objects.count() == 1
    told = re.findall(r"<li><code>([a-z0-9-]+)</code>", ask("codes", PASSWORD).content.decode())
    assert len(told) == RecoveryCode.objects.count() == second_factors.RECOVERY_CODES
    other, _ = begin()
    assert say(other, app.recovery[0]).status_code == 200
    assert say(other, told[0]).status_code == 302

    assert ask("remove", PASSWORD)["Location"] == "/account"

    assert SecondFactor.objects.count() == RecoveryCode.objects.count() == 0
    assert begin()[1]["Location"] == "/"
    assert [one.get_change_message() for one in LogEntry.objects.order_by("id")] == [
        "recovery codes renewed", "second factor removed",
    ]  # fmt: skip


@pytest.mark.once
def test_wrong_passwords_on_the_account_page_are_counted(app):
    browser, _ = begin()
    say(browser, app.code())
    form = {"action": "remove", "password": "wrong"}

    codes = [browser.post("/account/second-factor", form).status_code for _ in range(login_throttle.MOST_PER_KEY + 1)]

    assert codes == [200] * login_throttle.MOST_PER_KEY + [429]
    assert browser.post("/account/second-factor", {**form, "password": PASSWORD}).status_code == 429


@pytest.mark.once
def test_wrong_passwords_at_a_change_of_it_are_counted(boss):
    browser, _ = begin(next="account")
    form = {"old_password": "wrong", "new_password1": "another horse battery", "new_password2": "another horse battery"}

    def change(**more):
        return browser.post("/admin/password_change/", form | more).status_code

    assert [change() for _ in range(login_throttle.MOST_PER_KEY + 1)] == [200] * login_throttle.MOST_PER_KEY + [429]
    assert change(old_password=PASSWORD) == 429
    assert browser.get("/admin/password_change/").status_code == 200
    assert get_user_model().objects.get().check_password(PASSWORD)


@pytest.mark.once
@pytest.mark.parametrize("next_url", ["elsewhere", "?a=b"])
def test_where_a_login_goes_on_is_an_address_and_no_name(app, next_url):
    browser, _ = begin(next=next_url)
    assert say(browser, app.code())["Location"] == next_url
    second_factors.remove(get_user_model().objects.get())

    assert begin(next=next_url)[1]["Location"] == next_url
    assert begin(next="//evil.example.com/")[1]["Location"] == "/"


@pytest.mark.once
@pytest.mark.parametrize("rights", [{"is_staff": True}, {"is_superuser": True}, {}])
def test_where_it_is_required_staff_enrol_on_the_way_in_and_others_may_do_without(boss, settings, rights):
    person = get_user_model().objects.create_user("plain", password=PASSWORD, **rights)
    before = Browser()
    before.force_login(person)
    settings.REQUIRE_SECOND_FACTOR = True
    browser, answer = begin(username="plain")
    if not rights:
        assert answer["Location"] == "/"
        assert before.get("/account").status_code == 200
        return

    assert answer["Location"] == "/login/code/"
    assert open_doors(browser) == open_doors(before) == []  # a session of before the setting is none any more
    page = browser.get("/login/code/").content.decode()
    app = App(secret_on(page), [])
    assert say(browser, app.wrong()).status_code == 200
    assert open_doors(browser) == []
    done = say(browser, app.code()).content.decode()

    assert len(re.findall(r"<li><code>", done)) == second_factors.RECOVERY_CODES
    assert browser.get("/account").status_code == 200
    assert SecondFactor.objects.get().user == person


@pytest.mark.once
def test_a_session_of_before_the_enrolment_elsewhere_is_nobody_s(boss):
    before = Browser()
    before.force_login(boss)
    assert open_doors(before) == EVERYWHERE
    secret = second_factors.new_secret()

    second_factors.enrol(boss, secret, pyotp.TOTP(secret).at(NOW), NOW)

    assert open_doors(before) == []


@pytest.mark.once
def test_keys_need_no_second_factor(app, boss, serving, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    key, secret = api_keys.issue(name="sheet", user=boss)
    headers = {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}

    assert serving.get("/v2/symbols", headers=headers).status_code == 200


@pytest.mark.once
@pytest.mark.parametrize("how", ["admin", "command"])
def test_an_administrator_resets_a_lost_factor_and_the_sessions_end(app, boss, capsys, how):
    browser, _ = begin()
    say(browser, app.code())
    other = get_user_model().objects.create_superuser("other", password=PASSWORD)
    administrator = Browser()
    administrator.force_login(other)

    if how == "admin":
        chosen = {"action": "reset_second_factor", "_selected_action": [boss.pk, other.pk]}
        administrator.post("/admin/auth/user/", chosen)
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id, entry.get_change_message()) == (other, str(boss.pk), "second factor reset")
    else:
        call_command("second_factors", "list")
        assert "boss  since=" in capsys.readouterr().out
        call_command("second_factors", "reset", "boss")
        for name in ("boss", "nobody"):
            with pytest.raises(CommandError, match=name):
                call_command("second_factors", "reset", name)

    assert SecondFactor.objects.count() == 0
    assert open_doors(browser) == []
    assert begin()[1]["Location"] == "/"


def test_two_logins_at_once_with_one_code_are_one(app, boss):
    now = timezone.now()

    async def both(text):
        return await asyncio.gather(
            *(asyncio.to_thread(and_leave, lambda: second_factors.accept(boss, text, now)) for _ in range(4))
        )

    assert sorted(asyncio.run(both(app.code()))) == [False, False, False, True]
    assert sorted(asyncio.run(both(app.recovery[0]))) == [False, False, False, True]


@pytest.mark.once
def test_with_another_secret_key_no_code_is_right_and_none_is_an_error(app, settings):
    settings.SECRET_KEY = "another for tests " * 4
    browser, _ = begin()

    assert say(browser, app.code()).status_code == say(browser, app.recovery[0]).status_code == 200


@pytest.mark.once
@pytest.mark.parametrize(("step", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(boss, monkeypatch, step, right):
    monkeypatch.setattr(second_factors, "STEPS_AROUND", 1)
    secret = second_factors.new_secret()
    second_factors.enrol(boss, secret, pyotp.TOTP(secret).at(NOW), NOW)
    later = NOW + datetime.timedelta(hours=1)

    assert second_factors.accept(boss, pyotp.TOTP(secret).at(later, counter_offset=step), later) is right


@pytest.mark.once
@pytest.mark.parametrize("text", ["", "12345", "1234567", "１２３４５６", "abcdef", "-12345", "\u0661" * 6, "1" * 5000])
def test_what_is_no_code_is_wrong(app, boss, text):
    assert not second_factors.accept(boss, text, timezone.now())


@pytest.mark.once
def test_the_deployment_check_warns_while_a_password_is_enough(settings):
    assert [one.id for one in checks.check_second_factor(None)] == ["api.W001"]
    settings.REQUIRE_SECOND_FACTOR = True
    assert checks.check_second_factor(None) == []
