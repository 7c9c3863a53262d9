"""Delivers what is due to the targets of rules. The ledger of attempts is the table: an attempt is noted before it is
made, so of several workers one makes it, and what one did not live to note is made again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import math
import queue
import random
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F, Q, QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from analytics.alerts import targets
from analytics.alerts.announcements import told
from analytics.alerts.judging import episodes
from analytics.alerts.targets import Way
from analytics.delivery import addresses, chat, webhooks
from analytics.delivery.webhooks import DELIVERY
from marketdata import alarms, metrics
from marketdata.models import Alarm, Alert, AlertDelivery, AlertRule, AlertTarget
from marketdata.models.texts import ENGLISH, Text
from marketdata.reference import readers
from marketdata.types.units import SEOUL

log = logging.getLogger(__name__)

State = AlertDelivery.State
TRIES = 10
FIRST_S, LONGEST_PAUSE_S = 10.0, 3600.0
"""The pause after an attempt that failed doubles up to this: ten attempts are some two and a half hours."""
LONGEST_ATTEMPT_S = webhooks.LONGEST_S * 2
TURN_S = 20.0
"""For so long a turn begins attempts: all of it, with the last one's end, is within the limits of a task."""
CLAIM_S = 300.0
"""How long an attempt is one's own. None begins that might outlast it, so two workers never send the same at once."""
AT_ONCE, OF_TARGET = 50, 5
"""Deliveries that are claimed at once, in all and to one target, whose first failure ends its turn."""
AGAIN_S = 1.0
"""So often is looked, while some go on, for others that are due."""
BACK = datetime.timedelta(minutes=1)
"""An alert that fired so far ahead is of a clock that was set back: it does not wait until that time comes again."""
LOOKED_AT = 1_000
OUTCOMES = ("delivered", "failed", "given_up")
for _kind in AlertTarget.Kind.values:  # of what is not there, Prometheus does not see the first one
    for _outcome in OUTCOMES:
        metrics.ALERT_DELIVERIES.labels(_kind, _outcome)
CHATS = 4
"""Processes that send to chat services at once."""
CODE, TOLD_AT = "alert_delivery_failed", 3
"""The alarm of a target that fails, raised when an alert failed so often in a row: half a minute after the first."""


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
    """Make the attempts that are due, targets beside each other, and what becomes due meanwhile: who is slow to answer
    is waited for by nobody else. Each is noted as it ends. Returns how many arrived."""
    _end_alarms()
    begun = looked = time.monotonic()
    until, at = begun + TURN_S, now
    due = _claims(at, AT_ONCE, set()) if looked < until else []
    if not due:
        return 0
    ended: queue.SimpleQueue[tuple[Job, Text | None]] = queue.SimpleQueue()
    going: dict[int, int] = {}  # attempts that are not noted yet, by target
    failed: set[int] = set()
    arrived = 0
    with _attempts() as loop:
        room = asyncio.Semaphore(CHATS)
        while due or going:
            for jobs in due:
                going[jobs[0].target] = len(jobs)
                asyncio.run_coroutine_threadsafe(_one_after_another(jobs, ended, room, until), loop)
            with contextlib.suppress(queue.Empty):
                job, error = ended.get(timeout=AGAIN_S)
                _note(job, error, now, at)
                arrived += error == ""
                failed |= {job.target} if error else set()
                going[job.target] -= 1
                if not going[job.target]:
                    del going[job.target]
            due, passed = [], time.monotonic()
            if passed < until and (not going or passed > looked + AGAIN_S):
                looked, at = passed, now + datetime.timedelta(seconds=passed - begun)
                due = _claims(at, AT_ONCE - sum(going.values()), {*going, *failed})
    return arrived


