"""What OpenBB Workspace may show of the API: its widgets, each the address of a list and its parameters."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest.queries import NoQuery

CATEGORY = "Naru"
_SYMBOL = {"paramName": "symbols", "label": "Symbol", "type": "text", "value": "005930", "description": "a code"}
_START = {"paramName": "start", "label": "From", "type": "date", "value": "$currentDate-7d", "description": "a date"}


def _table(name: str, description: str, endpoint: str, key: str = "", *params: dict[str, str]) -> dict[str, Any]:
    """A table of the list that an address gives, under a key of its answer where it has one."""
    data = {"table": {"showAll": True}} | ({"dataKey": key} if key else {})
    return {
        "name": name, "description": description, "category": CATEGORY, "type": "table", "endpoint": endpoint,
        "gridData": {"w": 20, "h": 9}, "params": list(params), "data": data,
    }  # fmt: skip


WIDGETS = {
    "naru_most_actives": _table(
        "Most actives", "What traded most today", "v1beta1/screener/stocks/most-actives", "most_actives"
    ),
    "naru_gainers": _table("Gainers", "What rose most today", "v1beta1/screener/stocks/movers", "gainers"),
    "naru_losers": _table("Losers", "What fell most today", "v1beta1/screener/stocks/movers", "losers"),
    "naru_events": _table("Events", "Events of the market", "v2/events", "events", _SYMBOL, _START),
    "naru_gaps": _table("Gaps", "What is known to be missing", "v2/gaps", "gaps", _SYMBOL, _START),
    "naru_calendar": _table("Calendar", "Trading days of the year", "v2/calendar"),
    "naru_assets": _table("Symbols", "Registered symbols", "v2/assets"),
}


@extend_schema(exclude=True)
class WidgetsView(APIView):
    """The file that OpenBB Workspace reads first."""

    def get(self, request: Request) -> Response:
        NoQuery.read(request)
        return Response(WIDGETS)
