"""Rules of people by REST and on the stream: whose they are, who sees what, and what is refused with which words."""

from __future__ import annotations

import functools
import json
import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser

from analytics.alerts import due
from api.auth import access
from api.auth.authentication import KEY_HEADER, SECRET_HEADER
from api.views import alerts as alerts_view
from marketdata.ledger import batch_ledger
from marketdata.models import Alert, AlertRule, Feed, ReadRule, Symbol, Watchlist
from marketdata.realtime import live_state
from marketdata.reference import api_keys
from tests.integration.serving import beside, commit, hub, serving

__all__ = ["hub", "serving"]

RULE: dict[str, Any] = {
    "name": "삼성전자 7만", "kind": "price", "parameters": {"direction": "above", "level": "70000"},
    "symbols": ["005930"], "cooldown_s": 0,
}  # fmt: skip


class Person(Browser):
    """Somebody who is logged in, and asks in JSON."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__(raise_request_exception=False)
        self.user = get_user_model().objects.create_user(name)
        self.user.groups.add(Group.objects.get(name=role))
        self.force_login(self.user)

    def say(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        answer = self.generic(
            method, path, "" if content is None else json.dumps(content), content_type="application/json"
        )
        return answer.status_code, json.loads(answer.content) if answer.content else None


@pytest.fixture
def people(serving):
    live_state.connection().set(live_state.SEEDED, "test")
    return Person("trader", "viewer"), Person("other", "quant"), Person("desk", "operator")


def alert(person: Person, **other: Any) -> Alert:
    rule = AlertRule.objects.create(owner=person.user, **{**RULE, **other})
    due.watch()
    return Alert.objects.get(rule=rule)


def now_trade(price: str = "70500", **other: Any) -> dict[str, Any]:
    return {"time": batch_ledger.now_us(), "price": price, **other}


def test_a_rule_is_made_changed_and_deleted_by_its_owner_and_seen_by_who_operates(people):
    trader, other, desk = people

    status, made = trader.say("POST", "/v2/alerts/rules", RULE)
    assert (status, made["owner"], made["market"], made["enabled"]) == (201, "trader", None, True)
    address = f"/v2/alerts/rules/{made['id']}"
    night = {"quiet_from": "22:00", "quiet_until": "07:30", "parameters": {"direction": "below", "level": "69000.50"}}
    status, changed = trader.say("PATCH", address, night)
    assert status == 200
    assert {name: changed[name] for name in night} == {
        **night,
        "parameters": {"direction": "below", "level": "69000.5"},
    }
    assert AlertRule.objects.get().revision == 2
    assert trader.say("PATCH", address, {"name": "only the name"})[0] == 200
    assert AlertRule.objects.get().revision == 2

    assert [len(one.say("GET", "/v2/alerts/rules")[1]["rules"]) for one in people] == [1, 0, 1]
    assert [one.say("GET", address)[0] for one in people] == [200, 404, 200]
    assert [one.say("PATCH", address, {"enabled": False})[0] for one in (other, desk)] == [404, 404]
    assert [one.say("DELETE", address)[0] for one in (other, desk, trader)] == [404, 404, 204]
    assert not AlertRule.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"parameters": {"direction": "up"}}, 422, {"direction", "level"}),
        ({"symbols": ["NOBODY"]}, 422, {"symbols"}),
        ({"symbols": []}, 422, {"symbols"}),
        ({"market": "KRX"}, 422, {"market"}),
        ({"market": "MARS", "symbols": []}, 404, None),
        ({"feed": "nobody"}, 404, None),
        ({"quiet_from": "22:00"}, 422, {"quiet_from"}),
        ({"quiet_from": "25:00"}, 400, {"quiet_from"}),
        ({"cooldown_s": -1}, 400, {"cooldown_s"}),
        ({"kind": "weather"}, 400, {"kind"}),
        ({"colour": "red"}, 400, None),
        ({"symbols": "005930"}, 400, {"symbols"}),
        ({"parameters": {"direction": "above", "level": "70000", "percent": 3}}, 422, {"parameters"}),
        ({"kind": "stale", "parameters": {"seconds": "5"}}, 422, {"seconds"}),
        ({"kind": "alarm", "parameters": {"code": "rollover_failed"}}, 422, {"symbols"}),
        ({"kind": "alarm", "parameters": {"code": "roll_over"}, "symbols": []}, 422, {"code"}),
        ({"kind": "terminal", "parameters": {"client": "nobody", "seconds": "60"}, "symbols": []}, 422, {"client"}),
        ({"targets": [10**30]}, 400, {"targets"}),
        ({"targets": [2**63 - 1]}, 422, {"targets"}),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_by_field(people, change, status, named):
    found, told = people[0].say("POST", "/v2/alerts/rules", RULE | change)

    assert (found, told.get("errors") and set(told["errors"])) == (status, named)
    assert told["message"]
    assert not AlertRule.objects.exists()


STALE: dict[str, Any] = {"name": "silent", "kind": "stale", "parameters": {"seconds": "60"}}


@pytest.mark.once
def test_a_rule_on_silence_is_refused_where_nobody_knows_when_trades_may_come(people):
    Symbol.objects.create(code="AAPL", market_id="US", primary_feed="bloomberg")
    Symbol.objects.create(code="000030", market_id="KRX", primary_feed="kis_night")
    Feed.objects.get_or_create(name="kis_night")
    Feed.objects.get_or_create(name="krx")
    trader = people[0]
    owner = trader.user
    for name, codes in (("mixed", ["AAPL", "005930"]), ("abroad", ["AAPL"])):
        Watchlist.objects.create(user=owner, name=name, symbols=codes)
    lists = {one.name: str(one.pk) for one in Watchlist.objects.all()}

    def refused(**scope):
        status, told = trader.say("POST", "/v2/alerts/rules", STALE | scope)
        assert status in (201, 422), told
        if status == 201:
            trader.say("DELETE", f"/v2/alerts/rules/{told['id']}")
        return told.get("errors")

    unknown = "is one whose hours are not known, so its silence is never told"
    named = "has symbols whose trading hours are not known, so their silence is never told: "
    assert refused(market="US") == {"market": unknown}
    assert refused(symbols=["005930"], feed="kis_night") == {"feed": unknown}
    assert refused(symbols=["005930", "AAPL", "000030"]) == {"symbols": named + "000030, AAPL"}
    assert refused(watchlist=lists["abroad"]) == {"watchlist": named + "AAPL"}
    for known in ({"market": "KRX"}, {"watchlist": lists["mixed"]}, {"symbols": ["000030"], "feed": "krx"}):
        assert refused(**known) is None, known
    assert refused(market="US", kind="gap") is None  # what is missing is known without hours

    # One that was made before may be switched off, and says so when it is changed.
    old = AlertRule.objects.create(owner=owner, **STALE, market_id="US")
    address = f"/v2/alerts/rules/{old.pk}"
    assert trader.say("PATCH", address, {"name": "still silent"})[0] == 422
    assert trader.say("PATCH", address, {"enabled": False})[0] == 200
    assert trader.say("PATCH", address, {"enabled": True})[1]["errors"] == {"market": unknown}


@pytest.mark.once
def test_a_body_that_is_no_object_is_refused(people):
    bodies: list[Any] = [[], "x", 1, None]
    for body in bodies:
        assert people[0].say("POST", "/v2/alerts/rules", body)[0] == 400


def test_a_person_has_so_many_rules_and_each_name_once(people, settings):
    settings.ALERT_MAX_RULES = 2
    trader, other, _ = people

    answers = [trader.say("POST", "/v2/alerts/rules", RULE | {"name": name}) for name in ("a", "a", "b", "c")]

    assert [status for status, _ in answers] == [201, 422, 201, 422]
    assert [set(told["errors"]) for _, told in (answers[1], answers[3])] == [{"name"}, {"owner"}]
    assert other.say("POST", "/v2/alerts/rules", RULE | {"name": "a"})[0] == 201


@pytest.mark.once
def test_keys_read_what_their_person_may_and_change_nothing_and_clients_have_no_alerts(people, serving):
    trader, _, _ = people
    key, secret = api_keys.issue(user=trader.user, name="script", feeds="*")
    headers = {KEY_HEADER: key.key_id, SECRET_HEADER: secret}
    serving.commit([now_trade()])
    one = alert(trader)

    assert json.loads(serving.get("/v2/alerts", headers=headers).content)["alerts"][0]["id"] == one.pk
    refused = [
        Browser().post("/v2/alerts/rules", RULE, content_type="application/json", headers=headers),
        Browser().post(f"/v2/alerts/{one.pk}/acknowledge", headers=headers),
        serving.get("/v2/alerts"),
        serving.get("/v2/alerts/rules"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4


@pytest.mark.once
def test_who_may_not_read_a_feed_makes_no_rule_on_it_and_does_not_see_its_alerts(people, serving):
    trader, _, _ = people
    serving.commit([now_trade()])
    one = alert(trader)
    assert [found["id"] for found in trader.say("GET", "/v2/alerts")[1]["alerts"]] == [one.pk]

    ReadRule.objects.create(user=trader.user, feeds="nxt")

    assert trader.say("GET", "/v2/alerts")[1]["alerts"] == []
    assert trader.say("POST", f"/v2/alerts/{one.pk}/acknowledge")[0] == 404  # whose answer would tell it
    assert trader.say("POST", "/v2/alerts/rules", RULE | {"name": "b"})[0] == 403
    assert trader.say("POST", "/v2/alerts/rules", RULE | {"name": "c", "feed": "krx"})[0] == 403


def test_alerts_are_listed_in_pages_filtered_counted_and_acknowledged_once(people, serving, monkeypatch):
    trader, other, desk = people
    serving.commit([now_trade(symbol=code) for code in ("005930", "000660")])
    first, second = alert(trader), alert(trader, name="하이닉스", symbols=["000660"])

    page = trader.say("GET", "/v2/alerts?limit=1")[1]
    rest = trader.say("GET", f"/v2/alerts?limit=1&page_token={page['next_page_token']}")[1]
    assert [one["id"] for one in (*page["alerts"], *rest["alerts"])] == [second.pk, first.pk]
    assert rest["next_page_token"] is None
    assert trader.say("GET", f"/v2/alerts?limit=1&kind=price&page_token={page['next_page_token']}")[0] == 400
    assert [one["id"] for one in desk.say("GET", "/v2/alerts?symbols=000660")[1]["alerts"]] == [second.pk]

    assert other.say("POST", f"/v2/alerts/{first.pk}/acknowledge")[0] == 404
    status, told = desk.say("POST", f"/v2/alerts/{first.pk}/acknowledge")
    assert (status, told["acknowledged_by"]) == (200, "desk")
    assert trader.say("POST", f"/v2/alerts/{first.pk}/acknowledge")[1]["acknowledged_by"] == "desk"
    assert [one["id"] for one in trader.say("GET", "/v2/alerts?acknowledged=false")[1]["alerts"]] == [second.pk]
    assert [one["id"] for one in trader.say("GET", "/v2/alerts?acknowledged=true")[1]["alerts"]] == [first.pk]
    assert trader.say("GET", "/v2/alerts/count?acknowledged=false") == (200, {"count": 1, "more": False})
    assert trader.say("GET", "/v2/alerts/count")[1]["count"] == len(trader.say("GET", "/v2/alerts")[1]["alerts"])
    assert other.say("GET", "/v2/alerts/count") == (200, {"count": 0, "more": False})
    monkeypatch.setattr(alerts_view, "MOST_COUNTED", 1)
    assert trader.say("GET", "/v2/alerts/count") == (200, {"count": 1, "more": True})
    assert len(trader.say("GET", "/v2/alerts?open=true")[1]["alerts"]) == 2
    assert trader.say("GET", "/v2/alerts?open=false")[1]["alerts"] == []


def test_of_several_who_acknowledge_at_once_one_is_named_to_all(people, serving):
    trader, _, desk = people
    serving.commit([now_trade()])
    one = alert(trader)
    begin, told = threading.Barrier(6), []

    def say(person: Person) -> None:
        mine = Browser()
        mine.force_login(person.user)
        try:
            begin.wait()
            answer = mine.post(f"/v2/alerts/{one.pk}/acknowledge")
            told.append((answer.status_code, answer.json()["acknowledged_by"], answer.json()["acknowledged_at"]))
        finally:
            connection.close()

    threads = [threading.Thread(target=say, args=(person,)) for person in (trader, desk) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    one.refresh_from_db()
    assert one.acknowledged_by in ("trader", "desk")
    assert len(told) == 6
    assert {(status, name) for status, name, _ in told} == {(200, one.acknowledged_by)}
    assert len({moment for *_, moment in told}) == 1


@pytest.mark.once
async def test_the_stream_tells_an_alert_to_its_owner_and_to_who_operates_and_to_nobody_else(people, serving, hub):
    trader, other, desk = people
    headers = {}
    for person in people:
        key, secret = await beside(functools.partial(api_keys.issue, user=person.user, name="s", feeds="*"))
        headers[person] = {KEY_HEADER: key.key_id, SECRET_HEADER: secret}
    await beside(lambda: AlertRule.objects.create(owner=trader.user, **RULE))
    await beside(due.watch)

    async with (
        serving.socket(**headers[trader]) as mine, serving.socket(**headers[other]) as foreign,
        serving.socket(**headers[desk]) as all_of_them, serving.socket() as client,
    ):  # fmt: skip
        for one in (mine, all_of_them):
            assert (await one.subscribe(alerts=["*"]))["alerts"] == ["*"]
        await foreign.subscribe(alerts=["005930"])
        await client.enter(serving)
        await client.say(action="subscribe", alerts=["*"])
        assert (await client.next())["code"] == 409
        await commit(serving, [now_trade()])

        told = (await mine.until("alert"))[-1]
        assert (await all_of_them.until("alert"))[-1] == told
        assert await foreign.silent()
    assert {name: told[name] for name in ("S", "kind", "x", "value", "texts", "quiet")} == {
        "S": "005930", "kind": "price", "x": "krx", "value": "70500",
        "texts": {"ko": "005930 체결가 70500: 70000 이상"}, "quiet": False,
    }  # fmt: skip


@pytest.mark.once
def test_whose_alerts_somebody_sees(people, serving):
    trader, _, desk = people

    assert [access.alerts_of(one) for one in (trader.user, desk.user, serving.reader, access.Visitor())] == [
        trader.user.pk, access.EVERYBODY, None, None,
    ]  # fmt: skip
    trader.user.is_active = False
    assert access.alerts_of(trader.user) is None


@pytest.mark.once
def test_the_page_is_for_people(people, settings):
    settings.PAGE_PUBLIC = True

    assert people[0].get("/alerts").status_code == 200
    assert Browser().get("/alerts").status_code == 302
