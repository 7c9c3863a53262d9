"""What people draw on charts by REST: theirs alone, exact, bounded, and refused with a word where it cannot be."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from api import drawings
from api.auth import authentication
from marketdata.models import Drawing
from marketdata.reference import api_keys
from tests.integration.serving import serving

__all__ = ["serving"]

PATH = "/v2/drawings"
LEVEL = {"symbol": "005930", "kind": "level", "points": [{"p": 70000.00000001}], "text": "support", "tone": 3}
TREND = {
    "symbol": "005930",
    "kind": "trend",
    "points": [{"t": "2026-03-16T09:00:00+09:00", "p": -1.5}, {"t": "2026-03-16T01:00:00.000001Z", "p": 70500}],
}
AT = TREND["points"][0]


class Person:
    """Somebody with a login of the browser."""

    def __init__(self, name):
        self.user = get_user_model().objects.create_user(name, is_staff=True)
        self.browser = Browser()
        self.browser.force_login(self.user)

    def ask(self, method, path=PATH, content=None, headers=None):
        asking = getattr(Browser() if headers else self.browser, method)
        given = {} if content is None else {"data": json.dumps(content), "content_type": "application/json"}
        return asking(path, **given, headers=headers or {})


@pytest.fixture
def kim(serving):
    return Person("kim")


def test_a_drawing_is_made_read_changed_and_deleted_to_the_digit(kim):
    made = [kim.ask("post", content=content) for content in (LEVEL, TREND)]
    other = kim.ask("post", content={**LEVEL, "symbol": "000660"}).json()

    assert [answer.status_code for answer in made] == [201, 201]
    level, trend = (answer.json() for answer in made)
    assert b'"p":70000.00000001' in made[0].content
    assert level == {"id": level["id"], **LEVEL}
    assert trend["points"] == [{"t": "2026-03-16T00:00:00.000000Z", "p": -1.5}, TREND["points"][1]]
    assert kim.ask("get", f"{PATH}?symbol=005930").json() == {"drawings": [level, trend]}
    moved = {"kind": "box", "points": [AT, AT], "text": "", "tone": 8}
    answer = kim.ask("put", f"{PATH}/{level['id']}", moved)
    assert answer.status_code == 200
    assert answer.json()["kind"] == "box"
    gone = kim.ask("delete", f"{PATH}/{trend['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert kim.ask("delete", f"{PATH}/{trend['id']}").status_code == 404
    assert kim.ask("get").json() == {"drawings": [answer.json(), other]}


def test_drawings_are_those_of_one_person_by_login_or_by_a_key_of_his_own(serving, kim, settings):
    lee = Person("lee")
    key, secret = api_keys.issue(name="sheet", user=kim.user)
    headers = {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}

    number = kim.ask("post", content=LEVEL).json()["id"]

    assert [one["id"] for one in kim.ask("get").json()["drawings"]] == [number]
    assert serving.get(PATH, headers=headers).json() == kim.ask("get").json()
    by_key = [
        Browser().generic(method, path, json.dumps(LEVEL), content_type="application/json", headers=headers)
        for method, path in (("POST", PATH), ("PUT", f"{PATH}/{number}"), ("DELETE", f"{PATH}/{number}"))
    ]
    assert [(one.status_code, one.json()["message"]) for one in by_key] == [
        (403, "a key reads drawings; who is logged in changes them")
    ] * 3
    assert lee.ask("get").json() == {"drawings": []}
    body = {"kind": "level", "points": [{"p": 1}]}
    assert lee.ask("put", f"{PATH}/{number}", body).status_code == 404
    assert lee.ask("delete", f"{PATH}/{number}").status_code == 404
    assert Drawing.objects.get().price == 7000000000001
    refused = serving.get(PATH)
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "drawings belong to a person: log in, or use a key of your own",
    )
    settings.PAGE_PUBLIC = True
    visitor = Browser()
    visitor.get("/")
    assert visitor.get(PATH).status_code == 403
    guarded = Browser(enforce_csrf_checks=True)
    guarded.force_login(kim.user)
    assert guarded.post(PATH, json.dumps(LEVEL), content_type="application/json").status_code == 403
    kim.user.delete()
    assert not Drawing.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "circle"}, "kind"),
        ({"points": []}, "points"),
        ({"points": [{"p": 1}, {"p": 2}]}, "points"),
        ({"points": [{"p": "much"}]}, "points.0.p"),
        ({"points": [{"p": 1e11}]}, "points.0.p"),
        ({"points": [{"p": 1e-9}]}, "points.0.p"),
        ({"points": [AT]}, "points"),
        ({"points": {"p": 1}}, "points.request"),
        ({"kind": "note", "points": [AT], "text": ""}, "text"),
        ({"kind": "note", "points": [{"p": 1}]}, "points"),
        ({"kind": "note", "points": [{"t": "2026-03-16", "p": 1}]}, "points"),
        ({"kind": "note", "points": [{"t": "nine", "p": 1}]}, "points.0.t"),
        ({"text": "a" * 121}, "text"),
        ({"text": "a\0"}, "text"),
        ({"tone": 9}, "tone"),
        ({"colour": "red"}, "colour"),
        ({"symbol": "a,b"}, "symbol"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_name(kim, change, where):
    answer = kim.ask("post", content={**LEVEL, **change})

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [where]
    assert not Drawing.objects.exists()


@pytest.mark.once
def test_bodies_that_are_no_drawing_and_symbols_that_there_are_not_are_told(kim):
    assert kim.ask("post", content={**LEVEL, "symbol": "NOBODY"}).json()["code"] == 40410001
    assert kim.ask("post", content=[LEVEL]).status_code == 400
    assert kim.browser.post(PATH, "{", content_type="application/json").status_code == 400
    assert kim.browser.post(PATH, LEVEL).status_code == 415
    assert kim.ask("get", f"{PATH}?symbols=005930").status_code == 400
    assert kim.ask("put", f"{PATH}/{10**18 - 1}", {"kind": "level", "points": [{"p": 1}]}).status_code == 404


def test_a_person_has_so_many_drawings_and_no_more(kim, monkeypatch):
    monkeypatch.setattr(drawings, "MOST_OF_SYMBOL", 2)
    monkeypatch.setattr(drawings, "MOST", 3)
    for code in ("005930", "005930", "000660"):
        assert kim.ask("post", content={**LEVEL, "symbol": code}).status_code == 201

    refused = [kim.ask("post", content={**LEVEL, "symbol": code}) for code in ("005930", "000660")]

    assert [answer.status_code for answer in refused] == [422, 422]
    assert [answer.json()["message"] for answer in refused] == [
        "symbol: there are 2 drawings of it: delete one first",
        "symbol: you have 3 drawings: delete some first",
    ]
    assert Drawing.objects.count() == 3
