"""The tables of Naru, a room per kind: reference data, today's data and the ledger."""

from marketdata.models.intraday import MarketDataMinute, TempMarketData
from marketdata.models.ledger import DeadLetter, Gap, IngestBatch, IngestReject, IngestStream
from marketdata.models.reference import Client, Market, Source, Symbol

__all__ = [
    "Client",
    "DeadLetter",
    "Gap",
    "IngestBatch",
    "IngestReject",
    "IngestStream",
    "Market",
    "MarketDataMinute",
    "Source",
    "Symbol",
    "TempMarketData",
]
