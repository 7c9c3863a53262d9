"""Metrics for Prometheus, of all processes of this machine when METRICS_DIR is set. Needs a key (also as basic auth)
or a login."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from api.auth.authentication import BasicKeyAuthentication, KeyAuthentication, MayInspect
from api.rest.renderers import JSONRenderer
from marketdata import metrics


class MetricsView(APIView):
    authentication_classes = (BasicKeyAuthentication, KeyAuthentication, SessionAuthentication)
    permission_classes = (MayInspect,)
    renderer_classes = (JSONRenderer,)  # of errors; the metrics themselves are text

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        """Prometheus asks for text; an error is JSON whatever was asked for."""
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        registry = REGISTRY
        if settings.METRICS_DIR:
            metrics.forget_dead()
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=settings.METRICS_DIR)  # type: ignore[no-untyped-call]
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
