"""Alerts on their way to targets: signed, repeated with growing pauses, once for each, none in another's way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import hmac
import ipaddress
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core import mail
from django.db import connection
from django.test import Client as Browser
from django.utils import translation

from analytics.alerts import announcements, deliveries, rules, targets
from analytics.alerts.rules import RefusedError
from analytics.delivery import addresses, webhooks
from celery_app import app
from marketdata.models import Alarm, Alert, AlertDelivery, AlertRule, AlertTarget, ReadRule
from marketdata.reference import second_factors
from tests.waiting import until

NOW = datetime.datetime(2026, 11, 28, 3, tzinfo=datetime.UTC)
HOLDING_S = 3600.0


class Receiver(ThreadingHTTPServer):
    """Somebody's server on loopback: keeps what it is sent, and answers by the path."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, dict(self.headers), body))
        place, _, hook = self.path.partition("/hooks/")
        if place == "/silent":
            self.server.over.wait(HOLDING_S)
            return
        self.send_response({"/broken": 500, "/elsewhere": 302}.get(place, 200 if hook else 204))
        if place == "/elsewhere":
            self.send_header("Location", "/inside")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(10 if place == "/huge" else 0):
                self.wfile.write(bytes(1 << 20))
            while place == "/slow" and not self.server.over.wait(0.2):
                self.wfile.write(b"x")

    def log_message(self, *given: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def owner(krx_symbols, redis, settings):
    settings.ALERT_WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    settings.EMAIL_HOST, settings.LANGUAGE_CODE = "mail.example", "ko"
    person = get_user_model().objects.create_user("trader")
    person.groups.add(*_viewers())
    return person


def alert(owner, *to: AlertTarget, symbol: str = "005930", quiet: bool = False) -> Alert:
    rule, _ = AlertRule.objects.get_or_create(
        owner=owner, name="up", defaults={"kind": "price", "symbols": ["005930"], "parameters": {}}
    )
    rule.targets.add(*to)
    made = Alert.objects.create(
        rule=rule, revision=1, owner=owner, name="up", kind="price", feed="krx", symbol=symbol, episode=1,
        value="70000", message="005930 trades at 70000", texts={"ko": "005930 체결가 70000"}, event_us=1, fired_at=NOW,
        quiet=quiet,
    )  # fmt: skip
    announcements.announce()
    AlertDelivery.objects.filter(alert=made).update(next_at=NOW)
    return made


def webhook(owner, receiver, path: str) -> tuple[AlertTarget, str]:
    return targets.make(owner.pk, path, "webhook", receiver.url(path))


def states() -> dict[str, tuple[str, int]]:
    return {one.target.name: (one.state, one.attempts) for one in AlertDelivery.objects.select_related("target")}


def test_a_webhook_is_signed_with_what_was_shown_once(owner, receiver):
    target, secret = webhook(owner, receiver, "/hook")
    one = alert(owner, target)

    assert deliveries.deliver(NOW) == 1
    assert deliveries.deliver(NOW + datetime.timedelta(days=1)) == 0

    ((path, headers, body),) = receiver.heard
    moment, _, digest = headers["X-Naru-Signature"].removeprefix("t=").partition(",v1=")
    assert hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest() == digest
    told = json.loads(body)
    assert (path, told["id"], told["symbol"], told["text"]) == ("/hook", one.pk, "005930", "005930 체결가 70000")
    assert "owner" not in told
    assert states() == {"/hook": ("delivered", 1)}
    target.refresh_from_db()
    assert secret not in repr((target.sealed, target.shown, targets.way(target)))
    assert receiver.url("/hook") not in target.sealed


def test_what_fails_is_repeated_with_growing_pauses_and_given_up_and_holds_up_no_other(owner, receiver):
    bad, _ = webhook(owner, receiver, "/broken")
    good, _ = webhook(owner, receiver, "/hook")
    moved, _ = webhook(owner, receiver, "/elsewhere")
    alert(owner, bad, good, moved)

    assert deliveries.deliver(NOW) == 1
    assert [path for path, *_ in receiver.heard].count("/inside") == 0  # a redirect is not followed
    assert states() == {"/broken": ("waiting", 1), "/hook": ("delivered", 1), "/elsewhere": ("waiting", 1)}
    assert set(AlertDelivery.objects.exclude(error="").values_list("error", flat=True)) == {
        "answered 500", "answered 302",
    }  # fmt: skip
    assert deliveries.deliver(NOW) == 0
    assert states()["/broken"] == ("waiting", 1)  # its pause is not over

    alert(owner, symbol="000660")
    assert deliveries.deliver(NOW) == 1
    at, pauses = NOW, []
    while (row := AlertDelivery.objects.filter(target=bad).order_by("pk").first()) and row.state == "waiting":
        pauses.append((row.next_at - at).total_seconds())
        at = row.next_at
        deliveries.deliver(at)
    assert row is not None
    assert (row.state, row.attempts) == ("failed", deliveries.TRIES)
    assert pauses[0] < 13
    assert pauses[-1] > 2000
    assert len(pauses) == deliveries.TRIES - 1


@pytest.mark.once
def test_a_server_that_says_nothing_is_given_up_and_others_do_not_wait_for_it(owner, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "LONGEST_S", 10.0)  # for the other one on a busy machine
    silent, _ = webhook(owner, receiver, "/silent")
    good, _ = webhook(owner, receiver, "/hook")
    alert(owner, silent, good)

    assert deliveries.deliver(NOW) == 1
    assert states() == {"/silent": ("waiting", 1), "/hook": ("delivered", 1)}
    assert AlertDelivery.objects.get(target=silent).error.startswith("no answer within")


def test_an_attempt_that_another_worker_makes_is_not_made_twice(owner, receiver):
    target, _ = webhook(owner, receiver, "/hook")
    alert(owner, target)
    (seen,) = deliveries._due(NOW)
    assert deliveries.deliver(NOW) == 1

    assert deliveries._claimed(seen, NOW) is None
    assert len(receiver.heard) == 1


def test_e_mail_is_sent_and_quiet_hours_deliver_nothing(owner):
    target, secret = targets.make(owner.pk, "me", "email", "trader@desk.example")
    alert(owner, target, quiet=True)
    assert not AlertDelivery.objects.exists()

    alert(owner, target, symbol="000660")
    assert deliveries.deliver(NOW) == 1

    (sent,) = mail.outbox
    assert (sent.to, sent.subject, sent.body) == (["trader@desk.example"], "[Naru] up", "005930 체결가 70000")
    assert (secret, target.shown) == ("", "tr…@desk.example")


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "address", "field"),
    [
        ("webhook", "http://10.0.0.1/", "address"), ("webhook", "http://169.254.169.254/latest", "address"),
        ("webhook", "http://localhost.:1/#x", "address"), ("email", "nobody", "address"), ("fax", "1", "kind"),
    ],
)  # fmt: skip
def test_a_target_that_is_none_is_refused(owner, kind, address, field):
    with pytest.raises(RefusedError) as caught:
        targets.make(owner.pk, "x", kind, address)

    assert set(caught.value.fields) == {field}


