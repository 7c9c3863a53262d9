"""Ticks that were taken back: the order, the ticks as they were, and what subscribers have yet to hear of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class VoidOrder(models.Model):
    """Somebody's decision that ticks are wrong. `selection` (JSON) says which; without `done_at` it is not through."""

    selection = models.TextField(_("what is voided"))
    reason = models.CharField(_("reason"), max_length=200)
    ordered_by = models.CharField(_("ordered by"), max_length=150)
    created_at = models.DateTimeField(_("ordered at"), auto_now_add=True)
    done_at = models.DateTimeField(_("done at"), null=True)
    restored_at = models.DateTimeField(_("restored at"), null=True)

    class Meta:
        db_table = "void_order"
        verbose_name, verbose_name_plural = _("order to void ticks"), _("orders to void ticks")

    def __str__(self) -> str:
        return f"#{self.pk} {self.reason}"


class VoidedTick(models.Model):
    """A tick that was moved out of the tables of ticks, whole: `record` is a JSON object of exact decimals as text. It
    counts in no candle, no day's count and no answer any more."""

    tick_id = models.BigIntegerField(primary_key=True)
    order = models.ForeignKey(VoidOrder, on_delete=models.PROTECT, related_name="ticks", verbose_name=_("order"))
    symbol = models.CharField(_("symbol"), max_length=24)
    feed = models.CharField(_("feed"), max_length=16)
    source_id = models.PositiveSmallIntegerField()
    trade_date = models.DateField(_("trading date"))
    time_us = models.BigIntegerField()
    # When it went, at the end of the transaction that took it; of what was taken before this was noted: null.
    gone_us = models.BigIntegerField(null=True, editable=False)
    record = models.TextField(_("tick"))

    class Meta:
        db_table = "voided_tick"
        indexes: ClassVar = [models.Index(fields=["trade_date", "feed", "symbol"], name="voided_tick_day")]
        verbose_name, verbose_name_plural = _("voided tick"), _("voided ticks")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.tick_id}"


class FeedNotice(models.Model):
    """Ticks taken back or put back whose subscribers have not been told: written with the change, gone when told."""

    payload = models.BinaryField()
    committed_us = models.BigIntegerField()

    class Meta:
        db_table = "feed_notice"
        verbose_name, verbose_name_plural = _("correction to be told"), _("corrections to be told")

    def __str__(self) -> str:
        return f"#{self.pk}"
