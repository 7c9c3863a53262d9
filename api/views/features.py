"""Features of many symbols as one file, sent while it is made."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from api import features
from api.features import FeaturesQuery
from api.rest import series
from api.views import export


class FeaturesView(APIView):
    """Candles, indicators and what is made of them, each row of what was known at its time: CSV, Parquet or an Arrow
    stream, as `Accept` or `format` says."""

    renderer_classes = export.RENDERERS

    @extend_schema(
        operation_id="features", parameters=[FeaturesQuery],
        responses=export.RESPONSES,
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """Errors: Throttled while too many exports run."""
        query = FeaturesQuery.read(request)
        chosen = series.known(query["symbols"], query)
        asked = query["features"]
        return export.sent(request, "features", features.columns(asked), features.table(chosen.found, asked), chosen)
