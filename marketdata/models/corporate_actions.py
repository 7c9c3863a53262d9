"""What companies do to their shares: by how much earlier prices are adjusted, and which code a share had before."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.reference import SYMBOL_PATTERN

RATE_DIGITS, RATE_PLACES = 15, 6
"""Of a rate: SQLite gives back decimals of 15 digits as they were."""


class AdjustmentFactor(models.Model):
    """One corporate action of a symbol: prices of trading dates before `ex_date` are multiplied by `old_rate` /
    `new_rate`, and where shares became more or fewer, sizes by the inverse. Candles are stored raw and adjusted when
    they are read (`analytics/series/adjustment.py`)."""

    class Kind(models.TextChoices):
        SPLIT = "split", _("split")
        STOCK_DIVIDEND = "stock_dividend", _("stock dividend")
        RIGHTS = "rights", _("rights")
        SPIN_OFF = "spin_off", _("spin-off")
        DIVIDEND = "dividend", _("cash dividend")

    symbol = models.CharField(_("symbol"), max_length=24, validators=[RegexValidator(SYMBOL_PATTERN)])
    ex_date = models.DateField(_("ex-date"), help_text=_("The first trading date on which prices are the new ones."))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    old_rate = models.DecimalField(
        _("old rate"),
        max_digits=RATE_DIGITS,
        decimal_places=RATE_PLACES,
        validators=[MinValueValidator(0)],
        help_text=_("Of a split shares before it; of a dividend the close before the ex-date less the dividend."),
    )
    new_rate = models.DecimalField(
        _("new rate"),
        max_digits=RATE_DIGITS,
        decimal_places=RATE_PLACES,
        validators=[MinValueValidator(0)],
        help_text=_("Of a split shares after it; of a dividend the close before the ex-date."),
    )
    cash = models.DecimalField(
        _("cash per share"), max_digits=RATE_DIGITS, decimal_places=RATE_PLACES, null=True, blank=True
    )
    source = models.CharField(_("source of the notice"), max_length=200, blank=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "adjustment_factor"
        ordering: ClassVar = ["symbol", "-ex_date"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["symbol", "ex_date", "kind"], name="adjustment_factor_once")
        ]
        verbose_name, verbose_name_plural = _("adjustment factor"), _("adjustment factors")

    def __str__(self) -> str:
        return f"{self.symbol} {self.ex_date} {self.kind} {self.old_rate}:{self.new_rate}"

    def clean(self) -> None:
        for name in ("old_rate", "new_rate"):
            rate = getattr(self, name)
            if rate is not None and rate <= 0:
                raise ValidationError({name: _("It must be above 0.")})


class SymbolRename(models.Model):
    """A share that has another code since a trading date. What was stored under the old one stays there and is read
    under the new one (`asof` of the API)."""

    old = models.CharField(_("old code"), max_length=24, validators=[RegexValidator(SYMBOL_PATTERN)])
    new = models.CharField(_("new code"), max_length=24, db_index=True, validators=[RegexValidator(SYMBOL_PATTERN)])
    since = models.DateField(_("since"), help_text=_("The first trading date under the new code."))
    source = models.CharField(_("source of the notice"), max_length=200, blank=True)

    class Meta:
        db_table = "symbol_rename"
        ordering: ClassVar = ["-since", "old"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["old", "since"], name="symbol_rename_of_old"),
            models.UniqueConstraint(fields=["new", "since"], name="symbol_rename_to_new"),
        ]
        verbose_name, verbose_name_plural = _("symbol rename"), _("symbol renames")

    def __str__(self) -> str:
        return f"{self.old} → {self.new} {self.since}"

    def clean(self) -> None:
        if self.old == self.new:
            raise ValidationError({"new": _("It is the same code.")})
