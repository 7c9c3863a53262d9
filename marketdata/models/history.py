"""Permanent data, as Django sees it: the ticks of finished days, daily candles, order books, prices and events. As
with today's ticks the tables are made by `marketdata.storage`; these models are for the admin and for looking
around."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.intraday import KeyedByTick


class MarketDataTick(KeyedByTick):
    """Ticks of days that were rolled over. Columns and units are told in `marketdata.storage.tables`."""

    class Meta:
        db_table = "market_data_tick"
        managed = False
        verbose_name, verbose_name_plural = _("tick of a past day"), _("ticks of past days")


class MarketData(models.Model):
    """Daily candles. Columns and units are told in `marketdata.storage.tables`."""

    pk = models.CompositePrimaryKey("symbol", "feed", "trade_date")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)
    trade_date = models.DateField()

    class Meta:
        db_table = "market_data"
        managed = False
        verbose_name, verbose_name_plural = _("daily candle"), _("daily candles")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.trade_date}"


class OrderBook(KeyedByTick):
    """Ten levels of bids and asks. Columns and units are told in `marketdata.storage.tables`."""

    class Meta:
        db_table = "order_books"
        managed = False
        verbose_name, verbose_name_plural = _("order book"), _("order books")


class StockPrice(models.Model):
    """The day of a symbol so far, as polled snapshots told it. Columns and units are told in
    `marketdata.storage.tables`."""

    pk = models.CompositePrimaryKey("symbol", "feed", "timestamp", "tick_id", "trade_date")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)
    timestamp = models.BigIntegerField()
    tick_id = models.BigIntegerField()
    trade_date = models.DateField()

    class Meta:
        db_table = "stock_prices"
        managed = False
        verbose_name, verbose_name_plural = _("stock price"), _("stock prices")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.timestamp}"


class MarketEvent(models.Model):
    """Status, VI, index and other events with a JSON body. Columns are told in `marketdata.storage.tables`."""

    pk = models.CompositePrimaryKey("event_time", "event_id", "trade_date")
    event_time = models.BigIntegerField()
    event_id = models.BigIntegerField()
    trade_date = models.DateField()

    class Meta:
        db_table = "market_events"
        managed = False
        verbose_name, verbose_name_plural = _("market event"), _("market events")

    def __str__(self) -> str:
        return f"{self.event_time} {self.event_id}"
