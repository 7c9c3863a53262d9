"""Feeds as callers name them: ours, and the names in the enumerations of the dialect's clients, which the setting
FEED_ALIASES maps to ours. A feed of ours that bears such a name itself wins."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Count
from django.utils.translation import gettext as _

from api.rest import errors
from marketdata.models import Feed, Symbol

PRIMARY = "primary"
"""What an alias may stand for besides a feed: the primary feed of each symbol."""


def resolve(name: str) -> str | None:
    """Our feed for a name in a request by REST; None where each symbol's primary feed is meant. UnknownFeed when
    nobody ever wrote such a feed or means to: a typing mistake must not look like silence."""
    alias = settings.FEED_ALIASES.get(name, name)
    known = set(Feed.objects.filter(name__in={name, alias}).values_list("name", flat=True))
    if name in known:
        return name
    if name != alias and alias == PRIMARY:
        return None
    if alias not in known:
        told = name if name == alias else _("{name} (stands for {feed})").format(name=name, feed=alias)
        text = _("no such feed: {name}; /v2/status names the feeds of the symbols, docs/api/rest.md others")
        raise errors.UnknownFeed(text.format(name=told))
    return alias


def of_stream(name: str) -> str | None:
    """Our feed for a name in a stream's address; None when there is no such feed. A stream has one feed, so `primary`
    is `most_collected`."""
    try:
        feed = resolve(name)
    except errors.UnknownFeed:
        return None
    return most_collected() if feed is None else feed


def most_collected() -> str | None:
    """The feed that most collected symbols have as their primary one; None when there is no symbol."""
    collected = Symbol.objects.filter(is_active=True).order_by().values_list("primary_feed")
    most = collected.annotate(symbols=Count("code")).order_by("-symbols", "primary_feed").first()
    return None if most is None else most[0]
