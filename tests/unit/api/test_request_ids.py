"""Lines that are logged while a request is answered end with its id."""

import io
import logging
import threading
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory

from api import request_ids
from api.middleware import Envelope


@pytest.fixture
def log():
    """(a logger, what the handler of the settings' own format wrote)."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(
        logging.Formatter(settings.LOGGING["formatters"]["line"]["format"].replace("%(asctime)s ", ""))
    )
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

    response = Envelope(view)(RequestFactory().get("/v2/clock"))
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
