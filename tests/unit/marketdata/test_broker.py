"""Messages that are made without kombu are those that Celery and kombu make."""

import base64
import json
from typing import Any

import msgpack
from kombu import Connection

from celery_app import app
from marketdata.realtime.broker import Envelopes

TASK, QUEUE = "ingest.tasks.process_batches", "raw_market_data"
KWARGS: dict[str, object] = {"batches": [[7, b"\x00\xff", 1, 2, None, None, None]], "reply_to": "ingest-1"}


def sent_by_celery() -> dict[str, Any]:
    """What kombu's Redis transport would push."""
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        channel._new_queue(QUEUE)
        with app.amqp.Producer(channel) as producer:
            app.send_task(TASK, kwargs=KWARGS, queue=QUEUE, producer=producer, argsrepr="()", kwargsrepr="<batches>")
        message: dict[str, Any] = channel._get(QUEUE)
    return message


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    ids = {name: message["headers"][name] for name in ("id", "root_id")}
    ids |= {name: message["properties"][name] for name in ("correlation_id", "delivery_tag")}
    assert ids["id"] == ids["root_id"] == ids["correlation_id"]
    headers = {name: value for name, value in message["headers"].items() if name not in ids}
    properties = {name: value for name, value in message["properties"].items() if name not in ids}
    body = msgpack.unpackb(base64.b64decode(message["body"]))
    return message | {"headers": headers, "properties": properties, "body": body}


def test_an_envelope_is_what_celery_sends():
    made = json.loads(Envelopes(app, TASK, QUEUE).make(KWARGS))

    assert without_ids(made) == without_ids(json.loads(json.dumps(sent_by_celery())))


def test_each_envelope_has_ids_of_its_own():
    envelopes = Envelopes(app, TASK, QUEUE)
    first, second = (json.loads(envelopes.make(KWARGS)) for _ in range(2))

    assert first["headers"]["id"] != second["headers"]["id"]
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]
