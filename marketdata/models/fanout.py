"""How far the topics of another broker have what was committed to each feed, and what else they are to be told."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class FanoutPosition(models.Model):
    """Up to where a feed was published and delivered. Only who has the newest fence moves it."""

    feed = models.CharField(_("feed"), max_length=16, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0)
    # Up to this offset of this epoch of the feed. Without an epoch the database is read on from `committed_us`.
    epoch = models.CharField(max_length=32, blank=True)
    offset = models.BigIntegerField(default=0)
    # Whatever was committed before this was published, whether or not the feed was ever given it.
    committed_us = models.BigIntegerField(default=0)
    # Candles of minutes from here on may not have been told yet.
    minute_us = models.BigIntegerField(default=0)
    # Of the version before.
    notice = models.CharField(max_length=40, blank=True)
    # Up to this result of statistics.
    statistics_order = models.BigIntegerField(default=0)
    # When it was last looked at, the newest commit the feed had then, and the newest that is published.
    seen_us = models.BigIntegerField(default=0)
    newest_us = models.BigIntegerField(default=0)
    published_us = models.BigIntegerField(default=0)
    # When something of it was last delivered; what the client of the broker says is wrong, and since when (0: nothing).
    delivered_us = models.BigIntegerField(default=0, db_default=0)
    trouble = models.CharField(max_length=200, blank=True)
    trouble_us = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "fanout_position"
        ordering: ClassVar = ["feed"]
        verbose_name, verbose_name_plural = _("position of the fan-out"), _("positions of the fan-out")

    def __str__(self) -> str:
        return self.feed

    @property
    def behind_s(self) -> float:
        """How far what is published was behind the feed's newest commit when it was last looked at, seconds."""
        return max(self.newest_us - self.published_us, 0) / 1e6


class FeedChange(models.Model):
    """What changed of a feed otherwise than by a commit (`marketdata.types.feed_changes`): written with the change,
    removed once whoever publishes to another broker has delivered it."""

    what = models.CharField(max_length=8)
    feed = models.CharField(max_length=16)
    symbol = models.CharField(max_length=24)  # "" where the content names them
    content = models.TextField()
    changed_us = models.BigIntegerField()

    class Meta:
        db_table = "feed_change"
        indexes: ClassVar = [models.Index(fields=["feed", "what", "id"], name="feed_change_of_feed")]
        verbose_name, verbose_name_plural = _("change to be published"), _("changes to be published")

    def __str__(self) -> str:
        return f"#{self.pk} {self.feed} {self.what}"
