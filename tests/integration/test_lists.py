"""The lists behind the numbers of the pages: what they show of whom, and who may see them."""

import datetime
import html
import re

import pytest
from django.test import Client as Browser

from analytics.quality import days
from api.lists import ledger as lists_of_the_ledger
from api.lists.registry import LISTS
from marketdata.models import (
    BackupRun,
    Client,
    DeadLetter,
    DroppedDay,
    Feed,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestStream,
    ReadRule,
    RolloverRun,
    Source,
    VoidedTick,
    VoidOrder,
)
from marketdata.types.tick_arrays import batch_number
from tests.integration.serving import serving
from tests.integration.test_api_resources import book, keep
from tests.integration.test_roles import browser_of, person
from tests.market import NINE_US

__all__ = ["serving"]

DAY = datetime.date(2026, 3, 13)
SEALED = datetime.datetime(2026, 3, 16, 8, 1, tzinfo=datetime.UTC)
SEALED_US = int(SEALED.timestamp() * 1e6)
CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.S)


def rows(browser, name, **query):
    """The texts of a list's rows, cell by cell."""
    answer = browser.get(f"/lists/{name}", query)
    assert answer.status_code == 200, (name, query, answer.status_code)
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [[html.unescape(cell) for cell in CELL.findall(row)] for row in body.split("</tr>") if "<td" in row]


def firsts(browser, name, **query):
    return [row[0] for row in rows(browser, name, **query)]


def batch(stream, seq, committed_us, *, feed="krx", date=DAY, stored=3):
    number = batch_number(stream, seq)
    IngestBatch.objects.create(
        batch=number, state="stored", feed=feed, rows=stored, stored=stored, rejected=0, checksum=1,
        received_us=committed_us - 1_500, committed_us=committed_us,
    )  # fmt: skip
    if date is not None:
        IngestBatchDay.objects.create(batch=number, trade_date=date, rows=stored, checksum=1)


def ledger():
    """Of a day that was sealed two batches in time and one late on each feed; one of another day, one of none."""
    source = Source.objects.get(code="KIS")
    for stream, name in ((1, "desk-1"), (2, "desk-2")):
        client, _secret = Client.objects.create_with_secret(name=name, may_send=True, source=source)
        IngestStream.objects.create(id=stream, client=client, epoch=str(stream).zfill(16))
    RolloverRun.objects.create(trade_date=DAY, state="done", rows=15, late_rows=6, tries=1, sealed_at=SEALED)
    batch(1, 1, SEALED_US - 2)
    batch(1, 2, SEALED_US - 1)
    batch(1, 3, SEALED_US)
    batch(2, 1, SEALED_US + 1_000_000, feed="nxt")
    batch(1, 4, SEALED_US + 2_000_000, date=DAY + datetime.timedelta(days=3))
    batch(1, 5, SEALED_US + 3_000_000, date=None)
    Feed.objects.get_or_create(name="krx")
    Feed.objects.get_or_create(name="nxt")


def test_batches_of_a_trading_date_are_found_and_those_that_came_after_it_was_sealed(serving):
    ledger()
    day = DAY.isoformat()
    reader, operator = browser_of(person("viewer")), browser_of(person("operator", "lee"))

    assert firsts(reader, "batches") == ["1/5", "1/4", "2/1", "1/3", "1/2", "1/1"]
    assert firsts(reader, "batches", date=day) == ["2/1", "1/3", "1/2", "1/1"]
    assert firsts(reader, "batches", date=day, late="1") == ["2/1", "1/3"]
    assert firsts(reader, "batches", date=day, late="0") == ["1/2", "1/1"]
    assert firsts(reader, "batches", date=day, late="1", feed="krx") == ["1/3"]
    assert firsts(reader, "batches", date="2026-03-12") == firsts(reader, "batches", date="2026-03-16", late="1") == []
    assert rows(reader, "batches", date=day, feed="nxt") == [
        ["2/1", "desk-2", "nxt", "stored", "3", "3", "0", *map(shown, (SEALED_US + 998_500, SEALED_US + 10**6)), "1.5"]
    ]  # fmt: skip
    for chosen in ({"date": day}, {"date": day, "late": "1"}, {"date": day, "late": "0"}, {"date": day, "feed": "nxt"}):
        admin = operator.get("/admin/marketdata/ingestbatch/", chosen).text
        found = [html.unescape(one) for one in re.findall(r'class="field-number">(?:<a[^>]*>)?([^<]*)', admin)]
        assert found == firsts(reader, "batches", **chosen), chosen
    assert "after the date was sealed" in operator.get("/admin/marketdata/ingestbatch/", {"date": day}).text
    late = days.storing(DAY, IngestBatch.objects.all(), late=True)
    assert sum(late.values_list("stored", flat=True)) == RolloverRun.objects.get().late_rows