@pytest.mark.once
def test_targets_by_rest_are_ones_own_and_tried_out(owner, receiver, settings):
    settings.ALERT_MAX_TARGETS = 1
    mine, other = Browser(), Browser()
    mine.force_login(owner)
    stranger = get_user_model().objects.create_user("stranger")
    stranger.groups.add(*_viewers())
    other.force_login(stranger)
    given = {"name": "desk", "kind": "webhook", "address": receiver.url("/broken")}

    made = mine.post("/v2/alerts/targets", given, content_type="application/json")
    again = mine.post("/v2/alerts/targets", given | {"name": "b"}, content_type="application/json")
    number = made.json()["id"]

    assert (made.status_code, again.status_code) == (201, 422)
    assert made.json()["secret"].startswith("whsec_")
    assert [[("secret" in one, one["shown"]) for one in who.get("/v2/alerts/targets").json()["targets"]]
            for who in (mine, other)] == [[(False, "http://127.0.0.1/…")], []]  # fmt: skip
    rule = {"name": "r", "kind": "limit", "parameters": {"direction": "above"}, "symbols": ["005930"],
            "targets": [number]}  # fmt: skip
    answers = [who.post("/v2/alerts/rules", rule, content_type="application/json") for who in (mine, other)]
    assert [one.status_code for one in answers] == [201, 422]
    assert answers[0].json()["targets"] == [number]
    test = f"/v2/alerts/targets/{number}/test"
    assert [who.post(test).status_code for who in (mine, other)] == [200, 404]
    assert mine.post(test).json() == {"delivered": False, "error": "answered 500"}
    in_korean = mine.post(test, headers={"Accept-Language": "ko"}).json()
    assert in_korean == {"delivered": False, "error": "응답 500"}
    assert [who.delete(f"/v2/alerts/targets/{number}").status_code for who in (other, mine)] == [404, 204]


