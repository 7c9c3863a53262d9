"""How the pipeline does: counters, feeds, queues, the time from receipt to commit, and which terminals are
connected."""

from __future__ import annotations

import logging
import time
from typing import Any

import redis
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.auth import access
from api.rest import jsontext, response_schemas
from api.rest.queries import NoQuery
from celery_app import QUEUES
from marketdata import alarms
from marketdata.ledger import source_words
from marketdata.maintenance import dropped, rollover
from marketdata.models import BackupRun, FanoutPosition, IngestBatch, RolloverRun, Source, Symbol
from marketdata.realtime import broker, feed, live_state
from marketdata.reference import roles

log = logging.getLogger(__name__)

RECENT_BATCHES = 200
FANOUT_FEEDS = 100  # those that are behind most
KEEP_S = 1.0  # however many look at the page, the pipeline is asked once a second
_CLIENT_FIELDS = (
    "client",
    "source",
    "since",
    "heard",
    "batches",
    "ticks",
    "rejected",
    "rate",
    "paused",
    "clock_offset_ms",
    "waiting",
    "dropped",
)
_kept: tuple[float, dict[str, Any]] = (float("-inf"), {})


def read() -> dict[str, Any]:
    """The state of the pipeline; what Redis knows is empty while it is away."""
    now_us = time.time_ns() // 1000
    shown: dict[str, Any] = {
        "t": jsontext.time(now_us),
        "redis": True,
        "commit_ms": _commit_ms(),
        "counters": {},
        "refused": {},
        "ingest": [],
        "upkeep": _upkeep(),
        "sources": _sources(now_us),
        "fanout": _fanout(now_us),
    }
    names = sorted(set(Symbol.objects.order_by().values_list("primary_feed", flat=True).distinct()))
    shown["feeds"], shown["queues"] = [{"feed": name, "nature": "unknown"} for name in names], None
    try:
        shown |= live_state.status()
        _add_unwritten(shown)
        shown["feeds"] = _feeds(names, now_us)
        shown["queues"] = broker.queue_depths(QUEUES)
    except redis.RedisError as error:
        log.warning("status without redis error=%s", type(error).__name__)
        shown["redis"] = False
    return shown


def _add_unwritten(shown: dict[str, Any]) -> None:
    """Alarms of the ingest servers that the database did not take: it may be what is wrong."""
    told = shown["upkeep"]["alarms"]
    known = {(one["code"], one["subject"]) for one in told}
    for server in shown["ingest"]:
        told += [one for one in server.pop("alarms", []) if (one["code"], one["subject"]) not in known]


def _feeds(names: list[str], now_us: int) -> list[dict[str, Any]]:
    newest = feed.newest(live_state.connection(), names)
    sources = {source.pk: source for source in Source.objects.all()}
    shown: list[dict[str, Any]] = []
    for name in names:
        entry = newest.get(name)
        if entry is None:
            shown.append({"feed": name, "nature": "silent"})
            continue
        source = sources.get(entry.ticks.source_id)
        shown.append({
            "feed": name, "nature": nature(source), "source": source.code if source else None, "o": entry.last,
            "committed": jsontext.time(entry.committed_us),
            "age_s": round(max(now_us - entry.committed_us, 0) / 1e6, 3),
            "event": jsontext.time(int(entry.ticks.time_us.max())),
        })  # fmt: skip
    return shown


def _sources(now_us: int) -> list[dict[str, Any]]:
    """What sources last told of themselves: buffers, coverage, requests, appkeys."""
    return [
        {**event.body, "client": client, "feed": event.feed, "t": jsontext.time(event.time_us)}
        for client, event in source_words.newest(now_us).items()
    ]


