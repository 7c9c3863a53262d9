"""Corporate actions in the dialect's shape: https://docs.alpaca.markets/reference/corporateactions-1."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.db.models import F, Q
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors, paging, response_schemas, series
from api.rest.queries import CorporateActionsQuery
from api.views.records import question
from marketdata.models import AdjustmentFactor
from marketdata.reference import corporate_actions
from marketdata.storage import TickKey
from marketdata.types.units import date_of, day_of

Kind = AdjustmentFactor.Kind
_FORWARD = Q(kind=Kind.SPLIT, new_rate__gt=F("old_rate"))
_OF_TYPE = {
    "forward_split": _FORWARD,
    "reverse_split": Q(kind=Kind.SPLIT) & ~_FORWARD,
    "stock_dividend": Q(kind=Kind.STOCK_DIVIDEND),
    "cash_dividend": Q(kind=Kind.DIVIDEND),
    "spin_off": Q(kind=Kind.SPIN_OFF),
    "rights_distribution": Q(kind=Kind.RIGHTS),
}
"""Which rows are of a type of the dialect; of its other types there are none."""
_UUIDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:naru:corporate-action").int >> 64 << 64
_RATE = Decimal("0.00000001")  # to which a rate is rounded that is not stored as it is


def _id(one: AdjustmentFactor) -> str:
    """A UUID, as the dialect's clients want it, with the row's number in its last 64 bits."""
    return str(uuid.UUID(int=_UUIDS | one.pk))


def _numbers(ids: list[uuid.UUID]) -> list[int]:
    """The numbers of the rows that have these ids."""
    return [one.int & (1 << 63) - 1 for one in ids if one.int & ~((1 << 63) - 1) == _UUIDS]


def _shown(one: AdjustmentFactor) -> tuple[str, dict[str, Any]]:
    """(the list it belongs to, the action). No CUSIP is known, so each is empty."""
    told = {
        "id": _id(one), "ex_date": one.ex_date, "process_date": one.ex_date, "old_rate": one.old_rate,
        "new_rate": one.new_rate, "source": one.source,
    }  # fmt: skip
    own = {"symbol": one.symbol, "cusip": "", **told}
    of_source = {"source_symbol": one.symbol, "source_cusip": "", "new_symbol": "", "new_cusip": "", **told}
    if one.kind == Kind.SPLIT and one.new_rate > one.old_rate:
        return "forward_splits", own
    if one.kind == Kind.SPLIT:
        return "reverse_splits", {"symbol": one.symbol, "old_cusip": "", "new_cusip": "", **told}
    if one.kind == Kind.STOCK_DIVIDEND:
        return "stock_dividends", {**own, "rate": ((one.new_rate - one.old_rate) / one.old_rate).quantize(_RATE)}
    if one.kind == Kind.DIVIDEND:
        cash = one.new_rate - one.old_rate if one.cash is None else one.cash
        return "cash_dividends", {**own, "rate": cash, "special": False, "foreign": False}
    if one.kind == Kind.SPIN_OFF:
        return "spin_offs", {**of_source, "source_rate": one.old_rate}
    return "rights_distributions", {**of_source, "rate": (one.new_rate / one.old_rate).quantize(_RATE)}


def _behind(after: TickKey, *, newest: bool) -> Q:
    """The rows behind the last one of the page before. BadToken for a date that is none."""
    try:
        date = date_of(after.time_us)
    except OverflowError as error:
        raise errors.BadToken(_("page_token is not one that this API gave")) from error
    if newest:
        return Q(ex_date__lt=date) | Q(ex_date=date, pk__lt=after.tick_id)
    return Q(ex_date__gt=date) | Q(ex_date=date, pk__gt=after.tick_id)


class CorporateActionsView(APIView):
    """Splits, dividends and other actions that prices are adjusted for, by ex-date, in a list for each type."""

    @extend_schema(
        operation_id="corporate_actions", parameters=[CorporateActionsQuery],
        responses={200: response_schemas.CorporateActions, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Errors: Unprocessable when the start is after the end; BadToken for a token of another question."""
        query = CorporateActionsQuery.read(request)
        asked, newest, limit = question("corporate-actions", query), query["sort"] == "desc", query["limit"]
        rows = corporate_actions.chosen(query.get("symbols"), start=query.get("start"), end=query.get("end"))
        if "types" in query:
            of_types = Q(pk__in=[])
            for name in query["types"]:
                of_types |= _OF_TYPE.get(name, Q(pk__in=[]))
            rows = rows.filter(of_types)
        if "ids" in query:
            rows = rows.filter(pk__in=_numbers(query["ids"]))
        if query.get("cusips"):
            rows = rows.none()
        after = series.after(query, asked, [""])
        if after is not None:
            rows = rows.filter(_behind(after, newest=newest))
        found = list(rows.order_by(*(("-ex_date", "-pk") if newest else ("ex_date", "pk")))[: limit + 1])
        token = None
        if len(found) > limit:
            last = found[limit - 1]
            token = paging.encode_token(TickKey("", day_of(last.ex_date), last.pk), asked)
        shown: dict[str, list[dict[str, Any]]] = {}
        for name, one in map(_shown, found[:limit]):
            shown.setdefault(name, []).append(one)
        return Response({"corporate_actions": shown, "next_page_token": token})
