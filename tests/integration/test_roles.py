"""What each role may do by page, REST, stream and admin, and which feeds; a person's own sessions and keys."""

import datetime
import os
import re
import subprocess
import sys

import pyotp
import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from django.utils import timezone

from api import urls
from api.auth import access
from api.stream import socket_logins
from api.stream.subscriber import Identity
from marketdata.models import Alert, ApiKey, Client, FeedOwner, OpenIdAccount, ReadRule, SecondFactor, Symbol
from marketdata.reference import api_keys, credentials, roles, second_factors
from tests.integration.serving import serving
from tests.integration.test_api_door import addresses
from tests.road import ROOT

__all__ = ["serving"]

PASSWORD = "right horse battery"
TRADES = "/v2/stocks/005930/trades"
NEEDS = (  # the first that fits an address; what a role has to have there
    ("admin/", roles.OPERATE),
    ("operations", roles.OPERATE),
    ("v2/operations", roles.OPERATE),
    ("metrics", roles.INSPECT),
    ("v2/status/history", roles.READ),
    ("v2/status/upkeep", roles.READ),
    ("v2/status/", roles.INSPECT),
    ("", roles.READ),
)


def person(role, name="kim"):
    found = get_user_model().objects.create_user(name, password=PASSWORD)
    if role:
        found.groups.add(Group.objects.get(name=role))
    return found


def browser_of(someone):
    browser = Browser()
    browser.force_login(someone)
    return browser


@pytest.mark.once
@pytest.mark.parametrize("role", ["", *roles.ROLES])
def test_every_address_is_open_to_the_roles_of_the_table_and_to_no_other(serving, settings, role):
    settings.PAGE_PUBLIC = False
    browser = browser_of(person(role))
    wrong = []

    for name, path in addresses():
        if name in {*urls.PUBLIC, "account", "second-factor"} - {"page"} or path in (
            "admin/login/",
            "admin/logout/",
            "logout/",
        ):
            continue
        need = next(right for begin, right in NEEDS if path.startswith(begin))
        words = roles.ROLES.get(role, ())
        is_open = need in words or "*" in words
        response = browser.get("/" + path)
        is_refused = response.status_code == 403 or "/login/" in response.get("Location", "")
        # Within the admin a role may have some tables only, and nobody changes all of them.
        if is_refused == is_open and not (is_open and need == roles.OPERATE):
            wrong.append((name, path, response.status_code))

    assert wrong == []


@pytest.mark.once
def test_an_operator_changes_symbols_and_the_calendar_and_neither_clients_nor_people(serving):
    operator, boss = browser_of(person("operator")), browser_of(person("admin", "lee"))

    for page in ("marketdata/symbol/", "marketdata/symbol/add/", "marketdata/client/", "marketdata/apikey/"):
        assert operator.get(f"/admin/{page}").status_code == 200
    for page in ("marketdata/client/add/", "marketdata/apikey/add/", "auth/user/", "marketdata/readrule/add/"):
        assert operator.get(f"/admin/{page}").status_code == 403
        assert boss.get(f"/admin/{page}").status_code == 200
    assert operator.post(f"/admin/marketdata/client/{serving.reader.pk}/secret/").status_code == 403
    chosen = {"action": "deactivate", "_selected_action": ["005930"]}
    operator.post("/admin/marketdata/symbol/", chosen)
    assert not Symbol.objects.get(code="005930").is_active


