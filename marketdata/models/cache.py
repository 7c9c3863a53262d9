"""What a reader in SQL gets of the caches. Made by `marketdata.storage`, filled by `marketdata.realtime.cache_tables`,
`analytics.charts` and `analytics.statistics`, and of no account: all of it can be made again."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CacheRealtimeData(models.Model):
    """The latest trade of a symbol on a feed."""

    pk = models.CompositePrimaryKey("symbol", "feed")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)

    class Meta:
        db_table = "cache_realtime_data"
        managed = False
        verbose_name, verbose_name_plural = _("row of the realtime cache"), _("realtime cache")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed}"


class CacheChartData(models.Model):
    """Candles of the trading day of a symbol, feed and timeframe as JSON."""

    pk = models.CompositePrimaryKey("symbol", "feed", "timeframe")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)
    timeframe = models.CharField(max_length=8)

    class Meta:
        db_table = "cache_chart_data"
        managed = False
        verbose_name, verbose_name_plural = _("row of the chart cache"), _("chart cache")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.timeframe}"


class CacheStatsData(models.Model):
    """Ready statistics of a symbol and feed as JSON."""

    pk = models.CompositePrimaryKey("symbol", "feed", "name")
    symbol = models.CharField(max_length=24)
    feed = models.CharField(max_length=16)
    name = models.CharField(max_length=32)

    class Meta:
        db_table = "cache_stats_data"
        managed = False
        verbose_name, verbose_name_plural = _("row of the statistics cache"), _("statistics cache")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.name}"


class CandleRevision(models.Model):
    """A random number that changes, in the same transaction, whenever candles of a feed change that were finished: by
    it readers know that what they kept still holds. `place` is `feed/slot`: writers take turns over a few slots, so
    that they do not wait for each other."""

    place = models.CharField(max_length=24, primary_key=True)
    revision = models.BigIntegerField()

    class Meta:
        db_table = "candle_revision"
        verbose_name, verbose_name_plural = _("candle revision"), _("candle revisions")

    def __str__(self) -> str:
        return f"{self.place} {self.revision}"
