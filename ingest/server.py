"""The ingest server: connections in, messages to the workers out, acknowledgements back. The one place where its
parts meet.

A batch is acknowledged only when the ledger has it. Until then it is kept here (`ingest.delivery`), and driven again
when it takes too long; the terminal (`ingest.sessions`) keeps it too, so that even this process may be killed at any
moment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ingest import authenticator
from ingest.alarmboard import AlarmBoard
from ingest.connection import Connection
from ingest.dataset import Dataset
from ingest.delivery import Delivery
from ingest.inspector import Inspector
from ingest.jobs import Jobs
from ingest.limits import Limits
from ingest.outages import Outages
from ingest.registry import Registry
from ingest.sessions import Sessions
from ingest.terminal_figures import TerminalFigures
from marketdata import metrics
from marketdata.ledger.session_fences import Fence
from marketdata.limits import reached
from marketdata.realtime import live_state, redis_health

log = logging.getLogger(__name__)

TICK_S = 0.25
WATCH_S = 5.0
ALARM_S = 1.0
CLOCKS_S = 5.0
CLOCK_STEP_US = 50_000  # a change worth writing down
SEVERAL = 3
CLOCK_AHEAD = _(
    "its clock is {offset:.1f} s ahead of this server's: set it by NTP. Events too far from their capture are refused"
)
CLOCK_BEHIND = _(
    "its clock is {offset:.1f} s behind this server's: set it by NTP. Events too far from their capture are refused"
)
SERVER_CLOCK = _(
    "the clocks of all {number} terminals are far from this server's, so it is probably this one: set it by NTP"
)
TERMINALS_FULL = _(
    "{number:,} clients are connected, as many as may be, and others are turned away. Raise INGEST_MAX_CLIENTS, or"
    " start another ingest server"
)
STORAGE_FAILING = _("{error}. {number} batches wait, nothing is lost; they are stored when it works again")


class Server:
    """Everything one ingest process holds. All methods run on the event loop."""

    def __init__(self, limits: Limits, *, instance: str | None = None, channel_binding: str = "") -> None:
        self.limits = limits
        self.host = socket.gethostname()
        self.instance = instance or f"{self.host}-{os.getpid()}"
        self.registry: Registry[Connection] = Registry()
        self.dataset = Dataset(max_bytes=limits.dataset_bytes, max_age_s=limits.ring_age_s)
        self.alarms = AlarmBoard()
        self.jobs = Jobs()
        self.terminals = TerminalFigures()
        self._loop = asyncio.get_running_loop()
        database = Outages(self.registry.members)
        sessions_changed = asyncio.Event()
        self.delivery = Delivery(
            limits,
            self.registry,
            self.dataset,
            instance=self.instance,
            alarms=self.alarms,
            database=database,
            sessions_changed=sessions_changed,
        )
        self.sessions = Sessions(
            limits,
            self.registry,
            self.delivery,
            instance=self.instance,
            channel_binding=channel_binding,
            alarms=self.alarms,
            jobs=self.jobs,
            database=database,
            changed=sessions_changed,
        )
        self._inspector = Inspector(self.instance, self.registry, self.dataset)
        self._listening: asyncio.Server | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port."""
        self.delivery.start()
        self._inspector.start()
        self.sessions.tls = tls
        # After a restart all clients come at once. What is beyond the backlog is dropped without a word, and its sender
        # tries again after a second, then two; the system's own limit (net.core.somaxconn) may be lower.
        self._listening = await self._loop.create_server(
            lambda: Connection(self.sessions), host, port, backlog=self.limits.max_clients
        )
        for job in (
            self._look_at_timers(),
            self.delivery.poll_ledger(),
            self._mirror(),
            self.sessions.look_for_ended(),
            self._alarm(),
            self._keep_clocks(),
            self._watch_redis(),
        ):
            self.jobs.spawn(job, vital=True)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take nothing more, wait for what is in flight (at most `drain_s`), say so to everybody, and end."""
        if self._listening is not None:
            self._listening.close()
        self.sessions.drain()
        await self.delivery.drain()
        self.sessions.dismiss()
        await self.jobs.cancel()
        self._inspector.stop()
        self.sessions.stop()
        await self.delivery.stop()

    # --- once in a while --------------------------------------------------------------------------------------------

    async def _look_at_timers(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.sessions.tick(time.monotonic(), time.time_ns() // 1000)
            self.delivery.pump()
            metrics.OLDEST_BATCH.set(self.delivery.in_flight.oldest_us / 1e6)

    async def _alarm(self) -> None:
        """Say what is wrong as alarms, and take them back; what the database does not take now is tried again."""
        while True:
            await asyncio.sleep(ALARM_S)
            in_flight = self.delivery.in_flight
            trouble = in_flight.trouble
            metrics.STORAGE_FAILING.set(trouble is not None)
            if trouble is not None:
                failing = format_lazy(STORAGE_FAILING, error=trouble.error, number=len(in_flight))
                self.alarms.set("storage_failing", failing)
            elif self.delivery.in_flight.has_settled:
                self.alarms.set("storage_failing", "")
            self._watch_clocks()
            clients = len(self.registry.members)
            full = format_lazy(TERMINALS_FULL, number=clients) if clients >= self.limits.max_clients else ""
            self.alarms.set(reached.CODE, full, subject=f"terminals {self.host}")
            if self.alarms.pending(time.monotonic()):
                await self._loop.run_in_executor(None, self.alarms.write, time.monotonic())

    def _watch_clocks(self) -> None:
        """Terminals whose clock is far from ours: their events would be refused, or ours is wrong."""
        limit_us, far, known = int(self.limits.clock_offset_s * 1e6), 0, 0
        for member in self.registry.members.values():
            offset_us = member.clock.us
            if offset_us is None:
                continue
            known, name = known + 1, member.admission.name
            far += abs(offset_us) > limit_us
            words = format_lazy(CLOCK_AHEAD if offset_us > 0 else CLOCK_BEHIND, offset=abs(offset_us) / 1e6)
            self.alarms.set("clock_offset", words if abs(offset_us) > limit_us else "", subject=name)
        everybody = known >= SEVERAL and far == known
        self.alarms.set("server_clock", format_lazy(SERVER_CLOCK, number=known) if everybody else "", subject=self.host)

    async def _keep_clocks(self) -> None:
        """Write the measured offsets where requeue and the admin find them."""
        kept: dict[Fence, int] = {}
        while True:
            await asyncio.sleep(CLOCKS_S)
            now = {one.fence: one.clock.us for one in self.registry.members.values() if one.clock.us is not None}
            changed = {number: us for number, us in now.items() if abs(us - kept.get(number, 2**62)) > CLOCK_STEP_US}
            try:
                await self._loop.run_in_executor(None, authenticator.keep_offsets, changed)
                kept = {fence: us for fence, us in (kept | changed).items() if fence in now}
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn writes them
                log.debug("offsets not kept error=%s", type(error).__name__)

    async def _mirror(self) -> None:
        """Show the registry to the admin and the dashboard, and let old rows go."""
        while True:
            await asyncio.sleep(1.0)
            now = time.time()
            for member in self.registry.members.values():
                member.measure(now)
                member.recent.expire(now=time.monotonic())
            self.dataset.expire(now=time.monotonic())
            metrics.RING_BYTES.set(sum(member.recent.nbytes for member in self.registry.members.values()))
            metrics.DATASET_BYTES.set(self.dataset.nbytes)
            told = self.describe()
            self.terminals.tell(told["clients"])
            try:
                await self._loop.run_in_executor(None, live_state.show_ingest, self.instance, told)
            except Exception as error:  # noqa: BLE001 - a mirror that is missing for a moment harms nothing
                log.debug("mirror failed error=%s", type(error).__name__)

    async def _watch_redis(self) -> None:
        """A Redis that is away, full or slow is an alarm; its own tasks could not say so."""
        watches = redis_health.watches()
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._loop.run_in_executor(None, authenticator.watch_redis, watches)
            except Exception as error:  # noqa: BLE001 - the database is away: a later look tells it
                log.warning("state of redis cannot be told error=%s", type(error).__name__)

    def describe(self) -> dict[str, Any]:
        """The state of this server, for people."""
        median, slow = self.delivery.in_flight.latency_s()
        return {
            "instance": self.instance,
            "time": round(time.time(), 3),
            "connections": len(self.sessions.connections),
            "inflight_batches": len(self.delivery.in_flight),
            "inflight_bytes": self.delivery.in_flight.bytes,
            "waiting_batches": self.delivery.in_flight.waiting,
            "messages": self.delivery.in_flight.messages,
            "paused": self.delivery.halted,
            "commit_ms_p50": round(median * 1e3, 2),
            "commit_ms_p99": round(slow * 1e3, 2),
            "dataset_rows": len(self.dataset),
            "dataset_bytes": self.dataset.nbytes,
            "errors": dict(self.sessions.errors),
            "alarms": self.alarms.active(),
            "clients": [member.describe() for member in self.registry.members.values()],
        }
