"""Today's ticks and the minute candles, as Django sees them. Their tables are made by `marketdata.storage`, which alone
writes them and reads them in bulk; these models are for the admin and for looking around."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class KeyedByTick(models.Model):
    """The key of a table that has a row for a tick or something else with an id of its kind."""

    pk = models.CompositePrimaryKey("symbol", "event_time", "tick_id", "trade_date")
    symbol = models.CharField(max_length=24)
    event_time = models.BigIntegerField()
    tick_id = models.BigIntegerField()
    trade_date = models.DateField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.symbol} {self.event_time}"


class TempMarketData(KeyedByTick):
    """Ticks not yet moved to history. Columns and units are told in `marketdata.storage.tables`."""

    class Meta:
        db_table = "temp_market_data"
        managed = False
        verbose_name, verbose_name_plural = _("tick of today"), _("ticks of today")


class MarketDataMinute(models.Model):
    """Minute candles. Columns and units are told in `marketdata.storage.tables`."""

    pk = models.CompositePrimaryKey("symbol", "feed", "minute_time", "trade_date")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)
    minute_time = models.BigIntegerField()
    trade_date = models.DateField()

    class Meta:
        db_table = "market_data_minute"
        managed = False
        verbose_name, verbose_name_plural = _("minute candle"), _("minute candles")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.minute_time}"
