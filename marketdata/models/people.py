"""What people keep for themselves."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


def new_id() -> str:
    return str(uuid.uuid4())


class Watchlist(models.Model):
    """A person's list of symbols, in the person's order; how many and how long: `marketdata.reference.watchlists`."""

    id = models.CharField(max_length=36, primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watchlists", verbose_name=_("person")
    )
    name = models.CharField(_("name"), max_length=64)
    symbols = models.JSONField(_("symbols"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "watchlist"
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "name"], name="watchlist_name_once")]
        verbose_name, verbose_name_plural = _("watch list"), _("watch lists")

    def __str__(self) -> str:
        return f"{self.name} ({self.user})"
