"""The ASGI application that Daphne serves: HTTP to Django on a few threads with lasting database connections,
WebSockets to the stream."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")

import django

django.setup()

from api.stream.routes import Streams  # noqa: E402
from api.threads import Application  # noqa: E402 - Django must be set up first

application = Streams(http=Application())
