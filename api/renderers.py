"""JSON out of whatever a view returns: ready text is taken as it is, decimals stay numbers, nothing becomes a float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer

_encoder = msgspec.json.Encoder(decimal_format="number")


class JSONRenderer(BaseRenderer):
    """`msgspec` writes it; `msgspec.Raw` inside the data is text that is JSON already."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:  # fmt: skip
        if data is None:
            return b""
        text = _encoder.encode(data)
        indent = (renderer_context or {}).get("indent")  # the browsable API asks for it
        return msgspec.json.format(text, indent=int(indent)) if indent else text
