"""Reference data as files in the administration: what would change is shown; exactly that is applied, or nothing."""

import csv
import datetime
import io
import re
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from marketdata.models import AdjustmentFactor, AuditEntry, CalendarOverride, Market, Symbol
from marketdata.reference import sheets, watchlists
from tests.integration.serving import serving

__all__ = ["serving"]

SYMBOLS = "/admin/marketdata/symbol"


@pytest.fixture
def browser(serving):
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    return browser


def previewed(browser, content, path=SYMBOLS):
    """The page after a file was given, and its token if there is one."""
    data = content if isinstance(content, bytes) else content.encode("utf-8-sig")
    answer = browser.post(f"{path}/import/", {"file": SimpleUploadedFile("desk list.csv", data)})
    assert answer.status_code == 200
    token = re.findall(r'name="token" value="([^"]+)"', answer.text)
    return answer, token[0] if token else ""


def applied(browser, token, path=SYMBOLS, **more):
    return browser.post(f"{path}/import/", {"token": token, **(more or {"apply": "1"})}, follow=True)


def exported(browser, path=SYMBOLS, query=""):
    answer = browser.get(f"{path}/export/{query}")
    assert answer["Content-Disposition"].startswith("attachment")
    return answer.content, list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


FILE = """code,name,market,is_active
005930,가람전자,KRX,true
000660,나래전자,KRX,0
035420,,KRX,TRUE
000250,다온통신,KRX,
5940,앞자리,KRX,1
068270,라온제약,MOON,1
005930,또,KRX,1
068270,라온제약
"""


def test_a_file_is_shown_line_by_line_and_applied_as_it_was_shown(browser):
    Symbol.objects.filter(code="000660").update(name="나래전자", primary_feed="nxt")

    page, token = previewed(browser, FILE)

    made = page.context["made"]
    told = {line.number: (line.verdict.value, [(one.field, one.before, one.after) for one in line.changes])
            for line in made.lines}  # fmt: skip
    assert told[2] == ("changed", [("name", "", "가람전자")])
    assert told[3] == ("changed", [("is_active", "true", "false")])
    assert told[4] == ("unchanged", [])
    assert told[5] == ("added", [("code", "", "000250"), ("name", "", "다온통신"), ("market", "", "KRX")])
    assert {number for number, (verdict, _) in told.items() if verdict == "refused"} == {6, 7, 8, 9}
    for reason in ("is 005940 meant", "no market MOON", "in line 2 already", "has 2 cells"):
        assert reason in page.text
    assert not Symbol.objects.filter(code="000250").exists()
    assert not Symbol.objects.filter(name="가람전자").exists()

    with CaptureQueriesContext(connection) as asked:
        done = applied(browser, token)

    assert "1 added, 2 changed." in done.text
    rows = dict(Symbol.objects.values_list("code", "name"))
    assert rows == {"005930": "가람전자", "000660": "나래전자", "035420": "", "000250": "다온통신"}
    off = Symbol.objects.get(code="000660")
    assert (off.is_active, off.primary_feed) == (False, "nxt")  # a column that the file has not stays
    assert Symbol.objects.get(code="000250").is_active
    assert [entry.object_id for entry in LogEntry.objects.order_by("object_id")] == ["000250", "000660", "005930"]
    assert "is_active 'true' → 'false'" in LogEntry.objects.get(object_id="000660").change_message
    entry = AuditEntry.objects.get(action="import symbols")
    assert (entry.actor, entry.outcome) == ("boss", "added 1 changed 2 unchanged 1 refused 4")
    written = [one["sql"] for one in asked.captured_queries if one["sql"].startswith(("INSERT INTO", "UPDATE"))]
    assert len([one for one in written if "symbol" in one.split("(")[0]]) <= 2


