"""How the last mornings went and what lies aside: the rollover step by step, backups, room, what was refused or is
missing. What changes by the second is in `api.views.status`."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from typing import Any

import redis
from django.conf import settings
from django.db.models import Count, Sum
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.auth import access
from api.rest import jsontext, response_schemas
from api.rest.queries import NoQuery
from marketdata import alarms, disks
from marketdata.backups import copies
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention, rollover
from marketdata.models import BackupRun, DeadLetter, Gap, IngestReject, RolloverRun
from marketdata.models.texts import others
from marketdata.realtime import live_state, pipeline_history
from marketdata.realtime.pipeline_history import COARSE
from marketdata.reference import roles
from marketdata.types.units import MINUTE_US

KEEP_S = 10.0  # however many look at the page, this is asked once in ten seconds
ROLLOVERS = 5
RECENT = datetime.timedelta(days=1)
MOST_ROWS = 10_000  # refused rows, gaps whose reasons are counted
_STEPS = ("counted", "sealed", "verified", "moved", "aggregated", "cleaned", "done", "archived")
_kept: tuple[float, dict[str, Any]] = (float("-inf"), {})


def read(now: datetime.datetime) -> dict[str, Any]:
    """The state of the upkeep, and what was refused and is missing of late."""
    current = rollover.current_date(now)
    return {
        "t": jsontext.time(int(now.timestamp() * 1e6)),
        "trading_day": current.isoformat(),
        "next_rollover": rollover.due_at(current).isoformat(),
        "rollovers": [rollover_shown(run) for run in RolloverRun.objects.exclude(trade_date__gte=current)[:ROLLOVERS]],
        "backup": backup_shown(BackupRun.objects.order_by("-pk").first()),
        "verified_backup": backup_shown(
            BackupRun.objects.filter(state=BackupRun.State.VERIFIED).order_by("-verified_at").first()
        ),
        "disks": [
            {"name": alarms.english(disk.name), "free": disk.free, "total": disk.total, "short": disk.is_short}
            for disk in disks.room()
        ],
        "retention": [{"table": table, "days": kept.days} for table, kept in sorted(retention.rules().items())],
        "rejects": _rejects(now - RECENT),
        "dead_letters": dict(
            DeadLetter.objects.filter(created_at__gte=now - RECENT)
            .order_by("code")
            .values_list("code")
            .annotate(Count("pk"))
        ),
        "gaps": _gaps(current),
        "coverage": _coverage(current, int(now.timestamp() * 1e6)),
    }


def rollover_shown(run: RolloverRun) -> dict[str, Any]:
    return {
        "date": run.trade_date.isoformat(), "state": run.state, "ticks": run.rows, "late": run.late_rows,
        "daily": run.daily, "tries": run.tries, "error": run.error, "texts": others(run.error, run.texts),
        "retry_at": _moment(run.retry_at),
        "steps": [{"step": step, "at": _moment(getattr(run, f"{step}_at"))} for step in _STEPS],
    }  # fmt: skip


def backup_shown(run: BackupRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    tables: dict[str, dict[str, list[Any]]] = run.report.get("tables", {}) if isinstance(run.report, dict) else {}
    return {
        "id": run.pk, "name": run.name, "kind": run.kind, "state": run.state, "started_at": _moment(run.started_at),
        "ended_at": _moment(run.ended_at), "verified_at": _moment(run.verified_at), "bytes": run.bytes,
        "error": run.error, "texts": others(run.error, run.texts), "tables": len(tables),
        "copied_at": _moment(run.copied_at), "copy_proven_at": _moment(run.copy_proven_at),
        "rows": sum(verdict[0] for dates in tables.values() for verdict in dates.values()),
    }  # fmt: skip


def copies_shown() -> dict[str, Any] | None:
    """How the copies in the other place stand, for people who operate; None without one."""
    if not settings.BACKUP_OFFSITE:
        return None
    state = copies.state()
    newest, proven = state.newest, state.proven
    return {
        "place": settings.BACKUP_OFFSITE, "recipients": copies.recipients(),
        "copied": newest.name if newest else None, "copied_at": _moment(newest.copied_at if newest else None),
        "proven": proven.name if proven else None, "proven_at": _moment(state.proven_at),
        "restored": proven is not None and proven.copy_restored, "signer": newest.copy_signer if newest else "",
        "signed": bool(settings.BACKUP_SIGNERS_FILE), "unsigned": state.unsigned, "waiting": state.waiting,
    }  # fmt: skip


def _moment(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _rejects(since: datetime.datetime) -> dict[str, Any]:
    """Rows refused since then, by reason, of the newest MOST_ROWS."""
    rows = IngestReject.objects.filter(created_at__gte=since).order_by("-pk").values_list("reasons", flat=True)
    told = list(rows[: MOST_ROWS + 1])
    reasons = Counter(reason for text in told[:MOST_ROWS] for reason in text.split())
    return {
        "since": since.isoformat(), "rows": min(len(told), MOST_ROWS), "cut": len(told) > MOST_ROWS,
        "reasons": dict(reasons.most_common()),
    }  # fmt: skip


def _gaps(date: datetime.date) -> dict[str, Any]:
    """What is known to be missing of a trading date."""
    found = (
        Gap.objects.filter(trade_date=date)
        .order_by()
        .values_list("feed", "reason")
        .annotate(gaps=Count("pk"), lost=Sum("rows"))
    )
    told = sorted(found[:MOST_ROWS], key=lambda one: -one[2])
    return {
        "date": date.isoformat(), "gaps": sum(one[2] for one in told),
        "of": [{"feed": feed, "reason": reason, "gaps": gaps, "rows": lost} for feed, reason, gaps, lost in told[:50]],
    }  # fmt: skip


def _coverage(date: datetime.date, now_us: int) -> dict[str, Any] | None:
    """Of how many minutes of the regular session so far each terminal sent something, as the history of the pipeline
    has it; None outside of it or while Redis is away."""
    window = trading_dates.calendar(rollover.MARKET).regular_window(date)
    if window is None or now_us < window[0] + MINUTE_US:
        return None
    try:
        points = pipeline_history.read(live_state.connection(), COARSE, window[0])
    except redis.RedisError:
        return None
    within = [point for at_us, point in points if at_us < window[1]]
    sent = Counter(name for point in within for name, told in point.terminals.items() if told.get("rate", 0) > 0)
    begun = (min(now_us, window[1]) - window[0]) // MINUTE_US
    return {"date": date.isoformat(), "minutes": begun, "measured": len(within), "terminals": dict(sent)}


class StatusUpkeepView(APIView):
    """The last rollovers step by step, the newest backup and the newest that was restored and compared, room and
    retention, what was refused and is missing of late. At most ten seconds old."""

    @extend_schema(
        operation_id="status_upkeep", responses={200: response_schemas.StatusUpkeep, "4XX": response_schemas.Error}
    )
    def get(self, request: Request) -> Response:
        global _kept
        NoQuery.read(request)
        if time.monotonic() - _kept[0] > KEEP_S:
            _kept = (time.monotonic(), read(rollover.utc_now()))
        shown = _kept[1]
        return Response(shown if access.may(request.user, roles.OPERATE) else _public(shown))


def _public(shown: dict[str, Any]) -> dict[str, Any]:
    """Errors may name addresses and users."""
    quiet = {"error": "", "texts": {}}
    return {
        **shown,
        "rollovers": [one | quiet for one in shown["rollovers"]],
        **{name: shown[name] and shown[name] | quiet for name in ("backup", "verified_backup")},
    }
