"""What a wrong question is told: one shape, the right status, and what would be right."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client as Browser

from api import urls
from tests.integration.serving import serving

__all__ = ["serving"]

pytestmark = pytest.mark.once

BARS, TRADES, SNAPSHOTS = "/v2/stocks/bars", "/v2/stocks/trades", "/v2/stocks/snapshots"
# Which addresses take which numbers and dates.
NUMBERS = [
    (path, "limit") for path in (BARS, TRADES, "/v2/stocks/005930/bars", "/v2/stocks/005930/trades", "/v2/symbols")
]
DATES = [(path, name) for path, _ in NUMBERS[:-1] for name in ("start", "end", "asof")]


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        (BARS, {}, 400, "symbols"),
        (BARS, {"symbols": "005930", "timeframe": "2Week"}, 400, "1Min to 59Min, 1Hour to 23Hour, 1Day"),
        (BARS, {"symbols": "005930", "adjustment": "spin"}, 400, "adjustment"),
        (BARS, {"symbols": "005930", "timeframes": "1Min"}, 400, "allowed are adjustment, asof"),
        (BARS, {"symbols": "005930", "limit": 0}, 400, "limit"),
        (BARS, {"symbols": "005930", "limit": 10_001}, 400, "limit"),
        (BARS, {"symbols": "005930", "limit": "ten"}, 400, "limit"),
        (BARS, {"symbols": "005930", "feed": "nobody"}, 404, "no such feed: nobody"),
        (TRADES, {"symbols": "005930", "feed": "nobody"}, 404, "no such feed: nobody"),
        (SNAPSHOTS, {"symbols": "005930", "feed": "nobody"}, 404, "no such feed: nobody"),
        ("/v2/stocks/005930/bars", {"feed": "nobody"}, 404, "no such feed: nobody"),
        ("/v2/stocks/005930/trades", {"feed": "nobody"}, 404, "no such feed: nobody"),
        (BARS, {"symbols": "005930", "sort": "up"}, 400, "sort"),
        (BARS, {"symbols": "005930", "start": "yesterday"}, 400, "RFC-3339"),
        (BARS, {"symbols": "005930", "asof": "x"}, 400, "asof"),
        (BARS, {"symbols": "005930", "feed": "KRX!"}, 400, "feed"),
        (BARS, {"symbols": "005930,,"}, 400, "no symbol code"),
        (BARS, {"symbols": "삼성전자"}, 400, "no symbol code"),
        (BARS, {"symbols": "005930", "page_token": "AAAA"}, 400, "page_token"),
        (BARS, {"symbols": "005930", "start": "2026-03-17", "end": "2026-03-16"}, 422, "after end"),
        (BARS, {"symbols": "005930", "start": "2026-03-16T01:00:00Z", "end": "2026-03-16T00:00:00Z"}, 422, "after end"),
        ("/v2/stocks/NOBODY/bars", {}, 404, "NOBODY"),
        (TRADES, {"symbols": "005930", "timeframe": "1Min"}, 400, "unknown parameter"),
        ("/v2/stocks/005930/bars", {"symbols": "005930"}, 400, "unknown parameter"),
        ("/v2/stocks/NOBODY/trades", {}, 404, "NOBODY"),
        ("/v2/symbols/NOBODY", {}, 404, "NOBODY"),
        ("/v2/symbols", {"page_token": "x"}, 400, "page_token"),
        ("/v2/nowhere", {}, 404, "address"),
        ("/v2/status", {"x": 1}, 400, "unknown parameter"),
    ],
)
def test_a_wrong_question_is_told_what_would_be_right(serving, path, query, status, says):
    response = serving.get(path, **query)

    content = json.loads(response.content)
    assert response.status_code == status
    assert says in content["message"]
    assert content["request_id"] == response["X-Request-ID"]
    assert str(content["code"]).startswith(str(status))


def ask(serving, path, name, text):
    """The status for one parameter, beside the symbols where they are wanted."""
    symbols = {"symbols": "005930"} if path in (BARS, TRADES) else {}
    return serving.get(path, **symbols, **{name: text}).status_code


@pytest.mark.parametrize(("path", "name"), NUMBERS)
def test_a_number_is_written_with_digits_only(serving, path, name):
    wrong = ["1_000", "１０", "٣", " 10", "10 ", "+10", "-1", "1e1", "10.0", "0x10", "", "10\n"]

    assert {text: ask(serving, path, name, text) for text in wrong} == dict.fromkeys(wrong, 400)
    assert [ask(serving, path, name, text) for text in ("10", "010", "1", "10000")] == [200] * 4


@pytest.mark.parametrize(("path", "name"), DATES)
def test_a_date_is_written_in_one_way(serving, path, name):
    wrong = [
        "2026-3-16",
        "20260316",
        "2026-W12-1",
        "２０２６-03-16",
        " 2026-03-16",
        "2026-03-16 ",
        "2026-02-30",
        "2026",
    ]
    wrong += ["1773619200", "2026-03-16\n", "2026-03-16T00:00", "2026-03-16 00:00:00Z"]

    assert {text: ask(serving, path, name, text) for text in wrong} == dict.fromkeys(wrong, 400)
    assert ask(serving, path, name, "2026-03-16") == 200


@pytest.mark.parametrize("text", ["１Min", " 1Min", "1Min ", "1_0Min", "01Min", "1min"])
def test_a_timeframe_is_written_in_one_way(serving, text):
    assert ask(serving, BARS, "timeframe", text) == 400


def test_a_feed_that_is_known_and_silent_is_no_error(serving):
    assert serving.read(BARS, symbols="005930", feed="nxt") == {"bars": {}, "next_page_token": None}


def test_a_token_of_another_question_is_refused(serving):
    serving.commit([{}, {}])
    token = serving.read(TRADES, symbols="005930", limit=1)["next_page_token"]

    assert serving.get(BARS, symbols="005930", page_token=token).status_code == 400
    assert serving.get(TRADES, symbols="000660", page_token=token).status_code == 400
    assert serving.get(TRADES, symbols="000660,005930", page_token=token).status_code == 200


def test_a_parameter_given_twice_is_refused(serving):
    response = Browser().get(f"{TRADES}?symbols=005930&symbols=000660", headers=serving.headers)

    assert response.status_code == 400
    assert "2 times" in response.json()["message"]


def test_a_caller_s_own_request_id_comes_back(serving):
    answer = serving.get("/v2/symbols/NOBODY", headers={**serving.headers, "X-Request-ID": "mine-7"})
    strange = serving.get("/v2/symbols/NOBODY", headers={**serving.headers, "X-Request-ID": "a b\u00e9"})

    assert json.loads(answer.content)["request_id"] == answer["X-Request-ID"] == "mine-7"
    assert strange["X-Request-ID"] not in ("a b\u00e9", "")


def test_another_method_is_not_allowed(serving):
    response = Browser().post(BARS, headers=serving.headers)

    assert response.status_code == 405
    assert response.json()["code"] == 40510000


def test_our_own_mistakes_have_the_same_shape_and_tell_no_secrets(serving, monkeypatch):
    monkeypatch.setattr("api.rest.paging.read_ticks", lambda *_, **__: 1 / 0)
    browser = Browser(raise_request_exception=False, headers=serving.headers)

    response = browser.get(TRADES, {"symbols": "005930"})

    assert response.status_code == 500
    assert response.json()["request_id"] == response["X-Request-ID"]
    assert b"Zero" not in response.content


def test_people_are_told_in_their_language_what_is_wrong_and_programs_as_ever(serving):
    person = Browser(headers={"Accept": "text/html,*/*;q=0.8"})
    clerk = get_user_model().objects.create_user("clerk")
    clerk.groups.add(Group.objects.get(name="viewer"))
    person.force_login(clerk)
    person.cookies["naru_language"] = "ko"

    nowhere, refused, program = person.get("/nowhere"), person.get("/operations"), person.get("/v2/nowhere")

    assert (nowhere.status_code, refused.status_code, program.status_code) == (404, 403, 404)
    for page in (nowhere, refused):
        assert page["Content-Type"].startswith("text/html")
        assert page["X-Request-ID"] in page.content.decode()
    assert "페이지가 없습니다" in nowhere.content.decode()
    assert "볼 권한이 없습니다" in refused.content.decode()
    assert program.json()["message"] == Browser().get("/nowhere").json()["message"] == "there is no such address"


def test_the_browsable_api_shows_the_same_answer_as_a_page(serving):
    serving.commit([{"price": "70000.5"}])
    staff = Browser(headers={"Accept": "text/html"})
    staff.force_login(get_user_model().objects.create_user("staff", is_staff=True))

    page = staff.get(TRADES, {"symbols": "005930"})

    assert page["Content-Type"].startswith("text/html")
    assert b"70000.5" in page.content


def test_the_schema_is_made_from_the_code_and_names_every_resource(serving, recwarn):
    schema = json.loads(Browser().get("/v2/schema?format=json").content)

    served = {entry.name for entry in (*urls.v2, *urls.v1beta1, *urls.charting, urls.corporate_actions[0])}
    served -= {"schema", "docs", "redoc"}
    assert len(schema["paths"]) == len(served)
    assert {"/v2/stocks/bars", "/v2/stocks/{symbol}/quotes/latest", "/v2/symbols/{code}"} <= set(schema["paths"])
    names = {parameter["name"] for parameter in schema["paths"]["/v2/stocks/bars"]["get"]["parameters"]}
    assert {
        "symbols",
        "timeframe",
        "start",
        "end",
        "limit",
        "page_token",
        "sort",
        "feed",
        "adjustment",
        "asof",
    } <= names
    assert set(schema["components"]["securitySchemes"]) >= {"key", "secret"}
