"""What operators ask of the workers by hand: who may, once at a time, noted with who asked and how it ended; and the
page of it in Chromium."""

import base64
import datetime
import json
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest
from django.utils import translation

from celery_app import ROUTES, app
from ingest import notifications, tasks
from marketdata import alarms
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases, requests
from marketdata.models import (
    AuditEntry,
    BackupRun,
    Client,
    DeadLetter,
    IngestReject,
    IngestRequeue,
    IngestStream,
    Source,
    Symbol,
)
from marketdata.reference import api_keys
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.integration.page_links import unanswered, unlinked
from tests.integration.serving import REPLAY, and_leave, serving
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_roles import PASSWORD, browser_of, person
from tests.integration.test_stream_served import start_web, web
from tests.market import NINE_US
from tests.waiting import until

__all__ = ["serving", "web"]

PATH = "/v2/operations"
LONG_AGO = datetime.datetime(2026, 3, 16, tzinfo=datetime.UTC)


def said(browser, work, body=None):
    answer = browser.post(f"{PATH}/{work}", json.dumps(body or {}), content_type="application/json")
    return answer.status_code, answer.json()


def left_aside():
    """A batch that was given up, and a row of a symbol that nobody registered."""
    client, _secret = Client.objects.create_with_secret(
        name="desk-1", source=Source.objects.get(code="REPLAY"), may_send=True, feeds="*", shares_feeds=True
    )
    IngestStream.objects.create(id=1, client=client, epoch="1".zfill(16))
    for seq, symbol, dead in ((1, "005930", "failed 10 times"), (2, "000250", None)):
        row = {"symbol": symbol, "time": NINE_US + seq, "price": "70000", "size": "1"}
        message = notifications.batch_message(
            batch_number(1, seq),
            wire.encode_rows(seq, "krx", 1, [row]),
            batch_ledger.now_us(),
            REPLAY,
            None,
            dead,
            None,
        )
        tasks.process_batches(batches=[message], reply_to="test")


def worked(redis, work, *, newest=False):
    """Does as a worker the one message that waits for it (the newest of several), from the queue of its route; returns
    how it ended."""
    app.loader.import_default_modules()
    task = requests.WORKS[work]
    raw, *others = redis.lrange(ROUTES[task]["queue"], 0, -1)
    assert newest == bool(others)
    redis.delete(ROUTES[task]["queue"])
    message = json.loads(raw)
    assert message["headers"]["task"] == task
    _args, given, _embedded = msgpack.unpackb(base64.b64decode(message["body"]))
    and_leave(lambda: app.tasks[task](**given))
    return AuditEntry.objects.get(pk=given["entry"]).outcome


