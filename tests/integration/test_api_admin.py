"""The administration pages: a secret is shown once and kept nowhere, the ledger can be read and not be changed."""

import itertools
import re
import shlex
import shutil
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from api.admin import site, stored
from marketdata.models import Client, DeadLetter, Gap, IngestBatch, IngestReject, ReadRule, Source, Symbol
from marketdata.realtime import live_state
from marketdata.reference import credentials
from terminals import command_line, sources, wire
from tests.integration.processing import process, rows, trade
from tests.integration.serving import serving
from tests.market import NINE_US, price, size

__all__ = ["serving"]

LEDGER = (
    "ingeststream", "ingestbatch", "ingestreject", "deadletter", "gap", "vendorminute", "vendorrun", "symbolchange",
    "qualityday",
)  # fmt: skip


@pytest.fixture
def browser(serving):
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    return browser


def secret_in(response):
    (secret,) = re.findall(r'id="secret">([^<]+)<', response.content.decode())
    return secret


@pytest.mark.once
def test_a_new_client_s_secret_is_shown_once_and_works(browser, serving):
    form = {"name": "desk-1", "may_read": "on", "is_active": "on"}

    response = browser.post("/admin/marketdata/client/add/", form)

    client, secret = Client.objects.get(name="desk-1"), secret_in(response)
    assert credentials.verify(client.key_id, secret) == client
    assert f"APCA-API-KEY-ID: {client.key_id}" in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    for path in ("", f"{client.pk}/change/", f"{client.pk}/history/"):
        shown = browser.get(f"/admin/marketdata/client/{path}").content
        assert secret.encode() not in shown
        assert bytes(client.stored_key).hex().encode() not in shown


@pytest.mark.once
def test_a_new_secret_replaces_the_old_one_after_asking(browser, serving):
    path = f"/admin/marketdata/client/{serving.reader.pk}/secret/"
    assert b"<form" in browser.get(path).content
    assert credentials.verify(serving.reader.key_id, serving.secret)

    secret = secret_in(browser.post(path))

    assert credentials.verify(serving.reader.key_id, serving.secret) is None
    assert credentials.verify(serving.reader.key_id, secret)
    assert serving.get("/v2/symbols").status_code == 401


@pytest.mark.once
def test_saving_a_client_leaves_its_secret_alone(browser, serving):
    form = {"name": "renamed", "may_read": "on", "is_active": "on"}

    assert browser.post(f"/admin/marketdata/client/{serving.reader.pk}/change/", form).status_code == 302

    assert credentials.verify(serving.reader.key_id, serving.secret) == Client.objects.get(name="renamed")


def test_symbols_are_found_and_switched_off_and_on(browser, serving):
    Symbol.objects.filter(code="005930").update(name="삼성전자")
    assert "005930" in browser.get("/admin/marketdata/symbol/?q=삼성").content.decode()

    chosen = {"action": "deactivate", "_selected_action": ["005930", "000660"]}
    browser.post("/admin/marketdata/symbol/", chosen)

    assert sorted(Symbol.objects.filter(is_active=False).values_list("code", flat=True)) == ["000660", "005930"]
    browser.post("/admin/marketdata/symbol/", {**chosen, "action": "activate"})
    assert not Symbol.objects.filter(is_active=False).exists()


def test_the_ledger_can_be_read_and_not_be_changed(browser, serving):
    serving.commit([{}, {"price": "-1"}, {"symbol": "NOBODY"}])
    DeadLetter.objects.create(batch=1, checksum=1, code="bad_batch", error="<b>no</b>", payload=b"\x00\xffabc")
    Gap.objects.create(batch=2, feed="krx", from_us=0, to_us=1, rows=3, reason="disk full")

    for model in LEDGER:
        page = browser.get(f"/admin/marketdata/{model}/")
        assert page.status_code == 200
        assert b"delete_selected" not in page.content
        assert browser.get(f"/admin/marketdata/{model}/add/").status_code == 403
    for row in (*IngestBatch.objects.all(), *IngestReject.objects.all(), DeadLetter.objects.get(), Gap.objects.get()):
        path = f"/admin/marketdata/{row._meta.model_name}/{row.pk}"
        assert browser.get(f"{path}/change/").status_code == 200
        assert browser.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"{path}/change/", {"feed": "x"}).status_code == 403
    letter = browser.get(f"/admin/marketdata/deadletter/{DeadLetter.objects.get().pk}/change/").content.decode()
    assert "00 ff 61 62 63" in letter
    assert "<b>no</b>" not in letter


