"""What the history of an object tells, for the page that Django has of it."""

from __future__ import annotations

from django import template
from django.contrib.admin.models import LogEntry

from api.admin import history

register = template.Library()


@register.filter
def in_words(entry: LogEntry) -> str:
    """In the reader's language."""
    return history.in_words(entry)
