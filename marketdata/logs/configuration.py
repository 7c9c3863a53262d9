"""Python's `LOGGING` from the settings: where lines go, in which form, from which level on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from marketdata import private
from marketdata.logs import areas
from terminals.wire import log_lines
from terminals.wire.redaction import Redaction

BATCHES = "naru.batches"
"""The logger of each batch's way: a line at each step of it."""
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


def plain(secrets: Iterable[str]) -> log_lines.PlainFormatter:
    """Lines for people."""
    return log_lines.PlainFormatter(LINE, redact=Redaction(secrets))


def ecs(secrets: Iterable[str], version: str) -> log_lines.EcsFormatter:
    """Lines of JSON in ECS."""
    service = {"service.name": "naru", "service.version": version, "process.name": program(sys.argv)}
    return log_lines.EcsFormatter(service=service, redact=Redaction(secrets), dataset=areas.dataset_of)


def program(words: list[str]) -> str:
    """What this process is, in the word of its command: `runingest`, `worker`, `beat`."""
    named = [word for word in words[1:] if not word.startswith("-")]
    if Path(words[0]).name == "manage.py":
        return named[0] if named else "manage"
    return next((word for word in named if word in ("worker", "beat")), Path(words[0]).stem or "python")


def secrets(words: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """What no line may have: these words, and the passwords of these addresses as they are written and as they are."""
    found = [*words]
    for address in addresses:
        if password := urlsplit(address).password:
            found += [password, unquote(password)]
    return [word for word in dict.fromkeys(found) if word]


def configuration(
    *,
    form: str,
    level: str,
    levels: dict[str, str],
    batches: bool,
    folder: str,
    max_bytes: int,
    kept: int,
    secrets: Iterable[str],
    version: str,
    sentry_dsn: str = "",
    sentry_environment: str = "production",
) -> dict[str, Any]:
    """For `logging.config.dictConfig`. `levels` are those of single areas; with a `folder` each line also goes to its
    main.log, and to database.log or collection.log if it is about that; with a `sentry_dsn` errors are reported
    there."""
    secrets = list(secrets)
    formatter = (
        {"()": ecs, "secrets": secrets, "version": version} if form == "ecs" else {"()": plain, "secrets": secrets}
    )
    handlers: dict[str, Any] = {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["ids"]},
    }
    if folder:
        private.make(Path(folder))
        for area in (areas.MAIN, *areas.AREAS):
            handlers[area] = {
                "class": "marketdata.logs.files.SharedFile", "filename": str(Path(folder, f"{area}.log")),
                "max_bytes": max_bytes, "kept": kept, "formatter": "line",
                "filters": ["ids"] if area == areas.MAIN else ["ids", area],
            }  # fmt: skip
    if sentry_dsn:
        handlers["reports"] = {
            "class": "marketdata.logs.error_reports.Reporter", "dsn": sentry_dsn, "environment": sentry_environment,
            "version": version, "secrets": secrets, "filters": ["ids"],
        }  # fmt: skip
    loggers: dict[str, Any] = {
        name: {"level": "WARNING"} for name in ("django.channels.server", "daphne", "celery", "kombu")
    }
    for area, wanted in levels.items():
        loggers |= {name: {"level": wanted} for name in areas.AREAS[area]}
    loggers[BATCHES] = {"level": "DEBUG" if batches else "INFO"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"ids": {"()": "marketdata.logs.context.Named"}}
        | {area: {"()": "marketdata.logs.areas.Of", "area": area} for area in areas.AREAS},
        "formatters": {"line": formatter},
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": level},
        "loggers": loggers,
    }