def test_a_symbol_s_form_shows_figures_as_people_write_them(browser):
    Symbol.objects.filter(code="005930").update(
        base_price=price("71200.5"),
        lower_limit=price("49900"),
        previous_volume=size("12345678"),
        market_cap=425_000_000,
    )

    browser.cookies["naru_language"] = "ko"

    page = browser.get("/admin/marketdata/symbol/005930/change/").content.decode()

    assert [text in page for text in ("71,200.5", "49,900", "12,345,678", "425,000,000")] == [True] * 4
    assert "기준가" in page
    assert "1e-8" not in page
    assert "1e-6" not in page


def test_what_is_stored_is_looked_at_by_symbol_feed_and_time_a_page_at_a_time(browser, monkeypatch):
    monkeypatch.setattr(stored, "PAGE", 2)
    books, events = wire.Books(), wire.Events()
    for at in range(3):
        books.append(symbol="005930", time_us=NINE_US + at, bids=((price(f"7000{at}"), size("1.5")),))
        events.append(event="vi", time_us=NINE_US, symbol="005930", body={"at": at, "말": "<b>"})
    shot = {"kind": "snapshot", "size": None, "open": "69900"}
    process(rows(*(trade(time=NINE_US + at, price=f"7000{at}", **shot) for at in range(3))))
    process(books.encode(2, "krx", 1), events.encode(3, "krx", 1))

    def pages(name: str, query: str, sign: str) -> list[list[str]]:
        found, path = [], f"/admin/stored/{name}/?{query}"
        while path:
            shown = browser.get(path)
            found.append(re.findall(sign, shown.content.decode()))
            path = f"/admin/stored/{name}/?{shown.context['older']}" if shown.context["older"] else ""
        return found

    for name in ("order_books", "stock_prices"):
        assert pages(name, "symbol=005930&feed=krx", "<td>(7000[0-2])")[:2] == [
            ["70002", "70001"],
            ["70000"],
        ]
        assert pages(name, "symbol=005930&feed=nxt", "7000") == [[]]
        assert pages(name, "symbol=005930&feed=krx&until=2020-01-01", "7000") == [[]]
    assert pages("market_events", "symbol=005930", "at&quot;: ([0-2])") == [["2", "1"], ["0"]]
    assert pages("market_events", "kind=none", "at&quot;") == [[]]
    assert b"<b>" not in browser.get("/admin/stored/market_events/").content
    assert browser.get("/admin/stored/candles/").status_code == 404
    assert "/admin/stored/order_books/" in browser.get("/admin/").content.decode()
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    browser.force_login(clerk)
    assert browser.get("/admin/stored/order_books/").status_code == 403
    clerk.user_permissions.set(Permission.objects.filter(codename__in=("view_orderbook", "view_marketevent")))
    ReadRule.objects.create(user=clerk, feeds="nxt")
    assert browser.get("/admin/stored/order_books/?symbol=005930&feed=krx").status_code == 403
    assert browser.get("/admin/stored/order_books/?symbol=005930&feed=nxt").status_code == 200
    assert pages("market_events", "", "at&quot;") == [[]]


def test_a_page_of_ticks_goes_down_the_key_and_counts_and_scans_nothing(browser, serving, monkeypatch):
    monkeypatch.setattr(stored, "PAGE", 50)
    serving.commit([{"time": NINE_US + at, "price": str(70_000 + at), "seq": at + 1} for at in range(120)])
    browser.get("/admin/stored/ticks/")  # what is asked once in a process
    pages, statements, query = [], [], "symbol=005930&feed=krx"
    while query:
        with CaptureQueriesContext(connection) as asked:
            shown = browser.get(f"/admin/stored/ticks/?{query}")
        pages.append(re.findall(r"<td>trade</td><td>([0-9]+)</td>", shown.content.decode()))
        statements.append([one["sql"] for one in asked.captured_queries if "temp_market_data" in one["sql"]])
        query = shown.context["older"]

    assert [int(price) for page in pages for price in page] == [70_000 + at for at in reversed(range(120))]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert all(1 <= len(sqls) <= 10 for sqls in statements), "a few pieces of time, however long ago they traded"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")  # a few rows are read fastest whole; a million are not
        for sql in itertools.chain.from_iterable(statements):
            assert "COUNT(" not in sql.upper()
            assert "LIMIT" in sql.upper()
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
            columns = [column[0] for column in cursor.description]
            plan = [dict(zip(columns, map(str, row), strict=True)) for row in cursor.fetchall()]
            assert plan
            scanned = [
                step
                for step in plan
                if (step.get("type") in ("ALL", "index") and "temp_market_data" in step["table"])
                or "SCAN temp_market_data" in step.get("detail", "")
                or "Seq Scan on temp_market_data" in step.get("QUERY PLAN", "")
            ]
            assert scanned == []


