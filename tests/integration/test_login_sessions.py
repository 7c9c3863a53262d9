"""Who reads the table of sessions learns no cookie, and a session lives and ends as any other."""

import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations import RunPython
from django.db.migrations.executor import MigrationExecutor
from django.test import Client as Browser
from django.utils import timezone

from api.auth import logins, sessions, tickets
from api.auth.sessions import SessionStore
from api.stream import connection_limits, socket_logins
from marketdata.realtime import live_state
from tests.integration.serving import and_leave, beside, hub, serving

__all__ = ["hub", "serving"]

PASSWORD = "right horse battery"
ORIGIN = {"Host": "testserver", "Origin": "http://testserver"}


@pytest.fixture
def browser(serving):
    Session.objects.all().delete()
    get_user_model().objects.create_superuser("boss", password="right horse battery")
    browser = Browser()
    browser.post("/login/", {"username": "boss", "password": "right horse battery"})
    assert browser.get("/admin/").status_code == 200
    return browser


def test_the_table_holds_no_cookie_and_what_it_holds_is_no_cookie(browser):
    cookie = browser.cookies["sessionid"].value
    (row,) = Session.objects.all()
    assert cookie not in (row.session_key, row.session_data)
    thief = Browser()
    thief.cookies["sessionid"] = row.session_key

    assert thief.get("/admin/").status_code == 302


def test_a_session_is_kept_renewed_and_ended(browser):
    before = browser.cookies["sessionid"].value
    browser.post("/login/", {"username": "boss", "password": "right horse battery"})
    assert browser.cookies["sessionid"].value == before  # the same person: kept

    browser.post("/logout/")

    other = Browser()
    other.cookies["sessionid"] = before
    assert other.get("/admin/").status_code == 302
    assert not SessionStore().exists(before)


def test_another_person_s_login_gets_another_cookie(browser):
    get_user_model().objects.create_superuser("other", password="right horse battery")
    before = browser.cookies["sessionid"].value

    browser.post("/login/", {"username": "other", "password": "right horse battery"})

    assert browser.cookies["sessionid"].value != before
    assert Session.objects.count() == 1


def test_the_asynchronous_half_does_the_same(serving):
    async def live():
        store = SessionStore()
        await store.aset("colour", "blue")
        await store.asave()
        other = SessionStore(store.session_key)
        assert await other.aget("colour") == "blue"
        assert await other.aexists(store.session_key or "")
        await other.adelete()
        return await SessionStore(store.session_key).aget("colour")

    assert and_leave(lambda: asyncio.run(live())) is None


def test_what_an_older_version_kept_ends_with_the_migration(serving):
    Session.objects.create(session_key="c" * 32, session_data="of an older version", expire_date="2100-01-01T00:00Z")
    executor = MigrationExecutor(connection)
    migration = executor.loader.get_migration_by_prefix("marketdata", "0006")
    (job,) = migration.operations
    assert isinstance(job, RunPython)

    with connection.schema_editor() as editor:
        job.code(executor.loader.project_state().apps, editor)

    assert Session.objects.count() == 0


def logged_in():
    browser = Browser()
    assert browser.post("/login/", {"username": "boss", "password": PASSWORD}).status_code == 302
    return browser


def cookie(browser):
    return browser.cookies["sessionid"].value


def log_out(browser):
    assert browser.post("/logout/").status_code == 302


def end_it_elsewhere(browser):
    row = sessions.row_of(cookie(browser))
    assert logged_in().post("/account", {"action": "end", "session": row}).status_code == 302


def end_all_others(_browser):
    assert logged_in().post("/account", {"action": "end_others"}).status_code == 302


def change_the_password(_browser):
    boss = get_user_model().objects.get(username="boss")
    boss.set_password("another horse battery")
    boss.save()


def leave_it_idle(browser):
    Session.objects.filter(pk=sessions.row_of(cookie(browser))).update(expire_date=timezone.now())


def log_in_as_another(browser):
    get_user_model().objects.create_superuser("other", password=PASSWORD)
    assert browser.post("/login/", {"username": "other", "password": PASSWORD}).status_code == 302


ENDS = [log_out, end_it_elsewhere, end_all_others, change_the_password, leave_it_idle, log_in_as_another]


@pytest.mark.parametrize("way", ["ticket", "session"])
@pytest.mark.parametrize("end", ENDS)
async def test_with_a_login_end_the_sockets_that_it_opened_and_no_others(browser, serving, hub, monkeypatch, end, way):
    monkeypatch.setattr(connection_limits, "CHECK_EVERY_S", 0.1)
    kept = {"Cookie": f"sessionid={cookie(browser)}"} if way == "session" else {}
    ticket = await beside(lambda: browser.post("/v2/stream/ticket").json()["ticket"])

    async with serving.socket() as of_a_key, serving.socket(**ORIGIN, **kept) as socket:
        await of_a_key.enter(serving)
        if way == "ticket":
            await socket.say(action="auth", ticket=ticket)
        assert [(await socket.next())["msg"] for _ in range(2)] == ["connected", "authenticated"]
        assert await socket.silent()

        await beside(lambda: end(browser))

        heard, code = await socket.closed()
        assert (heard[-1]["code"], code) == (402, 4402)
        assert "login has ended" in heard[-1]["msg"]
        assert await of_a_key.silent()


@pytest.mark.parametrize("end", ENDS)
def test_a_ticket_of_a_login_that_has_ended_opens_nothing(browser, end):
    first, second = (browser.post("/v2/stream/ticket").json()["ticket"] for _ in range(2))
    assert socket_logins.by_ticket(first, "127.0.0.1") is not None

    end(browser)

    assert socket_logins.by_ticket(second, "127.0.0.1") is None


@pytest.mark.once
def test_a_ticket_of_the_version_before_names_no_login_and_opens_a_socket(browser):
    boss = get_user_model().objects.get()
    ticket = tickets.issue(boss)
    live_state.connection().set(tickets._name(ticket), f'["user", {boss.pk}]')

    found = socket_logins.by_ticket(ticket, "127.0.0.1")

    assert found is not None
    assert (found.number, found.session) == (boss.pk, "")


@pytest.mark.once
def test_everybody_elsewhere_is_logged_out_at_once_and_who_asked_is_not(browser):
    elsewhere = [logged_in() for _ in range(3)]
    get_user_model().objects.create_superuser("other", password=PASSWORD)
    other = Browser()
    other.post("/login/", {"username": "other", "password": PASSWORD})
    assert 'value="end_others"' in browser.get("/account").text

    browser.post("/account", {"action": "end_others"})

    assert [one.get("/account").status_code for one in (*elsewhere, browser, other)] == [302, 302, 302, 200, 200]
    assert 'value="end_others"' not in browser.get("/account").text
    assert set(logins.living(sessions.row_of(cookie(one)) for one in (*elsewhere, browser, other))) == {
        sessions.row_of(cookie(one)) for one in (browser, other)
    }
