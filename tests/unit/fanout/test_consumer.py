"""What the consumer to copy reads, however slow its broker is."""

import dataclasses
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from fanout import consumer


@dataclasses.dataclass
class Message:
    """One of a partition, as the client gives it."""

    name: str
    number: int
    at: int

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self.name

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at


class Broker:
    """A client whose broker has so many messages of each partition, and gives what it is told to, a look at a time."""

    def __init__(self, has: dict[tuple[str, int], tuple[int, int]], *looks: list[Message]) -> None:
        self.has, self.looks = has, list(looks)

    def get_watermark_offsets(self, partition: Any, timeout: float) -> tuple[int, int]:
        return self.has[partition.topic, partition.partition]

    def assign(self, partitions: Any) -> None:
        """Every one is given."""

    def consume(self, most: int, timeout: float) -> list[Message]:
        return self.looks.pop(0) if self.looks else []


def read(broker: Any) -> list[tuple[str, int, int]]:
    found = consumer.messages(broker, list(broker.has), idle_s=0.0)
    return [(one.topic() or "", one.partition() or 0, one.offset() or 0) for one in found]


def test_what_a_partition_has_is_waited_for_longer_than_what_may_come():
    broker = Broker(
        {("a", 0): (0, 2), ("a", 1): (5, 5), ("b", 0): (3, 4)},
        [], [], [Message("a", 0, 0)], [], [Message("b", 0, 3)], [], [Message("a", 0, 1)], [Message("a", 0, 2)],
    )  # fmt: skip

    assert read(broker) == [("a", 0, 0), ("b", 0, 3), ("a", 0, 1)]


def test_a_broker_that_does_not_give_what_it_has_is_an_error(monkeypatch):
    monkeypatch.setattr(consumer, "ANSWER_S", 0.01)

    with pytest.raises(KafkaException) as refused:
        read(Broker({("a", 0): (0, 2)}, [Message("a", 0, 0)]))

    assert refused.value.args[0].code() == KafkaError._TIMED_OUT
    assert "('a', 0)" in refused.value.args[0].str()
