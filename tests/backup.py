"""Backups into folders of their own, with the programs that this machine has; and ticks to keep in them."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from marketdata import backups
from marketdata.models import BackupRun, Symbol
from marketdata.storage.backups import Programs
from marketdata.types.tick_arrays import Ticks
from tests import builders
from tests.market import DAY_US, NINE_US
from tests.servers import ServerMissing, packages
from tests.servers.process import temporary_folder

NOW = datetime.datetime(2026, 3, 17, 3, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
PROGRAMS = {"sqlite": (), "mysql": ("mariadbd", "mariadb-backup"), "postgresql": ("pg_basebackup",)}


def batch(seq: int, *, rows: int = 50, days: int = 0, stream: int = 1) -> Ticks:
    """Trades of two symbols, ten a second, so many days after the first."""
    start_us = NINE_US + days * DAY_US + seq * rows * 100_000
    return builders.trades(rows, seq=seq, stream=stream, start_us=start_us, step_us=100_000)


@pytest.fixture
def given(road_database: None, tmp_path: Path) -> Iterator[backups.Options]:
    """Backups into an empty folder."""
    for code in ("005930", "000660"):
        Symbol.objects.get_or_create(code=code, defaults={"market_id": "KRX"})
    work = temporary_folder("bk")
    work.chmod(0o711)  # PostgreSQL restores as a user of its own
    yield dataclasses.replace(
        backups.options(),
        folder=tmp_path / "backups",
        work=work,
        programs=Programs(folders()),
        account=connection.settings_dict,
    )
    for run in BackupRun.objects.order_by("-id"):  # increments before what they build on
        run.delete()
    shutil.rmtree(work)


def folders() -> list[Path]:
    """Where the private servers' programs are."""
    try:
        return sorted({packages.need(program)[0].parent for program in PROGRAMS[connection.vendor]})
    except ServerMissing as error:
        pytest.skip(str(error))


def verified(run: BackupRun | None) -> BackupRun:
    """The run, which is one that counts."""
    assert run is not None
    assert (run.state, run.error) == ("verified", "")
    return run
