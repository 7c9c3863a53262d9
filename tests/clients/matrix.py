"""The tables in docs/clients.md of what each method of the official clients does here: read, and written from what a
run found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/clients.md"
WORKS, NO_DATA = "works", "404: no such data"
_HEAD = "| methods | here |\n|---|---|\n"
_IN_A_ROW = 6


def documented(text: str, client: str) -> dict[str, str]:
    """What this page says of a client's methods: by method, WORKS or NO_DATA. KeyError if it has no such client."""
    start, end = _place(text, client)
    rows = [line.strip("|").split("|") for line in text[start:end].splitlines() if line.startswith("| `")]
    return {method.strip(" `"): outcome.strip() for methods, outcome in rows for method in methods.split(",")}


def rewritten(text: str, client: str, found: Mapping[str, str]) -> str:
    """The page with the client's table of this: by method, in the order in which it is to have them."""
    start, end = _place(text, client)
    return text[:start] + _HEAD + "".join(_rows(found)) + text[end:]


def _rows(found: Mapping[str, str]) -> Iterator[str]:
    for outcome in (WORKS, NO_DATA):
        methods = [f"`{method}`" for method, told in found.items() if told == outcome]
        for at in range(0, len(methods), _IN_A_ROW):
            yield f"| {', '.join(methods[at : at + _IN_A_ROW])} | {outcome} |\n"


def _place(text: str, client: str) -> tuple[int, int]:
    """Where the client's table begins and ends."""
    found = re.search(rf"^### {re.escape(client)}\n\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    if found is None:
        raise KeyError(f"{PAGE.name} has no table of {client}")
    return found.span(1)
