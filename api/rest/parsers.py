"""JSON of a request's body: whatever cannot be shown or stored again is refused here, once for all views."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """What REST framework reads, save text with half of a surrogate pair, which is no text to any database, nor to the
    answer that would quote it; and what is nested deeper than Python follows is an error of the caller's."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """ParseError says why it is not JSON."""
        try:
            content = super().parse(stream, media_type, dict(parser_context or {}))
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ParseError(
                "JSON parse error - there is half of a surrogate pair in it (\\ud800 to \\udfff)"
            ) from None
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply") from None
        return content
