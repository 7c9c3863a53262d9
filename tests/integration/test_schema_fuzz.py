"""Whatever fits the OpenAPI schema, and whatever does not, is answered without an error of ours."""

import os
from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as examples
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.schemas import APIOperation

from tests.integration.serving import CODES, SEOUL_DAY, Serving, minute, serving

__all__ = ["serving"]

Operation = APIOperation[Any, Any, Any, Any]

pytestmark = [pytest.mark.once, pytest.mark.timeout(600)]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))  # of an operation
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


def _described() -> dict[str, Any]:
    """The schema, in which parameters of text may also be words that mean something."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    for address in schema["paths"].values():
        for operation in address.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in _WORDS and parameter["schema"].get("type") == "string":
                    parameter["schema"] = {"anyOf": [{"enum": list(_WORDS[parameter["name"]])}, parameter["schema"]]}
    return schema


@pytest.fixture
def operations(serving: Serving, settings: Any) -> list[Operation]:
    """Every operation of the schema, of the application in this process. There are trades of three minutes."""
    settings.API_RATE_LIMIT = 10_000_000
    serving.commit([minute(number, symbol=code) for number in range(3) for code in CODES])
    schema = schemathesis.openapi.from_dict(_described())
    schema.app = get_wsgi_application()
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def test_no_operation_answers_with_an_error_of_ours(serving, operations):
    assert len(operations) > 40
    answers: Counter[int] = Counter()
    wrong = [text for operation in operations if (text := _failure(serving, operation, answers))]

    assert wrong == []
    assert answers[200] > 20  # and not only refusals


def _failure(serving: Serving, operation: Operation, answers: Counter[int]) -> str:
    """The smallest of some requests that is answered by 5xx, with its answer; nothing if there is none."""
    found: list[str] = []
    fitting, other = (operation.as_strategy(mode, feedback=NO_FEEDBACK) for mode in _MODES)

    @seed(1)
    @examples(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=fitting | other)
    def ask(case: Case[Any]) -> None:
        answer = case.call(headers=serving.headers)
        answers[answer.status_code] += 1
        if answer.status_code >= 500:
            found.append(f"{case.as_curl_command()}: {answer.status_code} {answer.text[:300]}")
        assert answer.status_code < 500

    try:
        ask()
    except AssertionError:
        return found[-1]
    return ""
