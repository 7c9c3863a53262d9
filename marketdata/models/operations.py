"""Who runs the upkeep and how far it got: leases, the rollover of each trading day, backups, and what a person must
look at."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.texts import in_language


class JobLease(models.Model):
    """Who may run a job, until when by the database's clock. `fence` grows with every new owner."""

    job = models.CharField(_("job"), max_length=32, primary_key=True)
    owner = models.CharField(_("holder"), max_length=80, blank=True)
    fence = models.PositiveBigIntegerField(_("fence"), default=0)
    until_us = models.BigIntegerField(_("held until, µs"), default=0)

    class Meta:
        db_table = "job_lease"
        verbose_name, verbose_name_plural = _("job lease"), _("job leases")

    def __str__(self) -> str:
        return f"{self.job} #{self.fence} {self.owner}"


class RolloverRun(models.Model):
    """The rollover of one trading date: its state, what was found, and when each step was done."""

    class State(models.TextChoices):
        OPEN = "open", _("in progress")
        SEALED = "sealed", _("sealed")
        VERIFIED = "verified", _("verified")
        MOVED = "moved", _("moved")
        AGGREGATED = "aggregated", _("aggregated")
        CLEANED = "cleaned", _("cleaned")
        DONE = "done", _("done")

    trade_date = models.DateField(_("trading date"), primary_key=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.OPEN)
    fence = models.PositiveBigIntegerField(_("fence"), default=0)
    expected = models.BooleanField(_("trading day"), default=False)
    rows = models.BigIntegerField(_("ticks"), null=True)
    checksum = models.BigIntegerField(_("checksum"), null=True)
    late_rows = models.BigIntegerField(_("late ticks"), default=0)
    daily = models.BigIntegerField(_("daily candles"), null=True)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    error = models.TextField(_("error"), blank=True)
    texts = models.JSONField(null=True, editable=False)  # the error by language, without English
    retry_at = models.DateTimeField(_("next try"), null=True)
    counted_at = models.DateTimeField(_("counted ahead at"), null=True)
    sealed_at = models.DateTimeField(_("sealed at"), null=True)
    verified_at = models.DateTimeField(_("verified at"), null=True)
    moved_at = models.DateTimeField(_("moved at"), null=True)
    aggregated_at = models.DateTimeField(_("aggregated at"), null=True)
    cleaned_at = models.DateTimeField(_("cleaned at"), null=True)
    done_at = models.DateTimeField(_("done at"), null=True)
    archived_at = models.DateTimeField(_("archived at"), null=True)
    dropped_at = models.DateTimeField(_("dropped at"), null=True)
    accepted = models.CharField(_("accepted difference"), max_length=200, blank=True)
    # Of what its quality was computed for good (analytics/quality/due.py).
    graded_as = models.CharField(max_length=32, blank=True, default="", editable=False)
    # The report by mail (analytics/quality/report_delivery.py): when all had it, who has it, attempts, the next one.
    reported_at = models.DateTimeField(_("quality reported at"), null=True)
    reported_to = models.JSONField(default=list, editable=False)
    report_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    report_next_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "rollover_run"
        ordering: ClassVar = ["-trade_date"]
        verbose_name, verbose_name_plural = _("rollover"), _("rollovers")

    def __str__(self) -> str:
        return f"{self.trade_date} {self.state}"

    @property
    def shown(self) -> str:
        """The error in the reader's language, where there is one."""
        return in_language(self.error, self.texts)