def test_who_may_not_read_the_feed_any_more_or_is_not_active_is_told_nothing(owner, receiver):
    target, _ = webhook(owner, receiver, "/hook")
    alert(owner, target)
    right = ReadRule.objects.create(user=owner, feeds="nxt")

    assert deliveries.deliver(NOW) == 0
    assert states() == {"/hook": ("failed", 0)}
    refused = AlertDelivery.objects.get()
    with translation.override("ko"):
        assert (refused.error, refused.failure) == (
            "its owner may not read krx", "소유자에게 피드 krx 조회 권한이 없습니다",
        )  # fmt: skip
    right.delete()
    alert(owner, symbol="000660")
    get_user_model().objects.filter(pk=owner.pk).update(is_active=False)
    assert deliveries.deliver(NOW) == 0
    assert receiver.heard == []
    get_user_model().objects.filter(pk=owner.pk).update(is_active=True)
    alert(owner, symbol="035420")
    assert deliveries.deliver(NOW) == 1


def test_a_name_of_several_lines_is_no_header_and_a_message_that_cannot_be_sent_holds_up_no_other(owner, receiver):
    me, _ = targets.make(owner.pk, "me", "email", "trader@desk.example")
    good, _ = webhook(owner, receiver, "/hook")
    odd, _ = webhook(owner, receiver, "/odd")
    AlertTarget.objects.filter(pk=odd.pk).update(
        sealed=second_factors.seal(json.dumps([receiver.url("/odd") + "\x7f", "s"]))
    )
    one = alert(owner, me, good, odd)
    Alert.objects.filter(pk=one.pk).update(name="up\r\nBcc: everybody@desk.example")

    assert deliveries.deliver(NOW) == 2

    assert mail.outbox[0].subject == "[Naru] up Bcc: everybody@desk.example"
    assert mail.outbox[0].recipients() == ["trader@desk.example"]
    assert states() == {"me": ("delivered", 1), "/hook": ("delivered", 1), "/odd": ("waiting", 1)}


def test_each_attempt_has_the_id_of_its_delivery(owner, receiver):
    me, _ = targets.make(owner.pk, "me", "email", "trader@desk.example")
    bad, _ = webhook(owner, receiver, "/broken")
    alert(owner, me, bad)

    deliveries.deliver(NOW)
    AlertDelivery.objects.update(next_at=NOW, state="waiting")  # the worker died before it noted anything
    deliveries.deliver(NOW)

    assert len({one.extra_headers["Message-ID"] for one in mail.outbox}) == 1
    assert [headers["X-Naru-Delivery"] for _, headers, _ in receiver.heard] == [
        str(AlertDelivery.objects.get(target=bad).pk)
    ] * 2
    assert len(mail.outbox) == 2


