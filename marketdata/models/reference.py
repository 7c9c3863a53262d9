"""Reference data an administrator edits: markets, sources, symbols and the clients that may send or read."""

from __future__ import annotations

import secrets
import zoneinfo
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from marketdata.types import categories, scopes
from terminals import wire

# 1 to 24 printable ASCII characters without a comma (which separates codes in a request), not a lone asterisk (which is
# all of them) and without a space at either end (which MariaDB does not tell apart).
SYMBOL_PATTERN = r"\A(?!\*\Z)[!-+\--~](?:[ -+\--~]{0,22}[!-+\--~])?\Z"
SYMBOL_MEANING = _("1 to 24 printable ASCII characters, no comma, no space at either end")
FEED_PATTERN = r"\A[a-z0-9_]{1,16}\Z"
PLAIN_PATTERN = r"\A[ -~]*\Z"
"""Of words that are kept in ASCII: MariaDB compares such a column with nothing else."""
CLIENT_PATTERN = r"\A[0-9A-Za-z._-]{1,32}\Z"


def validate_timezone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise ValidationError(_("%(name)s is no IANA time zone, such as Asia/Seoul."), params={"name": name}) from error


def validate_feeds(words: str) -> None:
    """A scope of feeds, such as "krx sim*"; ValidationError for a word that means nothing."""
    wrong = scopes.malformed(words)
    if wrong:
        raise ValidationError(
            _("These are no names of feeds, such as krx, sim* or *: %(words)s."), params={"words": ", ".join(wrong)}
        )


CLIENT_QUOTAS = ("spools", "symbols", "dates", "gaps")
"""The quotas a client can have limits of its own for (`marketdata.limits.quotas`)."""


def validate_quotas(given: object) -> None:
    if not isinstance(given, dict) or not all(
        name in CLIENT_QUOTAS and isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
        for name, limit in given.items()
    ):
        raise ValidationError(
            _('Only whole numbers for %(names)s, such as {"symbols": 50000}.'),
            params={"names": ", ".join(CLIENT_QUOTAS)},
        )


class Market(models.Model):
    """Where symbols trade. The trading date of an event is its local date after adding `trade_date_shift_s`
    seconds."""

    code = models.CharField(_("code"), max_length=8, primary_key=True)
    name = models.CharField(_("name"), max_length=64)
    name_en = models.CharField(_("English name"), max_length=64, blank=True, default="", db_default="")
    timezone = models.CharField(_("time zone"), max_length=48, default="Asia/Seoul", validators=[validate_timezone])
    trade_date_shift_s = models.IntegerField(_("trading date shift, s"), default=0)
    open_on_weekends = models.BooleanField(_("open on weekends"), default=False)
    nonpositive_prices = models.BooleanField(
        _("prices of zero and below"),
        default=False,
        help_text=_("Where a price may be zero or negative: futures, spreads, rates."),
    )

    class Meta:
        db_table = "market"
        verbose_name, verbose_name_plural = _("market"), _("markets")

    def __str__(self) -> str:
        return self.code

    @property
    def called(self) -> str:
        """Its name in the language in force."""
        return self.name_en if self.name_en and translation.get_language() == "en" else self.name


class CalendarOverride(models.Model):
    """What the checked-in calendar does not know of a date: an ad-hoc closure, a late opening. Wins over it."""

    market = models.ForeignKey(Market, on_delete=models.CASCADE, verbose_name=_("market"))
    date = models.DateField(_("date"))
    is_open = models.BooleanField(_("open"), default=False)
    shift_minutes = models.SmallIntegerField(
        _("shift, minutes"),
        default=0,
        help_text=_("All sessions of the day move by so much; 60 on CSAT day."),
    )
    regular_open = models.TimeField(_("regular open"), null=True, blank=True)
    regular_close = models.TimeField(_("regular close"), null=True, blank=True)
    note = models.CharField(_("reason"), max_length=200)
    source = models.CharField(_("source of the notice"), max_length=200, blank=True)

    class Meta:
        db_table = "calendar_override"
        ordering: ClassVar = ["-date"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["market", "date"], name="calendar_override_once")]
        verbose_name, verbose_name_plural = _("calendar override"), _("calendar overrides")

    def __str__(self) -> str:
        return f"{self.market_id} {self.date} {self.note}"

    def clean(self) -> None:
        if not self.is_open and (self.shift_minutes or self.regular_open or self.regular_close):
            raise ValidationError({"is_open": _("A closed day has no times.")})
        if self.regular_open and self.regular_close and self.regular_open >= self.regular_close:
            raise ValidationError({"regular_close": _("It must be later than the opening.")})


