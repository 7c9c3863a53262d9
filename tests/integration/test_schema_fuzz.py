"""Whatever fits the OpenAPI schema, and whatever does not, is answered without an error of ours."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.test import Client as Browser
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as examples
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.schemas import APIOperation

from marketdata import alarms
from marketdata.models import Alarm, Alert, AlertRule, Drawing, Watchlist
from tests.integration.serving import CODES, SEOUL_DAY, Serving, minute, serving

__all__ = ["serving"]

Operation = APIOperation[Any, Any, Any, Any]

pytestmark = pytest.mark.once
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))  # of an operation
PERSONAL = ("/v2/alerts", "/v2/drawings", "/v2/operations", "/v2/watchlists")
_MODES = GenerationMode.POSITIVE, GenerationMode.NEGATIVE

# Words that mean something here. The schema knows most of these parameters as text only, and what hypothesis thinks
# of as text is refused at the door.
_SYMBOLS = (*CODES, "005930,000660", "NOBODY", "krx:005930")
_DATES = (SEOUL_DAY, "0001-01-01", "9999-12-31", "-")
_TIMES = (*_DATES, "2026-03-16T09:00:00+09:00", "2026-03-16T00:01:00.123456789Z")
_SECONDS = ("0", "1773619200", "99999999999", "-1")
_WORDS = {
    "symbol": _SYMBOLS, "code": _SYMBOLS, "symbols": _SYMBOLS, "start": _TIMES, "end": _TIMES, "date": _DATES,
    "asof": _DATES, "from": _SECONDS, "to": _SECONDS, "countback": _SECONDS,
    "timeframe": ("1Min", "59Min", "23Hour", "1Day", "1Week", "12Month"), "resolution": ("1", "60", "1D", "1W", "12M"),
    "feed": ("krx", "sip", "unified", "nobody"), "market": ("KRX", "CME", "stocks"), "group": ("KRX", "krx"),
    "name": ("rsi", "macd,vwap", "nothing"), "resource": ("bars", "trades", "quotes", "orderbooks"),
    "ticktype": ("trade", "quote"),
}  # fmt: skip


def _described(words: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The schema, in which parameters of text and places in paths may also be words that mean something."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    for address in schema["paths"].values():
        for operation in address.values():
            for parameter in operation.get("parameters", ()):
                is_text = parameter["schema"].get("type") == "string"
                if parameter["name"] in words and (is_text or parameter["in"] == "path"):
                    parameter["schema"] = {"anyOf": [{"enum": list(words[parameter["name"]])}, parameter["schema"]]}
    return schema


@pytest.fixture
def boss() -> dict[str, str]:
    """With what the browser of an administrator asks: some things are a person's alone."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    browser.get("/")
    token = browser.cookies["csrftoken"].value
    return {"Cookie": f"sessionid={browser.cookies['sessionid'].value}; csrftoken={token}", "X-CSRFToken": token}


@pytest.fixture
def operations(serving: Serving, boss: dict[str, str], settings: Any) -> list[Operation]:
    """Every operation of the schema, of the application in this process. There are trades of three minutes, and one of
    whatever a person may have."""
    settings.API_RATE_LIMIT = 10_000_000
    serving.commit([minute(number, symbol=code) for number in range(3) for code in CODES])
    person = get_user_model().objects.get(username="boss")
    watchlist = Watchlist.objects.create(user=person, name="mine")
    rule = AlertRule.objects.create(
        owner=person,
        name="up",
        kind="price",
        parameters={"direction": "above", "level": "1"},
        symbols=[CODES[0]],
        feed="krx",
    )
    things = [
        rule, Drawing.objects.create(user=person, symbol=CODES[0], kind="level", price=1),
        Alert.objects.create(owner=person, rule=rule, kind="price", message="up", revision=1, episode=1, event_us=1,
                             fired_at=timezone.now()),
    ]  # fmt: skip
    alarms.raise_alarm("backup_failed", "one that stands")
    numbers = sorted({one.pk for one in things})
    words = _WORDS | {"number": [*numbers, *map(str, numbers)], "alarm": [Alarm.objects.get().pk],
                      "watchlist": [str(watchlist.pk)]}  # fmt: skip
    schema = schemathesis.openapi.from_dict(_described(words))
    schema.app = get_wsgi_application()
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def test_no_operation_answers_with_an_error_of_ours(serving, boss, operations):
    assert len(operations) > 80
    answers: Counter[int] = Counter()
    wrong = [text for operation in operations if (text := _failure(serving, boss, operation, answers))]

    assert wrong == []
    assert answers[200] > 40  # and not only refusals
    assert answers[403] == 0


def _failure(serving: Serving, boss: dict[str, str], operation: Operation, answers: Counter[int]) -> str:
    """The smallest of some requests that is answered by 5xx, with its answer; nothing if there is none."""
    found: list[str] = []
    headers = boss if operation.path.startswith(PERSONAL) else serving.headers
    fitting, other = (operation.as_strategy(mode, feedback=NO_FEEDBACK) for mode in _MODES)

    @seed(1)
    @examples(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=fitting | other)
    def ask(case: Case[Any]) -> None:
        answer = case.call(headers=headers)
        answers[answer.status_code] += 1
        if answer.status_code >= 500:
            found.append(f"{case.as_curl_command()}: {answer.status_code} {answer.text[:300]}")
        assert answer.status_code < 500

    try:
        ask()
    except AssertionError:
        return found[-1]
    return ""
