"""Who may do what at each address, by each method: whoever adds one says here who may, or the tests fail."""

import json
import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client as Browser
from django.urls import resolve

from api import urls
from api.auth import authentication
from marketdata.models import Client
from marketdata.reference import api_keys
from tests.integration.serving import SEOUL_DAY, minute, serving
from tests.integration.test_api_door import addresses

__all__ = ["serving"]
pytestmark = pytest.mark.once

METHODS = ("get", "post", "put", "patch", "delete")
PEOPLE = {"viewer", "quant", "operator", "admin"}
KEYS_OF_PEOPLE = {"key of a viewer", "key of an admin"}
KEYS_OF_CLIENTS = {"client", "named key", "key of one feed"}
OPEN = {"nobody", "visitor", "no role", "terminal", *PEOPLE, *KEYS_OF_PEOPLE, *KEYS_OF_CLIENTS}
READ = OPEN - {"nobody", "no role", "terminal"}
INSPECT = PEOPLE - {"viewer"} | KEYS_OF_CLIENTS | {"key of an admin"}
PERSONAL = PEOPLE | KEYS_OF_PEOPLE  # what is a person's, which his key reads
OPERATE = {"operator", "admin"}
ACCOUNT = PEOPLE | {"no role"}
NOT_ASKED = {"rest_framework:logout", "language", "rest_framework:second-factor"}
"""Two of which a cookie is another afterwards, and the step of a login that leads back to its beginning."""

READS = {  # by name of the address; READ for any other
    **dict.fromkeys(urls.PUBLIC, OPEN),
    **dict.fromkeys(("page", "market", "collection", "quality", "list"), PEOPLE | {"visitor"}),
    "alerts": PEOPLE, "operations": OPERATE,
    "account": ACCOUNT, "second-factor": ACCOUNT, "metrics": INSPECT,
    "recent": INSPECT - {"key of one feed"}, "latest": INSPECT - {"key of one feed"},
    **dict.fromkeys(("market-stats", "market-symbols", "quality-of-day"), READ - {"key of one feed"}),
    "watchlists": PERSONAL, "watchlist": PERSONAL, "drawings": PERSONAL, "alert-list": PERSONAL,
    "alert-targets": PERSONAL, "alert-count": PERSONAL,
    "alert-rules": PERSONAL, "alert-rule": PERSONAL, "operations-now": OPERATE,
}  # fmt: skip
WRITES = {
    ("rest_framework:login", "post"): OPEN, ("rest_framework:login", "put"): OPEN,
    ("rest_framework:openid-ended", "post"): OPEN, ("account", "post"): ACCOUNT, ("second-factor", "post"): ACCOUNT,
    ("ticket", "post"): READ,
    ("watchlists", "post"): PEOPLE, ("watchlist", "put"): PEOPLE, ("watchlist", "post"): PEOPLE,
    ("watchlist", "delete"): PEOPLE, ("watchlist-symbol", "delete"): PEOPLE,
    ("drawings", "post"): PEOPLE, ("drawing", "put"): PEOPLE, ("drawing", "delete"): PEOPLE,
    ("alert-rules", "post"): PEOPLE, ("alert-rule", "patch"): PEOPLE, ("alert-rule", "delete"): PEOPLE,
    ("alert-targets", "post"): PEOPLE, ("alert-target", "delete"): PEOPLE, ("alert-target-test", "post"): PEOPLE,
    ("alert-acknowledge", "post"): PEOPLE,
    ("operations-ask", "post"): OPERATE, ("operations-requeue", "post"): OPERATE, ("operations-alarm", "post"): OPERATE,
}  # fmt: skip
POSTED = {"rest_framework:openid-ended"}  # functions that answer to nothing but POST
WITHOUT_TOKEN = {"rest_framework:openid-ended"}  # the provider's own machines ask it, with a token that it signed
WORDS = {  # parameters that show the one series there is
    "symbols": "005930", "symbol": "005930", "code": "005930", "feed": "krx", "timeframe": "1Min", "start": SEOUL_DAY,
    "from": "1773619200", "to": "1773705600", "resolution": "1", "resource": "trades", "market": "stocks",
    "name": "sma", "date": SEOUL_DAY, "ticktype": "trade", "query": "005930", "group": "krx",
}  # fmt: skip
TOLD = b"71234.5"


