"""A log line as JSON: the names of the Elastic Common Schema, whatever is said on one line, and no secret."""

import json
import logging
import sys

import pytest

from terminals.wire import log_lines
from terminals.wire.redaction import Redaction
from terminals.wire.traces import trace_id

EPOCH = "0123456789abcdef"


def said(message, *args, name="ingest.sessions", exc_info=None, known=(), **extra):
    record = logging.makeLogRecord(
        {
            "name": name, "msg": message, "args": args, "levelno": 30, "levelname": "WARNING", "created": 1.25,
            "exc_info": exc_info, **extra,
        }
    )  # fmt: skip
    formatter = log_lines.EcsFormatter(
        service={"service.name": "naru"}, redact=Redaction(known), dataset=lambda _logger: "naru.collection"
    )
    line = formatter.format(record)
    assert "\n" not in line
    return json.loads(line)


def test_an_event_has_its_action_and_its_fields_apart():
    found = said("joined client=%s rate=%.1f commit=%d", "desk\n3", 2.25, 4)

    assert found["@timestamp"] == "1970-01-01T00:00:01.250000Z"
    assert found["log.level"] == "warning"
    assert found["message"] == "joined client=desk\n3 rate=2.2 commit=4"
    assert found["event.action"] == "joined"
    assert found["labels"] == {"client": "desk\n3", "rate": "2.2", "commit": "4"}
    assert (found["event.module"], found["event.dataset"]) == ("naru", "naru.collection")


@pytest.mark.parametrize(
    ("message", "args", "action", "labels"),
    [
        ("ledger does not answer error=%s", ("X",), "ledger does not answer", {"error": "X"}),
        ("not ready %s reason=%s", ("web", "late"), "not ready", {"reason": "late"}),
        ("stream request failed: %s does not answer error=%s", ("Redis", "X"), "stream request failed", {"error": "X"}),
        ("a part 100%% done of=%-5d", (7,), "a part 100", {"of": "7    "}),
        ("%s", ("anything",), None, None),
    ],
)
def test_what_happened_is_told_in_the_same_words_each_time(message, args, action, labels):
    found = said(message, *args)

    assert found.get("event.action") == action
    assert found.get("labels") == labels
    assert found["message"] == message % args


def test_what_other_people_s_packages_say_is_a_message_and_nothing_more():
    found = said("fetched in=%s", "5 s", name="urllib3.pool")

    assert "event.action" not in found
    assert "labels" not in found


def test_an_error_is_told_with_its_trace_on_one_line_and_without_secrets():
    try:
        raise ValueError("connect to mysql://naru:hunter2@db failed, key correct-horse")
    except ValueError:
        found = said("failed token=%s", "tokenword", exc_info=sys.exc_info(), known=["correct-horse"])

    assert found["error.type"] == "ValueError"
    assert found["error.message"] == "connect to mysql://naru:***@db failed, key ***"
    assert "test_log_lines.py" in found["error.stack_trace"]
    assert found["labels"] == {"token": "***"}
    assert not [word for word in ("hunter2", "correct-horse", "tokenword") if word in json.dumps(found)]


def test_the_ids_of_batches_task_and_request_are_fields():
    traces = tuple(trace_id(EPOCH, seq) for seq in range(1, 301))
    found = said("stored", traces=traces, batches=(5, 6), task_id="t", task_name="some.task", request_id="r")

    assert found["trace.id"] == EPOCH + "0000000000000001"
    assert found["naru.traces"] == list(traces[: log_lines.TRACES])
    assert found["naru.batches"] == [5, 6]
    assert (found["transaction.id"], found["naru.task.name"], found["http.request.id"]) == ("t", "some.task", "r")


def test_a_line_for_people_names_the_first_batches():
    traces = tuple(trace_id(EPOCH, seq) for seq in range(1, 11))
    record = logging.makeLogRecord({"msg": "stored", "levelname": "INFO", "name": "x", "traces": traces})

    line = log_lines.PlainFormatter("%(levelname)s %(message)s", redact=Redaction()).format(record)

    assert line == f"INFO stored trace={','.join(traces[:8])},+2"
