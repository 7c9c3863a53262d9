"""How good the data of each trading date, symbol and feed is; computed by `analytics.quality`, and of no account beside
what it is computed from, save for what only the day itself could see (the clock of a terminal, a halt)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class QualityDay(models.Model):
    """One trading date of a series. Counts are rows of ticks, minutes those of the session; `proof` says of what it was
    computed once the day was rolled over, "" while the day is going on."""

    trade_date = models.DateField(_("trading date"))
    symbol = models.CharField(_("symbol"), max_length=24)
    feed = models.CharField(_("feed"), max_length=16)
    market = models.CharField(_("market"), max_length=8, blank=True)
    grade = models.CharField(_("grade"), max_length=1)
    stored = models.BigIntegerField(_("stored"))
    received = models.BigIntegerField(_("received"))
    repeated = models.BigIntegerField(_("repeated"))
    rejected = models.BigIntegerField(_("rejected"))
    late = models.BigIntegerField(_("late"))
    voided = models.BigIntegerField(_("taken back"))
    gaps = models.IntegerField(_("gaps"))
    missing = models.BigIntegerField(_("missing rows"))
    session = models.SmallIntegerField(_("minutes of the session"))
    present = models.SmallIntegerField(_("minutes with a tick"))
    lost = models.SmallIntegerField(_("minutes lost"))
    compared = models.SmallIntegerField(_("minutes compared"), default=0)
    differing = models.SmallIntegerField(_("minutes that differ"), default=0)
    clock_us = models.BigIntegerField(_("clock offset, µs"), null=True)
    # Reasons, rows refused by reason, minutes by part of the day, and so on.
    figures = models.JSONField(_("figures"), default=dict)
    proof = models.CharField(max_length=32, blank=True, default="")
    computed_at = models.DateTimeField(_("computed at"))

    class Meta:
        db_table = "quality_day"
        ordering: ClassVar = ["-trade_date", "-grade", "feed", "symbol"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["trade_date", "feed", "symbol"], name="quality_day_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["symbol", "feed", "trade_date"], name="quality_day_series"),
            # What the heat map is drawn from, and nothing else is read for it.
            models.Index(fields=["trade_date", "feed", "market", "symbol", "grade"], name="quality_day_map"),
        ]
        verbose_name, verbose_name_plural = _("quality of a day"), _("quality of days")

    def __str__(self) -> str:
        return f"{self.trade_date} {self.symbol} {self.feed} {self.grade}"
