"""What people draw on charts and keep for themselves."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.reference import SYMBOL_PATTERN


class Drawing(models.Model):
    """A line, a box or a note on the chart of a symbol, whatever the feed. Prices are in 1e-8; a level has no time, and
    only what lies between two points has an end."""

    class Kind(models.TextChoices):
        LEVEL = "level", _("horizontal line")
        TREND = "trend", _("trend line")
        BOX = "box", _("rectangle")
        NOTE = "note", _("text")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drawings", verbose_name=_("person")
    )
    symbol = models.CharField(_("symbol"), max_length=24, validators=[RegexValidator(SYMBOL_PATTERN)])
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    time_us = models.BigIntegerField(null=True)
    price = models.BigIntegerField()
    end_us = models.BigIntegerField(null=True)
    end_price = models.BigIntegerField(null=True)
    text = models.CharField(_("text"), max_length=120, blank=True)
    tone = models.PositiveSmallIntegerField(default=1)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "drawing"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["user", "symbol"], name="drawing_of_symbol")]
        verbose_name, verbose_name_plural = _("drawing"), _("drawings")

    def __str__(self) -> str:
        return f"{self.symbol} {self.kind} #{self.pk}"
