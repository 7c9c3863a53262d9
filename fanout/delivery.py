"""Messages on their way to the broker: an idempotent producer with a bounded queue, and the count of what was
delivered.

librdkafka sends again by itself for as long as it takes, in order; what waits for a broker that is away is bounded by
`MOST_MESSAGES` and `MOST_KIB`, and then `send` waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fanout import copies
from fanout.messages import TOPICS, VERSION
from fanout.messages import Message as Content
from marketdata import metrics

log = logging.getLogger(__name__)

MOST_MESSAGES, MOST_KIB = 20_000, 32_768
POLL_S = 0.5
ASK_S = 5.0
QUICK_S = 1.0
CLOSE_S = 5.0
_OURS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,  # for ever: what is given up would be missing
    "queue.buffering.max.messages": MOST_MESSAGES,
    "queue.buffering.max.kbytes": MOST_KIB,
    "linger.ms": 5,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # as the Java client places keys
    "reconnect.backoff.max.ms": 5_000,
    "topic.metadata.refresh.interval.ms": 30_000,
}
# What makes it safe is not for a file to change.
_FIXED = ("enable.idempotence", "acks", "message.timeout.ms", "partitioner")


class DeliveryFailed(Exception):
    """The broker refused a message for good, or the producer cannot go on: what was not delivered is to be published
    again by a new one."""


class OptionsError(Exception):
    """The options for the client cannot be used; the message says why."""


def options(text: str) -> dict[str, str]:
    """`name=value` lines of librdkafka's names, as where SASL and TLS are told. OptionsError."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, mark, value = line.partition("=")
        if not mark or name.strip() in _FIXED:
            raise OptionsError(
                f"KAFKA_OPTIONS_FILE, line {number}: it takes name=value, and none of {', '.join(_FIXED)}"
            )
        found[name.strip()] = value.strip()
    return found


class Delivery:
    """A producer for the four topics. `wait` is called while something is waited for and may raise to end it."""

    def __init__(
        self, bootstrap: str, extra: dict[str, str], *, prefix: str, form: str, fence: int, wait: Callable[[str], None]
    ) -> None:
        # What librdkafka would write to the terminal by itself, `error_cb` tells.
        told = {"bootstrap.servers": bootstrap, "error_cb": self._erred, "log_level": 2}
        self._client: dict[str, Any] = {**told, **extra}
        try:
            self._producer = Producer({**_OURS, **self._client})
        except KafkaException as error:
            raise OptionsError(f"KAFKA_BOOTSTRAP or KAFKA_OPTIONS_FILE: {error.args[0]}") from error
        self._wait, self.prefix = wait, prefix
        self._waiting = 0
        self._failed = ""
        self.trouble = ""
        """What the client said last since something was delivered, or the broker answered."""
        self._asked_at = time.monotonic()
        self._headers: dict[str, list[tuple[str, str | bytes | None]]] = {
            topic: [("schema", f"{topic}/{VERSION}"), ("format", form), ("fence", str(fence))] for topic in TOPICS
        }
        self._counts = {topic: metrics.FANOUT_MESSAGES.labels(topic) for topic in TOPICS}

    def make_topics(self, *, partitions: int, replication: int) -> None:
        """Make the topics that are not there, with the broker's own number of copies if `replication` is 0, and say
        which may lose what was delivered. One who may not make any is none the worse for it where they are there.
        DeliveryFailed."""
        admin = AdminClient(self._client)
        names = [self.prefix + topic for topic in TOPICS]
        while True:
            try:
                known = admin.list_topics(timeout=ASK_S).topics
                break
            except KafkaException as error:
                self._told(str(error.args[0].str() if isinstance(error.args[0], KafkaError) else error))
                self._wait(self.trouble)
        missing = [name for name in names if name not in known]
        config = copies.config_of(replication)
        wanted = [NewTopic(name, partitions, replication or -1, config=config) for name in missing]
        for name, made in (admin.create_topics(wanted) if wanted else {}).items():
            try:
                made.result(timeout=30)
                log.info("topic made name=%s partitions=%d", name, partitions)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise DeliveryFailed(f"topic {name}: {error.args[0].str()}") from error
        try:
            if missing and not replication:
                copies.require(admin, missing)
            copies.warn(copies.look(admin, names))
        except KafkaException as error:
            log.warning("copies of topics are not known error=%s", error)

    def send(self, content: Content) -> None:
        """Queue a message. DeliveryFailed as soon as one was refused; waits while the queue is full."""
        while True:
            try:
                self._producer.produce(
                    self.prefix + content.topic, content.value, content.key.encode(),
                    headers=self._headers[content.topic], on_delivery=self._delivered,
                )  # fmt: skip
                break
            except BufferError:
                self._poll(POLL_S)
            except KafkaException as error:
                raise DeliveryFailed(error.args[0].str()) from error
        self._waiting += 1
        self._counts[content.topic].inc()
        if not self._waiting % 1000:
            self._producer.poll(0)

    def settle(self) -> None:
        """Return once all that was sent is delivered. DeliveryFailed: some of it may not be."""
        while self._waiting and not self._failed:
            self._poll(POLL_S)
        if self._failed:
            raise DeliveryFailed(self._failed)

    def close(self) -> None:
        """Give up what is on its way."""
        self._producer.purge()
        self._producer.flush(CLOSE_S)

    def idle(self) -> None:
        """Hear what the client has to say. While nothing waits for a broker that was away, it is asked now and then
        whether it is back: by itself the client would find out with the next message."""
        self._producer.poll(0)
        if not self.trouble or self._waiting or time.monotonic() - self._asked_at < ASK_S:
            return
        try:
            self._producer.list_topics(self.prefix + TOPICS[0], timeout=QUICK_S)
        except KafkaException:
            return
        finally:
            self._asked_at = time.monotonic()
        log.info("broker answers again")
        self.trouble = ""

    def _poll(self, seconds: float) -> None:
        before = self._waiting
        self._producer.poll(seconds)
        if self._waiting == before or self._failed:
            self._wait(self.trouble)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._waiting -= 1
        if error is None:
            self.trouble = ""
        elif not self._failed:
            self._failed = f"{message.topic()}: {error.str()}"

    def _erred(self, error: KafkaError) -> None:
        self._told(error.str())
        if error.fatal() and not self._failed:
            self._failed = error.str()

    def _told(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("broker cannot be reached error=%s", trouble)
        self.trouble = trouble[:200]
