"""Metrics for Prometheus, of all processes of this machine when METRICS_DIR is set. Needs a key (also as basic auth)
or a login. With METRICS_PORT each program answers for itself, and this is for people."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from api.auth.authentication import BasicKeyAuthentication, KeyAuthentication, MayInspect
from api.rest.renderers import JSONRenderer
from marketdata.monitoring import listener


class MetricsView(APIView):
    authentication_classes = (BasicKeyAuthentication, KeyAuthentication, SessionAuthentication)
    permission_classes = (MayInspect,)
    renderer_classes = (JSONRenderer,)  # of errors; the metrics themselves are text

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        """Prometheus asks for text; an error is JSON whatever was asked for."""
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        registry.register(listener.Counted(Path(settings.METRICS_DIR) if settings.METRICS_DIR else None))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
