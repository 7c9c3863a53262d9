"""Daily closes of indices that a source tells as events (`marketdata.types.told_indices`)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class IndexClose(models.Model):
    """The last value of an index on a trading date, from the opening of its regular session on, in 1e-8: that of the
    event of the greatest (time, id), whichever feed brought it. While the date goes on it is where the index stands.
    Kept for ever, as daily candles are, a few rows a day: events go sooner than a beta needs."""

    code = models.CharField(_("code"), max_length=24)
    trade_date = models.DateField(_("trading date"))
    close = models.BigIntegerField()
    feed = models.CharField(_("feed"), max_length=16)
    time_us = models.BigIntegerField()
    event_id = models.BigIntegerField()

    class Meta:
        db_table = "index_close"
        constraints: ClassVar = [models.UniqueConstraint(fields=["code", "trade_date"], name="index_close_once")]
        verbose_name, verbose_name_plural = _("close of an index"), _("closes of indices")

    def __str__(self) -> str:
        return f"{self.code} {self.trade_date}"