def _fanout(now_us: int) -> dict[str, Any] | None:
    """How far the topics of another broker are behind, by feed; None without one (EVENT_BUS). `silent_s` is how long
    ago the publisher last looked at any feed, and what it noted is no newer than that: also since when the broker is
    away."""
    if settings.EVENT_BUS == "none":
        return None
    positions = sorted(FanoutPosition.objects.all(), key=lambda one: (-one.behind_s, one.feed))
    seen_us = max((one.seen_us for one in positions), default=0)
    return {
        "behind_s": round(positions[0].behind_s, 3) if positions else None,
        "silent_s": round(max(now_us - seen_us, 0) / 1e6, 3) if seen_us else None,
        "publishes": now_us - seen_us <= settings.KAFKA_ALARM_S * 1e6,
        "delivered": _moment(max((one.delivered_us for one in positions), default=0)),
        "away_since": _moment(min((one.trouble_us for one in positions if one.trouble_us), default=0)),
        "feeds": [
            {
                "feed": one.feed,
                "behind_s": round(one.behind_s, 3),
                "late": one.behind_s > settings.KAFKA_ALARM_S,
                # Where it goes on in the feed; None while the database is read.
                "o": one.offset if one.epoch else None,
                "published": _moment(one.published_us),
                "delivered": _moment(one.delivered_us),
                "seen": _moment(one.seen_us),
                "trouble": one.trouble,
            }
            for one in positions[:FANOUT_FEEDS]
        ],
    }


def _moment(time_us: int) -> str | None:
    return jsontext.time(time_us) if time_us else None


def _upkeep() -> dict[str, Any]:
    """How the last mornings went: the day that was rolled over, days that are behind, days with ticks that came
    after theirs had been dropped, the newest backup, alarms."""
    state, runs = RolloverRun.State, RolloverRun.objects.order_by("-trade_date")
    current = rollover.current_date(rollover.utc_now())
    backup = BackupRun.objects.filter(state=BackupRun.State.VERIFIED).order_by("-verified_at").first()
    rolled = runs.filter(state=state.DONE).values_list("trade_date", flat=True).first()
    return {
        "trading_day": current.isoformat(),
        "rolled": rolled.isoformat() if rolled else None,
        "late_after_drop": len(dropped.late_days()),
        "behind": runs.filter(trade_date__lt=current).exclude(state=state.DONE).count(),
        "backup": backup.verified_at.isoformat() if backup and backup.verified_at else None,
        "alarms": [
            {
                "code": one.code,
                "subject": one.subject,
                "since": one.raised_at.isoformat(),
                "message": one.message,
                "texts": one.texts or {},
            }
            for one in alarms.active()[:20]
        ],
    }


def nature(source: Source | None) -> str:
    """`live`, or what must be shown beside the prices: `simulated`, `replay`."""
    if source is None:
        return "unknown"
    if source.is_synthetic:
        return "simulated"
    return "replay" if source.max_age_s is None else "live"


def _commit_ms() -> dict[str, float] | None:
    """From receiving a batch to its commit, over the most recent ones."""
    rows = IngestBatch.objects.order_by("-committed_us").values_list("received_us", "committed_us")[:RECENT_BATCHES]
    waited = sorted((committed - received) / 1000 for received, committed in rows)
    if not waited:
        return None
    return {
        "p50": round(waited[len(waited) // 2], 1),
        "p95": round(waited[int(len(waited) * 0.95)], 1),
        "batches": len(waited),
    }


class StatusView(APIView):
    """The state of the pipeline, at most a second old."""

    @extend_schema(operation_id="status", responses={200: response_schemas.Status, "4XX": response_schemas.Error})
    def get(self, request: Request) -> Response:
        global _kept
        NoQuery.read(request)
        if time.monotonic() - _kept[0] > KEEP_S:
            _kept = (time.monotonic(), read())
        shown = _kept[1]
        if not access.may(request.user, roles.OPERATE):
            # A message may name addresses and users.
            told = [{**one, "message": "", "texts": {}} for one in shown["upkeep"]["alarms"]]
            shown = {
                **shown,
                "ingest": [_public(server) for server in shown["ingest"]],
                "upkeep": {**shown["upkeep"], "alarms": told},
                "fanout": shown["fanout"] and _without_trouble(shown["fanout"]),
            }
        return Response(shown)


def _without_trouble(fanout: dict[str, Any]) -> dict[str, Any]:
    """What a client of the broker says is wrong may name its addresses."""
    return {**fanout, "feeds": [{**one, "trouble": ""} for one in fanout["feeds"]]}


def _public(server: dict[str, Any]) -> dict[str, Any]:
    """Who may only look is not told addresses."""
    clients = [{name: one[name] for name in _CLIENT_FIELDS if name in one} for one in server.get("clients", [])]
    return {**server, "clients": clients}
