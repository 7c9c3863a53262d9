"""Rules of people, what they found, and whom it is told to. An alarm is what the system says of itself
(`marketdata.models.operations`); an alert is what the rule of a person found."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.people import Watchlist
from marketdata.models.reference import FEED_PATTERN, Market
from marketdata.models.texts import in_language


class AlertTarget(models.Model):
    """Where alerts of its owner are delivered to. Address and secret lie sealed; `shown` tells them apart and gives
    neither away."""

    class Kind(models.TextChoices):
        EMAIL = "email", _("e-mail")
        WEBHOOK = "webhook", _("webhook")
        CHAT = "chat", _("chat")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_targets", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=64)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    sealed = models.TextField(editable=False)
    shown = models.CharField(_("address"), max_length=120, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    delivered_at = models.DateTimeField(_("last delivered at"), null=True, editable=False)
    failed_at = models.DateTimeField(_("last failed at"), null=True, editable=False)
    error = models.CharField(_("last error"), max_length=200, blank=True, default="", db_default="", editable=False)
    texts = models.JSONField(null=True, editable=False)  # the error by language, and the English that it is of

    class Meta:
        db_table = "alert_target"
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="alert_target_of_owner")]
        verbose_name, verbose_name_plural = _("alert target"), _("alert targets")

    def __str__(self) -> str:
        return f"{self.name} ({self.shown})"

    @property
    def failure(self) -> str:
        """The error in the reader's language, where there is one."""
        return in_language(self.error, self.texts)


class AlertRule(models.Model):
    """When its owner wants to hear of something. `parameters` are read by `analytics.alerts.judging.conditions`; what
    is changed gives the rule a new `revision`, whose episodes begin anew."""

    class Kind(models.TextChoices):
        PRICE = "price", _("price")
        CHANGE = "change", _("change from the previous close")
        LIMIT = "limit", _("price limit reached")
        VOLUME = "volume", _("unusual volume")
        STATUS = "status", _("VI or halt")
        STALE = "stale", _("no trades")
        GAP = "gap", _("data missing")
        TERMINAL = "terminal", _("terminal not connected")
        ALARM = "alarm", _("alarm of the system")
        QUEUE = "queue", _("work waiting in a queue")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_rules", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    parameters = models.JSONField(_("condition"), default=dict)
    symbols = models.JSONField(
        _("symbols"), default=list, blank=True, help_text=_("Codes; when empty, all symbols of the market.")
    )
    market = models.ForeignKey(
        Market, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("market")
    )
    watchlist = models.ForeignKey(
        Watchlist, on_delete=models.SET_NULL, null=True, blank=True, related_name="alert_rules",
        verbose_name=_("watch list"), help_text=_("Instead of symbols: those that are in the list at that moment."),
    )  # fmt: skip
    feed = models.CharField(
        _("feed"), max_length=16, blank=True, validators=[RegexValidator(FEED_PATTERN)],
        help_text=_("When empty, the primary feed of each symbol."),
    )  # fmt: skip
    cooldown_s = models.PositiveIntegerField(_("pause after an alert, s"), default=60)
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    targets = models.ManyToManyField(AlertTarget, blank=True, related_name="rules", verbose_name=_("delivered to"))
    enabled = models.BooleanField(_("enabled"), default=True)
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "alert_rule"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="alert_rule_of_owner")]
        verbose_name, verbose_name_plural = _("alert rule"), _("alert rules")

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """What a rule found, once for each episode: from the moment its condition became true until it may fire again
    (`cleared_at`). The unique key is what makes it once, whoever evaluates."""

    rule = models.ForeignKey(
        AlertRule, on_delete=models.SET_NULL, null=True, related_name="alerts", verbose_name=_("rule")
    )
    revision = models.PositiveIntegerField(editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alerts", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=AlertRule.Kind.choices)
    feed = models.CharField(_("feed"), max_length=16, blank=True)
    symbol = models.CharField(_("symbol"), max_length=80, blank=True)
    episode = models.PositiveIntegerField(editable=False)
    value = models.CharField(_("value"), max_length=40, blank=True)
    message = models.TextField(_("message"))
    texts = models.JSONField(null=True, editable=False)  # the message by language, without English
    event_us = models.BigIntegerField(editable=False)
    committed_us = models.BigIntegerField(null=True, editable=False)  # of a trade that came just now
    fired_at = models.DateTimeField(_("fired at"), db_index=True)
    cleared_at = models.DateTimeField(_("over at"), null=True)
    quiet = models.BooleanField(_("in quiet hours"), default=False)
    announced_at = models.DateTimeField(null=True, db_index=True, editable=False)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True)

    class Meta:
        db_table = "alert"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rule", "revision", "feed", "symbol", "episode"], name="alert_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["owner", "-id"], name="alert_of_owner"),
            models.Index(fields=["acknowledged_at", "owner"], name="alert_unseen"),  # counted whenever a page is opened
        ]
        verbose_name, verbose_name_plural = _("alert"), _("alerts")

    def __str__(self) -> str:
        return f"{self.name} {self.symbol}".strip()

    @property
    def shown(self) -> str:
        """The message in the reader's language, where there is one."""
        return in_language(self.message, self.texts)


class AlertDelivery(models.Model):
    """How far an alert got to a target: the ledger of attempts, one row for each pair."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("alert"))
    target = models.ForeignKey(
        AlertTarget, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("target")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(_("next attempt"))
    error = models.CharField(_("error"), max_length=200, blank=True)
    texts = models.JSONField(null=True, editable=False)  # the error by language, and the English that it is of
    delivered_at = models.DateTimeField(_("delivered at"), null=True)

    class Meta:
        db_table = "alert_delivery"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["alert", "target"], name="alert_delivery_once")]
        indexes: ClassVar = [models.Index(fields=["state", "next_at"], name="alert_delivery_due")]
        verbose_name, verbose_name_plural = _("alert delivery"), _("alert deliveries")

    def __str__(self) -> str:
        return f"{self.alert_id} {self.target_id} {self.state}"

    @property
    def failure(self) -> str:
        """The error in the reader's language, where there is one."""
        return in_language(self.error, self.texts)