def test_batches_of_a_date_are_read_in_pieces_as_far_back_as_is_said(serving, monkeypatch):
    for number in range(1, 10):
        batch(1, number, SEALED_US + number)
    monkeypatch.setattr(days, "_PIECE", 1)  # four are read, then what is left

    def found(**chosen):
        return sorted(one.batch & 0xFFFFFFFF for one in days.storing(DAY, IngestBatch.objects.all(), **chosen))

    assert found() == list(range(1, 10))
    assert found(most=2) == [8, 9]
    assert found(most=5) == [5, 6, 7, 8, 9]
    monkeypatch.setattr(days, "MOST_BATCHES_OF_DAY", 7)
    assert found() == list(range(3, 10))


def shown(time_us):
    moment = datetime.datetime.fromtimestamp(time_us // 1_000_000, datetime.timezone(datetime.timedelta(hours=9)))
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_us % 1_000_000:06d}"


def test_a_list_goes_on_where_the_page_before_ended(serving):
    for number in range(1, 252):
        batch(1, number, SEALED_US + number // 2)  # two of each moment
    reader = browser_of(person("viewer"))

    found, query = [], dict[str, str]()
    while True:
        answer = reader.get("/lists/batches", query).text
        part = [html.unescape(CELL.findall(row)[0]) for row in answer.partition("<tbody>")[2].split("<tr>")[1:]]
        assert len(part) <= 100
        found += part
        older = re.search(r'before=([0-9.]+)" rel="next"', answer)
        if older is None:
            break
        query = {"before": older[1]}

    assert found == [f"1/{number}" for number in range(251, 0, -1)]


def test_batches_of_a_feed_are_looked_for_among_so_many_of_all_and_behind_them_on_the_next_page(serving, monkeypatch):
    """No index has a feed: of one that sent nothing for weeks the whole ledger would be read."""
    monkeypatch.setattr(lists_of_the_ledger, "MOST_BATCHES_READ", 3)
    ledger()
    someone = person("viewer")
    ReadRule.objects.create(user=someone, feeds="nxt")
    for number in range(6, 10):
        batch(1, number, SEALED_US + number * 1_000_000)

    for browser, query in ((browser_of(person("viewer", "lee")), {"feed": "nxt"}), (browser_of(someone), {})):
        pages, before = [], dict[str, str]()
        for _ in range(9):
            pages.append(firsts(browser, "batches", **query, **before))
            older = re.search(r'before=([0-9.]+)" rel="next"', browser.get("/lists/batches", query | before).text)
            if older is None:
                break
            before = {"before": older[1]}
        assert pages == [[], ["2/1"], []]
    assert (
        len(firsts(browser_of(person("viewer", "park")), "batches")) == 10
    )  # those of all feeds are found by an index


def aside():
    """What lies aside and what is missing, on two feeds, with words that are for people who operate."""
    order = VoidOrder.objects.create(selection="{}", reason="fat finger", ordered_by="kim")
    for number, (stream, seq, feed) in enumerate(((1, 1, "krx"), (2, 1, "nxt")), start=1):
        of = batch_number(stream, seq)
        for idx, reasons in enumerate(("symbol_unknown", "symbol_unknown time_future")):
            record = f'{{"symbol": "00593{idx}", "note": "secret row"}}'
            IngestReject.objects.create(batch=of, idx=idx, reasons=reasons, record=record)
        DeadLetter.objects.create(batch=of, checksum=1, code="bad_batch", error="secret 10.0.0.7", payload=b"x")
        Gap.objects.create(
            batch=of, feed=feed, symbol="005930" if number == 1 else "", from_us=NINE_US, to_us=NINE_US + 1,
            rows=number, missing=12_500_000, reason="volume_hole", trade_date=DAY,
        )  # fmt: skip
        VoidedTick.objects.create(
            tick_id=number, order=order, symbol="005930", feed=feed, source_id=1, trade_date=DAY, time_us=NINE_US,
            record='{"kind": "trade", "price": "70000.5", "size": "3"}',
        )  # fmt: skip


def test_what_lies_aside_is_told_without_what_is_for_people_who_operate(serving):
    ledger()
    aside()
    BackupRun.objects.create(
        kind="full", vendor="sqlite", name="full-1", state="failed", started_at=SEALED, bytes=2_500_000,
        error="secret 10.0.0.7",
    )  # fmt: skip
    DroppedDay.objects.create(trade_date=DAY, kind="ticks", rows=1_234, times=1, dropped_at=SEALED)
    DroppedDay.objects.create(trade_date=DAY, kind="ledger", rows=7, times=1, dropped_at=SEALED)
    RolloverRun.objects.update(error="secret 10.0.0.7")
    reader = browser_of(person("viewer"))

    assert [row[:5] for row in rows(reader, "refused")] == [
        ["2/1", "desk-2", "nxt", "1", "symbol_unknown time_future"], ["2/1", "desk-2", "nxt", "0", "symbol_unknown"],
        ["1/1", "desk-1", "krx", "1", "symbol_unknown time_future"], ["1/1", "desk-1", "krx", "0", "symbol_unknown"],
    ]  # fmt: skip
    assert firsts(reader, "refused", reason="time_future", since="day") == ["2/1", "1/1"]
    assert firsts(reader, "refused", reason="time_future", feed="krx") == ["1/1"]
    assert firsts(reader, "refused", symbol="005930") == ["2/1", "1/1"]
    assert [row[:4] for row in rows(reader, "letters", code="bad_batch", since="day")] == [
        ["2/1", "desk-2", "nxt", "bad_batch"], ["1/1", "desk-1", "krx", "bad_batch"],
    ]  # fmt: skip
    assert firsts(reader, "letters", code="too_many_rows") == []
    assert [(row[0], row[1], row[4], row[5]) for row in rows(reader, "gaps", date=DAY.isoformat())] == [
        ("nxt", "all", "2", "12.5"), ("krx", "005930", "1", "12.5"),
    ]  # fmt: skip
    assert firsts(reader, "gaps", symbol="005930", feed="krx", reason="volume_hole") == ["krx"]
    assert firsts(reader, "gaps", reason="volume") == []
    assert [row[4:6] for row in rows(reader, "voided", date=DAY.isoformat(), feed="nxt")] == [["70,000.5", "3"]]
    assert rows(reader, "rollovers", date=DAY.isoformat())[0][:6] == ["2026-03-13", "done", "15", "6", "–", "1"]
    assert rows(reader, "backups")[0][:4] == ["full-1", "full", "failed", "2,500,000"]
    assert [row[:3] for row in rows(reader, "dropped", kind="ticks")] == [["2026-03-13", "ticks", "1,234"]]
    for name in ("refused", "letters", "gaps", "voided", "rollovers", "backups"):
        assert "secret" not in reader.get(f"/lists/{name}").text


def test_who_may_read_one_feed_sees_the_rows_of_it_alone(serving):
    ledger()
    aside()
    someone = person("viewer")
    ReadRule.objects.create(user=someone, feeds="nxt")
    reader = browser_of(someone)

    for name, place in (("batches", 2), ("refused", 2), ("letters", 2), ("gaps", 0), ("voided", 1)):
        assert {row[place] for row in rows(reader, name)} == {"nxt"}, name
        assert rows(reader, name, feed="krx") == [], name
    assert reader.get("/lists/books", {"symbol": "005930", "feed": "krx"}).status_code == 403
    assert reader.get("/lists/days", {"symbol": "005930", "feed": "krx"}).status_code == 403


def test_a_symbol_has_its_dates_and_its_order_books_with_what_lay_at_a_price(serving):
    serving.commit([{"price": "70000", "size": "10"}, {"price": "70200", "size": "30"}])
    reader = browser_of(person("viewer"))

    assert [row[:1] + row[4:5] + row[7:11] for row in rows(reader, "days", symbol="005930", feed="krx")] == [
        ["2026-03-16", "70,200", "40", "2,806,000", "2", "70,150.00"]
    ]
    keep(*(book(at) for at in range(150)), book(200, bids=(("70000", "6"),), tick_id=1), book(1, feed="nxt", tick_id=2))
    lay = [row[1:3] for row in rows(reader, "books", symbol="005930", feed="krx", price="70000")]
    assert lay == [["6", "–"], *[["5", "–"]] * 99]
    assert {(*row[1:3],) for row in rows(reader, "books", symbol="005930", feed="krx", price="69900.5")} == {
        ("7.5", "–"), ("–", "–"),
    }  # fmt: skip
    newest = rows(reader, "books", symbol="005930", feed="krx")
    assert newest[1] == [shown(NINE_US + 149), "5", "70,000", "70,100", "3", "100", "–", "–", "–", "–"]
    older = re.search(r"before=([0-9.]+)", reader.get("/lists/books?symbol=005930&feed=krx").text)
    assert older
    rest = rows(reader, "books", symbol="005930", feed="krx", before=older[1])
    assert 'href="/?feed=krx&amp;symbol=005930&amp;timeframe=1Min"' in reader.get("/lists/books?symbol=005930").text
    assert [row[0] for row in newest[1:] + rest] == [shown(NINE_US + at) for at in range(149, -1, -1)]


@pytest.mark.once
@pytest.mark.parametrize(
    "address",
    [
        "batches?date=tomorrow", "refused?date=0001-01-01", "batches?before=x", "gaps?before=9999999999999999999",
        "batches?nothing=1", "days", "books?symbol=%EA%B0%80",
        "refused?since=ever", "books?symbol=005930&price=-1", "batches?late=2",
        "batches?date=2026-03-13&date=2026-03-14",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_read_says_so(serving, address):
    answer = browser_of(person("viewer")).get(f"/lists/{address}", headers={"Accept": "text/html"})

    assert answer.status_code == 400
    assert "cannot be read" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        {"before": f"{2**63 - 1}.{2**63 - 1}"}, {"before": "0"}, {"date": "9999-12-30"}, {"symbol": "A'%_\\\"B"},
        {"price": "0.00000001"}, {"price": "99999999999"}, {"reason": "🙂%_'"}, {"code": "a" * 32},
    ],
)  # fmt: skip
def test_no_list_fails_at_an_odd_word(serving, query):
    ledger()
    aside()
    reader = browser_of(person("viewer"))

    for name in LISTS:
        given = {"symbol": "005930"} | query if name in ("days", "books") else query
        assert reader.get(f"/lists/{name}", given).status_code in (200, 400, 404), name


@pytest.mark.once
def test_lists_are_for_whoever_may_see_the_pages(serving, settings):
    for name in ("batches", "nothing"):
        settings.PAGE_PUBLIC = False
        assert Browser().get(f"/lists/{name}").status_code == 302
        assert browser_of(person("", name)).get(f"/lists/{name}").status_code == 302
    reader = browser_of(person("viewer"))
    assert reader.get("/lists/nothing").status_code == 404
    assert reader.post("/lists/batches").status_code == 405
    assert reader.get("/lists/days", {"symbol": "nobody"}).status_code == 404
    assert reader.get("/lists/batches", {"feed": "nobody"}).status_code == 404
    settings.PAGE_PUBLIC = True
    assert Browser().get("/lists/batches").status_code == 200
