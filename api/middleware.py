"""What every answer carries: an id to find it again in the log, and what a browser may load."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Styles in attributes are what the chart and the REST framework's pages use; scripts come from files only.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Envelope:
    """X-Request-ID (the caller's own when it is a plain word) and Content-Security-Policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # read by api.errors
        response = self._get_response(request)
        response["X-Request-ID"] = request_id
        response.setdefault("Content-Security-Policy", _POLICY)
        return response
