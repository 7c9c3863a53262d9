"""Every address of Naru. All of them refuse a caller without a key or login, save the few in `PUBLIC`."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache
from django.views.i18n import JavaScriptCatalog, set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from api import schema  # noqa: F401 - its extensions register themselves
from api.views.bars import BarsView, SymbolBarsView
from api.views.health import healthz, readyz
from api.views.inmemory import LatestView, RecentView
from api.views.metrics import MetricsView
from api.views.page import Login, page
from api.views.snapshots import SnapshotsView
from api.views.status import StatusView
from api.views.symbols import SymbolsView, SymbolView
from api.views.tickets import TicketView
from api.views.trades import SymbolTradesView, TradesView

# The page itself asks for a login unless PAGE_PUBLIC; the schema describes and holds no data.
PUBLIC = ("page", "healthz", "readyz", "rest_framework:login", "schema", "docs", "language", "texts")
SYMBOL = r"(?P<symbol>[!-+\--~](?:[ -+\--~]{0,22}[!-+\--~])?)"  # as marketdata.models.reference has it

handler400 = "api.errors.malformed"
handler403 = "api.errors.forbidden"
handler404 = "api.errors.not_found"
handler500 = "api.errors.internal"

sessions = [path("login/", Login.as_view(), name="login"), path("logout/", LogoutView.as_view(), name="logout")]

v2 = [
    path("stocks/bars", BarsView.as_view(), name="bars"),
    path("stocks/trades", TradesView.as_view(), name="trades"),
    path("stocks/snapshots", SnapshotsView.as_view(), name="snapshots"),
    re_path(rf"^stocks/{SYMBOL}/bars\Z", SymbolBarsView.as_view(), name="symbol-bars"),
    re_path(rf"^stocks/{SYMBOL}/trades\Z", SymbolTradesView.as_view(), name="symbol-trades"),
    path("symbols", SymbolsView.as_view(), name="symbols"),
    re_path(rf"^symbols/{SYMBOL.replace('symbol', 'code')}\Z", SymbolView.as_view(), name="symbol"),
    path("status", StatusView.as_view(), name="status"),
    path("status/clients/<str:client>/recent", RecentView.as_view(), name="recent"),
    path("status/latest", LatestView.as_view(), name="latest"),
    path("stream/ticket", TicketView.as_view(), name="ticket"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]

admin.autodiscover()
urlpatterns = [
    path("", page, name="page"),
    path("language", set_language, name="language"),
    path("texts.js", never_cache(JavaScriptCatalog.as_view()), name="texts"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("", include((sessions, "rest_framework"))),
    path("v2/", include(v2)),
    path("admin/login/", Login.as_view()),
    path("admin/", admin.site.urls),
]
