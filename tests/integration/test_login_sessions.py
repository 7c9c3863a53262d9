"""Who reads the table of sessions learns no cookie, and a session lives and ends as any other."""

import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations import RunPython
from django.db.migrations.executor import MigrationExecutor
from django.test import Client as Browser

from api.auth.sessions import SessionStore
from tests.integration.serving import and_leave, serving

__all__ = ["serving"]


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
