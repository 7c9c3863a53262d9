"""Reference data an administrator edits: markets, sources, symbols and the clients that may send or read."""

from __future__ import annotations

import secrets
import zoneinfo
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from terminals import wire

SYMBOL_PATTERN = r"^[0-9A-Za-z._:/-]{1,24}$"
FEED_PATTERN = r"^[a-z0-9_]{1,16}$"


def validate_timezone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise ValidationError(_("%(name)s is no IANA time zone, such as Asia/Seoul."), params={"name": name}) from error


class Market(models.Model):
    """Where symbols trade. The trading date of an event is its local date after adding `trade_date_shift_s` seconds."""

    code = models.CharField(_("코드 code"), max_length=8, primary_key=True)
    name = models.CharField(_("이름 name"), max_length=64)
    timezone = models.CharField(
        _("시간대 time zone"), max_length=48, default="Asia/Seoul", validators=[validate_timezone]
    )
    trade_date_shift_s = models.IntegerField(_("거래일 이동(초) trading date shift, s"), default=0)
    open_on_weekends = models.BooleanField(_("주말 개장 open on weekends"), default=False)

    class Meta:
        db_table = "market"
        verbose_name = verbose_name_plural = _("시장 Market")

    def __str__(self) -> str:
        return self.code


class CalendarOverride(models.Model):
    """What the checked-in calendar does not know of a date: an ad-hoc closure, a late opening. Wins over it."""

    market = models.ForeignKey(Market, on_delete=models.CASCADE, verbose_name=_("시장 market"))
    date = models.DateField(_("날짜 date"))
    is_open = models.BooleanField(_("개장 open"), default=False)
    shift_minutes = models.SmallIntegerField(
        _("시간 이동(분) shift, minutes"),
        default=0,
        help_text=_("수능일은 60. All sessions of the day move by so much; 60 on CSAT day."),
    )
    regular_open = models.TimeField(_("정규장 시작 regular open"), null=True, blank=True)
    regular_close = models.TimeField(_("정규장 종료 regular close"), null=True, blank=True)
    note = models.CharField(_("사유 reason"), max_length=200)
    source = models.CharField(_("출처 source"), max_length=200, blank=True)

    class Meta:
        db_table = "calendar_override"
        ordering: ClassVar = ["-date"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["market", "date"], name="calendar_override_once")]
        verbose_name = verbose_name_plural = _("달력 예외 Calendar override")

    def __str__(self) -> str:
        return f"{self.market_id} {self.date} {self.note}"

    def clean(self) -> None:
        if not self.is_open and (self.shift_minutes or self.regular_open or self.regular_close):
            raise ValidationError({"is_open": _("휴장일에는 시간을 정할 수 없습니다. A closed day has no times.")})
        if self.regular_open and self.regular_close and self.regular_open >= self.regular_close:
            raise ValidationError({"regular_close": _("시작보다 늦어야 합니다. It must be later than the opening.")})


class Source(models.Model):
    """Where a tick was seen. `max_age_s` empty means that old events are believed (replays)."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    code = models.CharField(_("코드 code"), max_length=16, unique=True)
    max_age_s = models.PositiveIntegerField(_("허용 지연(초) greatest age, s"), null=True, blank=True)
    is_synthetic = models.BooleanField(_("모의 데이터 synthetic"), default=False)

    class Meta:
        db_table = "source"
        verbose_name = verbose_name_plural = _("소스 Source")

    def __str__(self) -> str:
        return self.code


class Symbol(models.Model):
    """A tradable thing. Codes are text: Korean ones are six characters, not six digits."""

    code = models.CharField(
        _("종목코드 code"), max_length=24, primary_key=True, validators=[RegexValidator(SYMBOL_PATTERN)]
    )
    name = models.CharField(_("종목명 name"), max_length=80, blank=True)
    name_en = models.CharField(_("영문명 English name"), max_length=80, blank=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, verbose_name=_("시장 market"))
    primary_feed = models.CharField(
        _("주 피드 primary feed"), max_length=16, default="krx", validators=[RegexValidator(FEED_PATTERN)]
    )
    is_active = models.BooleanField(_("수집 active"), default=True)
    created_at = models.DateTimeField(_("등록 created"), auto_now_add=True)

    class Meta:
        db_table = "symbol"
        ordering: ClassVar = ["code"]
        verbose_name = verbose_name_plural = _("종목 Symbol")

    def __str__(self) -> str:
        return f"{self.code} {self.name}".strip()


class ClientManager(models.Manager["Client"]):
    def create_with_secret(self, *, name: str, **fields: Any) -> tuple[Client, str]:
        """A new client and its secret, which is nowhere stored and cannot be shown again."""
        client = Client(name=name, key_id=new_key_id(), **fields)
        secret = client.renew_secret()
        client.full_clean()
        client.save()
        return client, secret


def new_key_id() -> str:
    return "NK" + secrets.token_hex(9).upper()


class Client(models.Model):
    """Somebody who may send or read. Of the secret only a verifier is kept (`terminals.wire.proof`)."""

    name = models.CharField(
        _("이름 name"), max_length=32, unique=True, validators=[RegexValidator(r"^[0-9A-Za-z._-]{1,32}$")]
    )
    key_id = models.CharField(_("키 ID key id"), max_length=20, unique=True, default=new_key_id, editable=False)
    stored_key = models.BinaryField(max_length=32, editable=False)
    server_key = models.BinaryField(max_length=32, editable=False)
    source = models.ForeignKey(
        Source,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("소스 source"),
        help_text=_("보내는 클라이언트만. Only for clients that send."),
    )
    may_send = models.BooleanField(_("송신 may send"), default=False)
    may_read = models.BooleanField(_("조회 may read"), default=True)
    may_register = models.BooleanField(_("종목 등록 may register symbols"), default=False)
    is_active = models.BooleanField(_("사용 active"), default=True)
    created_at = models.DateTimeField(_("등록 created"), auto_now_add=True)
    last_seen_at = models.DateTimeField(_("최근 접속 last seen"), null=True, blank=True, editable=False)
    clock_offset_us = models.BigIntegerField(_("시계 차이 µs clock offset, µs"), null=True, blank=True, editable=False)

    objects = ClientManager()

    class Meta:
        db_table = "client"
        ordering: ClassVar = ["name"]
        verbose_name = verbose_name_plural = _("클라이언트 Client")

    def __str__(self) -> str:
        return self.name

    # What REST framework asks of a request's user.
    is_authenticated = True
    is_anonymous = False

    def clean(self) -> None:
        if self.may_send and self.source_id is None:
            raise ValidationError({"source": _("송신하려면 소스가 필요합니다. A client that sends needs a source.")})

    def renew_secret(self) -> str:
        """Give the client a new secret, unsaved; the old one no longer works once saved."""
        secret = wire.new_secret()
        verifier = wire.verifier(secret)
        self.stored_key, self.server_key = verifier.stored_key, verifier.server_key
        return secret
