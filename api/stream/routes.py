"""Which ASGI connection goes where: HTTP to Django, /v2/stream/{feed} to its consumer and /v2/{feed} as well, which is
where clients of the dialect look for it, any other WebSocket nowhere."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from django.urls import re_path

from api.stream import flow_control
from api.stream.consumer import StreamConsumer


class Nowhere(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    async def connect(self) -> None:
        await self.close()


class Streams:
    """The whole application, given the one for HTTP."""

    def __init__(self, http: Any) -> None:
        self._http = http
        self._sockets = SessionMiddlewareStack(
            URLRouter(
                [
                    re_path(r"^v2/(?:stream/)?(?P<feed>[a-z0-9_]{1,16})/?\Z", StreamConsumer.as_asgi()),
                    re_path(r"", Nowhere.as_asgi()),
                ]
            )
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            below = flow_control.under(send)
            await self._sockets({**scope, "flow_control": below}, below.counting(receive), send)
        else:
            await self._http(scope, receive, send)
