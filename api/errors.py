"""Every error of the REST API has one shape: {"code","message","request_id"}, and "errors" by field where there are
fields."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

log = logging.getLogger(__name__)

# The first three digits are the HTTP status, the rest tells cases of it apart.
MALFORMED = 40010000
UNKNOWN_PARAMETER = 40010001
BAD_TOKEN = 40010002
NOT_AUTHENTICATED = 40110000
FORBIDDEN = 40310000
CSRF = 40310001
NOT_FOUND = 40410000
UNKNOWN_SYMBOL = 40410001
NOT_ALLOWED = 40510000
NOT_ACCEPTABLE = 40610000
TOO_SLOW = 40810000
TOO_LARGE = 41310000
UNPROCESSABLE = 42210000
TOO_MANY = 42910000
INTERNAL = 50010000
UNAVAILABLE = 50310000

_BY_STATUS = {
    401: NOT_AUTHENTICATED, 403: FORBIDDEN, 404: NOT_FOUND, 405: NOT_ALLOWED, 406: NOT_ACCEPTABLE, 413: TOO_LARGE,
    422: UNPROCESSABLE, 429: TOO_MANY, 500: INTERNAL, 503: UNAVAILABLE,
}  # fmt: skip


class Problem(exceptions.APIException):
    """An error of the API with a code of its own."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_detail = "the request is malformed"
    number = MALFORMED


class UnknownParameter(Problem):
    number = UNKNOWN_PARAMETER


class BadToken(Problem):
    number = BAD_TOKEN


class UnknownSymbol(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    number = UNKNOWN_SYMBOL


class Unprocessable(Problem):
    """Well written, and yet not to be answered; `fields` says which parameter is the matter."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    number = UNPROCESSABLE

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = fields


class Unavailable(Problem):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    number = UNAVAILABLE


def body(code: int, message: str, request_id: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is sent for an error."""
    shown: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if fields:
        shown["errors"] = fields
    return shown


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler; what it does not know is an error 500 and goes on to the log."""
    response = exception_handler(error, context)
    if response is None:
        return None
    request = context.get("request")
    request_id = getattr(getattr(request, "_request", request), "request_id", "")
    fields: dict[str, Any] | None = None
    if isinstance(error, exceptions.ValidationError):
        number, fields = MALFORMED, _plain(error.detail)
        message = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())
    else:
        number = error.number if isinstance(error, Problem) else _BY_STATUS.get(response.status_code, MALFORMED)
        fields = error.fields if isinstance(error, Unprocessable) else None
        message = _message(error)
    response.data = body(number, message, request_id, fields)
    return response


def _message(error: Exception) -> str:
    if isinstance(error, Http404):
        return "there is no such thing here"
    if isinstance(error, PermissionDenied):
        return "you may not do this"
    return str(getattr(error, "detail", error))


def _plain(detail: Any) -> dict[str, list[str]]:
    if isinstance(detail, dict):
        return {
            str(name): [str(text) for text in (texts if isinstance(texts, list) else [texts])]
            for name, texts in detail.items()
        }
    return {"request": [str(text) for text in detail]}


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for addresses that are none."""
    return _page(request, 404, NOT_FOUND, "there is no such address")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for what is not allowed."""
    return _page(request, 403, FORBIDDEN, "you may not do this")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's view for forms without their token, or from another site."""
    log.warning("form refused path=%s reason=%s", request.path, reason)
    return _page(request, 403, CSRF, "the form's token is missing or wrong: load the page again and repeat")


def malformed(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for requests it cannot read."""
    return _page(request, 400, MALFORMED, "the request is malformed")


def too_many(request: HttpRequest, wait_s: int) -> HttpResponse:
    """More requests than this caller may make."""
    return _page(request, 429, TOO_MANY, f"too many requests; try again in {wait_s} s")


def internal(request: HttpRequest) -> HttpResponse:
    """Django's handler for our own mistakes; what went wrong is in the log under the request's id."""
    log.error("request failed request_id=%s path=%s", getattr(request, "request_id", ""), request.path)
    return _page(request, 500, INTERNAL, "something went wrong here; the log knows it by this request_id")


def _page(request: HttpRequest, status_code: int, code: int, message: str) -> HttpResponse:
    return JsonResponse(body(code, message, getattr(request, "request_id", "")), status=status_code)
