"""Named keys that read for a client or a person, which feeds people read, and what people log in with."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from marketdata.models.reference import Client, validate_feeds
from marketdata.types import scopes


class ReadRule(models.Model):
    """Which feeds a role or a person may read. Rules of the person count before those of the roles; who has none reads
    every feed."""

    group = models.ForeignKey(
        "auth.Group", on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("role")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+",
        verbose_name=_("person"),
    )  # fmt: skip
    feeds = models.CharField(
        _("feeds that may be read"), max_length=400, validators=[validate_feeds],
        help_text=_("Names separated by blanks, sim* for all that begin so, * for any."),
    )  # fmt: skip

    class Meta:
        db_table = "read_rule"
        ordering: ClassVar = ["id"]
        verbose_name, verbose_name_plural = _("reading rule"), _("reading rules")

    def __str__(self) -> str:
        return f"{self.user or self.group}: {self.feeds}"

    def clean(self) -> None:
        """ValidationError unless it is of one role or of one person."""
        if (self.group_id is None) == (self.user_id is None):
            raise ValidationError(_("A rule is for one role or for one person."))
        self.feeds = scopes.tidy(self.feeds)


class ApiKey(models.Model):
    """A key that reads, within what its owner may read. Of the secret only a SHA-256 is kept: 32 random bytes need no
    slow one. After a rotation the secret of before works until `previous_until`."""

    PREFIX = "NA"

    name = models.CharField(_("name"), max_length=64)
    key_id = models.CharField(_("key id"), max_length=20, unique=True, editable=False)
    client = models.ForeignKey(
        Client, on_delete=models.CASCADE, null=True, blank=True, related_name="api_keys", verbose_name=_("client"),
        help_text=_("Whose key it is: a client's or a person's."),
    )  # fmt: skip
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="api_keys",
        verbose_name=_("person"),
    )  # fmt: skip
    secret_hash = models.BinaryField(max_length=32, editable=False)
    previous_hash = models.BinaryField(max_length=32, null=True, editable=False)
    previous_until = models.DateTimeField(_("old secret works until"), null=True, editable=False)
    feeds = models.CharField(
        _("feeds it may read"), max_length=400, default=scopes.ANY, validators=[validate_feeds],
        help_text=_("Names separated by blanks, sim* for all that begin so, * for any that its owner may read."),
    )  # fmt: skip
    rate_limit = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, validators=[MinValueValidator(1)],
        help_text=_("A limit of its own; when empty, that of the settings."),
    )  # fmt: skip
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)

    class Meta:
        db_table = "api_key"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["client", "name"], name="api_key_of_client"),
            models.UniqueConstraint(fields=["user", "name"], name="api_key_of_user"),
        ]
        verbose_name, verbose_name_plural = _("API key"), _("API keys")

    # What REST framework asks of a request's user.
    is_authenticated = True
    is_anonymous = False
    is_staff = False

    def __str__(self) -> str:
        return f"{self.name} ({self.owner})"

    @property
    def owner(self) -> object:
        """The client or person whose key it is."""
        return self.client or self.user

    def clean(self) -> None:
        """ValidationError unless it is the key of one client or of one person."""
        if (self.client_id is None) == (self.user_id is None):
            raise ValidationError(_("A key belongs to one client or to one person."))

    def is_usable(self, now: datetime.datetime) -> bool:
        """Whether it was neither revoked nor has ended, and its owner is still active."""
        return (
            self.revoked_at is None
            and (self.expires_at is None or now < self.expires_at)
            and bool(getattr(self.owner, "is_active", False))
        )


class SecondFactor(models.Model):
    """The authenticator app of a person, who has at most one. Its secret is kept sealed."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="second_factor",
        verbose_name=_("person"),
    )  # fmt: skip
    sealed = models.CharField(max_length=255, editable=False)
    last_step = models.BigIntegerField(editable=False)
    """The step of time whose code was accepted last: none of it or of one before is accepted again."""
    enrolled_at = models.DateTimeField(_("since"), editable=False)

    class Meta:
        db_table = "second_factor"
        verbose_name, verbose_name_plural = _("second factor"), _("second factors")

    def __str__(self) -> str:
        return str(self.user)


class RecoveryCode(models.Model):
    """One login without the app. Used, it is deleted; of the code only a keyed hash is kept."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes", editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)

    class Meta:
        db_table = "recovery_code"
        verbose_name, verbose_name_plural = _("recovery code"), _("recovery codes")

    def __str__(self) -> str:
        return str(self.factor)


class OpenIdAccount(models.Model):
    """Who a person is to the OpenID Connect provider, which stays the same whatever he is called there."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="openid_account",
        verbose_name=_("person"),
    )  # fmt: skip
    mark = models.CharField(max_length=64, unique=True, editable=False)
    """A hash of issuer and subject."""
    subject = models.CharField(_("subject"), max_length=255, editable=False)
    linked_at = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        db_table = "openid_account"
        verbose_name, verbose_name_plural = _("account at the login provider"), _("accounts at the login provider")

    def __str__(self) -> str:
        return str(self.user)