@pytest.mark.once
def test_an_attempt_is_begun_only_while_it_cannot_outlast_its_claim(owner, receiver, monkeypatch):
    target, _ = webhook(owner, receiver, "/hook")
    alert(owner, target)
    longest = deliveries.TURN_S + deliveries.LONGEST_ATTEMPT_S
    monkeypatch.setattr(deliveries, "TURN_S", 0.0)

    assert deliveries.deliver(NOW) == 0
    assert receiver.heard == []
    assert states() == {"/hook": ("waiting", 0)}
    assert longest < min(app.conf.task_soft_time_limit, deliveries.CLAIM_S)


@pytest.mark.once
def test_who_is_slow_is_waited_for_by_no_other_also_not_by_what_comes_meanwhile(owner, receiver, monkeypatch):
    for where, name in ((webhooks, "LONGEST_S"), (deliveries, "TURN_S")):
        monkeypatch.setattr(where, name, HOLDING_S)
    silent, _ = webhook(owner, receiver, "/silent")
    good, _ = webhook(owner, receiver, "/hook")
    alert(owner, silent)
    noted = []

    def meanwhile() -> None:
        try:
            until(lambda: bool(receiver.heard), seconds=60, what="the slow one's turn")
            AlertRule.objects.get().targets.remove(silent)
            alert(owner, good, symbol="000660")
            until(lambda: states()["/hook"] == ("delivered", 1), seconds=60, what="the other one's alert")
            noted.append(states())
        finally:
            receiver.over.set()
            connection.close()

    beside = threading.Thread(target=meanwhile)
    beside.start()
    assert deliveries.deliver(NOW) == 1
    beside.join()

    assert noted == [{"/silent": ("waiting", 1), "/hook": ("delivered", 1)}]
    assert [path for path, *_ in receiver.heard] == ["/silent", "/hook"]


@pytest.mark.once
def test_an_answer_counts_by_its_status_however_long_and_slow_its_content_is(owner, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "LONGEST_S", HOLDING_S)
    alert(owner, *(webhook(owner, receiver, path)[0] for path in ("/slow/hooks/a", "/huge/hooks/b")))

    assert deliveries.deliver(NOW) == 2
    assert states() == {"/slow/hooks/a": ("delivered", 1), "/huge/hooks/b": ("delivered", 1)}


def test_what_is_repeated_in_quiet_hours_waits_for_their_end(owner, receiver):
    bad, _ = webhook(owner, receiver, "/broken")
    alert(owner, bad)  # at noon in Seoul
    AlertRule.objects.update(quiet_from=datetime.time(12, 30), quiet_until=datetime.time(6))
    deliveries.deliver(NOW)
    assert states() == {"/broken": ("waiting", 1)}
    night = NOW + datetime.timedelta(hours=13, minutes=15)
    AlertDelivery.objects.update(next_at=night)

    assert deliveries.deliver(night) == 0
    assert states() == {"/broken": ("waiting", 1)}
    morning = NOW + datetime.timedelta(hours=18)
    assert AlertDelivery.objects.get().next_at == morning
    deliveries.deliver(morning)
    assert states() == {"/broken": ("waiting", 2)}


def test_what_fired_before_the_clock_was_set_back_is_delivered_now_and_its_pauses_are_kept(owner, receiver):
    target, _ = webhook(owner, receiver, "/hook")
    for symbol, attempts in (("005930", 0), ("000660", 1)):
        ahead = NOW + datetime.timedelta(hours=9)
        one = alert(owner, target, symbol=symbol)
        Alert.objects.filter(pk=one.pk).update(fired_at=ahead)
        AlertDelivery.objects.filter(alert=one).update(next_at=ahead, attempts=attempts)

    assert deliveries.deliver(NOW) == 1
    assert [json.loads(body)["symbol"] for *_, body in receiver.heard] == ["005930"]