class Source(models.Model):
    """Where a tick was seen. `max_age_s` empty means that old events are believed (replays)."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    code = models.CharField(_("code"), max_length=16, unique=True)
    max_age_s = models.PositiveIntegerField(_("greatest age, s"), null=True, blank=True)
    is_synthetic = models.BooleanField(_("synthetic"), default=False)

    class Meta:
        db_table = "source"
        verbose_name, verbose_name_plural = _("source"), _("sources")

    def __str__(self) -> str:
        return self.code


class Symbol(models.Model):
    """A tradable thing. Codes are text: Korean ones are six characters, not six digits."""

    code = models.CharField(
        _("symbol code"), max_length=24, primary_key=True, validators=[RegexValidator(SYMBOL_PATTERN)]
    )
    name = models.CharField(_("symbol name"), max_length=80, blank=True)
    name_en = models.CharField(_("English name"), max_length=80, blank=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, verbose_name=_("market"))
    category = models.CharField(
        _("category"),
        max_length=16,
        blank=True,
        default="",
        validators=[RegexValidator(categories.PATTERN)],
        help_text=_("Such as kospi, kosdaq, etf, futures; when empty, what is known of its market."),
    )
    primary_feed = models.CharField(
        _("primary feed"), max_length=16, default="krx", validators=[RegexValidator(FEED_PATTERN)]
    )
    is_active = models.BooleanField(_("collected"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    registered_by = models.ForeignKey(
        "Client",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("registered by"),
    )
    # What a vendor's master file says of it each morning (marketdata/vendors/masters.py).
    isin = models.CharField(_("ISIN"), max_length=12, blank=True)
    security_group = models.CharField(
        _("security group"), max_length=2, blank=True, help_text=_("ST stock, EF ETF, EN ETN, EW ELW, RT REIT, …")
    )
    base_price = models.BigIntegerField(_("base price, 1e-8"), null=True, blank=True)
    lower_limit = models.BigIntegerField(_("lower limit, 1e-8"), null=True, blank=True)
    upper_limit = models.BigIntegerField(_("upper limit, 1e-8"), null=True, blank=True)
    limits_on = models.DateField(_("limits are of"), null=True, blank=True)
    previous_volume = models.BigIntegerField(_("volume of the day before, 1e-6"), null=True, blank=True)
    market_cap = models.BigIntegerField(_("market value, KRW"), null=True, blank=True)
    listed_on = models.DateField(_("listed on"), null=True, blank=True)
    is_halted = models.BooleanField(_("trading halted"), default=False)
    is_administrative = models.BooleanField(_("administrative issue"), default=False)
    is_in_liquidation = models.BooleanField(_("liquidation trading"), default=False)
    warning = models.CharField(_("market warning"), max_length=2, blank=True)
    master = models.CharField(_("master file"), max_length=16, blank=True, db_index=True)
    mastered_at = models.DateTimeField(_("seen in the master file at"), null=True, blank=True)
    delisted_on = models.DateField(_("gone from the master file on"), null=True, blank=True)

    class Meta:
        db_table = "symbol"
        ordering: ClassVar = ["code"]
        verbose_name, verbose_name_plural = _("symbol"), _("symbols")

    def __str__(self) -> str:
        return f"{self.code} {self.name}".strip()


class SymbolChange(models.Model):
    """What a master file told anew of a symbol: its first listing, another name, that it is gone. Never deleted, so
    that a name that was is found again."""

    class What(models.TextChoices):
        LISTED = "listed", _("new")
        RENAMED = "renamed", _("renamed")
        DELISTED = "delisted", _("gone")
        RETURNED = "returned", _("listed again")

    symbol = models.CharField(_("symbol"), max_length=24)
    what = models.CharField(_("what"), max_length=8, choices=What.choices)
    before = models.CharField(_("before"), max_length=80, blank=True)
    after = models.CharField(_("after"), max_length=80, blank=True)
    found_at = models.DateTimeField(_("found at"))

    class Meta:
        db_table = "symbol_change"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["symbol", "found_at"], name="symbol_change_of")]
        verbose_name, verbose_name_plural = _("symbol change"), _("symbol changes")

    def __str__(self) -> str:
        return f"{self.symbol} {self.what} {self.after}".strip()


class Feed(models.Model):
    """A feed that is or was written. Only such feeds can be read; a client that names a new one adds it, within its
    quota."""

    name = models.CharField(_("name"), max_length=16, primary_key=True, validators=[RegexValidator(FEED_PATTERN)])
    created_by = models.ForeignKey(
        "Client", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+",
        verbose_name=_("created by"),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    shared = models.BooleanField(
        _("shared"),
        default=False,
        help_text=_("Several clients send the same symbols, on purpose."),
    )

    class Meta:
        db_table = "feed"
        ordering: ClassVar = ["name"]
        # Of people, beside those of single tables; which role has which: marketdata/reference/roles.py.
        permissions: ClassVar = [
            ("read_data", "May read market data"),
            ("inspect", "May read metrics and what is in memory"),
            ("own_keys", "May have API keys of their own"),
            ("operate", "May enter the administration"),
        ]
        verbose_name, verbose_name_plural = _("feed"), _("feeds")

    def __str__(self) -> str:
        return self.name


class FeedOwner(models.Model):
    """The one client that sends a symbol of a feed (`marketdata.reference.owners`). `client` is empty after a
    release."""

    feed = models.CharField(_("feed"), max_length=16)
    symbol = models.CharField(_("symbol"), max_length=24)
    client = models.ForeignKey(
        "Client", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("owning client")
    )
    changed_us = models.BigIntegerField(db_index=True)

    class Meta:
        db_table = "feed_owner"
        ordering: ClassVar = ["feed", "symbol"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["feed", "symbol"], name="feed_owner_one")]
        verbose_name, verbose_name_plural = _("feed owner"), _("feed owners")

    def __str__(self) -> str:
        return f"{self.feed}/{self.symbol}"


class ClientManager(models.Manager["Client"]):
    def create_with_secret(self, *, name: str, **fields: Any) -> tuple[Client, str]:
        """A new client and its secret, which is nowhere stored and cannot be shown again."""
        fields.setdefault("may_read", not fields.get("may_send", False))  # who sends reads only when that is said
        client = Client(name=name, key_id=new_key_id(), **fields)
        secret = client.renew_secret()
        client.full_clean()
        client.save()
        return client, secret


def new_key_id() -> str:
    return "NK" + secrets.token_hex(9).upper()


class Client(models.Model):
    """Somebody who may send or read. Of the secret only a verifier is kept (`terminals.wire.proof`)."""

    name = models.CharField(_("name"), max_length=32, unique=True, validators=[RegexValidator(CLIENT_PATTERN)])
    key_id = models.CharField(_("key id"), max_length=20, unique=True, default=new_key_id, editable=False)
    stored_key = models.BinaryField(max_length=32, editable=False)
    server_key = models.BinaryField(max_length=32, editable=False)
    source = models.ForeignKey(
        Source,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("source"),
        help_text=_("Only for clients that send."),
    )
    may_send = models.BooleanField(_("may send"), default=False)
    may_read = models.BooleanField(
        _("may read"),
        default=False,
        help_text=_("Reads by REST and WebSocket, and metrics."),
    )
    read_feeds = models.CharField(
        _("feeds it may read"), max_length=400, default=scopes.ANY, blank=True, validators=[validate_feeds],
        help_text=_("Names separated by blanks, sim* for all that begin so, * for any."),
    )  # fmt: skip
    rate_limit = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, validators=[MinValueValidator(1)],
        help_text=_("A limit of its own; when empty, that of the settings."),
    )  # fmt: skip
    feeds = models.CharField(
        _("feeds it may send to"),
        max_length=400,
        blank=True,
        help_text=_(
            "Names separated by blanks, sim* for all that begin so, * for any. New senders get "
            "those of their source when this is left empty."
        ),
    )
    markets = models.CharField(
        _("markets it may send"), max_length=400, default="*", blank=True,
        help_text=_("Only symbols of these markets, * for any."),
    )  # fmt: skip
    kinds = models.CharField(
        _("kinds of ticks it may send"), max_length=400, default="*", blank=True,
        help_text=_("Only ticks of these kinds (trade quote snapshot expected), * for any."),
    )  # fmt: skip
    unique_by = models.CharField(
        _("unique by"),
        max_length=10,
        blank=True,
        default="",
        choices=[
            ("", _("nothing: every record is a trade of its own")),
            ("seq", _("seq: no two events of a symbol and feed have the same")),
            ("cum_volume", _("cum_volume: it moves with each trade")),
        ],
        help_text=_("How a repeated record is recognised and set aside."),
    )
    shares_feeds = models.BooleanField(
        _("shares feeds"),
        default=False,
        help_text=_("May send symbols of a feed that belong to another client."),
    )
    may_register = models.BooleanField(_("may register symbols"), default=False)
    quotas = models.JSONField(
        _("quotas"),
        default=dict,
        blank=True,
        validators=[validate_quotas],
        help_text=_('Limits of its own, such as {"symbols": 50000}; others are those of the settings.'),
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_seen_at = models.DateTimeField(_("last connected"), null=True, blank=True, editable=False)
    clock_offset_us = models.BigIntegerField(_("clock offset, µs"), null=True, blank=True, editable=False)

    objects = ClientManager()

    class Meta:
        db_table = "client"
        ordering: ClassVar = ["name"]
        verbose_name, verbose_name_plural = _("client"), _("clients")

    def __str__(self) -> str:
        return self.name

    # What REST framework asks of a request's user.
    is_authenticated = True
    is_anonymous = False

    def clean(self) -> None:
        if self.may_send and self.source_id is None:
            raise ValidationError({"source": _("A client that sends needs a source.")})
        if self.may_send and self.source is not None and self._state.adding and not self.feeds:
            self.feeds = scopes.feeds_of_source(self.source.code)
        kinds = [kind.name.lower() for kind in wire.Kind]
        for name, known in (
            ("feeds", None),
            ("markets", list(Market.objects.values_list("pk", flat=True))),
            ("kinds", kinds),
        ):
            setattr(self, name, scopes.tidy(getattr(self, name)))
            if wrong := scopes.malformed(getattr(self, name), known):
                words = {"wrong": ", ".join(wrong), "known": ", ".join(known or ["krx", "sim*", "*"])}
                raise ValidationError({name: _("%(wrong)s: not known; such as %(known)s.") % words})

    def may_write(self, feed: str) -> bool:
        """Whether the client may send to this feed."""
        return scopes.allows(self.feeds, feed)

    def renew_secret(self) -> str:
        """Give the client a new secret, unsaved; the old one no longer works once saved."""
        secret = wire.new_secret()
        verifier = wire.verifier(secret)
        self.stored_key, self.server_key = verifier.stored_key, verifier.server_key
        return secret
