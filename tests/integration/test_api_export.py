"""Exports: every row once, exact, in each form; a cut file is told from a whole one."""

import csv
import datetime
import gc
import io
import json
from decimal import Decimal

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.http.response import HttpResponseBase
from django.test import Client as Browser
from django.utils import timezone
from rest_framework.test import APIRequestFactory, force_authenticate

from api.auth import authentication
from api.rest import exports, series
from api.rest.exports import ARROW, CSV, PARQUET, Column
from api.rest.tables import NEXT_PAGE
from api.views.export import ExportView
from marketdata.maintenance import rollover
from marketdata.models import AdjustmentFactor, ApiKey, Client, Market, Symbol, SymbolRename
from marketdata.reference import api_keys
from marketdata.storage import storage
from marketdata.vendors import minutes
from tests.integration.serving import CODES, PATIENCE_S, minute, serving
from tests.integration.test_adjusted_bars import ALL, TUESDAY
from tests.integration.test_api_resources import book, keep
from tests.integration.test_days import MONDAY, session
from tests.integration.test_stream_served import web
from tests.market import MINUTE_US, NINE_US, TRADE
from tests.upkeep import seoul
from tests.vendor import bar, lose, minute_us

__all__ = ["serving", "web"]


def export(serving, resource: str, accept: str = CSV, **query) -> bytes:
    response = serving.get(f"/v2/export/{resource}", headers={**serving.headers, "Accept": accept}, **query)
    try:
        content = b"".join(response) if response.streaming else response.content
    finally:
        response.close()
    assert (response.status_code, response["Content-Type"]) == (200, accept), content
    return content


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows of a whole CSV."""
    *lines, last = content.decode().splitlines()
    rows = list(csv.DictReader(lines))
    assert last == f"# {len(rows)} rows"
    return rows


@pytest.fixture
def market(serving, monkeypatch):
    """Trades and quotes of two symbols; pages are so short that an export needs several."""
    for symbol in CODES[:2]:
        serving.commit([minute(at, symbol=symbol, price=f"70000.0000000{at}", size="0.000001") for at in range(1, 8)])
        serving.commit([minute(9, symbol=symbol, kind="quote", price=None, size=None, bid="1", bid_size="2")])
    monkeypatch.setattr("api.views.export.PAGE_ROWS", 3)
    return serving


def test_an_export_has_each_row_of_its_pages_once(market):
    rows = rows_of(export(market, "trades", symbols=",".join(CODES)))
    pages = market.pages("/v2/stocks/trades", "trades", symbols=",".join(CODES))

    assert [(row["symbol"], row["time"], Decimal(row["price"]), row["size"], int(row["id"])) for row in rows] == [
        (symbol, one["t"], one["p"], "0.000001", one["i"]) for symbol, one in pages
    ]
    (quote,) = rows_of(export(market, "quotes", symbols="005930"))
    assert (quote["bid"], quote["bid_size"], quote["ask"]) == ("1", "2", "")
    bars = rows_of(export(market, "bars", symbols="005930", timeframe="5Min"))
    shown = market.read("/v2/stocks/005930/bars", timeframe="5Min")["bars"]
    assert [(row["open"], row["trades"], row["trading_date"]) for row in bars] == [
        (str(bar["o"]), str(bar["n"]), bar["td"]) for bar in shown
    ]
    assert rows_of(export(market, "orderbooks", symbols="005930")) == []


def csv_pages(serving, path, limit, **query):
    """The rows of every page as CSV, in the order they came."""
    rows: list[dict[str, str]] = []
    token: dict[str, str] = {}
    while True:
        response = serving.get(path, headers={**serving.headers, "Accept": CSV}, limit=limit, **query, **token)
        assert (response.status_code, response["Content-Type"]) == (200, CSV), response.content
        page = rows_of(response.content)
        assert len(page) <= limit
        rows += page
        if NEXT_PAGE not in response:
            return rows
        token = {"page_token": response[NEXT_PAGE]}


def test_pages_as_csv_have_the_rows_of_the_pages_as_json_and_of_the_export(market):
    keep(book(0), book(1))
    lose(99, NINE_US + 2 * MINUTE_US, NINE_US + 2 * MINUTE_US, None)
    both = {"symbols": ",".join(CODES)}

    for resource in ("trades", "quotes", "bars"):
        rows = csv_pages(market, f"/v2/stocks/{resource}", 2, **both)
        assert rows == rows_of(export(market, resource, **both))
        assert rows == [one for code in CODES for one in csv_pages(market, f"/v2/stocks/{code}/{resource}", 5)]
        assert rows[::-1] == csv_pages(market, f"/v2/stocks/{resource}", 3, sort="desc", **both)
        shown = market.pages(f"/v2/stocks/{resource}", resource, **both)
        assert [(row["symbol"], row["time"][:19]) for row in rows] == [(code, one["t"][:19]) for code, one in shown]
    assert [(row["open"], row["closed"], row["gap"], row["source"]) for row in rows] == [
        (str(bar["o"]), str(int(bar["x"])), str(bar["gap"]), "naru") for _, bar in shown
    ]
    assert {row["gap"] for row in rows} == {"0", "1"}
    books = csv_pages(market, "/v2/orderbooks/005930", 1)
    assert len(books) == 2
    assert books == rows_of(export(market, "orderbooks", symbols="005930"))


def table_of(serving, resource: str, accept: str, **query) -> list[dict[str, str]]:
    """The rows of an export in any form, as its CSV would have them."""
    content = export(serving, resource, accept, **query)
    if accept == CSV:
        return rows_of(content)
    parquet, ipc = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.ipc")
    table = parquet.read_table(io.BytesIO(content)) if accept == PARQUET else ipc.open_stream(content).read_all()
    return [{name: _as_text(value) for name, value in row.items()} for row in table.to_pylist()]


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


@pytest.mark.parametrize("accept", [CSV, PARQUET, ARROW])
def test_an_export_takes_the_parameters_of_the_pages_and_has_their_rows(serving, monkeypatch, accept):
    """A share that had another code until Tuesday and was split on Wednesday."""
    monkeypatch.setattr("api.views.export.PAGE_ROWS", 3)
    for day, code in enumerate(("000660", "005930", "005930")):
        serving.commit(session(day, symbol=code))
    rollover.run_one(MONDAY)
    SymbolRename.objects.create(old="000660", new="005930", since=TUESDAY)
    wednesday = TUESDAY + datetime.timedelta(days=1)
    AdjustmentFactor.objects.create(symbol="005930", ex_date=wednesday, kind="split", old_rate=1, new_rate=2)
    whole = {"symbols": "005930", **ALL}

    def same(resource, columns, **query):
        rows = table_of(serving, resource, accept, **whole, **query)
        shown = [one for _, one in serving.pages(f"/v2/stocks/{resource}", resource, **whole, **query)]
        assert [tuple(Decimal(row[name]) for name in columns) for row in rows] == [
            tuple(Decimal(one[name]) for name in columns.values()) for one in shown
        ]
        assert [row["time"][:19] for row in rows] == [one["t"][:19] for one in shown]
        return rows

    figures = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "trades": "n", "vwap": "vw"}
    for timeframe in ("1Min", "1Hour", "1Day"):
        for adjustment in ("raw", "split", "all"):
            for part in ("all", "pre", "regular"):
                same("bars", figures, timeframe=timeframe, adjustment=adjustment, session=part)
    closes = [row["close"] for row in same("bars", figures, timeframe="1Day", adjustment="split", session="regular")]
    assert closes == ["35150", "35150", "70300"]
    assert len(same("bars", figures, session="pre")) == 3
    same("bars", figures, asof="-")
    trades = {"price": "p", "size": "s", "id": "i"}
    assert [len(same("trades", trades, asof=day)) for day in ("-", str(TUESDAY))] == [14, 21]
    assert len(same("trades", trades, currency="KRW")) == 21


@pytest.mark.once
def test_an_export_of_bars_has_the_vendor_s_where_rows_of_ours_were_lost(serving):
    serving.commit([minute(at) for at in (0, 1, 3)])
    lose(1, minute_us(1) + 30_000_000, minute_us(2) + 30_000_000, "8")
    minutes.store("005930", "krx", MONDAY, [bar(1, "5"), bar(2, "5")], seoul("2026-03-16 20:15"))

    rows = rows_of(export(serving, "bars", symbols="005930", gaps="fill"))
    assert rows == csv_pages(serving, "/v2/stocks/bars", 9, symbols="005930", gaps="fill")
    assert [row["source"] for row in rows] == ["naru", "kis", "kis", "naru"]


@pytest.mark.once
def test_a_page_as_csv_is_asked_for_by_name_as_well_and_its_errors_are_json(serving):
    serving.commit([minute(0)])
    named = serving.get("/v2/stocks/trades", symbols="005930,NOBODY", format="csv")
    assert (named["Content-Type"], len(rows_of(named.content)), named[series.WARNING_HEADER][-6:]) == (CSV, 1, "NOBODY")
    assert rows_of(named.content)[0]["taker"] == ""

    wrong = serving.get("/v2/stocks/bars", headers={**serving.headers, "Accept": CSV}, symbols="005930", limit=0)
    assert (wrong.status_code, wrong["Content-Type"], json.loads(wrong.content)["code"]) == (
        400, "application/json", 40010000,
    )  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("accept", [PARQUET, ARROW])
def test_parquet_and_arrow_hold_what_csv_says_to_the_digit(market, accept):
    parquet, ipc = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.ipc")
    rows = rows_of(export(market, "trades", symbols=",".join(CODES)))

    content = export(market, "trades", accept, symbols=",".join(CODES))
    table = parquet.read_table(io.BytesIO(content)) if accept == PARQUET else ipc.open_stream(content).read_all()

    found = table.to_pylist()
    assert [(one["symbol"], one["price"], one["size"], one["id"]) for one in found] == [
        (row["symbol"], Decimal(row["price"]), Decimal(row["size"]), int(row["id"])) for row in rows
    ]
    assert [one["time"].isoformat() for one in found] == [row["time"].replace(".000000Z", "+00:00") for row in rows]


@pytest.mark.once
def test_arrow_comes_over_http_as_it_is_stored(market, web):
    ipc = pytest.importorskip("pyarrow.ipc")

    with httpx.stream(
        "GET", f"http://{web}/v2/export/trades", params={"symbols": ",".join(CODES[:2])},
        headers={**market.headers, "Accept": ARROW}, timeout=PATIENCE_S,
    ) as answer:  # fmt: skip
        content = b"".join(answer.iter_bytes())
    found = ipc.open_stream(content).read_all().to_pylist()

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, ARROW)
    for symbol in CODES[:2]:
        ticks = storage().read_ticks(symbol, "krx", 0, 1 << 62, kind=TRADE)
        assert [(one["id"], one["price"], one["size"]) for one in found if one["symbol"] == symbol] == [
            (tick_id, Decimal(price).scaleb(-8), Decimal(size).scaleb(-6))
            for tick_id, price, size in zip(
                ticks.tick_id.tolist(), ticks.price.tolist(), ticks.size.tolist(), strict=True
            )
        ]
    assert len(found) == 14


@pytest.mark.once
def test_a_cut_export_has_no_end(market, settings):
    settings.EXPORT_MAX_ROWS = 8

    text = export(market, "trades", symbols=",".join(CODES)).decode().splitlines()
    assert text[-1] == "# cut: more than 8 rows"
    with pytest.raises(exports.Cut):
        export(market, "trades", PARQUET, symbols=",".join(CODES))


@pytest.mark.once
@pytest.mark.parametrize("end", ["revoked", "narrowed", "client closed", "logged out", "no role", None])
def test_an_export_ends_when_its_key_or_login_does(market, monkeypatch, end):
    monkeypatch.setattr("api.views.export.CHECK_EVERY_S", 0.0)
    key, secret = api_keys.issue(name="notebook", client=market.reader)
    browser, headers = Browser(), {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}
    if end in ("logged out", "no role"):
        browser.force_login(get_user_model().objects.create_user("kim", is_staff=True))
        headers = {}
    query = {"symbols": ",".join(CODES)}
    files = [browser.get("/v2/export/trades", query, headers={**headers, "Accept": form}) for form in (CSV, ARROW)]
    assert [one.status_code for one in files] == [200, 200]
    of_csv, of_arrow = map(iter, files)
    first = next(of_csv)

    if end == "revoked":
        api_keys.revoke(key, timezone.now())
    elif end == "narrowed":
        ApiKey.objects.update(feeds="sim")
    elif end == "client closed":
        Client.objects.update(is_active=False)
    elif end == "logged out":
        Session.objects.all().delete()
    elif end == "no role":
        get_user_model().objects.update(is_staff=False)

    text = (first + b"".join(of_csv)).decode().splitlines()
    if end is None:
        assert text[-1] == f"# {len(text) - 2} rows"
        assert list(of_arrow)
    else:
        assert (len(text), text[-1]) == (1 + 3 + 1, "# cut: this key or login may no longer read")
        with pytest.raises(exports.Cut):
            list(of_arrow)
    for one in files:
        one.close()


@pytest.mark.once
def test_an_export_that_breaks_off_or_is_never_sent_leaves_its_place(market, settings):
    """Django closes neither: asked here without its test client, which does."""
    settings.EXPORT_AT_ONCE, settings.EXPORT_MAX_ROWS = 1, 8

    def asked(accept: str) -> HttpResponseBase:
        request = APIRequestFactory().get("/v2/export/trades", {"symbols": ",".join(CODES)}, headers={"Accept": accept})
        force_authenticate(request, user=market.reader)
        response = ExportView.as_view()(request, resource="trades")
        assert response.status_code == 200
        return response

    broken = asked(PARQUET)
    with pytest.raises(exports.Cut):
        list(broken)
    unsent = asked(CSV)
    del unsent
    gc.collect()
    sent = asked(CSV)
    list(sent)
    for _ in range(2):
        sent.close()
        broken.close()
    exports.slots.take(1)
    with pytest.raises(exports.Busy):
        exports.slots.take(1)
    exports.slots.free()


@pytest.mark.once
def test_a_symbol_that_looks_like_a_formula_is_text_to_a_spreadsheet(serving):
    Symbol.objects.create(code="=1+1", market=Market.objects.get(code="KRX"), primary_feed="krx")
    serving.commit([minute(0, symbol="=1+1")])

    assert [row["symbol"] for row in rows_of(export(serving, "trades", symbols="=1+1"))] == ["'=1+1"]
    table = [Column("a"), Column("b", "decimal", 2)]
    written = b"".join(exports.as_csv(table, iter([[("@x", "-1.5"), ("ok", "2")]]), 9))
    assert written == b"a,b\r\n'@x,-1.5\r\nok,2\r\n# 2 rows\r\n"


@pytest.mark.once
def test_exports_are_refused_by_name_form_and_number(serving, settings):
    settings.EXPORT_AT_ONCE = 1

    def status(path, accept="*/*", **query):
        answer = serving.get(path, headers={**serving.headers, "Accept": accept}, **query)
        content = json.loads(answer.content)
        return answer.status_code, content["code"]

    assert status("/v2/export/everything", symbols="005930") == (404, 40410000)
    assert status("/v2/export/trades", "application/pdf", symbols="005930") == (406, 40610000)
    assert status("/v2/export/trades", symbols="005930", limit=5) == (400, 40010001)
    for name, value in (("adjustment", "split"), ("session", "regular"), ("timeframe", "1Day"), ("gaps", "fill")):
        assert status("/v2/export/trades", symbols="005930", **{name: value}) == (400, 40010001)
    assert status("/v2/export/bars", symbols="005930", adjustment="splits")[0] == 400
    assert status("/v2/export/bars", symbols="005930", currency="USD")[0] == 422
    assert status("/v2/export/bars", symbols="005930", start="2026-03-18", end="2026-03-16")[0] == 422
    exports.slots.take(1)
    try:
        assert status("/v2/export/trades", symbols="005930") == (429, 42910000)
    finally:
        exports.slots.free()
    assert rows_of(export(serving, "trades", symbols="005930")) == []
    assert rows_of(export(serving, "trades", symbols="005930")) == []
