"""Features of many symbols written to a file: whole or not at all, and for its owner alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import exceptions

from api import features
from api.features import FeaturesQuery
from api.rest import exports, series
from api.rest.exports import Batch
from marketdata.archive import parquet

FORMS = {f".{ending}": form for form, ending in exports.NAMES.items()}
NO_LIMIT = 2**63 - 1
Told = Callable[[int, str], None]


class Impossible(Exception):
    """What was asked for cannot be made; the message says why and what would be right."""


def write(path: Path, codes: Sequence[str], given: dict[str, str], told: Told) -> int:
    """Write the features of these symbols in the form that the name's ending says, and return how many rows they are.
    `given` are the other parameters of a request; `told` hears how many rows there are as each symbol begins.
    Impossible if one is wrong, OSError if the file cannot be written."""
    if path.suffix not in FORMS:
        raise Impossible(_("{file}: the name must end in {endings}").format(file=path, endings=", ".join(FORMS)))
    unknown = given.keys() - FeaturesQuery().fields.keys()
    if unknown:
        raise Impossible(_("there is no parameter {name}").format(name=min(unknown)))
    try:
        query: dict[str, Any] = FeaturesQuery().run_validation({**given, "symbols": codes[0]})
        chosen = series.known(list(codes), query)
        if chosen.unknown:
            raise Impossible(_("not registered: {codes}").format(codes=", ".join(chosen.unknown)))
        rows = _Counted(features.table(chosen.found, query["features"]), told)
        _write(path, exports.WRITERS[FORMS[path.suffix]](features.columns(query["features"]), iter(rows), NO_LIMIT))
    except exceptions.APIException as error:
        raise Impossible(_line(error.detail)) from None
    except parquet.Missing as error:
        raise Impossible(str(error)) from None
    return rows.count


class _Counted:
    """Batches, counted."""

    def __init__(self, batches: Iterator[Batch], told: Told) -> None:
        self._batches, self._told, self.count = batches, told, 0

    def __iter__(self) -> Iterator[Batch]:
        symbol = ""
        for batch in self._batches:
            if batch and batch[0][0] != symbol:
                symbol = batch[0][0]
                self._told(self.count, symbol)
            self.count += len(batch)
            yield batch


def _line(detail: Any) -> str:
    """What is wrong with a request, in a line."""
    if isinstance(detail, dict):
        return "; ".join(f"{name}: {_line(told)}" for name, told in detail.items())
    return " ".join(map(str, detail)) if isinstance(detail, list) else str(detail)


def _write(path: Path, parts: Iterator[bytes]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
