"""People's lists of symbols by REST: whose they are, what may be in them, how many there may be."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from api.auth import authentication
from marketdata.models import Client, Symbol, Watchlist
from marketdata.reference import api_keys, watchlists
from marketdata.reference.watchlists import NotKept
from tests.integration.serving import and_leave, serving

__all__ = ["serving"]

LISTS = "/v2/watchlists"


def logged_in(name):
    """The browser of a person who is staff, and may therefore read."""
    person = get_user_model().objects.create_user(name, password="a sound password", is_staff=True)
    browser = Browser()
    browser.force_login(person)
    return browser


def said(browser, method, path, content=None, **more):
    """(status, content) of a question with a body."""
    body = None if content is None else json.dumps(content)
    answer = getattr(browser, method)(path, data=body or "", content_type="application/json", **more)
    return answer.status_code, json.loads(answer.content) if answer.content else None


def made(browser, name="mine", *symbols):
    status, content = said(browser, "post", LISTS, {"name": name, "symbols": list(symbols)})
    assert status == 200, content
    return content


def test_a_list_is_made_changed_and_removed_in_the_order_of_its_person(serving):
    browser = logged_in("desk")

    one = made(browser, " 반도체 ", "005930", "000660", "005930")
    assert (one["name"], one["symbols"]) == ("반도체", ["005930", "000660"])
    assert [asset["symbol"] for asset in one["assets"]] == ["005930", "000660"]
    path = f"{LISTS}/{one['id']}"
    assert said(browser, "post", path, {"symbol": "035420"})[1]["symbols"] == ["005930", "000660", "035420"]
    assert said(browser, "post", path, {"symbol": "005930"})[1]["symbols"] == ["005930", "000660", "035420"]
    moved = said(browser, "put", path, {"symbols": ["035420", "005930", "000660"]})[1]
    assert (moved["name"], moved["symbols"]) == ("반도체", ["035420", "005930", "000660"])
    assert said(browser, "put", path, {"name": "B"})[1]["symbols"] == moved["symbols"]
    assert said(browser, "delete", f"{path}/005930")[1]["symbols"] == ["035420", "000660"]
    made(browser, "A")
    heads = browser.get(LISTS).json()
    assert [(head["name"], head["symbols"]) for head in heads] == [("B", ["035420", "000660"]), ("A", [])]
    assert browser.get(path).json()["updated_at"] > one["updated_at"]

    Symbol.objects.filter(code="035420").delete()
    left = said(browser, "post", path, {"symbol": "005930"})[1]  # what is registered no more may stay
    assert (left["symbols"], len(left["assets"])) == (["035420", "000660", "005930"], 2)
    assert said(browser, "delete", path) == (204, None)
    assert browser.get(path).status_code == 404


def test_what_cannot_be_kept_is_named_and_changes_nothing(serving, monkeypatch):
    browser = logged_in("desk")
    one = made(browser, "one", "005930")
    two = made(browser, "two")
    path = f"{LISTS}/{one['id']}"

    for method, where, content, status, field in [
        ("post", LISTS, {"name": "two"}, 422, "name"),
        ("put", f"{LISTS}/{two['id']}", {"name": "one"}, 422, "name"),
        ("post", LISTS, {"name": "x", "symbols": ["NOBODY", "005930"]}, 422, "symbols"),
        ("post", path, {"symbol": "NOBODY"}, 422, "symbols"),
        ("post", LISTS, {"name": " "}, 400, "name"),
        ("post", LISTS, {"name": "n" * 65}, 400, "name"),
        ("post", LISTS, {"name": "x", "symbols": ["a,b"]}, 400, "symbols"),
        ("post", LISTS, {"name": "x", "symbols": ["005930"] * 201}, 400, "symbols"),
        ("put", path, {"symbols": "005930"}, 400, "symbols"),
        ("post", path, {}, 400, "symbol"),
        ("put", path, [1], 400, None),
    ]:
        told = said(browser, method, where, content)
        assert told[0] == status, (where, content, told)
        assert field is None or field in told[1]["errors"]
    assert "NOBODY" in said(browser, "post", path, {"symbol": "NOBODY"})[1]["message"]
    assert browser.post(LISTS, data="{", content_type="application/json").status_code == 400
    assert browser.get(LISTS, {"all": "1"}).status_code == 400
    monkeypatch.setattr(watchlists, "MOST_LISTS", 2)
    monkeypatch.setattr(watchlists, "MOST_SYMBOLS", 1)
    assert said(browser, "post", LISTS, {"name": "third"})[0] == 422
    assert said(browser, "post", path, {"symbol": "000660"})[0] == 422
    heads = browser.get(LISTS).json()
    assert [(head["name"], head["symbols"]) for head in heads] == [("one", ["005930"]), ("two", [])]


def test_lists_are_their_person_s_and_keys_only_read_them(serving, settings):
    browser, other = logged_in("desk"), logged_in("other")
    one = made(browser, "mine", "005930")
    path = f"{LISTS}/{one['id']}"

    made(other, "mine")  # names are told apart within a person's lists
    for method, where, content in [
        ("get", path, None), ("put", path, {"name": "x"}), ("post", path, {"symbol": "000660"}),
        ("delete", path, None), ("delete", f"{path}/005930", None), ("get", f"{LISTS}/{one['id'][:-1]}", None),
    ]:  # fmt: skip
        assert getattr(other, method)(
            where, **({} if content is None else {"data": json.dumps(content), "content_type": "application/json"})
        ).status_code == 404  # fmt: skip
    assert [head["id"] for head in other.get(LISTS).json()] != [one["id"]]

    key, secret = api_keys.issue(user=get_user_model().objects.get(username="desk"), name="k")
    held = {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}
    assert [head["id"] for head in serving.get(LISTS, held).json()] == [one["id"]]
    assert serving.get(path, held).json()["assets"][0]["symbol"] == "005930"
    assert said(Browser(), "post", LISTS, {"name": "x"}, headers=held)[0] == 403
    assert said(Browser(), "delete", path, headers=held)[0] == 403
    assert serving.get(LISTS).status_code == 403  # a client's key
    settings.PAGE_PUBLIC = True
    visitor = Browser()
    visitor.get("/")
    assert visitor.get(LISTS).status_code == 403
    assert Browser().get(LISTS).status_code == 401
    careful = Browser(enforce_csrf_checks=True)
    careful.force_login(get_user_model().objects.get(username="desk"))
    status, told = said(careful, "post", LISTS, {"name": "x"})
    assert (status, "CSRF" in told["message"]) == (403, True)
    assert Client.objects.count() == 1

    get_user_model().objects.get(username="desk").delete()
    assert [one.user.username for one in Watchlist.objects.all()] == ["other"]


def test_two_who_add_at_once_lose_nothing_and_go_beyond_no_limit(serving, monkeypatch):
    person = get_user_model().objects.create_user("desk", is_staff=True).pk
    one = watchlists.create(person, "one", [])
    monkeypatch.setattr(watchlists, "MOST_LISTS", 2)
    together = Barrier(3)

    def begun(job, *given):
        together.wait(300)
        try:
            return and_leave(lambda: job(person, *given))
        except NotKept as error:
            return error.field

    with ThreadPoolExecutor(3) as pool:
        adding = [pool.submit(begun, watchlists.add, one.pk, code) for code in ("005930", "000660", "035420")]
        assert all(done.result() for done in adding)
    with ThreadPoolExecutor(3) as pool:
        making = [pool.submit(begun, watchlists.create, name, []) for name in ("two", "three", "four")]
        refused = [done.result() for done in making].count("name")

    assert sorted(watchlists.one_of(person, one.pk).symbols) == ["000660", "005930", "035420"]
    assert (refused, Watchlist.objects.count()) == (2, 2)


@pytest.mark.once
def test_symbols_may_be_asked_for_by_their_codes(serving):
    told = serving.read("/v2/symbols", symbols="035420,NOBODY,005930")["symbols"]

    assert [one["symbol"] for one in told] == ["005930", "035420"]


def test_symbols_may_be_asked_for_by_what_they_are(serving):
    Symbol.objects.filter(code="035420").update(category="index")
    Symbol.objects.filter(code="000660").update(category="kospi")

    told = serving.read("/v2/symbols", category="fx,index")["symbols"]
    wrong = serving.get("/v2/symbols", category="Index!")

    assert [one["symbol"] for one in told] == ["035420"]
    assert wrong.status_code == 400
    assert "'Index!' is no category" in wrong.json()["message"]
