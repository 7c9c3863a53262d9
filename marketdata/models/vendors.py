"""What was asked of a vendor: its own minute bars, which are kept beside our candles and never in them, and when each
daily question was put last."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.texts import in_language


class VendorMinute(models.Model):
    """A vendor's bar of a minute in which something of ours was lost. Prices in 1e-8, volume in 1e-6, `value` in 1e-2
    of the currency; all but the volume empty where the vendor had no trade in that minute. `rev` counts how often the
    vendor said something else than before."""

    symbol = models.CharField(_("symbol"), max_length=24)
    feed = models.CharField(_("feed"), max_length=16)
    minute_us = models.BigIntegerField()
    vendor = models.CharField(_("vendor"), max_length=8)
    trade_date = models.DateField(_("trading date"), db_index=True)
    open = models.BigIntegerField(null=True)
    high = models.BigIntegerField(null=True)
    low = models.BigIntegerField(null=True)
    close = models.BigIntegerField(null=True)
    volume = models.BigIntegerField()
    value = models.BigIntegerField(null=True)
    rev = models.PositiveIntegerField(_("revision"), default=0)
    fetched_at = models.DateTimeField(_("fetched at"))

    class Meta:
        db_table = "vendor_minute"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["symbol", "feed", "minute_us", "vendor"], name="vendor_minute_once")
        ]
        verbose_name, verbose_name_plural = _("vendor minute bar"), _("vendor minute bars")

    def __str__(self) -> str:
        return f"{self.vendor} {self.symbol} {self.feed} {self.minute_us}"


class VendorRun(models.Model):
    """The last day for which a daily question was put to a vendor, whoever of several processes did. Claimed before it
    is asked, so that it is asked once."""

    job = models.CharField(_("job"), max_length=32, primary_key=True)
    run_date = models.DateField(_("last run for"), null=True)
    begun_at = models.DateTimeField(_("begun at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)
    texts = models.JSONField(null=True, editable=False)  # the outcome by language, without English

    class Meta:
        db_table = "vendor_run"
        verbose_name, verbose_name_plural = _("vendor run"), _("vendor runs")

    def __str__(self) -> str:
        return f"{self.job} {self.run_date}"

    @property
    def shown(self) -> str:
        """The outcome in the reader's language, where there is one."""
        return in_language(self.outcome, self.texts)