@pytest.mark.once
def test_who_may_change_people_raises_nobody_and_touches_nobody_above_him(serving):
    helper, viewer, boss = person("", "helper"), person("viewer"), person("admin", "boss")
    closed = get_user_model().objects.create_superuser("closed", is_active=False)
    names = ("operate", "read_data", "add_user", "change_user", "delete_user", "view_user", "delete_openidaccount")
    helper.user_permissions.set(Permission.objects.filter(codename__in=names))
    now = timezone.now()
    secret = second_factors.new_secret()
    second_factors.enrol(boss, secret, pyotp.TOTP(secret).at(now), now)
    browser = browser_of(helper)
    admins = Group.objects.get(name="admin")

    def save(someone, by=browser, **more):
        form = {"username": someone.username, "date_joined_0": "2026-03-16", "date_joined_1": "09:00", **more}
        return by.post(f"/admin/auth/user/{someone.pk}/change/", form).status_code

    rights = {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [admins.pk]}
    for someone in (helper, viewer):
        assert save(someone, first_name="Lee", **rights) == 302
        someone.refresh_from_db()
        assert (someone.first_name, someone.is_staff, someone.is_superuser) == ("Lee", False, False)
        assert not someone.groups.filter(name="admin").exists()
    given = {"usable_password": "true", "password1": "another horse battery", "password2": "another horse battery"}
    OpenIdAccount.objects.create(user=boss, mark="0" * 64, subject="person-1")
    for someone in (boss, closed):
        assert browser.get(f"/admin/auth/user/{someone.pk}/change/").status_code == 200  # to look at
        assert save(someone, first_name="Lee", is_active="on") == 403
        for page in ("password", "delete"):
            assert browser.post(f"/admin/auth/user/{someone.pk}/{page}/", {**given, "post": "yes"}).status_code == 403
        chosen = {"action": "reset_second_factor", "_selected_action": [viewer.pk, someone.pk]}
        assert browser.post("/admin/auth/user/", chosen).status_code == 403
    assert browser.post(f"/admin/marketdata/openidaccount/{boss.pk}/delete/", {"post": "yes"}).status_code == 403
    assert SecondFactor.objects.count() == OpenIdAccount.objects.count() == 1
    assert browser.get(f"/admin/auth/user/{viewer.pk}/change/").status_code == 200
    assert browser.post(f"/admin/auth/user/{viewer.pk}/password/", {**given, "set-password": "1"}).status_code == 302

    assert save(viewer, browser_of(person("admin", "lee")), **rights) == 302
    viewer.refresh_from_db()
    assert (viewer.is_superuser, viewer.groups.get().name) == (True, "admin")


def test_the_groups_have_what_the_table_says_whatever_was_done_to_them(serving):
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.set(Permission.objects.filter(codename="add_client"))

    roles.make_groups()

    assert [one.codename for one in viewer.permissions.all()] == ["read_data"]
    assert Group.objects.get(name="admin").permissions.count() == Permission.objects.count()
    assert "change_client" not in Group.objects.get(name="operator").permissions.values_list("codename", flat=True)


def test_a_role_reads_the_feeds_of_its_rules_and_a_person_those_of_his_own(serving):
    kim = person("viewer")
    browser = browser_of(kim)
    assert browser.get(TRADES).status_code == 200
    ReadRule.objects.create(group=Group.objects.get(name="viewer"), feeds="unified")

    refused = browser.get(TRADES)

    assert (refused.status_code, refused.json()["code"]) == (403, 40310002)
    assert browser.get(f"{TRADES}?feed=unified").status_code == 200
    kims = Identity(*access.name_of(kim))
    assert [code for code, _ in socket_logins.refusals([(kims, "krx"), (kims, "unified")]).values()] == [409]
    ReadRule.objects.create(user=kim, feeds="krx sim*")
    assert browser.get(TRADES).status_code == 200
    assert browser.get(f"{TRADES}?feed=unified").status_code == 403
    ReadRule.objects.all().delete()
    kim.groups.clear()
    assert browser.get(TRADES).status_code == 403
    assert [code for code, _ in socket_logins.refusals([(kims, "krx")]).values()] == [402]