def test_a_table_that_changed_meanwhile_is_shown_again_and_not_touched(browser):
    page, token = previewed(browser, "code,name\n005930,가람전자\n000660,나래전자\n")
    assert page.context["counts"]["changed"] == 2
    Symbol.objects.filter(code="005930").update(name="가람전자 (구)")

    again = applied(browser, token)

    assert "no longer as it was shown" in again.text
    assert "가람전자 (구)" in again.text
    assert not Symbol.objects.filter(name="나래전자").exists()  # the line that was as it had been, neither
    assert not LogEntry.objects.exists()
    (fresh,) = re.findall(r'name="token" value="([^"]+)"', again.text)
    assert "2 changed" in applied(browser, fresh).text
    assert Symbol.objects.get(code="005930").name == "가람전자"
    assert "no longer as it was shown" in applied(browser, fresh).text  # once is enough


def test_a_preview_is_of_one_person_and_one_table_and_every_line_of_it_comes_as_a_file(browser):
    _page, token = previewed(browser, FILE)

    rows = list(csv.DictReader(io.StringIO(applied(browser, token, report="1").content.decode("utf-8-sig"))))
    assert [(row["line"], row["verdict"], row["field"], row["after"]) for row in rows][:4] == [
        ("2", "changed", "name", "가람전자"), ("3", "changed", "name", "나래전자"),
        ("3", "changed", "is_active", "false"), ("4", "unchanged", "", ""),
    ]  # fmt: skip
    assert not Symbol.objects.filter(name="가람전자").exists()

    assert "preview is over" in applied(browser, token, path="/admin/marketdata/adjustmentfactor").text
    assert "preview is over" in applied(browser, token[:-2] + "xx").text
    other = Browser()
    other.force_login(get_user_model().objects.create_superuser("other"))
    assert "preview is over" in applied(other, token).text
    assert not Symbol.objects.filter(name="가람전자").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("name,market\n가람,KRX\n", "column code is missing"),
        ("code,colour\n005930,red\n", "colour"),
        ("code,code\n005930,005930\n", "named twice"),
        (b"PK\x03\x04\x00\x00", "save it as CSV"),
        ('code,name\n005930,"가람\n', "no CSV"),
        ("", "is none of code, name"),
    ],
)
def test_a_file_that_is_no_such_sheet_is_told_so(browser, content, wrong):
    page, token = previewed(browser, content)

    assert wrong in page.text
    assert not token


@pytest.mark.once
def test_a_file_of_korean_excel_and_one_with_too_many_lines(browser, monkeypatch):
    page, _token = previewed(browser, "종목 코드;종목명\n005930;가람전자\n".encode("cp949"))
    assert page.context["counts"] == {"added": 0, "changed": 1, "unchanged": 0, "refused": 0}

    monkeypatch.setattr(sheets, "MOST_ROWS", 2)
    page, token = previewed(browser, "code\n" + "005930\n" * 3)
    assert "More than 2 lines" in page.text
    assert not token


@pytest.mark.once
def test_a_file_that_is_too_large_is_told_its_own_size(browser):
    page, token = previewed(browser, "code,name\n" + "005930," + "a" * (800 << 10))

    assert "The file has 801 KiB, and may have 700" in page.text
    assert not token


@pytest.mark.once
@pytest.mark.parametrize(("word", "active"), [("아니요", False), ("아니오", False), ("예", True), ("참", True)])
def test_yes_and_no_are_read_in_korean(browser, word, active):
    Symbol.objects.filter(code="005930").update(is_active=not active)

    _page, token = previewed(browser, f"code,is_active\n005930,{word}\n")
    applied(browser, token)

    assert Symbol.objects.get(code="005930").is_active is active


@pytest.mark.once
def test_an_export_by_a_filter_that_cannot_be_is_answered_as_the_list_answers_it(browser):
    for path in ("export/", ""):
        answer = browser.get(f"{SYMBOLS}/{path}?is_active__exact=perhaps")
        assert (answer.status_code, answer["Location"]) == (302, f"{SYMBOLS}/?e=1")