@pytest.mark.once
def test_a_name_is_resolved_once_and_what_was_looked_at_is_connected_to(receiver):
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    port = receiver.server_address[1]
    asyncio.run(
        webhooks.send(
            addresses.Endpoint("http", "hook.example", port, "/hook?x=1"), "s", b"{}", at_s=1, delivery="1",
            allowed=[ipaddress.ip_network("127.0.0.0/8")], resolve=resolve, longest_s=60.0,
        )
    )  # fmt: skip

    ((path, headers, _),) = receiver.heard
    assert (path, headers["Host"], asked) == ("/hook?x=1", f"hook.example:{port}", ["hook.example"])


@pytest.mark.parametrize("name", ["a\nBcc: x", "\x07", "", "line\u2028line"])
def test_names_are_one_line(owner, receiver, name):
    with pytest.raises(RefusedError) as caught:
        targets.make(owner.pk, name, "webhook", receiver.url("/hook"))
    assert set(caught.value.fields) == {"name"}

    made = AlertRule(
        owner=owner, name=name, kind="price", parameters={"direction": "above", "level": "1"}, symbols=["005930"]
    )
    with pytest.raises(RefusedError) as caught:
        rules.save(made)
    assert set(caught.value.fields) == {"name"}


def test_what_the_version_before_notes_beside_older_texts_is_told_as_it_is(owner, receiver):
    target, _ = webhook(owner, receiver, "/broken")
    alert(owner, target)
    deliveries.deliver(NOW)
    browser = Browser()
    browser.force_login(owner)

    for error, korean in (("answered 500", "응답 500"), ("TimeoutError", "TimeoutError"), ("", "")):
        AlertTarget.objects.update(error=error)
        AlertDelivery.objects.update(error=error)
        with translation.override("ko"):
            assert [one.failure for one in (AlertTarget.objects.get(), AlertDelivery.objects.get())] == [korean] * 2
        (told,) = browser.get("/v2/alerts/targets").json()["targets"]
        assert (told["error"], told["texts"]) == (error, {"ko": korean} if korean != error else {})


def alarmed() -> list[tuple[str, str]]:
    return list(Alarm.objects.filter(code=deliveries.CODE, cleared_at=None).values_list("subject", "message"))


def test_a_target_says_what_arrived_and_what_failed_and_others_hear_of_one_that_fails(owner, receiver):
    bad, _ = webhook(owner, receiver, "/broken")
    good, _ = webhook(owner, receiver, "/hook")
    alert(owner, bad, good)
    at = NOW
    for tried in range(1, deliveries.TOLD_AT + 1):
        assert alarmed() == []
        deliveries.deliver(at)
        row = AlertDelivery.objects.get(target=bad)
        assert row.attempts == tried
        at = row.next_at

    ((subject, message),) = alarmed()
    assert subject == f"target {bad.pk}"
    assert message == "alerts of trader do not arrive at /broken (http://127.0.0.1/…): answered 500"
    with translation.override("ko"):
        alarm = Alarm.objects.get(code=deliveries.CODE)
        assert alarm.shown == "trader의 알림을 /broken(http://127.0.0.1/…)에 전달하지 못하고 있습니다: 응답 500"
        assert (row.error, row.failure) == ("answered 500", "응답 500")
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.delivered_at, bad.error, good.failed_at, good.error) == (None, "answered 500", None, "")
    browser = Browser()
    browser.force_login(owner)
    told = {one["name"]: one for one in browser.get("/v2/alerts/targets").json()["targets"]}
    assert [told["/broken"][name] for name in ("delivered_at", "error", "texts")] == [
        None, "answered 500", {"ko": "응답 500"},
    ]  # fmt: skip
    assert datetime.datetime.fromisoformat(told["/broken"]["failed_at"]) == bad.failed_at
    assert datetime.datetime.fromisoformat(told["/hook"]["delivered_at"]) == good.delivered_at
    deliveries.deliver(NOW)
    assert len(alarmed()) == 1  # it stands as long as the newest attempt failed

    AlertTarget.objects.filter(pk=bad.pk).update(sealed=AlertTarget.objects.get(pk=good.pk).sealed)  # mended
    assert deliveries.try_out(AlertTarget.objects.get(pk=bad.pk)) == ""
    deliveries.deliver(NOW)
    assert alarmed() == []
    bad.refresh_from_db()
    assert bad.failed_at is not None
    assert bad.delivered_at is not None
    assert bad.delivered_at > bad.failed_at
    assert bad.error == "answered 500"


