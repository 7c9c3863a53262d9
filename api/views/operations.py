"""What lies aside and how the upkeep runs, and what an operator asks of the workers: the page of operations reads and
asks here. Nothing of it is done in a web process."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from typing import Any

from django.conf import settings
from django.db.models.functions import Length
from django.http import Http404
from django.utils import translation
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask
from drf_spectacular.utils import extend_schema
from kombu.exceptions import OperationalError
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import timetable_names
from api.auth.authentication import Operates
from api.rest import errors, jsontext, response_schemas
from api.rest.bodies import AlarmBody, Body, RequeueBody
from api.rest.fields import MOST_NUMBER
from api.rest.queries import NoQuery
from api.views import status_upkeep
from marketdata import alarms
from marketdata.maintenance import requests, rollover, turns
from marketdata.management import options
from marketdata.models import (
    Alarm,
    AuditEntry,
    BackupRun,
    DeadLetter,
    IngestBatch,
    IngestReject,
    IngestStream,
    RolloverRun,
)
from marketdata.types import reject_reasons
from marketdata.types.tick_arrays import SEQ_BITS

MOST_LETTERS = 100
MOST_ROWS = 10_000
MOST_RUNS = 10
MOST_ASKED = 20
MOST_ALARMS = 100
RECENT = datetime.timedelta(days=1)
_ANSWERS = {
    202: response_schemas.OperationAnswer, 200: response_schemas.OperationAnswer, "4XX": response_schemas.Error,
    503: response_schemas.Error,
}  # fmt: skip


def _letters() -> list[dict[str, Any]]:
    """The newest dead letters, without their payload, which may be large."""
    rows = list(DeadLetter.objects.defer("payload").annotate(bytes=Length("payload")).order_by("-pk")[:MOST_LETTERS])
    streams = IngestStream.objects.filter(pk__in={row.batch >> SEQ_BITS for row in rows})
    clients = dict(streams.values_list("pk", "client__name"))
    feeds = dict(IngestBatch.objects.filter(pk__in={row.batch for row in rows}).values_list("pk", "feed"))
    return [
        {
            "id": row.pk, "batch": f"{row.batch >> SEQ_BITS}/{row.batch & ((1 << SEQ_BITS) - 1)}", "code": row.code,
            "error": row.error[:500], "client": clients.get(row.batch >> SEQ_BITS), "feed": feeds.get(row.batch),
            "bytes": row.bytes, "at": row.created_at.isoformat(), "again": row.code in reject_reasons.LETTERS_AGAIN,
        }
        for row in rows
    ]  # fmt: skip


def _rejects() -> dict[str, Any]:
    told = list(IngestReject.objects.order_by("-pk").values_list("reasons", flat=True)[: MOST_ROWS + 1])
    reasons = Counter(reason for text in told[:MOST_ROWS] for reason in text.split())
    return {
        "rows": min(len(told), MOST_ROWS), "cut": len(told) > MOST_ROWS, "reasons": dict(reasons.most_common()),
    }  # fmt: skip


def _timetable(now: datetime.datetime) -> list[dict[str, Any]]:
    rows = PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked").order_by("name")[:200]
    return [
        {
            "name": row.name, "task": row.task, "enabled": row.enabled, **_every(row),
            "last": _moment(row.last_run_at), "next": _moment(turn.at), "overdue": turn.overdue,
            "runs": row.total_run_count,
        }
        for row, turn in ((row, turns.following(row, now)) for row in rows)
    ]  # fmt: skip


def _every(row: PeriodicTask) -> dict[str, Any]:
    """How often an entry is done, in English and by language; in seconds where it is so many."""
    interval = row.interval
    words = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            words[language] = timetable_names.every(row)
    return {
        "every": words.pop("en"), "every_texts": words,
        "every_s": None if interval is None else int(interval.schedule.run_every.total_seconds()),
    }  # fmt: skip


def _asked(entry: AuditEntry) -> dict[str, Any]:
    before = requests.going(entry.action) if entry.outcome in (requests.ASKED, requests.RUNNING) else None
    going = before is not None and before.pk == entry.pk
    return {
        "id": entry.pk, "at": entry.at.isoformat(), "by": entry.actor, "work": entry.action, "text": entry.text,
        "outcome": entry.outcome, "texts": requests.texts(entry), "going": going,
        "lost": entry.outcome in (requests.LOST, requests.NOT_TAKEN)
        or (entry.outcome in (requests.ASKED, requests.RUNNING) and not going),
    }  # fmt: skip


def _alarm(one: Alarm) -> dict[str, Any]:
    return {
        "id": one.pk, "code": one.code, "subject": one.subject, "message": one.message, "texts": one.texts or {},
        "since": one.raised_at.isoformat(), "seen": one.seen_at.isoformat(), "count": one.count,
        "acknowledged": _moment(one.acknowledged_at), "acknowledged_by": one.acknowledged_by,
        "cleared": _moment(one.cleared_at), "cleared_by": one.cleared_by,
    }  # fmt: skip


def _moment(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def read() -> dict[str, Any]:
    """What an operator looks at: what lies aside, how the upkeep ran, alarms, the timetable, what was asked for."""
    now = rollover.utc_now()
    asked = AuditEntry.objects.filter(action__in=list(requests.WORKS))
    return {
        "t": jsontext.time(int(now.timestamp() * 1e6)),
        "dead_letters": _letters(),
        "dead_letter_count": DeadLetter.objects.count(),
        "rejects": _rejects(),
        "rollovers": [status_upkeep.rollover_shown(run) for run in RolloverRun.objects.all()[:MOST_RUNS]],
        "backups": [status_upkeep.backup_shown(run) for run in BackupRun.objects.order_by("-pk")[:MOST_RUNS]],
        "copies": status_upkeep.copies_shown(),
        "alarms": [_alarm(one) for one in alarms.active()[:MOST_ALARMS]],
        "cleared": [_alarm(one) for one in alarms.cleared(now - RECENT)[:MOST_ALARMS]],
        "timetable": _timetable(now),
        "asked": [_asked(entry) for entry in asked.order_by("-pk")[:MOST_ASKED]],
    }  # fmt: skip


class OperationsView(APIView):
    """What lies aside and how the upkeep runs, for people who operate."""

    permission_classes = (Operates,)

    @extend_schema(
        operation_id="operations", responses={200: response_schemas.Operations, "4XX": response_schemas.Error}
    )
    def get(self, request: Request) -> Response:
        """PermissionDenied for who does not operate, and for keys."""
        NoQuery.read(request)
        return Response(read())


def _answer(request: Request, work: str, text: str = "", **given: Any) -> Response:
    """202 with what was asked, 200 with what was asked before and is not over. Unavailable while the broker is."""
    by = request.user.get_username()
    try:
        entry, new = requests.ask(work, by=by, text=text, **given)
    except OperationalError as error:
        raise errors.Unavailable(_("the broker cannot be reached, so no worker can be asked")) from error
    content = {"new": new, "asked": _asked(entry)}
    return Response(content, status=status.HTTP_202_ACCEPTED if new else status.HTTP_200_OK)


class RequeueView(APIView):
    """Refused rows and dead letters, judged again by a worker."""

    permission_classes = (Operates,)

    @extend_schema(operation_id="operations_requeue", request=RequeueBody, responses=_ANSWERS)
    def post(self, request: Request) -> Response:
        """Unprocessable for a body that selects nothing; PermissionDenied for who does not operate, and for keys."""
        NoQuery.read(request)
        given = RequeueBody.of(request, partial=False)
        if not given:
            raise errors.Unprocessable({"code": _("say what: a code, a reason or a batch")})
        if given.get("code") and given.get("reason"):
            raise errors.Unprocessable({"reason": _("is of rows, code of dead letters: one of them at a time")})
        text = " ".join(f"--{name} {value}" for name, value in given.items())
        if "batch" in given:
            try:
                given["batch"] = options.batch(given["batch"])
            except argparse.ArgumentTypeError:
                raise errors.Unprocessable({"batch": _("is stream/seq of the ledger, such as 3/1042")}) from None
        return _answer(request, "requeue", text, **given)


class AskView(APIView):
    """The rollover of what is due, a backup, or retention, done now by a worker."""

    permission_classes = (Operates,)

    @extend_schema(operation_id="operations_ask", request=None, responses=_ANSWERS)
    def post(self, request: Request, work: str) -> Response:
        """Http404 for what is no such work; PermissionDenied for who does not operate, and for keys."""
        if work not in requests.WORKS:
            raise Http404
        NoQuery.read(request)
        Body.of(request, partial=False)
        return _answer(request, work)


class AlarmView(APIView):
    """An alarm that somebody acknowledges, or clears because its trouble is over. Both are in the audit log."""

    permission_classes = (Operates,)

    @extend_schema(
        operation_id="operations_alarm", request=AlarmBody,
        responses={200: response_schemas.OperationAlarm, "4XX": response_schemas.Error},
    )  # fmt: skip
    def post(self, request: Request, alarm: int) -> Response:
        """Http404 for an alarm that does not stand; PermissionDenied for who does not operate, and for keys."""
        NoQuery.read(request)
        changes = {"acknowledge": alarms.acknowledge, "clear": alarms.clear}
        change = changes[AlarmBody.of(request, partial=False)["do"]]
        changed = change(alarm, by=request.user.get_username()) if alarm <= MOST_NUMBER else None
        if changed is None:
            raise Http404
        return Response(_alarm(changed))
