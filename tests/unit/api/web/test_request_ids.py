"""Lines that are logged while a request is answered end with its id."""

import io
import logging
import threading
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string

from api.web import request_ids
from api.web.middleware import RequestId


@pytest.fixture
def log():
    """(a logger, what the handler of the settings' own format wrote)."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    line = settings.LOGGING["formatters"]["line"]
    handler.setFormatter(import_string(line["class"])(line["format"].replace("%(asctime)s ", "")))
    handler.addFilter(request_ids.Named())
    logger = logging.getLogger("some.room")
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, text
    logger.removeHandler(handler)


def test_the_id_of_an_answer_is_in_each_line_that_was_logged_for_it_and_in_no_other(log):
    logger, text = log

    def view(request):
        logger.info("asked path=%s", request.path)
        other = threading.Thread(target=logger.info, args=("something else",))  # a thread has a context of its own
        other.start()
        other.join()
        return HttpResponse()

    response = RequestId(view)(RequestFactory().get("/v2/clock"))
    logger.info("later")

    assert text.getvalue().splitlines() == [
        f"INFO some.room asked path=/v2/clock request_id={response['X-Request-ID']}",
        "INFO some.room something else",
        "INFO some.room later",
    ]


def test_a_refusal_that_is_logged_behind_all_middleware_has_the_id_of_its_request(log):
    logger, text = log

    logger.warning("Not Found: /x", extra={"request": SimpleNamespace(request_id="mine-7")})
    logger.warning("no id yet", extra={"request": SimpleNamespace()})

    assert text.getvalue().splitlines() == [
        "WARNING some.room Not Found: /x request_id=mine-7", "WARNING some.room no id yet",
    ]  # fmt: skip


def test_what_a_stranger_chose_is_no_line_of_its_own(log):
    logger, text = log

    logger.warning("form refused path=%s", "/admin/x\n2026-03-16 ERROR naru all keys lost\r\x1b[2K\u2028\x85 한")
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("request failed")

    first, second, *rest = text.getvalue().split("\n")
    assert first == (
        r"WARNING some.room form refused path=/admin/x\x0a2026-03-16 ERROR naru all keys lost\x0d\x1b[2K\u2028\x85 한"
    )
    assert second == "ERROR some.room request failed"
    assert "ValueError: why" in rest  # a traceback keeps its lines