@pytest.mark.once
def test_people_who_operate_ask_and_nobody_else(serving, redis):
    boss = person("operator", "boss")
    key, secret = api_keys.issue(name="notebook", user=boss)

    for someone in (person("viewer"), person("quant", "lee")):
        browser = browser_of(someone)
        assert browser.get("/operations").status_code == 403
        assert "/operations" not in browser.get("/collection").text
        assert browser.get(PATH).status_code == 403
        assert [said(browser, work)[0] for work in requests.WORKS] == [403] * len(requests.WORKS)
    headers = {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": secret}
    assert serving.get(PATH, headers=headers).status_code == 403
    assert serving.get("/operations", headers={"Accept": "text/html"}).status_code == 302
    assert 'href="/operations"' in browser_of(boss).get("/collection").text
    assert not AuditEntry.objects.filter(action__in=list(requests.WORKS)).exists()


def test_what_is_asked_twice_is_queued_once_done_by_a_worker_and_noted(serving, redis):
    left_aside()
    browser = browser_of(person("operator"))
    told = browser.get(PATH).json()
    (letter,) = told["dead_letters"]
    assert (letter["batch"], letter["code"], letter["client"], letter["again"]) == (
        "1/1",
        "dead_letter",
        "desk-1",
        True,
    )
    assert letter["bytes"] == len(bytes(DeadLetter.objects.get().payload))
    assert told["rejects"]["reasons"] == {"symbol_unknown": 1}

    first = said(browser, "requeue", {"batch": "1/1", "code": "dead_letter"})
    again = said(browser, "requeue", {"reason": "symbol_unknown"})

    assert (first[0], first[1]["new"], again[0], again[1]["new"]) == (202, True, 200, False)
    assert again[1]["asked"] == first[1]["asked"]
    assert DeadLetter.objects.exists()  # a web process does nothing of it
    assert worked(redis, "requeue") == "batches 1, judged again 1, stored 1"
    assert not DeadLetter.objects.exists()
    assert len(storage().read_ticks("005930", "krx", 0, 2**62)) == 1
    assert IngestRequeue.objects.get().asked_by == "kim"
    entry = AuditEntry.objects.get(action="requeue")
    assert (entry.actor, entry.text) == ("kim", "requeue --code dead_letter --batch 1/1")

    Symbol.objects.create(code="000250", market_id="KRX")
    assert said(browser, "requeue", {"reason": "symbol_unknown"})[0] == 202
    assert browser.get(PATH).json()["asked"][0]["texts"] == {"ko": "워커를 기다리는 중"}
    assert worked(redis, "requeue") == "batches 1, judged again 1, stored 1"
    assert not IngestReject.objects.exists()
    told = browser.get(PATH).json()["asked"]
    assert [one["going"] for one in told] == [False, False]
    assert [one["texts"] for one in told] == [{"ko": "배치 1개, 1건 다시 판정, 1건 저장"}] * 2


@pytest.mark.once
def test_the_upkeep_is_done_by_workers_too_and_a_lease_that_is_held_is_told(serving, redis):
    browser = browser_of(person("operator"))

    assert {said(browser, work)[0] for work in ("rollover", "retention", "backup")} == {202}

    with leases.hold(leases.UPKEEP):
        raw = redis.lrange("maintenance", 0, -1)
        for message in raw:
            if json.loads(message)["headers"]["task"].endswith("retain_asked"):
                kept = message
        redis.delete("maintenance")
        redis.lpush("maintenance", kept)
        assert worked(redis, "retention").startswith("not done, other upkeep is at it")
    assert said(browser, "retention")[0] == 202
    assert worked(redis, "retention") == "0 periods dropped"
    redis.lpush("maintenance", *(one for one in raw if one != kept))
    assert worked(redis, "rollover") == "nothing was due, or could be done"
    made = worked(redis, "backup")
    run = BackupRun.objects.get()
    assert made.startswith(f"{run.name}: verified")
    assert (run.state, bool(run.verified_at)) == ("verified", True)


def test_what_a_dead_worker_left_may_be_asked_for_again_and_is_told_as_unfinished(serving, redis):
    browser = browser_of(person("operator"))
    number = said(browser, "rollover")[1]["asked"]["id"]
    AuditEntry.objects.filter(pk=number).update(outcome=requests.RUNNING, at=LONG_AGO)
    leases._take("asked/rollover", 2.0)  # as a worker does, which nobody renews once it is killed

    assert said(browser, "rollover")[1]["new"] is False
    assert requests.close() == 0
    until(lambda: not leases.is_held("asked/rollover"), seconds=60, what="the end of the lease")
    assert [(one["going"], one["lost"]) for one in browser.get(PATH).json()["asked"]] == [(False, True)]
    status, again = said(browser, "rollover")

    assert (status, again["new"], again["asked"]["id"] != number) == (202, True, True)
    assert requests.close() == 1
    assert AuditEntry.objects.get(pk=number).outcome == requests.LOST
    requests.carry_out(number, lambda: "done twice")  # its message, delivered late
    assert AuditEntry.objects.get(pk=number).outcome == requests.LOST
    assert worked(redis, "rollover", newest=True) == "nothing was due, or could be done"
    assert not leases.is_held("asked/rollover")


@pytest.mark.once
def test_what_no_worker_took_in_time_is_told_and_another_workers_death_is_not_taken_for_it(serving, redis):
    browser = browser_of(person("operator"))
    old = said(browser, "retention")[1]["asked"]["id"]
    AuditEntry.objects.filter(pk=old).update(at=LONG_AGO)
    assert [one["lost"] for one in browser.get(PATH).json()["asked"]] == [True]
    new = said(browser, "retention")[1]["asked"]["id"]
    left = AuditEntry.objects.create(actor="kim", action="backup", text="backup", outcome=requests.RUNNING)
    with leases.hold("asked/backup"):
        going = AuditEntry.objects.create(actor="kim", action="backup", text="backup", outcome=requests.RUNNING)
        assert requests.close() == 2
        assert requests.going("backup") == going

    with translation.override("ko"):
        assert requests.shown(AuditEntry.objects.get(pk=old)).startswith("미실행")
    outcomes = dict(AuditEntry.objects.values_list("pk", "outcome"))
    assert outcomes == {
        old: requests.NOT_TAKEN, new: requests.ASKED, left.pk: requests.LOST, going.pk: requests.RUNNING
    }  # fmt: skip


def change(browser, alarm, do):
    return browser.post(f"{PATH}/alarms/{alarm}", json.dumps({"do": do}), content_type="application/json")


def test_an_alarm_is_acknowledged_and_cleared_by_hand_with_audit_and_begins_anew(serving):
    boss, guest = browser_of(person("operator")), browser_of(person("viewer", "guest"))
    alarms.raise_alarm("disk_full", "3 GB left", subject="data")
    alarms.raise_alarm("events_off", "off")
    alarms.resolve("events_off")
    told = boss.get(PATH).json()
    (standing,), (over,) = told["alarms"], told["cleared"]
    assert (standing["code"], standing["acknowledged"], over["code"], over["cleared_by"]) == (
        "disk_full", None, "events_off", "",
    )  # fmt: skip

    assert change(guest, standing["id"], "clear").status_code == 403
    assert change(boss, standing["id"], "acknowledge").json()["acknowledged_by"] == "kim"
    alarms.raise_alarm("disk_full", "2 GB left", subject="data")
    (standing,) = boss.get(PATH).json()["alarms"]
    assert (standing["acknowledged_by"], standing["count"], standing["message"]) == ("kim", 2, "2 GB left")
    assert change(boss, standing["id"], "clear").status_code == 200
    assert change(boss, standing["id"], "clear").status_code == 404  # it does not stand any more
    assert change(boss, 2**63, "clear").status_code == 404
    assert change(boss, standing["id"], "forget").status_code == 400

    assert [one["cleared_by"] for one in boss.get(PATH).json()["cleared"]] == ["kim", ""]
    assert list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "text")) == [
        ("kim", "alarm_acknowledge", "acknowledge disk_full data"), ("kim", "alarm_clear", "clear disk_full data"),
    ]  # fmt: skip
    alarms.raise_alarm("disk_full", "1 GB left", subject="data")
    (standing,) = boss.get(PATH).json()["alarms"]
    assert (standing["count"], standing["acknowledged"], standing["cleared_by"]) == (1, None, "")


