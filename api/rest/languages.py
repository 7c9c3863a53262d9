"""In which language a caller of the API is told what went wrong. What is no error is the same for everybody."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

HEADER = "Accept-Language"
ENGLISH = "en"  # which programs look for
KOREAN = "ko"


def asked_for(request: HttpRequest) -> str:
    """Korean if Accept-Language (RFC 9110, section 12.5.4) prefers it to English, else English. Languages that are not
    ours are passed over; `*`, which Node sends by itself, asks for none."""
    for name, weight in parse_accept_lang_header(request.headers.get(HEADER, "").lower()):
        primary = name.partition("-")[0]
        if primary in (KOREAN, ENGLISH) and weight > 0:
            return primary
    return ENGLISH


def told_in(request: HttpRequest) -> translation.override:
    """Within this, texts are in the language that was asked for."""
    return translation.override(asked_for(request))


def mark(response: HttpResponseBase) -> None:
    """Say of an answer that it is in the language of this moment, which the header decided."""
    response["Content-Language"] = translation.get_language() or ENGLISH
    patch_vary_headers(response, [HEADER])
