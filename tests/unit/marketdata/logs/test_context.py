"""Lines that are logged while a request is answered or a task is at work end with its ids."""

import io
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from kombu import Connection

from api.web.middleware import RequestId
from celery_app import app
from marketdata.logs import celery_signals, configuration, context
from marketdata.types.tick_arrays import batch_number

EPOCH = "0123456789abcdef"


@pytest.fixture
def log():
    """(a logger, what the handler of the settings' own format wrote)."""
    assert settings.LOGGING["formatters"]["line"]["()"] is configuration.plain
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    formatter = configuration.plain(["hunter2-hunter2"])
    formatter._style._fmt = configuration.LINE.replace("%(asctime)s ", "")
    handler.setFormatter(formatter)
    handler.addFilter(context.Named())
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


def test_no_secret_of_the_settings_gets_into_a_line_or_a_traceback(log):
    logger, text = log

    logger.warning("asked url=%s", "mysql://naru:other-one@db/naru?x=hunter2-hunter2")
    try:
        raise ValueError("login with hunter2-hunter2")
    except ValueError:
        logger.exception("failed")

    assert "hunter2" not in text.getvalue()
    assert "other-one" not in text.getvalue()
    assert "url=mysql://naru:***@db/naru?x=***" in text.getvalue()


class Request(SimpleNamespace):
    """Celery's request of a task, with the headers of its message."""

    def get(self, name):
        return getattr(self, name, None)


def test_a_task_s_lines_have_its_id_its_batches_and_the_request_that_asked_for_it(log):
    logger, text = log
    headers = celery_signals.header(request_id="ask-1", epochs={7: EPOCH})
    asked = Request(id="task-9", naru=headers[celery_signals.HEADER])

    with celery_signals.working_on(asked, "some.task"), context.storing([batch_number(7, 3), batch_number(8, 1)]):
        logger.info("stored")
        with celery_signals.working_on(asked, "some.task"):  # a task called as a function
            logger.info("one of them", extra={"batches": (batch_number(7, 3),)})
    logger.info("idle")

    ids = f" trace={EPOCH}0000000000000003 task=task-9 request_id=ask-1"  # nobody said which spool the other is of
    assert text.getvalue().splitlines() == [
        f"INFO some.room stored{ids}",
        f"INFO some.room one of them{ids}",
        "INFO some.room idle",
    ]


def test_a_header_that_somebody_else_wrote_is_let_pass(log):
    logger, text = log

    for header in (None, "words", {"request": 5}, {"later": "field"}):
        with celery_signals.working_on(Request(id="t", naru=header), "some.task"):
            logger.info("at work")

    assert [line.removeprefix("INFO some.room at work task=t") for line in text.getvalue().splitlines()] == [
        "", "", " request_id=5", "",
    ]  # fmt: skip


def test_a_task_that_is_asked_for_in_a_request_takes_its_id_along():
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        channel._new_queue("maintenance")
        with app.amqp.Producer(channel) as producer:
            with context.answering("ask-2"):
                app.send_task("marketdata.tasks.retain_asked", queue="maintenance", producer=producer)
            app.send_task("marketdata.tasks.retain_asked", queue="maintenance", producer=producer)
        first, second = (channel._get("maintenance")["headers"] for _ in range(2))

    assert first[celery_signals.HEADER] == {"request": "ask-2"}
    assert celery_signals.HEADER not in second
