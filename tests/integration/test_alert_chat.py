"""Alerts to chat services: which addresses there are, where they may lead, and what a service that misbehaves costs."""

from __future__ import annotations

import datetime
import ipaddress
import json
import sys

import pytest
from django.utils import translation

from analytics.alerts import deliveries, targets
from analytics.alerts.rules import RefusedError
from analytics.delivery import addresses, chat, chat_process
from marketdata.models import AlertDelivery, AlertTarget
from tests.integration.test_alert_delivery import NOW, alert, owner, receiver, states

__all__ = ["owner", "receiver"]

TOKEN = "3ccdd113474722377935511fc85d3dd4"  # the form of Mattermost's


def target(owner, receiver, place: str = "") -> AlertTarget:
    """A Mattermost that is played by the receiver, which answers by the place."""
    address = f"mmost://127.0.0.1:{receiver.server_address[1]}{place}/{TOKEN}"
    return targets.make(owner.pk, place or "chat", "chat", address)[0]


def test_an_alert_is_a_message_of_a_chat_and_a_repetition_says_so(owner, receiver):
    made = target(owner, receiver)
    assert (made.shown, TOKEN in made.sealed) == ("mmost://127.0.0.1/…", False)
    alert(owner, made)

    assert deliveries.deliver(NOW) == 1
    ((path, _headers, body),) = receiver.heard
    assert path == f"/hooks/{TOKEN}"
    assert "005930 체결가 70000" in json.loads(body)["text"]
    assert states() == {"chat": ("delivered", 1)}

    # A worker died after it had sent, and before it noted so.
    AlertDelivery.objects.update(state="waiting", next_at=NOW)
    assert deliveries.deliver(NOW) == 1
    assert "다시 보냄" in json.loads(receiver.heard[1][2])["text"]
    assert deliveries.try_out(made) == ""
    assert len(receiver.heard) == 3


@pytest.mark.once
def test_who_has_as_many_targets_as_may_be_is_refused_before_a_process_is_started(owner, receiver, settings):
    target(owner, receiver)
    settings.ALERT_MAX_TARGETS = 1

    with pytest.raises(RefusedError) as refused:
        targets.make(owner.pk, "another", "chat", "nowhere://what only a look at the address would find wrong")

    assert set(refused.value.fields) == {"owner"}


def test_what_a_service_answers_is_told_without_its_address_and_a_redirect_is_followed_nowhere(owner, receiver, caplog):
    alert(owner, *(target(owner, receiver, place) for place in ("/broken", "/elsewhere")))

    assert deliveries.deliver(NOW) == 0
    errors = dict(AlertDelivery.objects.values_list("target__name", "error"))
    assert errors == {"/broken": "answered 500", "/elsewhere": "answered 302"}
    assert AlertDelivery.objects.get(target__name="/broken").texts == {"en": "answered 500", "ko": "응답 500"}
    assert not [path for path, *_ in receiver.heard if path == "/inside"]
    assert TOKEN not in caplog.text
    assert AlertDelivery.objects.get(target__name="/broken").next_at > NOW + datetime.timedelta(seconds=7)


def test_an_answer_without_end_ends_with_its_process_and_holds_up_no_other(owner, receiver, monkeypatch):
    monkeypatch.setattr(chat, "LONGEST_S", 6.0)
    alert(owner, *(target(owner, receiver, place) for place in ("/silent", "/slow", "/huge", "")))

    deliveries.deliver(NOW)
    found = {one.target.name: (one.state, one.error) for one in AlertDelivery.objects.select_related("target")}
    assert found["chat"] == ("delivered", "")
    assert found["/silent"][0] == found["/slow"][0] == "waiting"
    assert found["/silent"][1]


@pytest.mark.once
@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("json://127.0.0.1/x", "begins with one of"), ("file:///etc/passwd", "begins with one of"),
        ("syslog://", "begins with one of"), ("https://hooks.slack.com/services/T1/B2/x", "begins with one of"),
        (f"mmosts://mattermost.invalid/{TOKEN}", "resolved"),
        (f"mmosts://10.0.0.1/{TOKEN}", "not of the public internet"),
        (f"mmost://8.8.8.8/{TOKEN}", "https is needed"),
        (f"mmost://[::1]/{TOKEN}", "not of the public internet"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd", "no ?options"),
        ("slack://nonsense", "does not read this address"), ("mmosts://", "names no host"),
        ("mmost://127.0.0.1:99999/x", "no address"), (f"mmost://127.0.0.1/{'x' * 600}", "at most 500"),
    ],
)  # fmt: skip
def test_an_address_of_another_kind_or_that_leads_elsewhere_is_refused(owner, address, word):
    with pytest.raises(RefusedError) as caught, translation.override("en"):
        targets.make(owner.pk, "x", "chat", address)

    assert word in caught.value.fields["address"]
    assert not AlertTarget.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    "address",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "tgram://123456789:AABBccDDeeFFggHHiiJJkkLLmmNNoo11223/12315544/",
        "gchat://workspace/key/token",
    ],
)
def test_services_on_their_makers_hosts_are_known_and_shown_without_what_is_secret(owner, address):
    made, secret = targets.make(owner.pk, "x", "chat", address)

    assert (made.shown, secret) == (f"{address.partition('://')[0]}://…", "")


@pytest.mark.once
def test_each_connection_is_looked_at_and_nothing_else_is_opened():
    loopback = [ipaddress.ip_network("127.0.0.0/8")]
    look = chat_process.guard(loopback, is_plain=True)

    look("socket.connect", (None, ("127.0.0.1", 80)))
    chat_process.guard([], is_plain=False)("socket.connect", (None, ("93.184.215.14", 443, 0, 0)))
    for given in (("169.254.169.254", 80), ("10.0.0.1", 443), ("::ffff:10.0.0.1", 80), "/run/mysqld.sock", ("name", 1)):
        with pytest.raises(addresses.RefusedError):
            look("socket.connect", (None, given))
    with pytest.raises(addresses.RefusedError):
        look("socket.connect", (None, ("93.184.215.14", 80)))
    with pytest.raises(addresses.RefusedError):
        look("subprocess.Popen", ())


@pytest.mark.once
def test_apprise_is_no_part_of_who_does_not_send(owner, receiver):
    target(owner, receiver)

    assert "apprise" not in sys.modules
