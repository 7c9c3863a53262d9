"""Delivers what is due to the targets of rules. The ledger of attempts is the table: an attempt is noted before it is
made, so of several workers one makes it, and what one did not live to note is made again."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import math
import random
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext as _
from django.utils.translation import override

from analytics.alerts import targets
from analytics.alerts.announcements import told
from analytics.alerts.targets import Way
from analytics.delivery import addresses, chat, webhooks
from analytics.delivery.webhooks import DELIVERY
from marketdata import metrics
from marketdata.models import Alert, AlertDelivery, AlertTarget
from marketdata.reference import readers

log = logging.getLogger(__name__)

State = AlertDelivery.State
TRIES = 10
FIRST_S, LONGEST_PAUSE_S = 10.0, 3600.0
"""The pause after an attempt that failed doubles up to this: ten attempts are some two and a half hours."""
LONGEST_ATTEMPT_S = webhooks.LONGEST_S * 2
CLAIM_S = 300.0
"""How long an attempt is one's own. None begins that might outlast it, so two workers never send the same at once."""
AT_ONCE, OF_TARGET = 50, 5
"""Deliveries of one run, in all and to one target, whose first failure ends its turn."""
LOOKED_AT = 1_000
CHATS = 4
"""Processes that send to chat services at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt: the row of the ledger, how many it is, and what is sent where."""

    row: int
    target: int
    attempt: int
    way: Way | None
    subject: str
    text: str
    body: bytes

    @property
    def delivery(self) -> str:
        """The same in each attempt, so that who receives it twice can tell; a word that is tried out has its own."""
        return str(self.row) if self.row else f"test-{secrets.token_hex(8)}"


def deliver(now: datetime.datetime) -> int:
    """Make the attempts that are due, targets beside each other. Returns how many arrived."""
    until = time.monotonic() + CLAIM_S - LONGEST_ATTEMPT_S
    jobs = [job for row in _due(now) if (job := _claimed(row, now)) is not None]
    by_target: dict[int, list[Job]] = {}
    for job in jobs:
        by_target.setdefault(job.target, []).append(job)
    outcomes = asyncio.run(_attempt_all(by_target.values(), until)) if jobs else {}
    for job in jobs:
        _note(job, outcomes.get(job.row), now)
    return sum(error == "" for error in outcomes.values())


def try_out(target: AlertTarget) -> str:
    """Deliver a word that it works. Returns what failed, "" if nothing did."""
    with override(settings.LANGUAGE_CODE):
        text = _("This target works: alerts of Naru arrive here.")
    body = json.dumps({"type": "test", "target": target.name, "message": text}, ensure_ascii=False).encode()
    job = Job(0, target.pk, 1, targets.way(target), "Naru", text, body)
    return asyncio.run(_attempt_all([[job]], math.inf))[0]


def _due(now: datetime.datetime) -> list[AlertDelivery]:
    """At most AT_ONCE, of each target at most OF_TARGET, the oldest first."""
    rows = AlertDelivery.objects.filter(state=State.WAITING, next_at__lte=now, target__enabled=True)
    chosen: list[int] = []
    of_target: dict[int, int] = {}
    for pk, target in rows.order_by("next_at", "pk").values_list("pk", "target")[:LOOKED_AT]:
        if of_target.get(target, 0) < OF_TARGET and len(chosen) < AT_ONCE:
            of_target[target] = of_target.get(target, 0) + 1
            chosen.append(pk)
    rows = AlertDelivery.objects.filter(pk__in=chosen).order_by("pk")
    return list(rows.select_related("alert__owner", "target__owner"))


def _claimed(row: AlertDelivery, now: datetime.datetime) -> Job | None:
    """The attempt, unless another worker makes it. What its reader may not read any more is given up."""
    mine = AlertDelivery.objects.filter(pk=row.pk, state=State.WAITING, attempts=row.attempts)
    forbidden = _forbidden(row)
    if forbidden:
        if mine.update(state=State.FAILED, error=forbidden):
            metrics.ALERT_DELIVERIES.labels(row.target.kind, "given_up").inc()
            log.warning("alert not delivered delivery=%d target=%d error=%s", row.pk, row.target_id, forbidden)
        return None
    if not mine.update(attempts=row.attempts + 1, next_at=now + datetime.timedelta(seconds=CLAIM_S)):
        return None
    alert: Alert = row.alert
    with override(settings.LANGUAGE_CODE):
        text = alert.shown
        if row.attempts and row.target.kind == AlertTarget.Kind.CHAT:
            # A chat has no number by which who reads it could tell that it is the same.
            text = f"{text}\n{_('(sent again: nothing answered before)')}"
    content = {**told(alert), "type": "alert", "text": text}
    content.pop("owner")
    subject = " ".join(f"[Naru] {alert.name}".split())  # a header is one line, whatever a name has
    return Job(
        row.pk, row.target_id, row.attempts + 1, targets.way(row.target), subject, text,
        json.dumps(content, ensure_ascii=False).encode(),
    )  # fmt: skip


