"""Where people want their alerts delivered to: made, tried, and sealed so that neither address nor secret is shown
again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _

from analytics.alerts import rules
from analytics.alerts.rules import RefusedError
from analytics.delivery import addresses, chat, webhooks
from marketdata.models import AlertTarget
from marketdata.models.texts import others
from marketdata.reference import second_factors

Kind = AlertTarget.Kind


@dataclass(frozen=True, slots=True, repr=False)
class Way:
    """What is needed to deliver to a target; only webhooks have a secret. Its repr shows nothing of it."""

    kind: str
    address: str
    secret: str = ""


def make(owner: int, name: str, kind: str, address: str) -> tuple[AlertTarget, str]:
    """A new target, and the secret with which its webhooks are signed, told only now ("" of others). RefusedError says
    what is wrong, by field."""
    _refuse_more(owner)  # before anything is looked up or started for who may have no more
    wrong: dict[str, str] = {}
    shown = ""
    if not rules.is_name(name):
        wrong["name"] = _("is one line of letters")
    if kind == Kind.EMAIL and not settings.EMAIL_HOST:
        wrong["kind"] = _("is webhook: this server sends no mail, for EMAIL_HOST is not set")
    elif kind == Kind.EMAIL:
        try:
            validate_email(address)
            shown = _masked(address)
        except ValidationError:
            wrong["address"] = _("is an e-mail address")
    elif kind == Kind.WEBHOOK:
        try:
            endpoint = addresses.parse(address)
            addresses.resolved(endpoint, settings.ALERT_WEBHOOK_NETWORKS, addresses.system_resolve)
            shown = f"{endpoint.scheme}://{endpoint.host}/…"  # what follows is often a secret
        except addresses.RefusedError as error:
            wrong["address"] = str(said(error))
    elif kind == Kind.CHAT:
        try:
            shown = chat.check(address, settings.ALERT_WEBHOOK_NETWORKS)
        except addresses.RefusedError as error:
            wrong["address" if chat.is_installed() else "kind"] = str(said(error))
        except TimeoutError:
            wrong["address"] = _("could not be looked at in time: try again")
    else:
        wrong["kind"] = _("is one of {names}").format(names=", ".join(Kind.values))
    if wrong:
        raise RefusedError(wrong)
    secret = webhooks.new_secret() if kind == Kind.WEBHOOK else ""
    sealed = second_factors.seal(json.dumps([address, secret]))
    try:
        with transaction.atomic():
            rules.hold_quota(owner)
            _refuse_more(owner)
            made = AlertTarget.objects.create(owner_id=owner, name=name, kind=kind, sealed=sealed, shown=shown[:120])
    except IntegrityError as error:
        if not AlertTarget.objects.filter(owner_id=owner, name=name).exists():
            raise
        raise RefusedError({"name": _("is that of another target of this owner")}) from error
    return made, secret


def said(error: addresses.RefusedError) -> Promise:
    """What an error says, in the language of who reads it."""
    text: Any = translation.gettext_lazy(error.text)
    return format_lazy(text, **error.values) if error.values else text


def _refuse_more(owner: int) -> None:
    most = settings.ALERT_MAX_TARGETS
    if AlertTarget.objects.filter(owner_id=owner).count() >= most:
        told = _("has {most} targets, as many as may be: delete one first").format(most=most)
        raise RefusedError({"owner": told})


def way(target: AlertTarget) -> Way | None:
    """How to deliver to it; None when it was sealed with another SECRET_KEY."""
    text = second_factors.unseal(target.sealed)
    if text is None:
        return None
    address, secret = json.loads(text)
    return Way(target.kind, address, secret)


def shown(target: AlertTarget) -> dict[str, Any]:
    """A target as REST has it."""
    return {
        "id": target.pk, "name": target.name, "kind": target.kind, "shown": target.shown, "enabled": target.enabled,
        "owner": target.owner.get_username(), "created_at": target.created_at, "delivered_at": target.delivered_at,
        "failed_at": target.failed_at, "error": target.error, "texts": others(target.error, target.texts),
    }  # fmt: skip


def _masked(address: str) -> str:
    name, _, host = address.partition("@")
    return f"{name[:2]}…@{host}"
