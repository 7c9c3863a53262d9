"""What every answer carries: an id to find it again in the log, what a browser may load, how many requests are left."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

import zstandard
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.db import DatabaseError, DataError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from api import urls
from api.auth import access, authentication, logins, sessions
from api.rest import errors, languages
from api.throttling import rates
from marketdata import metrics
from marketdata.limits.unauthenticated import caller
from marketdata.logs import context
from marketdata.tracing import spans

_ZSTD = re.compile(r"(?:^|,)\s*zstd\s*(?:;\s*q=(?P<q>[0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Styles in attributes are what the chart and the REST framework's pages use; scripts come from files only.
_CONTENT = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

# Django's SecurityMiddleware adds Referrer-Policy, Cross-Origin-Opener-Policy and Strict-Transport-Security.
_POLICIES = {
    "Content-Security-Policy": _CONTENT,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class RequestId:
    """X-Request-ID (the caller's own when it is a plain word) and what a browser may do with an answer; how long it
    took."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # read by api.rest.errors
        began, began_ns = time.perf_counter(), time.time_ns()
        with context.answering(request_id):
            response = self._get_response(request)
        metrics.HTTP_SECONDS.labels(f"{response.status_code // 100}xx").observe(time.perf_counter() - began)
        if spans.on():
            _traced(request, response, request_id, began_ns)
        response["X-Request-ID"] = request_id
        for name, policy in _POLICIES.items():
            response.setdefault(name, policy)
        return response


def _traced(request: HttpRequest, response: HttpResponseBase, request_id: str, began_ns: int) -> None:
    """The request as the root of its trace: the pattern of its path and not what is asked for. Probes and files have
    none."""
    if request.path_info.startswith(("/healthz", "/readyz", "/metrics", "/static/")):
        return
    method = request.method if request.method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE") else ""
    route = "/" + request.resolver_match.route if request.resolver_match else ""
    place = spans.root(spans.trace_of(request_id))
    spans.record(
        f"{method or 'HTTP'} {route}".rstrip(), place.trace, began_ns, time.time_ns(), span=place.span, kind="SERVER",
        attributes={
            "http.request.method": method or "_OTHER", "http.route": route, "http.request.id": request_id,
            "http.response.status_code": response.status_code,
        },
        error=str(response.status_code) if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else "",
    )  # fmt: skip


class LoggedIn(AuthenticationMiddleware):
    """request.user, who has proven every factor that he needs."""

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: logins.user_of(request))  # type: ignore[assignment]  # as Django's own
        request.auser = partial(sync_to_async(logins.user_of), request)  # type: ignore[assignment]  # the same


class Asking:
    """Lets `api.auth.access` know whose request it is that something is read for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with access.answering(request):
            return self._get_response(request)


class IdleTimeout:
    """A login that is used lives on; one that is not ends."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        sessions.keep_alive(request.session, time.time())
        return response


class Compressed(GZipMiddleware):
    """zstd (RFC 8878) for who takes it, else gzip, which costs many times as much for the same length. Of the market
    data that GET gives, of the files of the pages and of their texts, and of nothing else: no page, form or ticket, for
    what has a secret beside what a stranger can choose tells of it by its length (BREACH)."""

    PATHS, TYPES = ("/v1", "/v2/", "/udf/"), ("application/json", "text/csv", "text/plain")
    FILES, FILE_TYPES = ("/static/", "/texts.js"), ("text/javascript", "text/css", "image/svg+xml")
    LEAST_BYTES, ZSTD_LEVEL = 200, 1  # the first is Django's for gzip

    def process_request(self, request: HttpRequest) -> None:
        """A browser asks again for a file by the weak tag that its packed form had; WhiteNoise compares letters."""
        tag = request.META.get("HTTP_IF_NONE_MATCH", "")
        if tag and request.path_info.startswith(self.FILES):
            request.META["HTTP_IF_NONE_MATCH"] = tag.removeprefix("W/")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_file = request.path_info.startswith(self.FILES)
        types = self.FILE_TYPES if is_file else self.TYPES
        chosen = request.method == "GET" and (is_file or request.path_info.startswith(self.PATHS))
        if not chosen or response.get("Content-Type", "").partition(";")[0] not in types:
            return response
        if is_file and response.streaming:
            if response.status_code != HTTPStatus.OK:  # a part, whose bytes are counted
                return response
            response = _whole(response)
        if _takes_zstd(request.headers.get("Accept-Encoding", "")) and not response.has_header("Content-Encoding"):
            self._pack(response)
        return super().process_response(request, response)  # which leaves alone what is packed

    def _pack(self, response: Any) -> None:
        packer = zstandard.ZstdCompressor(level=self.ZSTD_LEVEL)
        if response.streaming:
            given, packed = response.streaming_content, packer.compressobj()
            response.streaming_content = _steps(given, packed) if response.is_async else _parts(given, packed)
            del response.headers["Content-Length"]
        elif len(response.content) >= self.LEAST_BYTES:
            response.content = packer.compress(response.content)
            response["Content-Length"] = str(len(response.content))
        else:
            return
        patch_vary_headers(response, ["Accept-Encoding"])
        response["Content-Encoding"] = "zstd"
        if response.get("ETag", "").startswith('"'):  # of the same content, not of the same bytes
            response["ETag"] = f"W/{response['ETag']}"


