"""Every address of Naru. All of them refuse a caller without a key or login, save the few in `PUBLIC`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache
from django.views.i18n import JavaScriptCatalog, set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

from api.admin import stored
from api.auth import schema  # noqa: F401 - its extensions register themselves
from api.views import lists, openid, page, udf
from api.views.account import AccountView
from api.views.alerts import (
    AcknowledgeView,
    AlertCountView,
    AlertRulesView,
    AlertRuleView,
    AlertsView,
    AlertTargetsView,
    AlertTargetTestView,
    AlertTargetView,
)
from api.views.assets import AssetsView, AssetView, ConditionsView, ExchangesView
from api.views.bars import BarsView, LatestBarsView, SymbolBarsView, SymbolLatestBarView
from api.views.calendar import CalendarView, ClockView
from api.views.corporate_actions import CorporateActionsView
from api.views.drawings import DrawingsView, DrawingView
from api.views.export import ExportView
from api.views.features import FeaturesView
from api.views.health import healthz, readyz
from api.views.indicators import IndicatorsView, SymbolIndicatorsView
from api.views.inmemory import LatestView, RecentView
from api.views.latest import LatestQuotesView, LatestTradesView, SymbolLatestQuoteView, SymbolLatestTradeView
from api.views.login import Login, SecondStep
from api.views.metrics import MetricsView
from api.views.not_offered import WHAT, NotOfferedView
from api.views.operations import AlarmView, AskView, OperationsView, RequeueView
from api.views.orderbooks import LatestOrderBooksView, OrderBooksView, SymbolLatestOrderBookView
from api.views.quality import QualityListView, QualityMapView, QualityView, SymbolQualityView
from api.views.quotes import QuotesView, SymbolQuotesView
from api.views.records import CorrectionsView, EventsView, GapsView
from api.views.screener import MostActivesView, MoversView
from api.views.second_factor import SecondFactorView
from api.views.snapshots import SnapshotsView, SymbolSnapshotView
from api.views.stats import CorrelationView, MarketStatsView, MarketSymbolsView, NewestStatsView, StatsView
from api.views.status import StatusView
from api.views.status_history import StatusHistoryView
from api.views.status_upkeep import StatusUpkeepView
from api.views.symbols import SymbolsView, SymbolView
from api.views.tickets import TicketView
from api.views.trades import SymbolTradesView, TradesView
from api.views.watchlists import WatchlistsView, WatchlistSymbolView, WatchlistView
from api.views.widgets import WidgetsView

# The pages themselves ask for a login unless PAGE_PUBLIC; the schema describes and holds no data.
PUBLIC = (
    *(one.name for one in page.PAGES),
    "list",
    "healthz",
    "readyz",
    "rest_framework:login",
    "rest_framework:second-factor",
    "rest_framework:openid",
    "rest_framework:openid-back",
    "rest_framework:openid-ended",
    "schema",
    "docs",
    "redoc",
    "language",
    "texts",
)
SYMBOL = r"(?P<symbol>[!-+\--~](?:[ -+\--~]{0,22}[!-+\--~])?)"  # as marketdata.models.reference has it

handler400 = "api.rest.errors.malformed"
handler403 = "api.rest.errors.forbidden"
handler404 = "api.rest.errors.not_found"
handler500 = "api.rest.errors.internal"

sessions = [
    path("login/", Login.as_view(), name="login"),
    path("login/code/", SecondStep.as_view(), name="second-factor"),
    path("login/openid/", openid.begin, name="openid"),
    path("login/openid/back/", openid.back, name="openid-back"),
    path("login/openid/ended/", openid.ended, name="openid-ended"),
    path("logout/", openid.Logout.as_view(), name="logout"),
]

v2 = [
    path("stocks/bars", BarsView.as_view(), name="bars"),
    path("stocks/bars/latest", LatestBarsView.as_view(), name="latest-bars"),
    re_path(rf"^stocks/{SYMBOL}/bars/latest\Z", SymbolLatestBarView.as_view(), name="symbol-latest-bar"),
    path("stocks/trades", TradesView.as_view(), name="trades"),
    path("stocks/trades/latest", LatestTradesView.as_view(), name="latest-trades"),
    path("stocks/quotes", QuotesView.as_view(), name="quotes"),
    path("stocks/quotes/latest", LatestQuotesView.as_view(), name="latest-quotes"),
    path("stocks/snapshots", SnapshotsView.as_view(), name="snapshots"),
    path("stocks/meta/conditions/<str:ticktype>", ConditionsView.as_view(), name="conditions"),
    path("stocks/meta/exchanges", ExchangesView.as_view(), name="exchanges"),
    re_path(rf"^stocks/{SYMBOL}/trades/latest\Z", SymbolLatestTradeView.as_view(), name="symbol-latest-trade"),
    re_path(rf"^stocks/{SYMBOL}/quotes/latest\Z", SymbolLatestQuoteView.as_view(), name="symbol-latest-quote"),
    re_path(rf"^stocks/{SYMBOL}/quotes\Z", SymbolQuotesView.as_view(), name="symbol-quotes"),
    re_path(rf"^stocks/{SYMBOL}/snapshot\Z", SymbolSnapshotView.as_view(), name="symbol-snapshot"),
    path("orderbooks/latest", LatestOrderBooksView.as_view(), name="latest-orderbooks"),
    re_path(rf"^orderbooks/{SYMBOL}/latest\Z", SymbolLatestOrderBookView.as_view(), name="symbol-latest-orderbook"),
    re_path(rf"^orderbooks/{SYMBOL}\Z", OrderBooksView.as_view(), name="symbol-orderbooks"),
    path("export/features", FeaturesView.as_view(), name="features"),
    path("export/<str:resource>", ExportView.as_view(), name="export"),
    path("indicators", IndicatorsView.as_view(), name="indicators"),
    re_path(rf"^indicators/{SYMBOL}\Z", SymbolIndicatorsView.as_view(), name="symbol-indicators"),
    path("drawings", DrawingsView.as_view(), name="drawings"),
    re_path(r"^drawings/(?P<number>[0-9]{1,18})\Z", DrawingView.as_view(), name="drawing"),
    path("events", EventsView.as_view(), name="events"),
    path("gaps", GapsView.as_view(), name="gaps"),
    path("corrections", CorrectionsView.as_view(), name="corrections"),
    path("stats", NewestStatsView.as_view(), name="newest-stats"),
    path("stats/market", MarketStatsView.as_view(), name="market-stats"),
    path("stats/market/correlation", CorrelationView.as_view(), name="market-correlation"),
    path("stats/market/symbols", MarketSymbolsView.as_view(), name="market-symbols"),
    re_path(rf"^stats/{SYMBOL}\Z", StatsView.as_view(), name="symbol-stats"),
    path("alerts", AlertsView.as_view(), name="alert-list"),
    path("alerts/count", AlertCountView.as_view(), name="alert-count"),
    path("alerts/<int:number>/acknowledge", AcknowledgeView.as_view(), name="alert-acknowledge"),
    path("alerts/targets", AlertTargetsView.as_view(), name="alert-targets"),
    path("alerts/targets/<int:number>", AlertTargetView.as_view(), name="alert-target"),
    path("alerts/targets/<int:number>/test", AlertTargetTestView.as_view(), name="alert-target-test"),
    path("alerts/rules", AlertRulesView.as_view(), name="alert-rules"),
    path("alerts/rules/<int:number>", AlertRuleView.as_view(), name="alert-rule"),
    path("quality", QualityListView.as_view(), name="qualities"),
    path("quality/map", QualityMapView.as_view(), name="quality-map"),
    path("quality/<str:date>", QualityView.as_view(), name="quality-of-day"),
    re_path(rf"^quality/(?P<date>[^/]*)/{SYMBOL}\Z", SymbolQualityView.as_view(), name="symbol-quality"),
    path("clock", ClockView.as_view(), name="clock"),
    path("calendar", CalendarView.as_view(), name="calendar"),
    path("assets", AssetsView.as_view(), name="assets"),
    re_path(rf"^assets/{SYMBOL.replace('symbol', 'code')}\Z", AssetView.as_view(), name="asset"),
    re_path(rf"^stocks/{SYMBOL}/bars\Z", SymbolBarsView.as_view(), name="symbol-bars"),
    re_path(rf"^stocks/{SYMBOL}/trades\Z", SymbolTradesView.as_view(), name="symbol-trades"),
    path("symbols", SymbolsView.as_view(), name="symbols"),
    re_path(rf"^symbols/{SYMBOL.replace('symbol', 'code')}\Z", SymbolView.as_view(), name="symbol"),
    path("watchlists", WatchlistsView.as_view(), name="watchlists"),
    path("watchlists/<uuid:watchlist>", WatchlistView.as_view(), name="watchlist"),
    re_path(
        rf"^watchlists/(?P<watchlist>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})/{SYMBOL}\Z",
        WatchlistSymbolView.as_view(),
        name="watchlist-symbol",
    ),
    path("status", StatusView.as_view(), name="status"),
    path("status/history", StatusHistoryView.as_view(), name="status-history"),
    path("status/upkeep", StatusUpkeepView.as_view(), name="status-upkeep"),
    path("status/clients/<str:client>/recent", RecentView.as_view(), name="recent"),
    path("status/latest", LatestView.as_view(), name="latest"),
    path("operations", OperationsView.as_view(), name="operations-now"),
    path("operations/requeue", RequeueView.as_view(), name="operations-requeue"),
    path("operations/alarms/<int:alarm>", AlarmView.as_view(), name="operations-alarm"),
    path("operations/<str:work>", AskView.as_view(), name="operations-ask"),
    path("stream/ticket", TicketView.as_view(), name="ticket"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
]

v1beta1 = [
    path("screener/stocks/most-actives", MostActivesView.as_view(), name="most-actives"),
    path("screener/<str:market>/movers", MoversView.as_view(), name="movers"),
]
corporate_actions = [  # the dialect's clients of today ask the first, older ones the other
    path("v1/corporate-actions", CorporateActionsView.as_view(), name="corporate-actions"),
    path("v1beta1/corporate-actions", CorporateActionsView.as_view(schema=None), name="corporate-actions-beta"),
]
not_offered = [
    path(f"v1beta{version}/{what}{rest}", NotOfferedView.as_view(), {"what": what}, name="not-offered")
    for version in (1, 2, 3)
    for what in WHAT
    for rest in ("", "/<path:rest>")
]
not_offered += [
    path(f"v2/stocks/{of}auctions", NotOfferedView.as_view(), {"what": "auctions"}, name="not-offered")
    for of in ("", "<path:rest>/")
]

_CHARTING = {
    "config": udf.ConfigView, "time": udf.TimeView, "symbols": udf.SymbolInfoView, "symbol_info": udf.GroupView,
    "search": udf.SearchView, "history": udf.HistoryView, "quotes": udf.QuotesView, "marks": udf.MarksView,
    "timescale_marks": udf.TimescaleMarksView,
}  # fmt: skip
charting = [path(name, view.as_view(), name=f"udf-{name}") for name, view in _CHARTING.items()]
charting_of_feed = [path(name, view.as_view(schema=None), name=f"udf-feed-{name}") for name, view in _CHARTING.items()]

admin.autodiscover()
urlpatterns = [
    path("", page.view("page"), name="page"),
    path("market", page.view("market"), name="market"),
    path("alerts", page.view("alerts"), name="alerts"),
    path("collection", page.view("collection"), name="collection"),
    path("quality", page.view("quality"), name="quality"),
    path("operations", page.view("operations"), name="operations"),
    path("lists/<slug:name>", lists.show, name="list"),
    path("account", AccountView.as_view(), name="account"),
    path("account/second-factor", SecondFactorView.as_view(), name="second-factor"),
    path("language", set_language, name="language"),
    path("texts.js", never_cache(JavaScriptCatalog.as_view()), name="texts"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("", include((sessions, "rest_framework"))),
    path("widgets.json", WidgetsView.as_view(), name="widgets"),
    path("v2/", include(v2)),
    path("v1beta1/", include(v1beta1)),
    *corporate_actions,
    *not_offered,
    path("udf/", include(charting)),
    path("udf/<str:feed>/", include(charting_of_feed)),
    path("admin/login/", Login.as_view()),
    path("admin/stored/<slug:name>/", admin.site.admin_view(stored.show), name="stored"),
    path("admin/", admin.site.urls),
]
