"""The pages of the desk. They hold no data: what they show comes by REST and WebSocket, as anybody may read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from analytics.alerts.judging import conditions, texts
from analytics.alerts.judging.conditions import Kind
from api import alert_choices
from api.auth import access, authentication
from api.refusals import WORDS
from api.remedies import REMEDIES
from api.timetable_names import NAMES, OTHERS
from marketdata.calendar import feed_hours, trading_dates
from marketdata.ledger import gap_reasons
from marketdata.models import AlertRule, AlertTarget, Client, Feed, Market
from marketdata.reference import roles, watchlists
from marketdata.types import titles


@dataclass(frozen=True, slots=True)
class Page:
    """`name` of its address, `title` in the bar. With a `right` it is for people who have it, and for no visitor.
    `more` gives what its template needs beside that."""

    name: str
    title: Promise
    template: str
    right: str | None = None
    more: Callable[[], dict[str, Any]] = dict


def _alert_choices() -> dict[str, Any]:
    names, markets = dict(AlertRule.Kind.choices), list(Market.objects.order_by("code"))
    return {
        "kinds": [(str(kind), names[str(kind)]) for kind in Kind],
        "markets": markets,
        "hours_unknown": [
            *(one.called for one in markets if not trading_dates.calendar(one.code).hours_known),
            *sorted(feed_hours.BY_NIGHT),
        ],
        "alarms": alert_choices.alarms(),
        "queues": alert_choices.queues(),
        "statuses": [(name, texts.STATUSES[name]) for name in conditions.STATUSES],
        "target_kinds": AlertTarget.Kind.choices,
        "clients": Client.objects.filter(may_send=True).order_by("name").values_list("name", flat=True),
    }


def _operation_texts() -> dict[str, Any]:
    return {"remedies": REMEDIES, "reasons": WORDS, "timetable": NAMES | OTHERS, "titles": titles}


def _collection_texts() -> dict[str, Any]:
    return {"remedies": REMEDIES, "reasons": WORDS, "titles": titles}


def _quality_choices() -> dict[str, Any]:
    return {"reasons": WORDS, "markets": Market.objects.order_by("code"), "feeds": Feed.objects.order_by("name")}


def _of_prices() -> dict[str, Any]:
    return {
        "most_lists": watchlists.MOST_LISTS, "most_symbols": watchlists.MOST_SYMBOLS, "reasons": gap_reasons.WORDS,
        "titles": titles,
    }  # fmt: skip


# In the order of the bar.
PAGES = (
    Page("page", _("Prices"), "api/page.html", more=_of_prices),
    Page("market", _("Market"), "api/market.html"),
    Page("collection", _("Collection"), "api/collection.html", more=_collection_texts),
    Page("quality", _("Quality"), "api/quality.html", more=_quality_choices),
    Page("alerts", _("Alerts"), "api/alerts.html", roles.READ, _alert_choices),
    Page("operations", _("Operations"), "api/operations.html", roles.OPERATE, _operation_texts),
)


def bar_of(user: Any, asked: Page | None = None) -> dict[str, Any]:
    """What the bar at the top shows somebody: the pages that are offered, `asked` as the one that is shown."""
    offered = [one for one in PAGES if one.right is None or access.may(user, one.right)]
    return {
        "operates": access.may(user, roles.OPERATE),
        "pages": [
            {"name": one.name, "address": reverse(one.name), "title": one.title, "shown": one is asked}
            for one in offered
        ],
    }


def view(name: str) -> Callable[[HttpRequest], HttpResponse]:
    """What answers at the address of a page: for people who may read, and while PAGE_PUBLIC is on for anybody, who gets
    a cookie that may read. PermissionDenied for people without the page's right."""
    (asked,) = (one for one in PAGES if one.name == name)

    @require_safe
    @never_cache
    @ensure_csrf_cookie
    def show(request: HttpRequest) -> HttpResponse:
        known = access.may_read(request.user)
        if not known and (asked.right or not settings.PAGE_PUBLIC):
            return redirect_to_login(request.get_full_path())
        if asked.right and not access.may(request.user, asked.right):
            raise PermissionDenied
        context = {
            "user": request.user if known else None,
            **bar_of(request.user, asked),
            "title": asked.title,
            **asked.more(),
        }
        response = render(request, asked.template, context)
        if not known:
            response.set_cookie(
                authentication.PAGE_COOKIE, authentication.page_cookie(), max_age=authentication.PAGE_COOKIE_S,
                httponly=True, samesite="Strict", secure=settings.BEHIND_TLS,
            )  # fmt: skip
        return response

    return show
