"""Whether rows are being refused in masses, or batches were given up: looked up in the ledger every few seconds, so
that a wrong clock or a wrong setting is an alarm at once."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass, field

from celery import shared_task
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.ledger import batch_ledger
from marketdata.models import Alarm, DeadLetter, IngestBatch, IngestReject, IngestStream
from marketdata.types.tick_arrays import SEQ_BITS

WINDOW_US = 15_000_000
FEWEST = 20  # refused rows; fewer are a few wrong rows
SHARE = 0.5
LOOKED_AT = 2_000  # refused rows whose reasons are counted
FORGET = datetime.timedelta(days=1)  # of a client that sends no more
LETTERS = datetime.timedelta(days=7)
MASS, GIVEN_UP = "mass_refusal", "dead_letters"


@dataclass(slots=True)
class _Sum:
    """What a client sent within the window."""

    rows: int = 0
    refused: int = 0
    batches: list[int] = field(default_factory=list)  # that have refused rows
    codes: Counter[str] = field(default_factory=Counter)  # of whole batches

    @property
    def is_mass(self) -> bool:
        return self.refused >= FEWEST and self.refused >= SHARE * self.rows


@shared_task
def watch_refusals(**_: object) -> None:
    """Raise and clear the alarms `mass_refusal`, by client, and `dead_letters`."""
    now_us = batch_ledger.now_us()
    sums = _sums(now_us - WINDOW_US, now_us)
    clients = {stream.pk: stream for stream in IngestStream.objects.select_related("client").filter(pk__in=list(sums))}
    active = set(Alarm.objects.filter(code=MASS, cleared_at=None).values_list("subject", flat=True))
    for stream, total in sums.items():
        name = clients[stream].client.name if stream in clients else str(stream)
        if total.is_mass:
            offset_us = clients[stream].client.clock_offset_us if stream in clients else None
            alarms.raise_alarm(MASS, _words(total, offset_us), subject=name)
        elif name in active:
            alarms.resolve(MASS, subject=name)
    old = Alarm.objects.filter(code=MASS, cleared_at=None, seen_at__lt=datetime.datetime.now(datetime.UTC) - FORGET)
    for subject in old.values_list("subject", flat=True):
        alarms.resolve(MASS, subject=subject)
    _watch_letters()


def _sums(since_us: int, until_us: int) -> dict[int, _Sum]:
    sums: dict[int, _Sum] = {}
    rows = IngestBatch.objects.filter(committed_us__gte=since_us, committed_us__lte=until_us)
    for batch, state, stored, rejected in rows.values_list("batch", "state", "stored", "rejected").iterator(5_000):
        total = sums.setdefault(batch >> SEQ_BITS, _Sum())
        whole = state in (IngestBatch.State.REFUSED, IngestBatch.State.DEAD)
        total.rows += stored + rejected + whole
        total.refused += rejected + whole
        if whole:
            total.codes[state] += 1
        elif rejected:
            total.batches.append(batch)
    return sums


def _words(total: _Sum, offset_us: int | None) -> Promise:
    reasons = Counter(total.codes)
    for text in IngestReject.objects.filter(batch__in=total.batches[-500:]).values_list("reasons", flat=True)[
        :LOOKED_AT
    ]:
        reasons.update(text.split())
    reason = reasons.most_common(1)[0][0] if reasons else "?"
    clock: Promise = _("its clock offset is not known")
    if offset_us is not None:
        clock = format_lazy(_("its clock is {offset:+.1f} s from ours"), offset=offset_us / 1e6)
    return format_lazy(
        _(
            "{refused:,} of {rows:,} rows of the last {window:.0f} s refused, mostly {reason}; {clock}."
            " They are kept: mend the cause, then `manage.py requeue --reason {reason}`"
        ),
        refused=total.refused, rows=total.rows, window=WINDOW_US / 1e6, reason=reason, clock=clock,
    )  # fmt: skip


def _watch_letters() -> None:
    since = datetime.datetime.now(datetime.UTC) - LETTERS
    letters = DeadLetter.objects.filter(code="dead_letter", created_at__gte=since).order_by("-pk")
    newest = letters.values_list("error", flat=True).first()
    if newest is None:
        if Alarm.objects.filter(code=GIVEN_UP, cleared_at=None).exists():
            alarms.resolve(GIVEN_UP)
        return
    alarms.raise_alarm(
        GIVEN_UP,
        format_lazy(
            _(
                "{number:,} batches could not be processed; the newest: {error}. Mend the cause, then"
                " `manage.py requeue --code dead_letter`"
            ),
            number=letters.count(),
            error=newest[:300],
        ),
    )
