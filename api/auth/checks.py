"""What `manage.py check --deploy` says of logins."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

SECOND_FACTOR = "api.W001"


def check_second_factor(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """A warning while a password alone opens the administration."""
    if settings.REQUIRE_SECOND_FACTOR:
        return []
    hint = "Set REQUIRE_SECOND_FACTOR=1; docs/access.md says what happens then."
    return [checks.Warning("A password alone opens the administration.", hint=hint, id=SECOND_FACTOR)]
