"""What somebody sends in place of a body is his mistake at every address that takes one, and told as such."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import NoReverseMatch, URLPattern, get_resolver, reverse

from tests.integration.serving import serving

__all__ = ["serving"]

pytestmark = pytest.mark.once
ODD = [
    rb'{"\ud800": 1}', rb'{"name": "\ud800", "kind": "\ud800", "code": "\ud800", "symbol": "\ud800"}',
    rb'{"name": "r", "kind": "price", "symbols": [], "parameters": {"\ud800": "1"}}', b'["\xed\xa0\x80"]',
    b"[" * 100_000, b'{"name":' * 5_000 + b"1" + b"}" * 5_000, b"9" * 5_000, b'{"name": ' + b"9" * 5_000 + b"}",
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"name": NaN}',
]  # fmt: skip
PLACES = {"number": 1, "alarm": 1, "watchlist": "00000000-0000-0000-0000-000000000000", "work": "requeue"}


def addresses() -> set[str]:
    """Every address of /v2 that takes a body in JSON."""
    found = set()
    for pattern in get_resolver().url_patterns:
        for one in getattr(pattern, "url_patterns", []) if str(pattern.pattern) == "v2/" else []:
            view = getattr(one.callback, "view_class", None) if isinstance(one, URLPattern) else None
            if view is None or not {"post", "put", "patch"} & set(dir(view)):
                continue
            names = one.pattern.regex.groupindex
            try:
                found.add(reverse(one.name, kwargs={name: PLACES[name] for name in names if name in PLACES}))
            except NoReverseMatch:  # a place that nobody named above
                raise AssertionError(f"{one.name} has another place than {sorted(PLACES)}") from None
    return found


@pytest.fixture
def browser(serving):
    person = get_user_model().objects.create_superuser("chief", password="a sound password")
    made = Browser(raise_request_exception=False)
    made.force_login(person)
    return made


def test_every_address_that_takes_a_body_tells_what_is_wrong_with_it(browser):
    asked = addresses()
    assert {
        "/v2/drawings",
        "/v2/watchlists",
        "/v2/alerts/rules",
        "/v2/alerts/targets",
        "/v2/operations/requeue",
    } <= asked
    wrong = []
    for path in sorted(asked):
        for method in ("post", "put", "patch"):
            for content in ODD:
                answer = getattr(browser, method)(path, data=content, content_type="application/json")
                told = json.loads(answer.content) if answer.content else {}
                if answer.status_code >= 500 or (answer.status_code >= 400 and {"code", "message"} - set(told)):
                    wrong.append((method, path, content[:60], answer.status_code, answer.content[:100]))
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/v2/alerts/rules", {"name": "r", "kind": "price", "parameters": {}, "symbols": [""] * 100_000}),
        ("/v2/alerts/rules", {"name": "r", "kind": "price", "parameters": {}, "targets": [0] * 100_000}),
        ("/v2/watchlists", {"name": "w", "symbols": [""] * 100_000}),
        ("/v2/drawings", {"symbol": "005930", "kind": "trend", "points": [{}] * 100_000}),
    ],
)
def test_what_is_wrong_with_every_element_of_a_long_list_is_told_once(browser, path, given):
    answer = browser.post(path, data=json.dumps(given), content_type="application/json")

    assert answer.status_code in (400, 422)
    assert len(answer.content) < 1_000
