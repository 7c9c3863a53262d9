"""Brokers of Kafka's protocol that fail as they are told to: the mock cluster inside librdkafka, which clients of any
process reach by TCP. It knows leaders, and sequences of idempotent producers, but no way to make a topic. What it does
wrong is asked for by functions that Python's client does not show; they are called in the library that it brings."""

import ctypes
from pathlib import Path
from typing import Any, Self

import confluent_kafka

from tests.servers.process import Started

PRODUCE = 0  # the number of this request in the protocol
_POINTER = ctypes.c_void_p


def _library() -> Any:
    (path,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*")
    found = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(found, name).restype = _POINTER
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return found


class FaultyKafka(Started):
    """`with FaultyKafka() as brokers:` ... `brokers.url` is what clients begin with; topics come first."""

    def __init__(self, *, brokers: int = 3) -> None:
        self._library, self._brokers = _library(), brokers
        self._client = self._cluster = _POINTER()

    @property
    def url(self) -> str:
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def start(self) -> Self:
        library, words = self._library, ctypes.create_string_buffer(512)
        self._client = _POINTER(
            library.rd_kafka_new(0, _POINTER(library.rd_kafka_conf_new()), words, ctypes.c_size_t(512))
        )
        if self._client.value is None:
            raise RuntimeError(words.value.decode())
        self._cluster = _POINTER(library.rd_kafka_mock_cluster_new(self._client, self._brokers))
        return self

    def stop(self) -> None:
        if self._cluster.value is not None:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._client = self._cluster = _POINTER()

    def topic(self, name: str, *, leader: int) -> None:
        """A topic of one partition, on all brokers, and who leads it (they are numbered from 1)."""
        self._asked("topic_create", name.encode(), ctypes.c_int(1), ctypes.c_int(self._brokers))
        self.lead(name, leader)

    def lead(self, name: str, leader: int) -> None:
        """Another broker leads a topic from now on: the one before refuses what comes."""
        self._asked("partition_set_leader", name.encode(), ctypes.c_int32(0), ctypes.c_int32(leader))

    def fail(self, broker: int, *errors: int) -> None:
        """The next messages that are sent to a broker meet these errors, one a request: numbers of the protocol, or of
        librdkafka (_TRANSPORT: the connection ends)."""
        pairs = [ctypes.c_int(number) for error in errors for number in (error, 0)]
        where = (ctypes.c_int32(broker), ctypes.c_int16(PRODUCE))
        self._asked("broker_push_request_error_rtts", *where, ctypes.c_size_t(len(errors)), *pairs)

    def failures_left(self, broker: int) -> int:
        """Of those that were asked for."""
        left = ctypes.c_size_t()
        where = (ctypes.c_int32(broker), ctypes.c_int16(PRODUCE))
        self._asked("broker_error_stack_cnt", *where, ctypes.byref(left))
        return left.value

    def switch(self, broker: int, *, on: bool) -> None:
        """A broker goes, with its connections, or comes back."""
        self._asked("broker_set_up" if on else "broker_set_down", ctypes.c_int32(broker))

    def _asked(self, what: str, *given: Any) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{what}")(self._cluster, *given)
        if code:
            raise RuntimeError(f"{what}: {confluent_kafka.KafkaError(code).str()}")
