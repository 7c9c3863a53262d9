"""Ticks that were taken back: the order, the ticks as they were, and what subscribers have yet to hear of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class VoidOrder(models.Model):
    """Somebody's decision that ticks are wrong. `selection` (JSON) says which; without `done_at` it is not through."""

    selection = models.TextField(_("대상 selection"))
    reason = models.CharField(_("사유 reason"), max_length=200)
    ordered_by = models.CharField(_("지시 ordered by"), max_length=150)
    created_at = models.DateTimeField(_("시각 created"), auto_now_add=True)
    done_at = models.DateTimeField(_("완료 done"), null=True)
    restored_at = models.DateTimeField(_("복원 restored"), null=True)

    class Meta:
        db_table = "void_order"
        verbose_name = verbose_name_plural = _("틱 무효화 Voided ticks: orders")

    def __str__(self) -> str:
        return f"#{self.pk} {self.reason}"


class VoidedTick(models.Model):
    """A tick that was moved out of the tables of ticks, whole: `record` is a JSON object of exact decimals as text. It
    counts in no candle, no day's count and no answer any more."""

    tick_id = models.BigIntegerField(primary_key=True)
    order = models.ForeignKey(VoidOrder, on_delete=models.PROTECT, related_name="ticks")
    symbol = models.CharField(_("종목 symbol"), max_length=24)
    feed = models.CharField(_("피드 feed"), max_length=16)
    source_id = models.PositiveSmallIntegerField()
    trade_date = models.DateField(_("거래일 trading date"))
    time_us = models.BigIntegerField()
    record = models.TextField(_("틱 tick"))

    class Meta:
        db_table = "voided_tick"
        indexes: ClassVar = [models.Index(fields=["trade_date", "feed", "symbol"], name="voided_tick_day")]
        verbose_name = verbose_name_plural = _("무효 틱 Voided tick")

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.tick_id}"


class FeedNotice(models.Model):
    """Ticks taken back or put back whose subscribers have not been told: written with the change, gone when told."""

    payload = models.BinaryField()
    committed_us = models.BigIntegerField()

    class Meta:
        db_table = "feed_notice"
        verbose_name = verbose_name_plural = _("알릴 정정 Correction to be told")

    def __str__(self) -> str:
        return f"#{self.pk}"