@pytest.mark.once
def test_a_person_sees_and_ends_his_own_sessions_only(serving):
    Session.objects.all().delete()
    kim, here, there, other = person("viewer"), Browser(), Browser(headers={"User-Agent": "Desk <2>"}), Browser()
    person("viewer", "lee")
    for browser, name in ((here, "kim"), (there, "kim"), (other, "lee")):
        browser.post("/login/", {"username": name, "password": PASSWORD})

    page = here.get("/account").text

    assert "Desk &lt;2&gt;" in page
    rows = re.findall(r'name="session" value="([0-9a-f]{40})"', page)
    assert len(rows) == 1  # not the one that asks, and nobody else's
    theirs = Session.objects.exclude(pk__in=rows).values_list("pk", flat=True)
    assert all(here.post("/account", {"action": "end", "session": row}).status_code in (302, 404) for row in rows)
    assert there.get("/account").status_code == 302
    mine = {one.row for one in access_rows(kim)}
    (foreign,) = [row for row in theirs if row not in mine]
    assert here.post("/account", {"action": "end", "session": foreign}).status_code == 404
    assert other.get("/account").status_code == 200


def access_rows(someone):
    from api.auth import sessions

    return sessions.of_person(someone.pk, None)


@pytest.mark.once
def test_a_quant_issues_rotates_and_revokes_keys_of_his_own_and_a_viewer_has_none(serving):
    kim = person("quant")
    quant, viewer = browser_of(kim), browser_of(person("viewer", "lee"))
    LogEntry.objects.all().delete()

    issued = quant.post("/account", {"action": "issue", "name": "notebook", "feeds": "krx"}).text
    key = ApiKey.objects.get()
    first = re.findall(r'id="secret">([^<]+)<', issued)[0]
    second = re.findall(r'id="secret">([^<]+)<', quant.post("/account", {"action": "rotate", "key": key.pk}).text)[0]

    assert (key.user, key.feeds) == (kim, "krx")
    assert credentials.verify(key.key_id, first) == credentials.verify(key.key_id, second) == key
    assert first not in quant.get("/account").text
    again = quant.post("/account", {"action": "issue", "name": "notebook", "feeds": "krx"})
    assert (again.status_code, ApiKey.objects.count()) == (200, 1)
    assert viewer.post("/account", {"action": "issue", "name": "mine", "feeds": "*"}).status_code == 404
    assert viewer.post("/account", {"action": "revoke", "key": key.pk}).status_code == 404
    assert quant.post("/account", {"action": "revoke", "key": key.pk}).status_code == 302
    assert credentials.verify(key.key_id, second) is None
    told = [(entry.user, entry.get_change_message()) for entry in LogEntry.objects.order_by("id")]
    assert told == [(kim, "issued"), (kim, "secret renewed; the one of before works for 24 h"), (kim, "revoked")]


