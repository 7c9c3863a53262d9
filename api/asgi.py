"""The ASGI application that Daphne serves: HTTP to Django on a few threads with lasting database connections,
WebSockets to the stream."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first

from api.stream.routes import Streams  # noqa: E402
from api.web.proxies import Behind, Proxies  # noqa: E402
from api.web.threads import Application  # noqa: E402

proxies = Proxies(settings.TRUSTED_PROXIES)
application = Behind(Streams(http=Application()), proxies)
