"""Who changed what can be read afterwards: single changes, many at once, and commands."""

import os
import subprocess
import sys

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from marketdata import audit
from marketdata.models import AuditEntry, Client, Symbol
from tests import database
from tests.integration.serving import serving
from tests.road import ROOT

__all__ = ["serving"]


@pytest.fixture
def browser(serving):
    LogEntry.objects.all().delete()
    AuditEntry.objects.all().delete()
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    return browser


def manage(*command):
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=os.environ | {"DATABASE_URL": database.url()},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_each_symbol_that_was_switched_off_with_others_has_its_entry(browser):
    Symbol.objects.filter(code="035420").update(is_active=False)
    chosen = {"action": "deactivate", "_selected_action": ["005930", "000660", "035420"]}

    browser.post("/admin/marketdata/symbol/", chosen)

    entries = LogEntry.objects.all()
    assert sorted(str(entry.object_id) for entry in entries) == ["000660", "005930"]  # the third was off already
    assert {entry.user.username for entry in entries} == {"boss"}
    assert all("is_active = False" in entry.get_change_message() for entry in entries)


@pytest.mark.once
def test_what_an_action_noted_is_told_in_the_language_of_who_reads_it(browser, serving):
    browser.post(f"/admin/marketdata/client/{serving.reader.pk}/secret/")
    entry = LogEntry.objects.get()
    pages = (
        "/admin/admin/logentry/", f"/admin/admin/logentry/{entry.pk}/change/",
        f"/admin/marketdata/client/{serving.reader.pk}/history/",
    )  # fmt: skip

    for language, told in (("ko", "비밀 키 새로 발급"), ("en", "secret renewed")):
        browser.cookies["naru_language"] = language
        for page in pages:
            answer = browser.get(page)
            assert answer.status_code == 200
            assert told in answer.content.decode(), (language, page)
    untouched = f"/admin/marketdata/symbol/{Symbol.objects.get(code='005930').pk}/history/"
    browser.cookies["naru_language"] = "ko"
    empty = browser.get(untouched)
    assert "관리 화면에 기록된 것이 없습니다." in empty.content.decode()


def test_the_log_can_be_read_and_not_be_changed(browser, serving):
    browser.post(f"/admin/marketdata/client/{serving.reader.pk}/secret/")
    AuditEntry.objects.create(actor="kim@desk", action="rollover", text="rollover --date 2026-03-16 --accept <why>")
    entry = LogEntry.objects.get()

    page = browser.get("/admin/admin/logentry/").content.decode()
    commands = browser.get("/admin/marketdata/auditentry/").content.decode()

    assert "boss" in page
    assert "secret renewed" in page
    assert "kim@desk" in commands
    assert "--accept &lt;why&gt;" in commands
    for path in (f"admin/logentry/{entry.pk}", f"marketdata/auditentry/{AuditEntry.objects.get().pk}"):
        assert browser.get(f"/admin/{path}/change/").status_code == 200
        assert browser.post(f"/admin/{path}/delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"/admin/{path}/change/", {"text": "x"}).status_code == 403


@pytest.mark.once
def test_a_command_is_kept_with_who_ran_it_and_how_it_ended(browser):
    made = manage("addclient", "by-hand")
    refused = manage("addclient", "no name")
    manage("diffsettings")

    assert made.returncode == 0, made.stderr
    assert refused.returncode == 1
    entries = list(AuditEntry.objects.order_by("id").values_list("actor", "text", "outcome"))
    assert entries == [
        (audit.actor(), "addclient by-hand", "done"),
        (audit.actor(), "addclient no name", "exit 1"),
    ]
    secret = made.stdout.split()[-1]
    assert Client.objects.filter(name="by-hand").exists()
    assert secret not in str(entries)


@pytest.mark.once
def test_a_command_works_where_there_is_no_table_yet(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "clearsessions"], cwd=ROOT,
        env=os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert "not in the audit log" in done.stderr