@pytest.mark.once
def test_who_may_only_change_adds_nothing_and_who_may_neither_sees_no_import(browser):
    clerk = get_user_model().objects.create_user("clerk")
    names = ("operate", "view_symbol", "change_symbol")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
    other = Browser()
    other.force_login(clerk)

    page, token = previewed(other, FILE)

    assert page.context["counts"] == {"added": 0, "changed": 2, "unchanged": 1, "refused": 5}
    assert "You may not add rows here." in page.text
    applied(other, token)
    assert not Symbol.objects.filter(code="000250").exists()
    assert Symbol.objects.get(code="005930").name == "가람전자"
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names[:2]))
    assert other.get(f"{SYMBOLS}/import/").status_code == 403
    assert "/import/" not in other.get(f"{SYMBOLS}/").text
    assert "/export/" in other.get(f"{SYMBOLS}/").text


def test_an_export_has_what_the_list_shows_and_changes_nothing_when_it_comes_back(browser):
    Symbol.objects.filter(code="005930").update(name="=cmd|' /C calc'!A0", name_en="-Garam")
    AdjustmentFactor.objects.create(
        symbol="005930", ex_date="2026-03-16", kind="split", old_rate=1, new_rate=50, cash=Decimal("0.5"), source="@KRX"
    )
    CalendarOverride.objects.create(
        market=Market.objects.get(code="KRX"), date="2026-11-19", is_open=True, shift_minutes=60, note="수능",
        regular_open=datetime.time(10, 0),
    )  # fmt: skip

    content, rows = exported(browser)
    assert [row["code"] for row in rows] == ["000660", "005930", "035420"]
    assert (rows[1]["name"], rows[1]["name_en"]) == ("'=cmd|' /C calc'!A0", "'-Garam")
    assert [row["code"] for row in exported(browser, query="?q=0066")[1]] == ["000660"]

    for path, count in ((SYMBOLS, 3), ("/admin/marketdata/adjustmentfactor", 1),
                        ("/admin/marketdata/calendaroverride", 1)):  # fmt: skip
        page, token = previewed(browser, exported(browser, path)[0], path)
        assert page.context["counts"] == {"added": 0, "changed": 0, "unchanged": count, "refused": 0}
        assert "nothing to apply" in page.text
    assert content.startswith(b"\xef\xbb\xbf")

    path = "/admin/marketdata/adjustmentfactor"
    before = AdjustmentFactor.objects.get().changed_at
    page, token = previewed(
        browser,
        "symbol,ex_date,kind,old_rate,new_rate\n005930,2026. 3. 16.,split,1,25\n005930,2026-03-17,split,0,1\n",
        path,
    )
    assert page.context["counts"] == {"added": 0, "changed": 1, "unchanged": 0, "refused": 1}
    assert "It must be above 0." in page.text
    applied(browser, token, path)
    factor = AdjustmentFactor.objects.get()
    assert (factor.new_rate, factor.cash) == (Decimal(25), Decimal("0.5"))
    assert factor.changed_at > before  # by which candles are adjusted anew


def test_a_code_that_differs_in_its_capitals_alone_is_refused_and_one_that_is_stored_comes_back(browser):
    """On MariaDB with a collation that takes both for one, a file with both could be neither shown nor applied."""
    Symbol.objects.create(code="ESM6 Index", market_id="CME")
    file = "code,market,name\nesm6 index,CME,x\nNQM6 Index,CME,y\nNQm6 index,CME,z\nESM6 Index,CME,w\n"

    if connection.vendor == "mysql":
        with connection.cursor() as cursor:  # as on a server set up without docker/mariadb/naru.cnf
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            cursor.execute("ALTER TABLE symbol MODIFY code VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL")
    try:
        made = sheets.plan(sheets.SYMBOLS, file)
        if connection.vendor == "mysql":
            assert [line.number for line in made.of(sheets.Verdict.REFUSED)] == [2, 4]
        assert [line.key for line in made.of(sheets.Verdict.ADDED)][-1:] == ["NQM6 Index"]
        assert [line.key for line in made.of(sheets.Verdict.CHANGED)] == ["ESM6 Index"]
        assert "NQM6 Index differ" in made.lines[2].reasons[0]
        sheets.apply(made)
        assert Symbol.objects.filter(code__in=("ESM6 Index", "NQM6 Index")).count() == 2
    finally:
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE symbol MODIFY code VARCHAR(24) COLLATE utf8mb4_bin NOT NULL")
                cursor.execute("SET FOREIGN_KEY_CHECKS = 1")