@pytest.mark.once
def test_a_client_s_page_says_who_is_connected_and_how_it_is_used(browser, serving, settings):
    live_state.show_ingest(
        "one", {"clients": [{"client": "desk-7", "since": NINE_US / 1e6, "address": "10.0.0.7:5100"}]}, ttl_s=600
    )
    form = {"name": "desk-7", "may_send": "on", "source": "3", "may_read": "on", "is_active": "on"}
    secret = secret_in(browser.post("/admin/marketdata/client/add/", form, headers={"host": "localhost:8123"}))
    client = Client.objects.get(name="desk-7")

    listed = browser.get("/admin/marketdata/client/").content.decode()
    shown = browser.get(f"/admin/marketdata/client/{client.pk}/examples/", headers={"host": "localhost:8123"})

    assert re.search(r'class="field-connected">2026-03-16 09:00:00 · 10\.0\.0\.7:5100<', listed)
    assert len(re.findall(r'class="field-connected">–<', listed)) == 1  # the other client
    examples = shown.content.decode()
    assert "http://localhost:8123/v2/symbols?limit=10" in examples
    assert "ws://localhost:8123/v2/stream/krx" in examples
    link = f"--server localhost:{settings.INGEST_PORT} --client desk-7 --key-file naru.key --spool spool"
    for python in ("python", r"venv\Scripts\python"):
        assert f"\n{python} -m terminals check kis --config kis.toml {link}\n" in examples
        assert f"\n{python} -m terminals kis --config kis.toml {link}</pre>" in examples
    assert "icacls naru.key" in examples
    assert client.key_id in examples
    assert secret not in examples

    browser.post("/admin/marketdata/client/", {"action": "disable", "_selected_action": [client.pk]})
    assert not Client.objects.get(pk=client.pk).is_active
    browser.post("/admin/marketdata/client/", {"action": "enable", "_selected_action": [client.pk]})
    assert Client.objects.get(pk=client.pk).is_active


@pytest.mark.once
def test_a_client_s_page_starts_the_source_that_the_client_sends(browser, serving, tmp_path, monkeypatch):
    for options in (Path(__file__).parents[2] / "docker/terminals").glob("*.toml"):
        shutil.copy(options, tmp_path)
    Source.objects.create(id=90, code="OWN")
    client, _ = Client.objects.create_with_secret(
        name="desk-8", source=Source.objects.get(code="REPLAY"), may_send=True
    )

    def shown(source):
        client.source = source
        client.save()
        return browser.get(f"/admin/marketdata/client/{client.pk}/examples/").content.decode()

    told = {source.code: shown(source) for source in Source.objects.all()}

    monkeypatch.chdir(tmp_path)
    assert "-m terminals" not in told["OWN"]
    assert "OWN" in told.pop("OWN")
    assert told.keys() == {sources.load(name).CODE for name in sources.SOURCES}
    for code, page in told.items():
        lines = re.findall(r"python -m terminals (.+?)(?=\n|<)", page)
        assert len(lines) == 4  # check and start, for either kind of system
        for line in lines:
            given, module = command_line.read(shlex.split(line))
            assert module is not None
            assert (module.CODE, given.client, given.key_file) == (code, "desk-8", Path("naru.key"))


@pytest.mark.once
def test_a_list_counts_and_shows_no_more_rows_than_a_page_can_be_wanted_of(browser, monkeypatch):
    monkeypatch.setattr(site, "MOST_LISTED", 3)
    monkeypatch.setattr(site.ReadOnly, "list_per_page", 2)
    gaps = [Gap(batch=one, feed="krx", from_us=0, to_us=1, rows=1, reason=f"hole {one}") for one in range(5)]
    Gap.objects.bulk_create(gaps)

    with CaptureQueriesContext(connection) as asked:
        pages = [browser.get(f"/admin/marketdata/gap/?p={page}").content.decode() for page in (1, 2)]

    shown = [re.findall(r'<td class="field-why[^"]*">(hole \d)', page) for page in pages]
    assert shown == [["hole 4", "hole 3"], ["hole 2"]]
    counts = [query["sql"] for query in asked.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 3" in sql for sql in counts)


@pytest.mark.once
@pytest.mark.parametrize("model", ["symbol", "client", "market", "source"])
def test_reference_data_has_pages(browser, serving, model):
    assert browser.get(f"/admin/marketdata/{model}/").status_code == 200
    assert browser.get(f"/admin/marketdata/{model}/add/").status_code == 200
    assert b"delete_selected" not in browser.get(f"/admin/marketdata/{model}/").content
