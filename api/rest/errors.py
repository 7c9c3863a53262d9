"""Every error of the REST API has one shape: {"code","message","request_id"}, and "errors" by field where there are
fields. Texts are in the language of the request (`api.rest.languages`), and so are put into words while it lasts;
`code` says the same in every language."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import redis
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from api.auth import access
from api.rest import languages
from marketdata.storage import storage
from marketdata.storage.base import Blame

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

log = logging.getLogger(__name__)

RETRY_S = 5  # what Retry-After says while the database or Redis is away: neither tells when it will be back

# The first three digits are the HTTP status, the rest tells cases of it apart.
MALFORMED = 40010000
UNKNOWN_PARAMETER = 40010001
BAD_TOKEN = 40010002
NOT_AUTHENTICATED = 40110000
FORBIDDEN = 40310000
CSRF = 40310001
FEED_FORBIDDEN = 40310002
NOT_FOUND = 40410000
UNKNOWN_SYMBOL = 40410001
UNKNOWN_FEED = 40410002
NOT_CONNECTED = 40410003
NO_DATA = 40410004
NO_PRODUCT = 40410005
UNKNOWN_MARKET = 40410006
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
    default_detail = _("the request is malformed")
    number = MALFORMED


class UnknownParameter(Problem):
    number = UNKNOWN_PARAMETER


class BadToken(Problem):
    number = BAD_TOKEN


class UnknownSymbol(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    number = UNKNOWN_SYMBOL


class UnknownFeed(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    number = UNKNOWN_FEED


class NotConnected(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    number = NOT_CONNECTED


class NoData(Problem):
    """What was asked for exists, and there is nothing of it yet."""

    status_code = status.HTTP_404_NOT_FOUND
    number = NO_DATA


class NoProduct(Problem):
    """The dialect has such data, this product has none."""

    status_code = status.HTTP_404_NOT_FOUND
    number = NO_PRODUCT


class UnknownMarket(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    number = UNKNOWN_MARKET


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
    wait = RETRY_S  # REST framework makes Retry-After of it


def outage(error: BaseException | None) -> str | None:
    """Who cannot be asked now when that is all an error says, "the database" or "Redis"; None for any other error,
    such as a wrong statement (ProgrammingError)."""
    if isinstance(error, redis.RedisError):
        return "Redis"
    if isinstance(error, OperationalError | InterfaceError) and storage().blame(error) is not Blame.UNKNOWN:
        return "the database"
    return None


def unavailable(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """The answer to an error that is an outage, which one line of the log tells; None for any other error."""
    who = outage(error)
    if who is None:
        return None
    _note_outage(request, error)
    with languages.told_in(request):
        told = _away(who)
    response = _page(request, 503, UNAVAILABLE, told)
    response["Retry-After"] = str(RETRY_S)
    return response


def _away(who: str) -> str:
    text = _("Redis does not answer now; try again in {seconds} s")
    if who != "Redis":
        text = _("the database does not answer now; try again in {seconds} s")
    return str(text).format(seconds=RETRY_S)


def _note_outage(request: HttpRequest, error: BaseException | None) -> None:
    text = " ".join(str(error).split())[:200]
    log.warning("not served while something is away path=%s error=%s %s", request.path, type(error).__name__, text)


def body(code: int, message: str, request_id: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is sent for an error."""
    shown: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if fields:
        shown["errors"] = fields
    return shown


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler; what it does not know is an error 500 and goes on to the log."""
    request = context["request"]._request
    who = outage(error)
    if who is not None:
        _note_outage(request, error)
        error = Unavailable(_away(who))
    response = exception_handler(error, context)
    if response is None:
        return None
    request_id = getattr(request, "request_id", "")
    fields: dict[str, Any] | None = None
    if isinstance(error, exceptions.ValidationError):
        number, fields = MALFORMED, _plain(error.detail)
        message = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())
    elif isinstance(error, access.FeedForbidden):
        number, message = FEED_FORBIDDEN, _message(error)
    else:
        number = error.number if isinstance(error, Problem) else _BY_STATUS.get(response.status_code, MALFORMED)
        fields = error.fields if isinstance(error, Unprocessable) else None
        message = _message(error)
    response.data = body(number, message, request_id, fields)
    languages.mark(response)
    return response


def _message(error: Exception) -> str:
    if isinstance(error, Http404):
        return gettext("there is no such thing here")
    if isinstance(error, PermissionDenied):
        return gettext("you may not do this")
    return str(getattr(error, "detail", error))


def _plain(detail: Any) -> dict[str, list[str]]:
    if isinstance(detail, dict):
        return {
            str(name): [str(text) for text in (texts if isinstance(texts, list) else [texts])]
            for name, texts in detail.items()
        }
    return {"request": [str(text) for text in detail]}


# What people are told in the place of a page, in the language of the pages: a title, and what to do.
_TOLD = {
    MALFORMED: (_("This request cannot be read"), _("Go back and try again from the page itself.")),
    FORBIDDEN: (
        _("You may not see this"),
        _("Your account lacks the right to it: ask who operates Naru, or log in as somebody else."),
    ),
    CSRF: (_("The form has expired"), _("Load the page again and repeat what you did; nothing was changed.")),
    NOT_FOUND: (_("There is no such page"), _("The address is mistyped, or what was there is gone.")),
    TOO_MANY: (_("Too many requests"), _("Wait a minute and load the page again.")),
    INTERNAL: (
        _("Something went wrong here"),
        _("Load the page again. If it stays so, tell who operates Naru the number below: the log knows it."),
    ),
    UNAVAILABLE: (_("Naru cannot answer now"), _("Something that it needs is away. Load the page again in a moment.")),
}
_OF_PROGRAMS = ("/v1", "/v2/", "/udf/", "/metrics")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for addresses that are none."""
    return _page(request, 404, NOT_FOUND, _("there is no such address"))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for what is not allowed."""
    return _page(request, 403, FORBIDDEN, _("you may not do this"))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's view for forms without their token, or from another site."""
    log.warning("form refused path=%s reason=%s", request.path, reason)
    return _page(request, 403, CSRF, _("the form's token is missing or wrong: load the page again and repeat"))


def malformed(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler for requests it cannot read."""
    return _page(request, 400, MALFORMED, _("the request is malformed"))


def too_many(request: HttpRequest, wait_s: int) -> HttpResponse:
    """More requests than this caller may make."""
    return _page(request, 429, TOO_MANY, format_lazy(_("too many requests; try again in {seconds} s"), seconds=wait_s))


def internal(request: HttpRequest) -> HttpResponse:
    """Django's handler for our own mistakes; what went wrong is in the log under the request's id. What a middleware
    raised comes here too, and may be an outage: a session that could not be saved."""
    away = unavailable(request, sys.exc_info()[1])
    if away is not None:
        return away
    log.error("request failed path=%s", request.path)
    return _page(request, 500, INTERNAL, _("something went wrong here; the log knows it by this request_id"))


def _page(request: HttpRequest, status_code: int, code: int, message: _StrOrPromise) -> HttpResponse:
    request_id = getattr(request, "request_id", "")
    if code in _TOLD and _is_looked_at(request):
        title, what = _TOLD[code]
        told = {"status": status_code, "title": title, "what": what, "request_id": request_id}
        return HttpResponse(render_to_string("api/error.html", told), status=status_code)
    with languages.told_in(request):
        response = JsonResponse(body(code, str(message), request_id), status=status_code)
        languages.mark(response)
    return response


def _is_looked_at(request: HttpRequest) -> bool:
    """Whether a person came here with a browser, and not to an address of programs."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith(_OF_PROGRAMS)
