"""The broker's Redis: kombu's transport with what batches do not need left out, and a client of our own beside it.

docs/adr/0014 has the measurements. Another broker runs on kombu's transport as it is (`marketdata.realtime.rabbitmq`).
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgpack
import redis
from celery import Celery
from django.conf import settings
from kombu import Connection
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import QoS as CountingQoS
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketdata.realtime import rabbitmq, redis_clients, redis_urls


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """This process' client for short commands to the Redis of BROKER_URL. A silent one costs three times the limit: the
    connection that was there, another one, and what is asked by it."""
    return redis_clients.client(
        settings.BROKER_URL,
        socket_timeout=4,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=5,
        retry=Retry(NoBackoff(), 1),
    )


def queue_depths(queues: Sequence[str]) -> dict[str, int] | None:
    """How many messages wait in each queue; None where RabbitMQ does not answer. redis.RedisError
    where Redis does not."""
    if not redis_urls.is_redis(settings.BROKER_URL):
        return rabbitmq.queue_depths(queues)
    pipeline = connection().pipeline(transaction=False)
    for queue in queues:
        pipeline.llen(queue)
    return dict(zip(queues, (int(depth) for depth in pipeline.execute()), strict=True))


class Envelopes:
    """Messages of one task to one queue as kombu's Redis transport writes them, for who sends many: Celery makes the
    first, in memory, and the others are that one with another body and other ids."""

    def __init__(self, app: Celery, task: str, queue: str) -> None:
        with Connection("memory://") as connection:
            channel: Any = connection.default_channel
            channel._new_queue(queue)
            with app.amqp.Producer(channel) as producer:
                app.send_task(task, queue=queue, producer=producer, argsrepr="()", kwargsrepr="<batches>")
            self._message: dict[str, Any] = channel._get(queue)
        body = base64.b64decode(self._message["body"])
        self._args, _, self._embed = msgpack.unpackb(body)

    def make(self, kwargs: dict[str, object], *, call: str | None = None, headers: dict[str, Any] | None = None) -> str:
        """The text to be pushed to the queue's list, for a call with these arguments; `call` is the task's id, and
        `headers` go beside Celery's own."""
        call = call or str(uuid.uuid4())
        message = self._message
        properties = message["properties"] | {"correlation_id": call, "delivery_tag": str(uuid.uuid4())}
        body = msgpack.packb([self._args, kwargs, self._embed])
        return json.dumps(
            message
            | {
                "body": base64.b64encode(body).decode(),
                "headers": message["headers"] | {"id": call, "root_id": call} | (headers or {}),
                "properties": properties,
            }
        )


class QoS(kombu_redis.QoS):
    """Counts what a worker has fetched and not begun, as kombu does. For queues without acknowledgement it leaves out
    the record in Redis of which message that is: two round trips a message, the first with all of its text."""

    channel: Any
    _delivered: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unrecorded_queues: set[str] = set()

    def _is_recorded(self, message: Any) -> bool:
        """Celery publishes with a queue's name as routing key."""
        return message is None or message.delivery_info["routing_key"] not in self.unrecorded_queues

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was fetched."""
        if self._is_recorded(message):
            super().append(message, delivery_tag)
        else:
            CountingQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """A pool process has begun with the message."""
        if not self._is_recorded(self._delivered.get(delivery_tag)):
            CountingQoS.ack(self, delivery_tag)
            return
        try:
            super().ack(delivery_tag)
        except kombu_redis.get_redis_error_classes().connection_errors:
            # Redis is away, and kombu leaves it at that: with the message counted as one in hand the worker would fetch
            # nothing any more. Its record in Redis stays, and brings it again after `visibility_timeout`.
            CountingQoS.ack(self, delivery_tag)
            raise

    def restore_unacked(self, client: Any = None) -> None:
        """A worker that ends puts back what it has not begun with."""
        with self.channel.conn_or_acquire(client) as client:
            for tag, message in list(self._delivered.items()):
                if not self._is_recorded(message):
                    del self._delivered[tag]
                    where = message.delivery_info
                    self.channel._do_restore_message(message._raw, where["exchange"], where["routing_key"], client)
            super().restore_unacked(client)


class _KeptClient(kombu_redis.Channel):
    """Keeps its client instead of making one for each command, and a prefetch limit for queues without
    acknowledgement, too: without one a worker would fetch all there is, however busy it is."""

    QoS = QoS
    qos: Any
    pool: Any
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # kombu is untyped
        if self._kept is None or self._kept.connection_pool is not self.pool:  # a new pool after a lost connection
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Begin to fetch from a queue."""
        if no_ack:
            self.qos.unrecorded_queues.add(queue)
        return super().basic_consume(queue, False, *args, **kwargs)


class Channel(_KeptClient):
    """To one server."""


class SentinelChannel(_KeptClient, kombu_redis.SentinelChannel):
    """To the master that Sentinels name."""


class Transport(kombu_redis.Transport):
    """What `redis://` and `rediss://` mean to Celery in this project (`celery_app`)."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """What `sentinel://` means to it, as `redis_urls.for_celery` writes it."""

    Channel = SentinelChannel
