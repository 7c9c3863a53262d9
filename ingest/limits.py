"""The ingest server's limits as one value, read from the settings at the edge and handed down."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes, counts and seconds; what happens at each limit is said where it is used."""

    max_clients: int = 512
    max_unauthenticated: int = 64  # connections that have not said who they are
    max_unauthenticated_of_address: int = 32
    client_bytes: int = 4 << 20
    inflight_bytes: int = 256 << 20
    max_messages: int = 4
    message_ticks: int = 5_000
    redrive_s: float = 5.0
    ring_bytes: int = 2 << 20
    ring_age_s: float = 60.0
    dataset_bytes: int = 64 << 20
    write_bytes: int = 256 << 10
    drain_s: float = 10.0
    clock_offset_s: float = 2.0  # further apart than this is an alarm
    audit_s: float = 15.0  # how often a connected client compares what it keeps


def from_settings() -> Limits:
    """The limits the environment asks for."""
    return Limits(
        max_clients=settings.INGEST_MAX_CLIENTS,
        inflight_bytes=settings.INGEST_MAX_INFLIGHT_BYTES,
        max_messages=settings.INGEST_MAX_MESSAGES,
        message_ticks=settings.INGEST_MESSAGE_TICKS,
        redrive_s=settings.INGEST_REDRIVE_S,
        ring_bytes=settings.INGEST_RING_BYTES,
        ring_age_s=settings.INGEST_RING_AGE_S,
        dataset_bytes=settings.INGEST_DATASET_BYTES,
        clock_offset_s=settings.CLOCK_OFFSET_ALARM_S,
        audit_s=settings.INGEST_AUDIT_S,
    )
