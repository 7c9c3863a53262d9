"""The processes of the backup drill: who loads history, who writes while backups are made, who makes them, who judges.
Each tells what happens in lines of JSON.

python -m tests.drill.backup_roles ROLE SPEC     SPEC is a JSON object (tests/drill/backup.py)
"""

# ruff: noqa: E402 - models can be imported only once Django is set up
from __future__ import annotations

import datetime
import json
import os
import random
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from marketdata.types.units import day_of

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
django.setup()

import numpy as np
from django.conf import settings
from django.db import connection

from ingest import notifications, tasks
from marketdata import alarms, backups
from marketdata.backups import comparison, offsite
from marketdata.backups.offsite import copying, fetching, places, restoring
from marketdata.ledger import batch_ledger
from marketdata.models import BackupRun, IngestBatch, Symbol
from marketdata.storage import storage, storage_of
from marketdata.storage.backups import BackupError, backup_of
from marketdata.storage.base import HISTORY, TEMP
from marketdata.types.tick_arrays import TICK_BITS, batch_number, empty
from terminals import wire
from tests import offsite as elsewhere
from tests.builders import commit

FEED, REPLAY = "krx", 4
SYMBOLS = [f"B{at:04d}" for at in range(50)]
TODAY = datetime.date(2026, 3, 18)
FINISHED = (datetime.date(2026, 3, 16), datetime.date(2026, 3, 17))
NINE_US = 1_773_619_200_000_000  # 2026-03-16 09:00 in Seoul
DAY_US = 86_400_000_000
NEW_DATE_EVERY = 40


def tell(**fields: Any) -> None:
    """One line of JSON on standard output, at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def quiet(_: str) -> None:
    """For a move that nobody watches."""


def load(rows: int) -> None:
    """Finished days, moved to history as a rollover does."""
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in SYMBOLS])
    rng = np.random.default_rng(1)
    total = 0
    for at, date in enumerate(FINISHED):
        for seq in range(1, rows // 5_000 + 1):
            ticks = empty(FEED, REPLAY, 5_000, SYMBOLS)
            ticks.symbol[:] = rng.integers(0, len(SYMBOLS), 5_000)
            ticks.time_us[:] = NINE_US + at * DAY_US + np.sort(rng.integers(0, 20_000_000_000, 5_000))
            ticks.kind[:] = wire.Kind.TRADE
            ticks.price[:] = rng.integers(1_000, 90_000, 5_000) * 10**8
            ticks.size[:] = rng.integers(1, 1_000, 5_000) * 10**6
            ticks.trade_date[:] = day_of(date)
            ticks.tick_id[:] = (batch_number(1 + at, seq) << TICK_BITS) + np.arange(5_000)
            commit(storage(), ticks)
            total += 5_000
        storage().ensure_partitions([date], (HISTORY,))
        storage().move_day(date, progress=quiet)
    tell(ticks=total, days=len(FINISHED))


def write(stream: int, pause_s: float) -> None:
    """Batches by the worker's own task, for ever; tells each once it is in the ledger."""
    chosen = random.Random(stream)
    seq = 0
    while True:
        seq += 1
        rows = chosen.randrange(50, 1_000)
        # Now and then a date that nobody has made room for: the worker makes it, backup or not.
        ago = seq // NEW_DATE_EVERY if seq % NEW_DATE_EVERY == 0 else 0
        start = NINE_US + ((TODAY - FINISHED[0]).days - 3 * ago) * DAY_US
        columns = wire.Columns()
        for at in range(rows):
            columns.append(
                symbol=chosen.choice(SYMBOLS), time_us=start + seq * 1_000_000 + at * 900, size=chosen.randrange(1, 99),
                price=chosen.randrange(1_000, 90_000) * 10**columns.price_scale,
            )  # fmt: skip
        number = batch_number(stream, seq)
        message = notifications.batch_message(
            number, columns.encode(seq, FEED, start), batch_ledger.now_us(), REPLAY, None, None
        )
        while not IngestBatch.objects.filter(batch=number).exists():
            tasks.process_batches(batches=[message], reply_to="")
        stored = IngestBatch.objects.get(batch=number).stored
        if stored != rows:
            raise RuntimeError(f"batch {seq}: {stored} of {rows} rows were stored")
        tell(batch=number, rows=rows)
        time.sleep(pause_s)


def back(kind: str) -> None:
    """Make and verify a backup."""
    began = time.monotonic()
    run = backups.make(datetime.datetime.now(datetime.UTC), kind=kind)
    tell(
        name=run.name,
        kind=run.kind,
        state=run.state,
        error=run.error,
        bytes=run.bytes,
        checks=run.report.get("checks"),
        seconds=time.monotonic() - began,
    )


