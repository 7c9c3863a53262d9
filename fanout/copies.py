"""In how many copies the topics are, and how many of these must have a message before the broker says that it is
delivered. `acks=all` waits for those in sync, and one is enough where nothing else is asked: what it alone has may be
gone with it after the position moved on."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketdata.doctor.findings import Level

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

MIN_IN_SYNC = "min.insync.replicas"
FEWEST_COPIES, FEWEST_IN_SYNC = 3, 2
"""With so many copies at least, so many must have a message: one broker may go, and nothing is lost or stands still."""
ASK_S = 5.0
KNOWN_S, PAUSE_S = 5.0, 0.2
"""How long a broker is asked for topics that another one has just made."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Of a topic; `in_sync` is None where the broker does not tell it."""

    topic: str
    copies: int
    in_sync: int | None

    @property
    def level(self) -> Level:
        """Whether a message that was delivered outlives a broker."""
        if self.copies == 1 or self.in_sync == 1:
            return Level.WARNING
        return Level.UNKNOWN if self.in_sync is None else Level.OK


def config_of(replication: int) -> dict[str, str]:
    """What a topic of so many copies is made with; 0: as many as the broker likes, so that it is to be seen."""
    return {MIN_IN_SYNC: str(FEWEST_IN_SYNC)} if replication >= FEWEST_COPIES else {}


def look(admin: AdminClient, names: Iterable[str]) -> list[Copies]:
    """Of those of the topics that are there. KafkaException: the broker does not answer."""
    known: dict[str, Any] = admin.list_topics(timeout=ASK_S).topics
    there = [name for name in names if name in known and known[name].partitions]
    in_sync = _in_sync(admin, there) if there else {}
    return [
        Copies(name, min(len(one.replicas) for one in known[name].partitions.values()), in_sync.get(name))
        for name in there
    ]


def _in_sync(admin: AdminClient, names: list[str]) -> dict[str, int]:
    """MIN_IN_SYNC of those of which it is told."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # public, upstream marks nothing

    found = {}
    asked = admin.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names], request_timeout=ASK_S
    )
    for resource, answer in asked.items():
        try:
            entries: dict[str, Any] = answer.result(timeout=2 * ASK_S)
        except (KafkaException, TimeoutError) as error:  # one who may not ask, or a broker that does not know
            log.info("topic's settings are not told name=%s error=%s", resource.name, error)
            continue
        if MIN_IN_SYNC in entries and str(entries[MIN_IN_SYNC].value).isdigit():
            found[resource.name] = int(entries[MIN_IN_SYNC].value)
    return found


def require(admin: AdminClient, names: list[str]) -> None:
    """Of topics that were just made with the broker's own number of copies: FEWEST_IN_SYNC where there are enough.
    KafkaException: the broker does not answer."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource  # type: ignore[attr-defined]

    until = time.monotonic() + KNOWN_S
    while len(found := look(admin, names)) < len(names) and time.monotonic() < until:
        time.sleep(PAUSE_S)
    wanted = [
        ConfigResource(
            ConfigResource.Type.TOPIC, one.topic,
            incremental_configs=[
                ConfigEntry(MIN_IN_SYNC, str(FEWEST_IN_SYNC), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for one in found if one.copies >= FEWEST_COPIES and (one.in_sync or 1) < FEWEST_IN_SYNC
    ]  # fmt: skip
    for resource, answer in (admin.incremental_alter_configs(wanted, request_timeout=ASK_S) if wanted else {}).items():
        try:
            answer.result(timeout=2 * ASK_S)
        except (KafkaException, TimeoutError) as error:
            log.warning("topic cannot be set name=%s %s=%d error=%s", resource.name, MIN_IN_SYNC, FEWEST_IN_SYNC, error)


def warn(found: Iterable[Copies]) -> None:
    """Write down which topics may lose what they said was delivered."""
    for one in found:
        if one.level is Level.WARNING:
            told = "?" if one.in_sync is None else one.in_sync
            log.warning("topic may lose messages name=%s copies=%d %s=%s", one.topic, one.copies, MIN_IN_SYNC, told)