@pytest.mark.once
@pytest.mark.parametrize("body", [{}, {"code": "checksum_mismatch"}, {"reason": "no_such"}, {"batch": "0/0"},
                                  {"batch": "1"}, {"everything": True},
                                  {"code": "dead_letter", "reason": "time_future"}])  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_asked_of_nobody(serving, redis, body):
    status, told = said(browser_of(person("operator")), "requeue", body)

    assert (400 <= status < 500, bool(told["message"])) == (True, True)
    assert redis.llen("maintenance") == 0


@pytest.mark.page
@pytest.mark.once
def test_the_page_asks_after_a_second_look_and_says_what_became_of_it(web, serving, redis, road, chromium):
    left_aside()
    person("operator")
    alarms.raise_alarm("events_off", "off")
    alarms.resolve("events_off")
    alarms.raise_alarm("disk_full", "3 GB left", subject="data")
    complained: list[str] = []
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"http://{web}/login/?next=/operations", complained) as (page, expect),
    ):
        page.fill("input[name=username]", "kim")
        page.fill("input[name=password]", PASSWORD)
        page.click("form.panel button")
        page.wait_for_url(f"http://{web}/operations")
        expect(page.locator(".pages a[aria-current=page]")).to_have_text("Operations")
        expect(page.locator("#letters tr")).to_have_count(1)
        expect(page.locator("#letters tr")).to_contain_text("failed 10 times")
        led = page.locator(".operations td a, .operations li b a").evaluate_all("all => all.map((one) => one.href)")
        assert len(led) == 6  # what lies aside thrice, by its batch, its bytes and its time
        assert {address: page.request.get(address).status for address in led} == dict.fromkeys(led, 200)
        assert unlinked(page, but=("#letters", "#alarms", "#timetable")) == []  # words, and clocks
        assert unanswered(page) == []
        expect(page.locator("#rejects tr")).to_contain_text("symbol_unknownthe symbol is not registered")
        page.click("#letters button")
        expect(page.locator("#sure")).to_be_visible()
        page.click("#no")
        expect(page.locator("#asked tr")).to_have_count(0)
        for words in ("Asked a worker", "Not asked again"):
            page.click("#letters button")
            page.click("#yes")
            expect(page.locator("#said")).to_contain_text(words)
        expect(page.locator("#alarms li")).to_contain_text("3 GB left")
        page.click("#alarms button:has-text('Acknowledge')")
        page.click("#yes")
        expect(page.locator("#alarms li")).to_contain_text("acknowledged by kim")
        page.click("#alarms button:has-text('Clear')")
        page.click("#yes")
        expect(page.locator("#alarms-none")).to_be_visible()
        page.click("summary")
        expect(page.locator("#cleared li").first).to_contain_text("cleared by kim")
        expect(page.locator("#cleared li").last).to_contain_text("cleared by itself")
        assert shut_out(page) == []
        fits(page)
        page.wait_for_function("(all => all.scrollWidth <= all.clientWidth)(document.querySelector('.pages'))")
        page.set_viewport_size({"width": 1280, "height": 800})
        page.wait_for_function("document.querySelector('.bar').offsetHeight < 50")  # one row
        assert "stored 1" in aside.submit(and_leave, lambda: worked(redis, "requeue")).result()
        expect(page.locator("#letters-none")).to_be_visible()
        expect(page.locator("#asked tr")).to_contain_text("stored 1")

        # A server that is away is said, and what happened meanwhile is there once it is back.
        page.evaluate("window.untouched = true")
        assert complained == []
        road.kill("web")
        expect(page.locator("#away")).to_contain_text("What is shown is old")
        aside.submit(and_leave, lambda: alarms.raise_alarm("disk_full", "1 GB left", subject="data")).result()
        start_web(road, int(web.rpartition(":")[2]))
        expect(page.locator("#alarms li")).to_contain_text("1 GB left")
        expect(page.locator("#away")).to_be_hidden()
        assert page.evaluate("window.untouched")
    assert [text for text in complained if "ERR_" not in text] == []
