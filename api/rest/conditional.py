"""Answers that their reader may keep: a page of a time that is over says which it is (`ETag`), and who has it already
is told so and sent nothing (304; RFC 9110, sections 8.8.3 and 13.1.2)."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from api.rest.paging import Series
from api.rest.renderers import JSONRenderer, encode
from marketdata.storage.base import FINISHED_US

KEPT = {"Cache-Control": "private, no-cache"}  # by its reader alone, who asks each time whether it still holds
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def tag_of(body: bytes) -> str:
    """The ETag of these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def is_over(found: Iterable[Series]) -> bool:
    """Whether of the time that was asked for nothing is new any more, but what comes late."""
    horizon_us = time.time_ns() // 1000 - 2 * FINISHED_US
    return all(one.last_us <= horizon_us for one in found)


def page(
    request: Request, content: Mapping[str, Any], found: Iterable[Series], headers: Mapping[str, str] | None = None
) -> Response:
    """A page of these series as JSON, with an ETag once their time is over."""
    if not is_over(found):
        return Response(content, headers=headers)
    body = encode(content)
    return answer(request, body, tag_of(body), headers)


def answer(request: Request, body: bytes, tag: str, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that has this ETag; 304 for who has it."""
    if request.accepted_renderer.format != JSONRenderer.format:
        return Response(msgspec.Raw(body), headers=headers)
    told = {**(headers or {}), "ETag": tag, **KEPT}
    if tag in _TAG.findall(request.headers.get("If-None-Match", "")):
        return Response(status=304, headers=told)
    return Response(msgspec.Raw(body), headers=told)
