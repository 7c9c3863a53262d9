"""Who runs the upkeep and how far it got: leases, the rollover of each trading day, backups, and what a person must
look at."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class JobLease(models.Model):
    """Who may run a job, until when by the database's clock. `fence` grows with every new owner."""

    job = models.CharField(max_length=32, primary_key=True)
    owner = models.CharField(max_length=80, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    until_us = models.BigIntegerField(default=0)

    class Meta:
        db_table = "job_lease"
        verbose_name = verbose_name_plural = _("작업 임차 Job lease")

    def __str__(self) -> str:
        return f"{self.job} #{self.fence} {self.owner}"


class RolloverRun(models.Model):
    """The rollover of one trading date: its state, what was found, and when each step was done."""

    class State(models.TextChoices):
        OPEN = "open", _("진행 중 open")
        SEALED = "sealed", _("마감 sealed")
        VERIFIED = "verified", _("대조 완료 verified")
        MOVED = "moved", _("이동 완료 moved")
        AGGREGATED = "aggregated", _("일봉 완료 aggregated")
        CLEANED = "cleaned", _("정리 완료 cleaned")
        DONE = "done", _("완료 done")

    trade_date = models.DateField(_("거래일 trading date"), primary_key=True)
    state = models.CharField(_("상태 state"), max_length=12, choices=State.choices, default=State.OPEN)
    fence = models.PositiveBigIntegerField(default=0)
    expected = models.BooleanField(_("개장일 trading day"), default=False)
    rows = models.BigIntegerField(_("틱 ticks"), null=True)
    checksum = models.BigIntegerField(_("체크섬 checksum"), null=True)
    late_rows = models.BigIntegerField(_("늦은 틱 late ticks"), default=0)
    daily = models.BigIntegerField(_("일봉 daily candles"), null=True)
    tries = models.PositiveIntegerField(_("시도 tries"), default=0)
    error = models.TextField(_("오류 error"), blank=True)
    retry_at = models.DateTimeField(_("다음 시도 next try"), null=True)
    counted_at = models.DateTimeField(_("미리 대조 counted ahead"), null=True)
    sealed_at = models.DateTimeField(_("마감 sealed"), null=True)
    verified_at = models.DateTimeField(_("대조 verified"), null=True)
    moved_at = models.DateTimeField(_("이동 moved"), null=True)
    aggregated_at = models.DateTimeField(_("일봉 aggregated"), null=True)
    cleaned_at = models.DateTimeField(_("정리 cleaned"), null=True)
    done_at = models.DateTimeField(_("완료 done"), null=True)
    archived_at = models.DateTimeField(_("보관 archived"), null=True)
    dropped_at = models.DateTimeField(_("기한 만료 삭제 dropped"), null=True)
    accepted = models.CharField(_("차이 승인 accepted difference"), max_length=200, blank=True)

    class Meta:
        db_table = "rollover_run"
        ordering: ClassVar = ["-trade_date"]
        verbose_name = verbose_name_plural = _("롤오버 Rollover")

    def __str__(self) -> str:
        return f"{self.trade_date} {self.state}"


class DroppedDay(models.Model):
    """That retention once removed a trading date's ticks, minute candles or ledger rows. Never deleted: what comes for
    such a day later is not the whole of it. `rows` and `checksum` add up what went (ticks and ledger rows), `times` how
    often; all of it is written before anything is removed."""

    class Kind(models.TextChoices):
        TICKS = "ticks", _("틱 ticks")
        MINUTES = "minutes", _("분봉 minute candles")
        LEDGER = "ledger", _("원장 ledger")

    trade_date = models.DateField(_("거래일 trading date"))
    kind = models.CharField(_("종류 kind"), max_length=8, choices=Kind.choices)
    rows = models.BigIntegerField(_("행 rows"), default=0)
    checksum = models.BigIntegerField(_("체크섬 checksum"), default=0)
    times = models.PositiveIntegerField(_("횟수 times"), default=0)
    dropped_at = models.DateTimeField(_("최근 삭제 last dropped"))

    class Meta:
        db_table = "dropped_day"
        ordering: ClassVar = ["-trade_date", "kind"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["trade_date", "kind"], name="dropped_day_once")]
        verbose_name = verbose_name_plural = _("기한 만료 삭제 Dropped day")

    def __str__(self) -> str:
        return f"{self.trade_date} {self.kind}"


class BackupRun(models.Model):
    """One backup: where it lies, and whether it was restored and compared. Only `verified` ones count."""

    class Kind(models.TextChoices):
        FULL = "full", _("전체 full")
        INCREMENTAL = "incremental", _("증분 incremental")

    class State(models.TextChoices):
        RUNNING = "running", _("진행 중 running")
        STORED = "stored", _("미검증 not yet verified")
        VERIFIED = "verified", _("검증됨 verified")
        FAILED = "failed", _("실패 failed")
        EXPIRED = "expired", _("만료 expired")

    kind = models.CharField(_("종류 kind"), max_length=12, choices=Kind.choices)
    base = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("기준 백업 base"),
        related_name="increments",
    )
    vendor = models.CharField(_("데이터베이스 database"), max_length=12)
    state = models.CharField(_("상태 state"), max_length=12, choices=State.choices, default=State.RUNNING)
    name = models.CharField(_("이름 name"), max_length=80, unique=True)
    position = models.CharField(_("위치 position"), max_length=80, blank=True)
    bytes = models.BigIntegerField(_("바이트 bytes"), null=True)
    raw_bytes = models.BigIntegerField(_("압축 전 raw bytes"), null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(_("시작 started"))
    ended_at = models.DateTimeField(_("끝 ended"), null=True)
    verified_at = models.DateTimeField(_("검증 verified"), null=True)
    error = models.TextField(_("오류 error"), blank=True)
    report = models.JSONField(_("보고 report"), default=dict, blank=True)

    class Meta:
        db_table = "backup_run"
        ordering: ClassVar = ["-id"]
        verbose_name = verbose_name_plural = _("백업 Backup")

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Alarm(models.Model):
    """Something a person must look at, for as long as it is so. Cleared by whoever finds it mended."""

    code = models.CharField(_("코드 code"), max_length=32)
    subject = models.CharField(_("대상 subject"), max_length=80, blank=True)
    message = models.TextField(_("내용 message"))
    count = models.PositiveIntegerField(_("횟수 count"), default=1)
    raised_at = models.DateTimeField(_("발생 raised"))
    seen_at = models.DateTimeField(_("최근 확인 last seen"))
    cleared_at = models.DateTimeField(_("해제 cleared"), null=True)

    class Meta:
        db_table = "alarm"
        ordering: ClassVar = ["-seen_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["code", "subject"], name="alarm_code_subject")]
        verbose_name = verbose_name_plural = _("경보 Alarm")

    def __str__(self) -> str:
        return f"{self.code} {self.subject}".strip()


class AuditEntry(models.Model):
    """A command that somebody ran by hand. Changes in the admin are in Django's log (`django_admin_log`)."""

    at = models.DateTimeField(_("때 at"), auto_now_add=True, db_index=True)
    actor = models.CharField(_("누가 who"), max_length=100)
    action = models.CharField(_("명령 command"), max_length=64)
    text = models.TextField(_("인자 arguments"))
    outcome = models.CharField(_("결과 outcome"), max_length=300)

    class Meta:
        db_table = "audit_entry"
        ordering: ClassVar = ["-id"]
        verbose_name = verbose_name_plural = _("명령 기록 Audit of commands")

    def __str__(self) -> str:
        return f"{self.actor}: {self.text}"[:200]