@contextlib.contextmanager
def _attempts() -> Iterator[asyncio.AbstractEventLoop]:
    """Where attempts are made: a loop in a thread of its own, beside the one that has the database. What hangs in one
    of its own threads (a name that is looked up, a mail server) is left there."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(AT_ONCE, "attempt"))
    thread = threading.Thread(target=loop.run_forever, name="attempts", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def try_out(target: AlertTarget) -> Text:
    """Deliver a word that it works. Returns what failed, "" if nothing did."""
    with override(settings.LANGUAGE_CODE):
        text = _("This target works: alerts of Naru arrive here.")
    body = json.dumps({"type": "test", "target": target.name, "message": text}, ensure_ascii=False).encode()
    job = Job(0, target.pk, 1, targets.way(target), "Naru", text, body)
    error = asyncio.run(_attempt(job, asyncio.Semaphore(1), math.inf)) or ""
    _note_target(target.pk, error)
    return error


def again(given_up: QuerySet[AlertDelivery], now: datetime.datetime) -> int:
    """Deliver what was given up after all, as if it was due for the first time `now`. Returns how many there were."""
    rows = given_up.order_by().filter(state=State.FAILED)
    return rows.update(state=State.WAITING, attempts=0, next_at=now)


def _claims(now: datetime.datetime, most: int, but: set[int]) -> list[list[Job]]:
    """At most so many that are due, by target, of targets that are not left out."""
    by_target: dict[int, list[Job]] = {}
    for row in _due(now, most, but):
        job = _claimed(row, now)
        if job is not None:
            by_target.setdefault(job.target, []).append(job)
    return list(by_target.values())


def _due(now: datetime.datetime, most: int = AT_ONCE, but: Collection[int] = ()) -> list[AlertDelivery]:
    """At most so many, of each target at most OF_TARGET, the oldest first."""
    is_due = Q(next_at__lte=now)
    ahead = Alert.objects.filter(fired_at__gt=now + BACK).order_by("fired_at").values_list("pk", flat=True)[:LOOKED_AT]
    if ahead:
        is_due |= Q(attempts=0, alert__in=list(ahead))
    rows = AlertDelivery.objects.filter(is_due, state=State.WAITING, target__enabled=True).exclude(target__in=but)
    chosen: list[int] = []
    of_target: dict[int, int] = {}
    for pk, target in rows.order_by("next_at", "pk").values_list("pk", "target")[:LOOKED_AT]:
        if of_target.get(target, 0) < OF_TARGET and len(chosen) < most:
            of_target[target] = of_target.get(target, 0) + 1
            chosen.append(pk)
    rows = AlertDelivery.objects.filter(pk__in=chosen).order_by("pk")
    return list(rows.select_related("alert__owner", "alert__rule", "target__owner"))


def _claimed(row: AlertDelivery, now: datetime.datetime) -> Job | None:
    """The attempt, unless another worker makes it. What its reader may not read any more is given up; what comes in
    the quiet hours of its rule, such as a repetition, waits for their end."""
    mine = AlertDelivery.objects.filter(pk=row.pk, state=State.WAITING, attempts=row.attempts)
    forbidden = _forbidden(row)
    if forbidden:
        if mine.update(state=State.FAILED, **_failure(forbidden)):
            metrics.ALERT_DELIVERIES.labels(row.target.kind, "given_up").inc()
            error = alarms.english(forbidden)
            log.warning("alert not delivered delivery=%d target=%d error=%s", row.pk, row.target_id, error)
        return None
    quiet_s = _quiet_s(row.alert.rule, now)
    if quiet_s:
        mine.update(next_at=now + datetime.timedelta(seconds=quiet_s))
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


def _forbidden(row: AlertDelivery) -> Text:
    """Why nobody may be told of it now, "" if nothing is in the way: rights are those of this moment, as for who reads
    alerts by REST and on the stream."""
    feed = row.alert.feed or None
    for person in {row.target.owner, row.alert.owner}:
        if not person.is_active:
            return gettext_lazy("the account of its owner is not active")
        if not readers.may_read(person, feed):
            if feed is None:
                return gettext_lazy("its owner may not read anything")
            return format_lazy(gettext_lazy("its owner may not read {feed}"), feed=feed)
    return ""


def _failure(error: Text) -> dict[str, Any]:
    """What failed, as rows keep it."""
    told = alarms.english(error)[:200]
    return {"error": told, "texts": {ENGLISH: told, **alarms.translations(error)}}


def _quiet_s(rule: AlertRule | None, now: datetime.datetime) -> float:
    """How long the quiet hours of a rule still last, 0 outside of them. What fired before they began is delivered
    then, too, if it could not be before."""
    if rule is None:
        return 0.0
    return episodes.quiet_s(rule.quiet_from, rule.quiet_until, now.astimezone(SEOUL).time())


async def _one_after_another(
    jobs: list[Job], ended: queue.SimpleQueue[tuple[Job, Text | None]], room: asyncio.Semaphore, until: float
) -> None:
    """Attempts to one target. Of each is told what failed, "" if nothing did; None if it was not tried, for another
    one failed or it would have begun after `until` of the monotonic clock."""
    is_over = False
    for job in jobs:
        is_over = is_over or time.monotonic() > until
        error = None if is_over else await _attempt(job, room, until)
        is_over = is_over or bool(error)
        ended.put((job, error))


async def _attempt(job: Job, room: asyncio.Semaphore, until: float) -> Text | None:
    """What failed, "" if nothing did; None if it had no room before `until`."""
    if job.way is None:
        return gettext_lazy("sealed with another SECRET_KEY: delete the target and make it again")
    try:
        if job.way.kind == AlertTarget.Kind.EMAIL:
            named = {"Message-ID": f"<alert-{job.delivery}@{_domain()}>", DELIVERY: job.delivery}
            mail = EmailMessage(job.subject, job.text, to=[job.way.address], headers=named)
            async with asyncio.timeout(LONGEST_ATTEMPT_S):
                await asyncio.to_thread(mail.send)
        elif job.way.kind == AlertTarget.Kind.CHAT:
            async with room:
                if time.monotonic() > until:
                    return None
                await asyncio.to_thread(
                    chat.send, job.way.address, job.subject, job.text, settings.ALERT_WEBHOOK_NETWORKS, chat.LONGEST_S
                )
        else:
            await webhooks.send(
                addresses.parse(job.way.address), job.way.secret, job.body, at_s=int(time.time()),
                delivery=job.delivery, allowed=settings.ALERT_WEBHOOK_NETWORKS,
                resolve=addresses.system_resolve, longest_s=webhooks.LONGEST_S,
            )  # fmt: skip
    except addresses.RefusedError as error:
        return targets.said(error)
    except TimeoutError:
        longest_s = chat.LONGEST_S if job.way.kind == AlertTarget.Kind.CHAT else webhooks.LONGEST_S
        return format_lazy(gettext_lazy("no answer within {seconds} s"), seconds=f"{longest_s:.0f}")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one message holds up no other
        # Its kind alone: the words of an error may have the address.
        return type(error).__name__
    return ""


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"


def _note(job: Job, error: Text | None, now: datetime.datetime, at: datetime.datetime) -> None:
    """What became of an attempt of the turn that began `now`, `at` which moment."""
    mine = AlertDelivery.objects.filter(pk=job.row, state=State.WAITING, attempts=job.attempt)
    pause_s = min(FIRST_S * 2 ** (job.attempt - 1), LONGEST_PAUSE_S)
    pause_s *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, guards nothing
    later = now + datetime.timedelta(seconds=pause_s)
    if error is None:  # not tried: another one to this target failed
        mine.update(attempts=job.attempt - 1, next_at=later)
        return
    kind = job.way.kind if job.way else "unknown"
    _note_target(job.target, error)
    if not error:
        mine.update(state=State.DELIVERED, delivered_at=datetime.datetime.now(datetime.UTC), **_failure(""))
        metrics.ALERT_DELIVERIES.labels(kind, "delivered").inc()
        return
    given_up = job.attempt >= TRIES or job.way is None
    mine.update(state=State.FAILED if given_up else State.WAITING, next_at=later, **_failure(error))
    metrics.ALERT_DELIVERIES.labels(kind, "given_up" if given_up else "failed").inc()
    log.warning(
        "alert not delivered delivery=%d target=%d attempt=%d error=%s",
        job.row, job.target, job.attempt, alarms.english(error),
    )  # fmt: skip
    if given_up or job.attempt >= TOLD_AT:
        _alarm(job.target, error)
    # What else waits for a dead target waits as well, and is in nobody's way.
    AlertDelivery.objects.filter(target=job.target, state=State.WAITING, next_at__lte=at).update(next_at=later)


def _note_target(target: int, error: Text) -> None:
    """What became of the newest attempt, at the target itself: deliveries are many, and end with their alerts."""
    now = datetime.datetime.now(datetime.UTC)
    changes = {"failed_at": now, **_failure(error)} if error else {"delivered_at": now}
    AlertTarget.objects.filter(pk=target).update(**changes)


def _alarm(number: int, error: Text) -> None:
    """Somebody else than its owner hears of a target that fails: what tells him of trouble is what does not work."""
    target = AlertTarget.objects.select_related("owner").filter(pk=number).first()
    if target is None:
        return  # deleted meanwhile
    text = gettext_lazy("alerts of {owner} do not arrive at {name} ({shown}): {error}")
    owner = target.owner.get_username()
    filled = format_lazy(text, owner=owner, name=target.name, shown=target.shown, error=error)
    alarms.raise_alarm(CODE, filled, subject=_subject(number))


def _end_alarms() -> None:
    """The alarms of targets that are gone, or to which something arrived since, are over."""
    standing = Alarm.objects.filter(code=CODE, cleared_at=None).values_list("subject", flat=True)
    subjects = set(standing)
    if not subjects:
        return
    failing = AlertTarget.objects.filter(enabled=True, failed_at__isnull=False)
    failing = failing.filter(Q(delivered_at=None) | Q(failed_at__gt=F("delivered_at")))
    for subject in subjects - {_subject(pk) for pk in failing.values_list("pk", flat=True)}:
        alarms.resolve(CODE, subject=subject)


def _subject(target: int) -> str:
    """A target in the list of alarms: its name may be that of another owner's."""
    return f"target {target}"
