"""A list behind a number, as a page for whoever may read; people who operate have the administration besides."""

from __future__ import annotations

import datetime
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from api.auth import access
from api.auth.access import Visitor
from api.lists.listing import Asked, ListQuery
from api.lists.registry import LISTS
from api.rest import errors, feeds
from api.views import page
from marketdata.models import Feed

NAMES: dict[str, Promise] = {
    "date": _("trading date"), "feed": _("feed"), "symbol": _("symbol"), "reason": _("reason"), "code": _("code"),
    "since": _("within"), "late": _("lateness"), "price": _("price"), "kind": _("kind"),
}  # fmt: skip
"""What a list was asked for, by the name in its address."""
_VALUES: dict[tuple[str, str], Promise] = {
    ("since", "hour"): _("an hour"), ("since", "day"): _("a day"), ("since", "week"): _("a week"),
    ("late", "1"): _("after the date was sealed"), ("late", "0"): _("before the date was sealed"),
}  # fmt: skip


@never_cache
def show(request: HttpRequest, name: str) -> HttpResponse:
    """For people who may read, and while PAGE_PUBLIC is on for anybody, as the pages are."""
    known = access.may_read(request.user)
    if not known:
        if not settings.PAGE_PUBLIC:
            return redirect_to_login(request.get_full_path())
        request.user = Visitor()  # type: ignore[assignment]  # as REST has it
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    read = LISTS.get(name)
    if read is None:
        return errors.not_found(request)
    try:
        query = ListQuery.read(Request(request))
        if query.get("feed"):
            query["feed"] = feeds.resolve(query["feed"])
        listing = read(Asked(query, _feeds(request), datetime.datetime.now(datetime.UTC)))
    except APIException as error:
        return _wrong(request, error)
    older = None
    if listing.older is not None:
        values = request.GET.copy()
        values["before"] = listing.older
        older = values.urlencode()
    first = request.GET.copy()
    chosen = [(NAMES[word], _VALUES.get((word, str(value)), value)) for word, value in first.items() if word in NAMES]
    first.pop("before", None)
    context = {
        "user": request.user if known else None, **page.bar_of(request.user), "title": listing.title,
        "listing": listing, "older": older, "newest": f"?{first.urlencode()}" if "before" in request.GET else None,
        "chosen": chosen,
        "rows": [list(zip(listing.columns, row, strict=True)) for row in listing.rows],
    }  # fmt: skip
    return render(request, "api/list.html", context)


def _feeds(request: HttpRequest) -> list[str] | None:
    """The feeds that may be read, None for all."""
    if access.may_read(request.user, access.ALL_FEEDS):
        return None
    names = Feed.objects.order_by("name").values_list("name", flat=True)
    return [name for name in names if access.may_read(request.user, name)]


def _wrong(request: HttpRequest, error: APIException) -> HttpResponse:
    """What is wrong with an address, as a page."""
    by_status = {HTTPStatus.NOT_FOUND: errors.not_found, HTTPStatus.FORBIDDEN: errors.forbidden}
    return by_status.get(HTTPStatus(error.status_code), errors.malformed)(request)
