"""The ledger: which batch of which terminal was committed, what was refused, what could not be processed, what is
missing."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.reference import Client


class IngestStream(models.Model):
    """One spool of a client (an epoch), numbered here. The newest one of a client is the only one that may send."""

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="streams", verbose_name=_("client"))
    epoch = models.CharField(_("epoch of the spool"), max_length=16)
    # Up to this seq the ledger was found whole, or what it lacks was told as gaps.
    whole_upto = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "ingest_stream"
        constraints: ClassVar = [models.UniqueConstraint(fields=["client", "epoch"], name="ingest_stream_client_epoch")]
        verbose_name, verbose_name_plural = _("ingest stream"), _("ingest streams")

    def __str__(self) -> str:
        return f"{self.client_id}/{self.epoch}"


class SessionFence(models.Model):
    """Who has the newest session of a client, over all ingest servers. `number` grows with every login
    (`marketdata.ledger.session_fences`)."""

    client = models.OneToOneField(Client, on_delete=models.CASCADE, primary_key=True, related_name="session_fence")
    number = models.PositiveBigIntegerField(default=0)
    holder = models.CharField(max_length=120, blank=True)  # ingest server/process
    previous = models.CharField(max_length=120, blank=True)  # who had it before
    guarded = models.PositiveBigIntegerField(default=0)  # goes up with whatever only the newest session may do

    class Meta:
        db_table = "session_fence"
        verbose_name = verbose_name_plural = _("Session fence")

    def __str__(self) -> str:
        return f"{self.client_id} #{self.number} {self.holder}"


class TradeDate(models.Model):
    """A trading date that has or had ticks, and the client that named it first: what the quota of dates counts."""

    trade_date = models.DateField(primary_key=True)
    client = models.ForeignKey(Client, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "trade_date"
        verbose_name, verbose_name_plural = _("trading date"), _("trading dates")

    def __str__(self) -> str:
        return str(self.trade_date)


class IngestBatch(models.Model):
    """The claim row of a batch, written in the transaction that stores its ticks. `batch` = stream << 32 | seq."""

    class State(models.TextChoices):
        STORED = "stored", _("stored")
        REFUSED = "refused", _("refused")
        DEAD = "dead", _("dead letter")
        GIVEN_UP = "given_up", _("given up for a new epoch")

    batch = models.BigIntegerField(_("batch"), primary_key=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices)
    feed = models.CharField(_("feed"), max_length=16)
    rows = models.PositiveIntegerField(_("rows"))
    stored = models.PositiveIntegerField(_("stored rows"))
    rejected = models.PositiveIntegerField(_("refused rows"))
    checksum = models.PositiveBigIntegerField(_("checksum"))
    first_us = models.BigIntegerField(null=True)
    last_us = models.BigIntegerField(null=True)
    received_us = models.BigIntegerField()
    committed_us = models.BigIntegerField(db_index=True)
    captured_us = models.BigIntegerField(null=True)  # by the terminal's clock, as the batch says

    class Meta:
        db_table = "ingest_batch"
        verbose_name, verbose_name_plural = _("batch of the ledger"), _("batches of the ledger")

    def __str__(self) -> str:
        return f"{self.batch >> 32}/{self.batch & 0xFFFFFFFF}"


class IngestBatchDay(models.Model):
    """What a batch stored of one trading date: how many ticks and their checksum (`marketdata.types.checksums`).
    Written with the claim row, so that the rows of a day can be compared with what was acknowledged."""

    pk = models.CompositePrimaryKey("batch", "trade_date")
    batch = models.BigIntegerField()
    trade_date = models.DateField()
    rows = models.PositiveIntegerField()
    checksum = models.BigIntegerField()

    class Meta:
        db_table = "ingest_batch_day"
        indexes: ClassVar = [models.Index(fields=["trade_date"], name="ingest_batch_day_date")]
        verbose_name, verbose_name_plural = _("batch by trading date"), _("batches by trading date")

    def __str__(self) -> str:
        return f"{self.batch >> 32}/{self.batch & 0xFFFFFFFF} {self.trade_date}"


class FeedPending(models.Model):
    """The batches of a feed that one commit stored and the feed may not have yet: written with their claim rows,
    removed once the feed has them.

    What is here is what may have to be announced again. Nothing else decides that: no clock, no order of commits.
    """

    id = models.BigIntegerField(primary_key=True)  # by chance
    feed = models.CharField(max_length=16)
    committed_us = models.BigIntegerField()
    batches = models.BinaryField()  # msgpack of [[batch, ticks], ...]
    spans = models.BinaryField()  # where the ticks of each lie: msgpack of [[[symbol, day, first_us, last_us], ...]]

    class Meta:
        db_table = "feed_pending"
        verbose_name, verbose_name_plural = _("pending entry of a feed"), _("pending entries of feeds")

    def __str__(self) -> str:
        return f"{self.id} {self.feed}"


class IngestReject(models.Model):
    """A row that failed validation: kept whole, with its reasons."""

    batch = models.BigIntegerField()
    idx = models.PositiveSmallIntegerField(_("place in the batch"))
    reasons = models.CharField(_("reasons"), max_length=200)
    record = models.TextField()
    created_at = models.DateTimeField(_("refused at"), auto_now_add=True, db_index=True)

    class Meta:
        db_table = "ingest_reject"
        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "idx"], name="ingest_reject_batch_idx")]
        verbose_name, verbose_name_plural = _("rejected row"), _("rejected rows")

    def __str__(self) -> str:
        return f"{self.batch}[{self.idx}] {self.reasons}"


class DeadLetter(models.Model):
    """A whole batch that was refused or could not be processed, with its payload as it came."""

    batch = models.BigIntegerField()
    checksum = models.PositiveBigIntegerField(_("checksum"))
    code = models.CharField(_("code"), max_length=32)
    error = models.TextField(_("error"))
    payload = models.BinaryField()
    created_at = models.DateTimeField(_("refused at"), auto_now_add=True, db_index=True)

    class Meta:
        db_table = "dead_letter"
        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "checksum", "code"], name="dead_letter_once")]
        verbose_name, verbose_name_plural = _("dead letter"), _("dead letters")

    def __str__(self) -> str:
        return f"{self.batch} {self.code}"


class IngestRequeue(models.Model):
    """That refused rows or a dead letter of a batch were judged again: who asked, for what, and what came of it.
    Written with what it stored; `announced` once the feed has it."""

    batch = models.BigIntegerField(_("batch"), db_index=True)
    feed = models.CharField(max_length=16)
    asked_by = models.CharField(_("asked by"), max_length=80)
    selection = models.CharField(_("selection"), max_length=300)
    judged = models.PositiveIntegerField(_("judged"))
    stored = models.PositiveIntegerField(_("stored"))
    spans = models.JSONField(default=list)  # where the stored ticks lie: [symbol, first_us, last_us, [row, ...]]
    at_us = models.BigIntegerField()
    announced = models.BooleanField(_("announced"), default=False, db_index=True)
    created_at = models.DateTimeField(_("judged at"), auto_now_add=True)

    class Meta:
        db_table = "ingest_requeue"
        verbose_name, verbose_name_plural = _("requeue"), _("requeues")

    def __str__(self) -> str:
        return f"{self.batch >> 32}/{self.batch & 0xFFFFFFFF} {self.stored} of {self.judged}"


class Gap(models.Model):
    """Something known to be missing, with bounds: what a terminal had to drop, or what a source found out. `idx`
    numbers the gaps of a batch. Without a `symbol` it is of all symbols of the feed."""

    batch = models.BigIntegerField()
    idx = models.PositiveSmallIntegerField(default=0)
    feed = models.CharField(_("feed"), max_length=16)
    symbol = models.CharField(_("symbol"), max_length=24, blank=True, default="")
    from_us = models.BigIntegerField()
    to_us = models.BigIntegerField()
    rows = models.PositiveBigIntegerField(_("missing rows"))
    missing = models.BigIntegerField(null=True)  # the volume that is missing, in 1e-6
    trade_date = models.DateField(_("trading date"), null=True)
    reason = models.CharField(_("reason"), max_length=200)
    created_at = models.DateTimeField(_("told at"), auto_now_add=True)

    class Meta:
        db_table = "gap"
        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "idx"], name="gap_batch_idx")]
        # Each request for candles asks by these (`api.rest.series`).
        # The quality of finished days by those that were told lately (`analytics.quality.due`).
        # The page of collection asks by the date (`api.views.status_upkeep`).
        indexes: ClassVar = [
            models.Index(fields=["feed", "symbol", "to_us"], name="gap_of_symbol"),
            models.Index(fields=["created_at"], name="gap_told"),
            models.Index(fields=["trade_date"], name="gap_date"),
        ]
        verbose_name, verbose_name_plural = _("gap"), _("gaps")

    def __str__(self) -> str:
        return f"{self.feed} {self.rows} rows: {self.reason}"