@pytest.mark.once
def test_what_a_model_says_of_a_whole_row_is_a_reason_and_no_error(browser, monkeypatch):
    def clean(self):
        raise ValidationError("no rows on Mondays")

    monkeypatch.setattr(Symbol, "clean", clean)

    (line,) = sheets.plan(sheets.SYMBOLS, "code,market,name\n005930,KRX,new\n").of(sheets.Verdict.REFUSED)[-1:]

    assert line.reasons == ("no rows on Mondays",)


CHOSEN = ("000660", "005930", "035420")


def changed_together(browser, codes=CHOSEN, **fields):
    given = {"action": "change_together", "_selected_action": codes, **fields}
    return browser.post(f"{SYMBOLS}/", given, follow=True)


@pytest.mark.once
def test_symbols_are_changed_together_as_they_were_shown(browser):
    for code in CHOSEN:
        Symbol.objects.update_or_create(code=code, defaults={"market_id": "KRX", "category": ""})
    Symbol.objects.create(code="KRW=", market_id="CME")

    assert 'name="primary_feed"' in changed_together(browser).text
    page = changed_together(browser, (*CHOSEN, "KRW="), fields="1", market="KRX", category="kospi", is_active="false")
    (token,) = re.findall(r'name="token" value="([^"]+)"', page.text)
    assert "0 added, 3 changed, 0 as they are, 1 refused" in page.text  # KRW= is no code of Korea's
    assert Symbol.objects.filter(category="kospi").count() == 0
    applied(browser, token)

    assert set(Symbol.objects.filter(category="kospi", is_active=False).values_list("code", flat=True)) == set(CHOSEN)
    assert AuditEntry.objects.get(action="import symbols").outcome == "added 0 changed 3 unchanged 0 refused 1"
    assert LogEntry.objects.filter(object_id__in=CHOSEN).count() == 3
    assert "1 to 16 of" in changed_together(browser, fields="1", category="No Word").text


@pytest.mark.once
def test_symbols_come_into_ones_own_watch_list_and_out_of_it_together(browser, monkeypatch):
    boss = get_user_model().objects.get(username="boss")
    other = get_user_model().objects.create(username="other")
    for code in CHOSEN:
        Symbol.objects.get_or_create(code=code, market_id="KRX")
    mine, theirs = watchlists.create(boss.pk, "mine", CHOSEN[:1]), watchlists.create(other.pk, "theirs", [])

    assert "2 into mine" in changed_together(browser, fields="1", into=mine.pk).text
    assert watchlists.one_of(boss.pk, mine.pk).symbols == list(CHOSEN)
    assert "1 out of mine" in changed_together(browser, CHOSEN[1:2], fields="1", out_of=mine.pk).text
    assert watchlists.one_of(boss.pk, mine.pk).symbols == [CHOSEN[0], CHOSEN[2]]
    assert "Select a valid choice" in changed_together(browser, fields="1", into=theirs.pk).text
    monkeypatch.setattr(watchlists, "MOST_SYMBOLS", 2)
    assert "a list has at most 2 symbols" in changed_together(browser, fields="1", into=mine.pk).text


def test_symbols_are_found_by_initial_consonants(browser):
    Symbol.objects.filter(code="005930").update(name="삼성전자")

    for word, found in (
        ("ㅅㅅㅈㅈ", ["005930"]),
        ("삼성", ["005930"]),
        ("0066", ["000660"]),
        ("ㅅㅅ 0059", ["005930"]),
        ("ㄱ", []),
    ):
        assert [row["code"] for row in exported(browser, query=f"?q={word}")[1]] == found
