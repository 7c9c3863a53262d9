"""How the pipeline did in the past hours, for whoever may see how it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors, jsontext, response_schemas
from api.rest.queries import HistoryQuery
from api.views.records import TIMEZONE
from marketdata.realtime import live_state, pipeline_history
from marketdata.realtime.pipeline_history import Number, Point


class StatusHistoryView(APIView):
    """The pipeline's numbers of the past hours, a column for each: a point every ten seconds for two hours, or one a
    minute for a day. They are in Redis only, and begin anew with it."""

    @extend_schema(
        operation_id="status_history", parameters=[HistoryQuery],
        responses={200: response_schemas.StatusHistory, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = HistoryQuery.read(request)
        resolution = pipeline_history.RESOLUTIONS[query["resolution"]]
        start = query.get("start")
        try:
            found = pipeline_history.read(live_state.connection(), resolution, start.first_us(TIMEZONE) if start else 0)
        except redis.RedisError as error:
            raise errors.Unavailable(gettext("the history is in Redis, which does not answer; come again")) from error
        points = [point for _, point in found]
        name = query.get("terminal")
        terminal = None
        if name is not None:
            terminal = _columns(points, lambda one: one.terminals.get(name, {}), pipeline_history.TERMINAL_FIGURES)
        return Response({
            "t": jsontext.time(time.time_ns() // 1000),
            "resolution": resolution.name,
            "step_s": resolution.step_s,
            "times": [jsontext.time(at_us) for at_us, _ in found],
            "figures": _columns(points, lambda one: one.figures, pipeline_history.FIGURES),
            "queues": _columns(points, lambda one: one.queues),
            "rejected": _columns(points, lambda one: one.rejected),
            "terminal": terminal,
        })  # fmt: skip


def _columns(
    points: Sequence[Point], part: Callable[[Point], Mapping[str, Number]], names: Iterable[str] | None = None
) -> dict[str, list[Any]]:
    parts = [part(point) for point in points]
    known = sorted({name for one in parts for name in one}) if names is None else names
    return {name: [one.get(name) for one in parts] for name in known}