@pytest.mark.once
def test_a_key_reads_what_its_owner_s_role_reads(serving):
    kim = person("viewer")
    key, secret = api_keys.issue(name="notebook", user=kim)
    headers = {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": secret}

    assert serving.get(TRADES, headers=headers).status_code == 200
    assert serving.get("/metrics", headers=headers).status_code == 403
    kim.groups.clear()
    assert not access.may_read(ApiKey.objects.get())


@pytest.mark.once
def test_a_login_that_is_used_lives_on_and_one_that_is_not_ends(serving, settings):
    Session.objects.all().delete()
    settings.SESSION_COOKIE_AGE = 1000
    person("viewer")
    browser = Browser()
    browser.post("/login/", {"username": "kim", "password": PASSWORD})
    soon = timezone.now() + datetime.timedelta(seconds=500)
    browser.get("/")
    Session.objects.update(expire_date=soon)

    browser.get("/account")
    assert Session.objects.get().expire_date == soon  # noted a moment ago: nothing is written

    session = browser.session
    session["used"] = 0.0
    session.save()
    Session.objects.update(expire_date=soon)
    browser.get("/account")
    assert Session.objects.get().expire_date > soon
    Session.objects.update(expire_date=timezone.now())
    assert browser.get("/account").status_code == 302


@pytest.mark.once
@pytest.mark.parametrize("path", ["/", "/login/", "/account", "/admin/", "/v2/docs", "/v2/symbols",
                                  "/admin/django_celery_beat/periodictask/add/"])  # fmt: skip
def test_pages_have_no_script_within_and_say_what_a_browser_may_do(serving, path):
    page = browser_of(get_user_model().objects.create_superuser("boss")).get(path, headers={"Accept": "text/html"})

    policy = page["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    for name in ("Permissions-Policy", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"):
        assert page[name]
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
    assert [body for tag, body in scripts if body.strip() and "application/json" not in tag] == []
    assert re.findall(r"<[^>]*\son[a-z]+=", page.text) == []


@pytest.mark.once
def test_what_is_done_with_many_rows_at_once_has_an_entry_for_each(serving):
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    LogEntry.objects.all().delete()
    boss = get_user_model().objects.create_superuser("boss")
    browser = browser_of(boss)
    every = IntervalSchedule.objects.create(every=1, period="days")
    tasks = [PeriodicTask.objects.create(name=f"test {one}", task="none", interval=every) for one in "ab"]
    FeedOwner.objects.create(feed="krx", symbol="005930", client=Client.objects.get(), changed_us=1)
    try:
        browser.post("/admin/django_celery_beat/periodictask/",
                     {"action": "disable_tasks", "_selected_action": [one.pk for one in tasks]})  # fmt: skip
        browser.post("/admin/marketdata/feedowner/",
                     {"action": "release", "_selected_action": [FeedOwner.objects.get().pk]})  # fmt: skip
        alerts = [Alert.objects.create(owner=boss, kind="silence", message="silent", revision=1, episode=number,
                                       event_us=1, fired_at=timezone.now()) for number in (1, 2)]  # fmt: skip
        browser.post("/admin/marketdata/alert/",
                     {"action": "acknowledge", "_selected_action": [one.pk for one in alerts]})  # fmt: skip
        assert not PeriodicTask.objects.filter(pk__in=[one.pk for one in tasks], enabled=True).exists()
        assert {one.acknowledged_by for one in Alert.objects.all()} == {"boss"}
    finally:
        every.delete()

    told = [entry.get_change_message() for entry in LogEntry.objects.order_by("id")]
    assert told == ["disable_tasks", "disable_tasks", "released from reader", "acknowledged", "acknowledged"]
    # Whoever adds an action lets it write an entry for each row, and puts it here; three ask a worker, noted with
    # the work (AuditEntry), and what is changed together is noted as a sheet is (`api.admin.sheets`).
    named = {(section.opts.model_name, action) for section in admin.site._registry.values()
             for action in section.actions or ()}  # fmt: skip
    assert named == {
        ("symbol", "activate"), ("symbol", "deactivate"), ("feedowner", "release"), ("voidorder", "restore"),
        ("ingestbatch", "void"), ("apikey", "revoke"), ("periodictask", "enable_tasks"),
        ("periodictask", "disable_tasks"), ("periodictask", "toggle_tasks"), ("periodictask", "run_tasks"),
        ("alertrule", "switch_on"), ("alertrule", "switch_off"), ("alert", "acknowledge"),
        ("alertdelivery", "deliver_again"),
        ("user", "reset_second_factor"), ("client", "enable"), ("client", "disable"),
        ("ingestreject", "judge_again"), ("deadletter", "retry"), ("gap", "fetch_again"), ("symbol", "change_together"),
    }  # fmt: skip


@pytest.mark.once
def test_django_finds_nothing_to_warn_of_in_the_settings_of_a_server(tmp_path):
    production = {"BEHIND_TLS": "1", "SECRET_KEY": "of a test: " + "".join(map(chr, range(65, 125))),
                  "ALLOWED_HOSTS": "naru.example.com", "VAR_DIR": str(tmp_path),
                  "REQUIRE_SECOND_FACTOR": "1"}  # fmt: skip

    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"], cwd=ROOT,
        env=os.environ | production, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr
