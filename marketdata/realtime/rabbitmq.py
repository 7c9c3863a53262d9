"""RabbitMQ as the broker: how its queues are declared and for how long it may be silent, and how many messages wait in
them. Messages themselves are Celery's and kombu's business."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Any

from amqp.exceptions import NotFound
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

CONNECT_S, SILENCE_S = 3.0, 5.0
"""To connect, and for each answer. A message to a frozen one costs an answer and two tries to connect."""
CLOSE_S = 0.5  # a word of farewell to who does not answer
QUORUM = {"x-queue-type": "quorum"}
"""On several nodes, and on the disks of most of them before a message counts as taken."""
OPTIONS = {"confirm_publish": True, "read_timeout": SILENCE_S, "write_timeout": SILENCE_S}


LEAST = (3, 10)
"""The oldest version that the tests run with; before 3.10 quorum queues lack what Celery asks of them."""


def server_version() -> str:
    """What the server says it is, by a connection of this question alone; "" if it is no RabbitMQ. OperationalError if
    it does not answer, or does not take our login."""
    with Connection(settings.BROKER_URL, connect_timeout=CONNECT_S, transport_options=OPTIONS) as connection:
        try:
            connection.connect()
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(type(error).__name__) from error
        told: Any = connection.connection
        properties = told.server_properties
    return str(properties.get("version", "")) if properties.get("product") == "RabbitMQ" else ""


def queue_depths(queues: Sequence[str]) -> dict[str, int] | None:
    """How many messages wait in each queue; None if the broker does not answer."""
    return _counter.depths(queues)


class _Counter:
    """The connection of this process that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._owner = 0

    def depths(self, queues: Sequence[str]) -> dict[str, int] | None:
        """By queue; one that nobody has declared yet is empty. A connection that was lost is made anew once."""
        with self._lock:
            for _try in range(2):
                connection = self._connected()
                try:
                    connection.connect()  # else the next line would try for ever
                    return {queue: _depth(connection, queue) for queue in queues}
                except (*connection.connection_errors, *connection.channel_errors) as error:
                    log.debug("lengths of queues not told error=%s", type(error).__name__)
                    self._connection = None
                    connection.collect(CLOSE_S)
        return None

    def _connected(self) -> Connection:
        if self._connection is None or self._owner != os.getpid():  # a child has no right to its parent's
            self._connection = Connection(settings.BROKER_URL, connect_timeout=CONNECT_S, transport_options=OPTIONS)
            self._owner = os.getpid()
        return self._connection


_counter = _Counter()


def _depth(connection: Connection, queue: str) -> int:
    channel: Any = connection.default_channel
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except NotFound:  # it closes the channel, and the next question opens another one
        return 0