class DroppedDay(models.Model):
    """That retention once removed a trading date's ticks, minute candles or ledger rows. Never deleted: what comes for
    such a day later is not the whole of it. `rows` and `checksum` add up what went (ticks and ledger rows), `times` how
    often; all of it is written before anything is removed."""

    class Kind(models.TextChoices):
        TICKS = "ticks", _("ticks")
        MINUTES = "minutes", _("minute candles")
        LEDGER = "ledger", _("ledger")

    trade_date = models.DateField(_("trading date"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    rows = models.BigIntegerField(_("rows"), default=0)
    checksum = models.BigIntegerField(_("checksum"), default=0)
    times = models.PositiveIntegerField(_("times"), default=0)
    dropped_at = models.DateTimeField(_("last dropped at"))

    class Meta:
        db_table = "dropped_day"
        ordering: ClassVar = ["-trade_date", "kind"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["trade_date", "kind"], name="dropped_day_once")]
        verbose_name, verbose_name_plural = _("dropped day"), _("dropped days")

    def __str__(self) -> str:
        return f"{self.trade_date} {self.kind}"


class BackupRun(models.Model):
    """One backup: where it lies, and whether it was restored and compared. Only `verified` ones count."""

    class Kind(models.TextChoices):
        FULL = "full", _("full")
        INCREMENTAL = "incremental", _("incremental")

    class State(models.TextChoices):
        RUNNING = "running", _("in progress")
        STORED = "stored", _("not yet verified")
        VERIFIED = "verified", _("verified by restoring")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("expired")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    base = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("base backup"),
        related_name="increments",
    )
    vendor = models.CharField(_("database"), max_length=12)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.RUNNING)
    name = models.CharField(_("name"), max_length=80, unique=True)
    position = models.CharField(_("position"), max_length=80, blank=True)
    bytes = models.BigIntegerField(_("bytes"), null=True)
    raw_bytes = models.BigIntegerField(_("bytes unpacked"), null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)
    verified_at = models.DateTimeField(_("restored and compared at"), null=True)
    error = models.TextField(_("error"), blank=True)
    texts = models.JSONField(null=True, editable=False)  # the error by language, without English
    report = models.JSONField(_("report"), default=dict, blank=True)
    # Its copy in another place (BACKUP_OFFSITE): which place, the SHA-256 of its manifest there, who signed that.
    copy_place = models.CharField(_("copied to"), max_length=16, blank=True, default="", db_default="")
    copy_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")
    copy_signer = models.CharField(_("signed by"), max_length=120, blank=True, default="", db_default="")
    copy_bytes = models.BigIntegerField(_("bytes of the copy"), null=True)
    copied_at = models.DateTimeField(_("copied elsewhere at"), null=True)
    copy_proven_at = models.DateTimeField(_("copy last proven at"), null=True)
    copy_restored = models.BooleanField(_("proven by restoring"), default=False, db_default=False)

    class Meta:
        db_table = "backup_run"
        ordering: ClassVar = ["-id"]
        verbose_name, verbose_name_plural = _("backup"), _("backups")

    def __str__(self) -> str:
        return f"{self.name} {self.state}"

    @property
    def shown(self) -> str:
        """The error in the reader's language, where there is one."""
        return in_language(self.error, self.texts)


class Alarm(models.Model):
    """Something a person must look at, for as long as it is so. Cleared by whoever finds it mended, or by a person, who
    is named then; found again after that it begins anew. Who acknowledges it only says so."""

    code = models.CharField(_("code"), max_length=32)
    subject = models.CharField(_("subject"), max_length=80, blank=True)
    message = models.TextField(_("message"))
    texts = models.JSONField(null=True, editable=False)  # the message by language, without English
    count = models.PositiveIntegerField(_("count"), default=1)
    raised_at = models.DateTimeField(_("raised at"))
    seen_at = models.DateTimeField(_("last seen"))
    cleared_at = models.DateTimeField(_("cleared at"), null=True)
    cleared_by = models.CharField(
        _("cleared by"), max_length=150, blank=True, default="", db_default=""
    )  # "": found mended
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True, default="", db_default="")

    class Meta:
        db_table = "alarm"
        ordering: ClassVar = ["-seen_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["code", "subject"], name="alarm_code_subject")]
        verbose_name, verbose_name_plural = _("alarm"), _("alarms")

    def __str__(self) -> str:
        return f"{self.code} {self.subject}".strip()

    @property
    def shown(self) -> str:
        """The message in the reader's language, where there is one."""
        return in_language(self.message, self.texts)


class AuditEntry(models.Model):
    """A command that somebody ran by hand. Changes in the admin are in Django's log (`django_admin_log`)."""

    at = models.DateTimeField(_("at"), auto_now_add=True, db_index=True)
    actor = models.CharField(_("who"), max_length=100)
    action = models.CharField(_("command"), max_length=64)
    text = models.TextField(_("arguments"))
    outcome = models.CharField(_("outcome"), max_length=300)
    texts = models.JSONField(null=True, editable=False)  # the outcome by language, without English

    class Meta:
        db_table = "audit_entry"
        ordering: ClassVar = ["-id"]
        verbose_name, verbose_name_plural = _("audited command"), _("audited commands")

    def __str__(self) -> str:
        return f"{self.actor}: {self.text}"[:200]