def _forbidden(row: AlertDelivery) -> str:
    """Why nobody may be told of it now, "" if nothing is in the way: rights are those of this moment, as for who reads
    alerts by REST and on the stream."""
    feed = row.alert.feed or None
    for person in {row.target.owner, row.alert.owner}:
        if not person.is_active:
            return "the account of its owner is not active"
        if not readers.may_read(person, feed):
            return f"its owner may not read {feed or 'anything'}"
    return ""


async def _attempt_all(groups: Iterable[list[Job]], until: float) -> dict[int, str]:
    """By row what failed ("": nothing did); what was not tried because another one to its target failed, or because it
    would have begun after `until` of the monotonic clock, is left out."""
    outcomes: dict[int, str] = {}
    room = asyncio.Semaphore(CHATS)

    async def one_after_another(jobs: list[Job]) -> None:
        for job in jobs:
            if time.monotonic() > until:
                return
            outcomes[job.row] = await _attempt(job, room)
            if outcomes[job.row]:
                return

    await asyncio.gather(*(one_after_another(jobs) for jobs in groups))
    return outcomes


async def _attempt(job: Job, room: asyncio.Semaphore) -> str:
    if job.way is None:
        return "sealed with another SECRET_KEY: delete the target and make it again"
    try:
        if job.way.kind == AlertTarget.Kind.EMAIL:
            named = {"Message-ID": f"<alert-{job.delivery}@{_domain()}>", DELIVERY: job.delivery}
            mail = EmailMessage(job.subject, job.text, to=[job.way.address], headers=named)
            async with asyncio.timeout(LONGEST_ATTEMPT_S):
                await asyncio.to_thread(mail.send)
        elif job.way.kind == AlertTarget.Kind.CHAT:
            async with room:
                return await asyncio.to_thread(
                    chat.send, job.way.address, job.subject, job.text, settings.ALERT_WEBHOOK_NETWORKS, chat.LONGEST_S
                )
        else:
            await webhooks.send(
                addresses.parse(job.way.address), job.way.secret, job.body, at_s=int(time.time()),
                delivery=job.delivery, allowed=settings.ALERT_WEBHOOK_NETWORKS,
                resolve=addresses.system_resolve, longest_s=webhooks.LONGEST_S,
            )  # fmt: skip
    except addresses.RefusedError as error:
        return str(error)
    except TimeoutError:
        longest_s = chat.LONGEST_S if job.way.kind == AlertTarget.Kind.CHAT else webhooks.LONGEST_S
        return f"no answer within {longest_s:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one message holds up no other
        # Its kind alone: the words of an error may have the address.
        return type(error).__name__
    return ""


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"


def _note(job: Job, error: str | None, now: datetime.datetime) -> None:
    mine = AlertDelivery.objects.filter(pk=job.row, state=State.WAITING, attempts=job.attempt)
    pause_s = min(FIRST_S * 2 ** (job.attempt - 1), LONGEST_PAUSE_S)
    pause_s *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, guards nothing
    later = now + datetime.timedelta(seconds=pause_s)
    if error is None:  # not tried: another one to this target failed
        mine.update(attempts=job.attempt - 1, next_at=later)
        return
    kind = job.way.kind if job.way else "unknown"
    if not error:
        mine.update(state=State.DELIVERED, delivered_at=datetime.datetime.now(datetime.UTC), error="")
        metrics.ALERT_DELIVERIES.labels(kind, "delivered").inc()
        return
    given_up = job.attempt >= TRIES or job.way is None
    mine.update(state=State.FAILED if given_up else State.WAITING, next_at=later, error=error[:200])
    metrics.ALERT_DELIVERIES.labels(kind, "given_up" if given_up else "failed").inc()
    log.warning(
        "alert not delivered delivery=%d target=%d attempt=%d error=%s", job.row, job.target, job.attempt, error
    )
    # What else waits for a dead target waits as well, and is in nobody's way.
    AlertDelivery.objects.filter(target=job.target, state=State.WAITING, next_at__lte=now).update(next_at=later)