def vault(folder: str) -> None:
    """Make the keys of the machine that proves and signs."""
    owned = elsewhere.keys(Path(folder))
    command = shlex.join(elsewhere.sign_command(owned))
    tell(recipient=owned.recipient, signers=str(owned.signers), command=command)


def begin() -> None:
    """Make the other place one for copies."""
    tell(place=places.begin(there(), datetime.datetime.now(datetime.UTC)))


def there() -> places.Place:
    """The other place of the settings."""
    where = offsite.offsite()
    if where is None:
        raise RuntimeError("BACKUP_OFFSITE is not set")
    return where.place()


def copy(name: str) -> None:
    """Copy what is verified, have it signed, and prove it from there."""
    began = time.monotonic()
    offsite.run_due(datetime.datetime.now(datetime.UTC))
    run = BackupRun.objects.get(name=name)
    wrong = [f"{one.code}: {one.message}" for one in alarms.active() if one.code in (copying.FAILED, copying.WRONG)]
    if not (run.copy_signer and run.copy_proven_at and run.copy_restored):
        wrong.append(f"{name}: signed by {run.copy_signer!r}, proven {run.copy_proven_at}")
    tell(trouble=wrong, seconds=time.monotonic() - began)


def attack(name: str, vault: str) -> None:
    """Change, cut and remove each file of a chain in the other place in turn: no restore may go through."""
    place, owned = there(), Path(vault)
    trust = offsite.Trust(signers=owned / "signers")
    chain = [piece.copy.name for piece in fetching.chain(place, name, trust)]
    target = backups.options().work / "attacked"
    trouble, changes = [], 0
    kept = elsewhere.contents(place, backups.options().work)
    for file, content in kept.items():
        if file.partition(".")[0] not in chain:
            continue
        middle = len(content) // 2
        for changed in (
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            content[:middle],
            None,
        ):
            changes += 1
            if changed is None:
                place.remove(file)
            else:
                place.write(file, changed)
            try:
                restoring.restore(place, name, target, owned / "opens", trust)
                trouble.append(f"{file}: {'removed' if changed is None else 'changed'}, and restored all the same")
                shutil.rmtree(target)
            except BackupError:
                continue
        place.write(file, content)
    tell(changed=changes, refused=changes - len(trouble), trouble=trouble)


def judge(name: str, acked: str, again: bool, vault: str = "") -> None:
    """Restore and count by batch, apart from what the backup's own verification does; `again` verifies it as well.
    With `vault` from the other place alone, by the keys in that folder."""
    given = backups.options()
    target = given.work / "judged"
    if vault:
        trust = offsite.Trust(signers=Path(vault) / "signers")
        restoring.restore(there(), name, target, Path(vault) / "opens", trust)
    else:
        backups.restore(name, target)
    wanted: list[list[int]] = json.loads(Path(acked).read_text())
    trouble: list[str] = []
    with (
        backup_of(connection.vendor, given.programs).opened(target) as entry,
        comparison.opened({"NAME": settings.DATABASES["default"]["NAME"], **entry}) as restored,
    ):
        stored = dict(IngestBatch.objects.using(restored.alias).values_list("batch", "stored"))
        counts: Counter[int] = Counter()
        with restored.cursor() as cursor:
            for table in (TEMP, HISTORY):
                cursor.execute(f"SELECT tick_id, COUNT(*) FROM {table} GROUP BY tick_id")
                for tick_id, count in cursor.fetchall():
                    counts[int(tick_id) >> TICK_BITS] += int(count)
        lost = [number for number, rows in wanted if stored.get(number) != rows]
        torn = [number for number in stored.keys() | counts.keys() if stored.get(number, 0) != counts[number]]
        ticks = sum(counts.values())
        if storage_of(restored).count(TEMP) + storage_of(restored).count(HISTORY) != ticks:
            trouble.append(f"{name}: a count differs from the rows that were read")
    shutil.rmtree(target)
    if lost:
        trouble.append(f"{name}: {len(lost)} batches that were committed before are missing or not whole")
    if torn:
        trouble.append(f"{name}: {len(torn)} batches have other rows than their ledger says")
    if again:
        trouble += map(str, backups.verify(name)["problems"])
    tell(batches=len(stored), ticks=ticks, trouble=trouble)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {
        "load": load, "vault": vault, "begin": begin, "write": write, "back": back, "copy": copy, "judge": judge,
        "attack": attack,
    }  # fmt: skip
    roles[sys.argv[1]](**json.loads(sys.argv[2]))