def _whole(response: Any) -> HttpResponse:
    """A file's answer with the file read: they are small, and what is packed is not streamed."""
    whole = HttpResponse(b"".join(response.streaming_content), status=response.status_code, headers=response.headers)
    response.close()
    return whole


def _takes_zstd(accepted: str) -> bool:
    """Whether an Accept-Encoding names zstd, and not with the weight 0."""
    named = _ZSTD.search(accepted)
    return named is not None and (named["q"] is None or named["q"].strip("0.") != "")


def _parts(content: Iterable[bytes], packed: Any) -> Iterator[bytes]:
    """Each part as it comes, packed; then the end."""
    for part in content:
        yield packed.compress(part) + packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    yield packed.flush()


async def _steps(content: AsyncIterable[bytes], packed: Any) -> AsyncIterator[bytes]:
    """The same of an asynchronous one."""
    async for part in content:
        yield packed.compress(part) + packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    yield packed.flush()


class NoNul:
    """400 for a NUL in the path, the query, a cookie or a form: PostgreSQL would refuse it with an error, the other
    databases take it, and nothing of Naru's has one. The dialect's key headers are judged by authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = [request.path_info, *request.COOKIES.values(), *_words(request.GET)]
        if request.method == "POST" and request.content_type == "application/x-www-form-urlencoded":
            given += _words(request.POST)
        if any("\0" in text for text in given):
            return errors.malformed(request)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """One that came another way, such as inside JSON."""
        return errors.malformed(request) if isinstance(error, DataError) and "NUL (0x00)" in str(error) else None


class Language:
    """Pages speak the language that was chosen on one of them, else NARU_LANG's: what a browser prefers does not count,
    for desks whose people read Korean have English browsers. The API tells errors in the language that the request
    asks for, which of a page's own requests is the page's; its other answers have none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(("/v1", "/v2/")):
            with languages.told_in(request):
                return self._get_response(request)
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        with translation.override(chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE):
            response = self._get_response(request)
            response.setdefault("Content-Language", translation.get_language() or "")
        patch_vary_headers(response, ["Cookie"])
        return response


class Outage:
    """503 with Retry-After, in the API's shape, when a view found the database or Redis away. The REST framework's
    views do the same by `api.rest.errors.handler`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return errors.unavailable(request, error)


def _words(given: QueryDict) -> list[str]:
    """Names and values."""
    return [text for name, values in given.lists() for text in (name, *map(str, values))]


class RateLimit:
    """Every request is counted once. One with a key is counted by authentication, when the key is proven right, and a
    session or the page's cookie here before the view; whoever was not counted by then is a stranger."""

    NOT_COUNTED = ("/healthz", "/readyz")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.path in self.NOT_COUNTED:
            return response
        if rates.of(request) is None:
            rate = rates.of_unknown(request, authentication.address_of(request))
            response = errors.too_many(request, rate.reset_s) if rate.exceeded else response
        rates.show(request, response)
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        """Before the view does its work. Where no key is asked for none counts, or it would be a way around."""
        match = request.resolver_match
        public = match is not None and match.view_name in urls.PUBLIC
        if request.path in self.NOT_COUNTED or (authentication.brings_key(request) and not public):
            return None
        rate = self._count(request)
        return errors.too_many(request, rate.reset_s) if rate.exceeded else None

    def _count(self, request: HttpRequest) -> rates.Rate:
        address = authentication.address_of(request)
        try:
            if request.user.is_authenticated:
                return rates.of_known(request, f"user:{request.user.pk}", f"user {request.user.get_username()}")
        except DatabaseError:  # whose session it is cannot be found out now
            return rates.of_unknown(request, address)
        if authentication.page_cookie_valid(request.COOKIES.get(authentication.PAGE_COOKIE, "")):
            return rates.of_known(request, f"page:{caller(address)}", "visitors of the page")
        return rates.of_unknown(request, address)
