"""What the OpenAPI schema says of the ways to get in."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from api.auth.authentication import KEY_HEADER, SECRET_HEADER


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = "api.auth.authentication.KeyAuthentication"
    name = ["key", "secret"]  # noqa: RUF012 - the base class' own shape

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        """Both headers at once."""
        return {"key": [], "secret": []}

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [{"type": "apiKey", "in": "header", "name": header} for header in (KEY_HEADER, SECRET_HEADER)]


class PageScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = "api.auth.authentication.PageAuthentication"
    name = "page"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "naru_page"}
