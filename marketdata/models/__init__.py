"""The tables of Naru, a room per kind: reference data, today's data, history, caches, the ledger and the upkeep."""

from marketdata.models import lookups  # noqa: F401 - registers itself
from marketdata.models.access import ApiKey, OpenIdAccount, ReadRule, RecoveryCode, SecondFactor
from marketdata.models.alerts import Alert, AlertDelivery, AlertRule, AlertTarget
from marketdata.models.cache import CacheChartData, CacheRealtimeData, CacheStatsData, CandleRevision
from marketdata.models.corporate_actions import AdjustmentFactor, SymbolRename
from marketdata.models.drawings import Drawing
from marketdata.models.fanout import FanoutPosition, FeedChange
from marketdata.models.history import MarketData, MarketDataTick, MarketEvent, OrderBook, StockPrice
from marketdata.models.indices import IndexClose
from marketdata.models.intraday import MarketDataMinute, TempMarketData
from marketdata.models.ledger import (
    DeadLetter,
    FeedPending,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestRequeue,
    IngestStream,
    SessionFence,
    TradeDate,
)
from marketdata.models.operations import Alarm, AuditEntry, BackupRun, DroppedDay, JobLease, RolloverRun
from marketdata.models.people import Watchlist
from marketdata.models.quality import QualityDay
from marketdata.models.reference import CalendarOverride, Client, Feed, FeedOwner, Market, Source, Symbol, SymbolChange
from marketdata.models.vendors import VendorMinute, VendorRun
from marketdata.models.voids import FeedNotice, VoidedTick, VoidOrder

__all__ = [
    "AdjustmentFactor",
    "Alarm",
    "Alert",
    "AlertDelivery",
    "AlertRule",
    "AlertTarget",
    "ApiKey",
    "AuditEntry",
    "BackupRun",
    "CacheChartData",
    "CacheRealtimeData",
    "CacheStatsData",
    "CalendarOverride",
    "CandleRevision",
    "Client",
    "DeadLetter",
    "Drawing",
    "DroppedDay",
    "FanoutPosition",
    "Feed",
    "FeedChange",
    "FeedNotice",
    "FeedOwner",
    "FeedPending",
    "Gap",
    "IndexClose",
    "IngestBatch",
    "IngestBatchDay",
    "IngestReject",
    "IngestRequeue",
    "IngestStream",
    "JobLease",
    "Market",
    "MarketData",
    "MarketDataMinute",
    "MarketDataTick",
    "MarketEvent",
    "OpenIdAccount",
    "OrderBook",
    "QualityDay",
    "ReadRule",
    "RecoveryCode",
    "RolloverRun",
    "SecondFactor",
    "SessionFence",
    "Source",
    "StockPrice",
    "Symbol",
    "SymbolChange",
    "SymbolRename",
    "TempMarketData",
    "TradeDate",
    "VendorMinute",
    "VendorRun",
    "VoidOrder",
    "VoidedTick",
    "Watchlist",
]
