"""Tasks carry the ids of whoever asked for them, and Celery leaves the logging to our settings."""

from __future__ import annotations

import logging.config
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery.signals import before_task_publish, setup_logging
from django.conf import settings

from marketdata.logs import context
from marketdata.logs.context import Ids

HEADER = "naru"
"""Of a Celery message: {"request": id, "epochs": [[spool's number, epoch]...]}; what is not known is left out."""


def header(*, request_id: str = "", epochs: Mapping[int, str] | None = None) -> dict[str, Any]:
    """The header of a message, empty if there is nothing to say."""
    told: dict[str, Any] = {"request": request_id} if request_id else {}
    if epochs:
        told["epochs"] = [list(pair) for pair in epochs.items()]
    return {HEADER: told} if told else {}


@contextmanager
def working_on(request: Any, task_name: str) -> Iterator[None]:
    """Until its end, lines are of this task (its Celery request) and of the request that asked for it. A task called
    as a function is a part of what calls it."""
    task_id = getattr(request, "id", None)
    if not task_id or context.current().task_id == task_id:
        yield
        return
    told = request.get(HEADER)
    told = (
        told if isinstance(told, dict) else {}
    )  # a worker of tomorrow, or a stranger in the broker, may say otherwise
    ids = Ids(
        request_id=str(told.get("request", "")),
        task_id=task_id,
        task_name=task_name,
        epochs=dict(told.get("epochs", ())),
    )
    with context.within(ids):
        yield


@before_task_publish.connect
def hand_on(headers: dict[str, Any] | None = None, **_: object) -> None:
    """Receives Celery's signal of a task on its way: the request that is being answered goes along."""
    if headers is not None and HEADER not in headers:
        headers |= header(request_id=context.current().request_id)


@setup_logging.connect
def set_up(loglevel: int | None = None, **_: object) -> None:
    """Receives Celery's signal in place of its own logging: ours. `--loglevel` is for Celery's lines, LOG_LEVEL for
    all others."""
    logging.config.dictConfig(settings.LOGGING)
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(loglevel or logging.WARNING)
