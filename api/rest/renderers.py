"""JSON out of whatever a view returns: ready text is taken as it is, decimals stay numbers, nothing becomes a float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer

from api.rest import exports

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(content: Any) -> bytes:
    """Content as JSON; `msgspec.Raw` inside it is text that is JSON already."""
    return _encoder.encode(content)


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
        text = bytes(data) if isinstance(data, msgspec.Raw) else encode(data)
        indent = (renderer_context or {}).get("indent")  # the browsable API asks for it
        return msgspec.json.format(text, indent=int(indent)) if indent else text


class FileRenderer(BaseRenderer):
    """Names the type of a file that the view sends by itself; what is left to render is an error, in JSON."""

    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:  # fmt: skip
        if renderer_context and "response" in renderer_context:
            renderer_context["response"]["Content-Type"] = JSONRenderer.media_type
        return JSONRenderer().render(data)


class CSVRenderer(FileRenderer):
    media_type, format = exports.CSV, "csv"


class ParquetRenderer(FileRenderer):
    media_type, format = exports.PARQUET, "parquet"


class ArrowRenderer(FileRenderer):
    media_type, format = exports.ARROW, "arrow"