def test_an_alarm_of_a_target_ends_with_the_target(owner, receiver):
    bad, _ = webhook(owner, receiver, "/broken")
    alert(owner, bad)
    AlertDelivery.objects.update(attempts=deliveries.TRIES - 1)
    deliveries.deliver(NOW)
    assert [subject for subject, _message in alarmed()] == [f"target {bad.pk}"]

    owner.delete()
    deliveries.deliver(NOW)

    assert alarmed() == []


def test_what_was_given_up_is_delivered_again_from_the_administration_and_nothing_else(owner, receiver):
    target, _ = webhook(owner, receiver, "/hook")
    alert(owner, target)
    alert(owner, target, symbol="000660")
    AlertDelivery.objects.filter(alert__symbol="005930").update(
        state="failed", attempts=deliveries.TRIES, error="answered 500"
    )
    later = NOW + datetime.timedelta(days=300)
    AlertDelivery.objects.filter(alert__symbol="000660").update(attempts=2, next_at=later)
    rows = list(AlertDelivery.objects.values_list("pk", flat=True))
    browser = Browser()
    person = get_user_model().objects.create_user("kim")
    browser.force_login(person)
    person.groups.add(Group.objects.get(name="operator"))
    given = {"action": "deliver_again", "_selected_action": rows}

    assert deliveries.deliver(NOW) == 0
    answer = browser.post("/admin/marketdata/alertdelivery/", given, follow=True)

    assert "전달 1건을 다시 시도합니다." in answer.text
    assert deliveries.deliver(datetime.datetime.now(datetime.UTC)) == 1
    assert [json.loads(body)["symbol"] for *_, body in receiver.heard] == ["005930"]
    assert AlertDelivery.objects.get(alert__symbol="000660").attempts == 2
    noted = LogEntry.objects.filter(content_type__model="alertdelivery").values_list("object_id", "user__username")
    assert list(noted) == [(str(AlertDelivery.objects.get(alert__symbol="005930").pk), "kim")]
    again = browser.post("/admin/marketdata/alertdelivery/", given, follow=True)
    assert "포기한 것이 없습니다" in again.text


def test_only_so_many_are_delivered_again_at_once_and_it_is_said_that_there_are_more(owner, receiver, monkeypatch):
    monkeypatch.setattr("api.admin.alerts.MOST_AT_ONCE", 2)
    target, _ = webhook(owner, receiver, "/hook")
    for symbol in ("005930", "000660", "035720"):
        alert(owner, target, symbol=symbol)
    AlertDelivery.objects.update(state="failed", attempts=deliveries.TRIES, error="answered 500")
    browser = Browser()
    person = get_user_model().objects.create_user("kim")
    browser.force_login(person)
    person.groups.add(Group.objects.get(name="operator"))
    given = {"action": "deliver_again", "_selected_action": list(AlertDelivery.objects.values_list("pk", flat=True))}

    answer = browser.post("/admin/marketdata/alertdelivery/", given, follow=True)

    assert "가장 오래된 2건을 다시 전달합니다" in answer.text
    failed = AlertDelivery.objects.filter(state="failed").values_list("alert__symbol", flat=True)
    assert list(failed) == ["035720"]


def _viewers() -> Any:
    return Group.objects.filter(name="viewer")