@pytest.fixture
def callers(serving, settings):
    """(a browser, the headers with which it asks), by who it is."""
    settings.PAGE_PUBLIC = False
    settings.API_RATE_LIMIT = settings.API_RATE_LIMIT_UNKNOWN = 10_000_000
    found: dict[str, tuple[Browser, dict[str, str]]] = {"nobody": (Browser(), {})}
    people = {}
    for name in ("no role", *PEOPLE):
        people[name] = get_user_model().objects.create_user(name)
        if name in PEOPLE:
            people[name].groups.add(Group.objects.get(name=name))
        browser = Browser()
        browser.force_login(people[name])
        found[name] = browser, {}
    terminal, secret = Client.objects.create_with_secret(name="terminal", may_read=False)
    keys = {
        "terminal": (terminal, secret), "client": (serving.reader, serving.secret),
        "named key": api_keys.issue(name="named", client=serving.reader),
        "key of one feed": api_keys.issue(name="narrow", client=serving.reader, feeds="sim"),
        "key of a viewer": api_keys.issue(name="viewer's", user=people["viewer"]),
        "key of an admin": api_keys.issue(name="admin's", user=people["admin"]),
    }  # fmt: skip
    for name, (key, secret) in keys.items():
        found[name] = Browser(), {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}
    return found


def is_refused(answer):
    return answer.status_code in (401, 403) or "/login/" in answer.get("Location", "")


def methods_of(name, path):
    """What an address answers to. HEAD and OPTIONS tell no more than GET."""
    if name in POSTED:
        return {"post"}
    view = resolve("/" + path).func
    of_class = getattr(view, "view_class", getattr(view, "cls", None))
    return {name for name in METHODS if hasattr(of_class, name)} if of_class else {"get"}


def endpoints():
    """(name, path, method) of each, but the administration, whose tables have permissions of their own."""
    for name, path in addresses():
        if not path.startswith("admin/") and name not in NOT_ASKED:
            yield from ((name, path, method) for method in sorted(methods_of(name, path)))


def test_the_table_names_every_way_to_change_something_and_none_that_there_is_not():
    there = {(name, method) for name, _, method in endpoints() if method != "get"}

    assert there == set(WRITES)
    assert set(READS) <= {name for name, _, method in endpoints() if method == "get"} | {*urls.PUBLIC}


def test_every_method_of_every_address_is_open_to_those_of_the_table_and_to_nobody_else(callers, settings):
    assert callers.keys() | {"visitor"} == OPEN
    wrong = []

    def ask(who, browser, headers):
        for name, path, method in endpoints():
            may = READS.get(name, READ) if method == "get" else WRITES[name, method]
            answer = getattr(browser, method)("/" + path, headers=headers)
            if is_refused(answer) == (who in may) or answer.status_code >= 500:
                wrong.append((who, method, path, answer.status_code))

    for who, (browser, headers) in callers.items():
        ask(who, browser, headers)
    settings.PAGE_PUBLIC = True
    visitor = Browser()
    visitor.get("/")
    ask("visitor", visitor, {})

    assert wrong == [], "\n".join(map(str, wrong))


def test_no_session_changes_anything_without_its_csrf_token(callers):
    admin = Browser(enforce_csrf_checks=True)
    admin.force_login(get_user_model().objects.get(username="admin"))

    done = [
        (method, path) for name, path, method in endpoints()
        if method != "get" and name not in WITHOUT_TOKEN and getattr(admin, method)("/" + path).status_code != 403
    ]  # fmt: skip

    assert done == []


def test_a_method_that_an_address_has_not_is_no_way_in(callers):
    browser, headers = callers["client"]
    done = [
        (method, path) for name, path in addresses() if not path.startswith("admin/") and name not in NOT_ASKED
        for method in {*METHODS} - methods_of(name, path)
        if not is_refused(answer := getattr(browser, method)("/" + path, headers=headers))
        and answer.status_code not in (404, 405)
    ]  # fmt: skip

    assert done == []


def test_no_address_tells_a_key_of_a_feed_that_it_may_not_read(serving, callers):
    serving.commit([minute(number, price="71234.5") for number in range(3)])
    told = {
        who: {name for name, path in addresses(WORDS) if TOLD in shown(browser, headers, path)}
        for who, (browser, headers) in callers.items()
        if who in ("client", "key of one feed", "terminal", "no role", "nobody")
    }

    assert told.pop("client") >= {
        "bars", "symbol-bars", "latest-bars", "trades", "symbol-trades", "latest-trades", "symbol-latest-trade",
        "snapshots", "symbol-snapshot", "export", "features", "symbol-stats", "udf-history", "udf-feed-history",
    }  # fmt: skip
    assert set(map(len, told.values())) == {0}, told


def shown(browser, headers, path):
    """What an address tells of the series, with those of the words that it takes."""
    if path.startswith("admin/"):
        return b""
    query, answer = dict(WORDS), None
    for _ in range(2):
        answer = browser.get("/" + path, query, headers=headers)
        if answer.status_code != 400 or "json" not in answer.get("Content-Type", ""):
            break
        allowed = re.search(r"allowed are (.*)", json.loads(answer.content).get("message", ""))
        query = {name: query[name] for name in allowed[1].split(", ") if name in query} if allowed else {}
    return answer.getvalue() if answer is not None else b""
