"""Metrics that are looked up when somebody asks, each with its name, unit, meaning and labels. What is counted as it
happens is in `marketdata.metrics`; together they are all there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

ALL: dict[str, Figure] = {}


@dataclass(frozen=True)
class Figure:
    """A gauge, or a counter if its name ends in `_total`."""

    name: str
    help: str
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        ALL[self.name] = self

    def family(self, values: Mapping[Any, float]) -> GaugeMetricFamily | CounterMetricFamily:
        """What it is now, by the values of its labels: tuples in their order."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        made = kind(self.name, self.help, labels=self.labels)
        for labels, value in values.items():
            made.add_metric(labels, value)
        return made

    def of(self, value: float) -> GaugeMetricFamily | CounterMetricFamily:
        """What it is now, of a figure without labels."""
        return self.family({(): value})


# of every program; the first five have these names everywhere
CPU = Figure("process_cpu_seconds_total", "Processor time of the program's processes, those that ended among them")
RESIDENT = Figure("process_resident_memory_bytes", "Memory of the program's processes; what they share is counted each")
OPEN_FILES = Figure("process_open_fds", "Open files of that process of the program which has most")
MAX_FILES = Figure("process_max_fds", "Open files that a process may have")
STARTED = Figure("process_start_time_seconds", "When the program was started, seconds since 1970")
PROCESSES = Figure("naru_processes", "Processes that the program consists of now")

# of terminals, by the ingest server that they are connected to
_OF_CLIENT = ("client",)
TERMINAL_SESSION = Figure("naru_terminal_session_start_timestamp_seconds", "When a terminal logged in", _OF_CLIENT)
TERMINAL_HEARD = Figure("naru_terminal_heard_timestamp_seconds", "When a terminal was last heard", _OF_CLIENT)
TERMINAL_TICKS = Figure("naru_terminal_ticks_total", "Ticks of a terminal's session", _OF_CLIENT)
TERMINAL_REJECTED = Figure("naru_terminal_rejected_rows_total", "Rows refused of a terminal's session", _OF_CLIENT)
TERMINAL_WAITING = Figure(
    "naru_terminal_waiting_batches", "Batches that a terminal has spooled and that are not committed", _OF_CLIENT
)
TERMINAL_DROPPED = Figure(
    "naru_terminal_dropped_rows_total",
    "Rows that a terminal dropped for want of room since it began, as it says itself",
    _OF_CLIENT,
)
TERMINAL_CLOCK = Figure("naru_clock_offset_seconds", "A terminal's clock minus the ingest server's", _OF_CLIENT)
TERMINAL_PAUSED = Figure("naru_terminal_paused", "1 while a terminal is not being read, for it is ahead", _OF_CLIENT)

# what belongs to no process, by beat
QUEUE_LENGTH = Figure("naru_queue_length", "Messages that wait in a queue of the broker", ("queue",))
REDIS_UP = Figure("naru_redis_up", "1 when Redis answers", ("redis",))
REDIS_ANSWER = Figure("naru_redis_answer_seconds", "How long Redis took for an answer", ("redis",))
REDIS_USED = Figure("naru_redis_used_memory_bytes", "Memory that Redis uses", ("redis",))
REDIS_LIMIT = Figure("naru_redis_memory_limit_bytes", "Memory that Redis may use (maxmemory)", ("redis",))
REDIS_CLIENTS = Figure("naru_redis_clients", "Connections of clients to Redis", ("redis",))
REDIS_EVICTED = Figure("naru_redis_evicted_keys_total", "Keys that Redis let go for room", ("redis",))
REDIS_REPLICAS = Figure("naru_redis_replicas", "Replicas that follow Redis", ("redis",))
REDIS_REPLICA_LAG = Figure(
    "naru_redis_replica_lag_seconds",
    "How long ago the replica that was heard last of all said how far it is",
    ("redis",),
)
REDIS_SENTINELS = Figure("naru_redis_sentinels", "Sentinels that answer and know the master of Redis", ("redis",))
REDIS_SENTINELS_NAMED = Figure("naru_redis_sentinels_named", "Sentinels that the URL of Redis names", ("redis",))
DATABASE_UP = Figure("naru_database_up", "1 when the database answers")
DATABASE_ANSWER = Figure("naru_database_answer_seconds", "How long the database took to tell its time")
DATABASE_CONNECTIONS = Figure("naru_database_connections", "Connections to the database's server")
DATABASE_CONNECTION_LIMIT = Figure("naru_database_connection_limit", "Connections that the server accepts")
DATABASE_REPLICAS = Figure("naru_database_replicas", "Replicas that follow the database")
DATABASE_REPLICA_LAG = Figure(
    "naru_database_replica_lag_seconds", "How far the replica that is furthest behind is, as the server sees it"
)
GALERA_READY = Figure("naru_galera_ready", "1 when this node of a cluster takes questions")
GALERA_PRIMARY = Figure("naru_galera_primary", "1 when this node is in the part of the cluster that may write")
GALERA_NODES = Figure("naru_galera_nodes", "Nodes of the cluster that this one sees")
GALERA_NODES_EXPECTED = Figure("naru_galera_nodes_expected", "Nodes that DATABASE_NODES names")
GALERA_QUEUE = Figure("naru_galera_receive_queue_length", "Changes of other nodes that wait to be applied here")
GALERA_PAUSED = Figure(
    "naru_galera_flow_control_paused_seconds_total", "How long this node's writes waited for a node that is behind"
)
PARTITION_HEADROOM = Figure(
    "naru_partition_headroom_seconds", "How far from now the room for ticks and candles reaches", ("table",)
)
FEED_COMMITTED = Figure(
    "naru_feed_committed_timestamp_seconds", "When the newest entry of a feed was committed", ("feed",)
)
FEED_OPEN = Figure("naru_feed_open", "1 while trades may be printed at a market that the feed tells of", ("feed",))
FEED_SILENCE = Figure(
    "naru_feed_silence_limit_seconds",
    "From how long without a commit on something is wrong with a feed; 0 while no trades are to be expected",
    ("feed",),
)
TERMINAL_CONNECTED = Figure(
    "naru_terminal_connected", "1 when a client that may send is connected to an ingest server, 0 when not", _OF_CLIENT
)
TERMINAL_EXPECTED = Figure(
    "naru_terminal_expected",
    "1 when a market of a client's feeds takes orders or trades (hours), or one of unknown hours has a day (day)",
    ("client", "by"),
)
SOURCE_TOLD = Figure("naru_source_told_timestamp_seconds", "When a source last told of itself", _OF_CLIENT)
SOURCE_WISHES = Figure(
    "naru_source_wishes",
    "What a source is to collect, by how it does now: websocket, polling, none",
    ("client", "coverage"),
)
SOURCE_BUFFERED = Figure("naru_source_buffered_messages", "Messages that wait for a source's decoder", _OF_CLIENT)
SOURCE_OVERRUN = Figure("naru_source_overrun_messages_total", "Messages that a source had no room for", _OF_CLIENT)
SOURCE_MISSING = Figure("naru_source_missing_shares_total", "Shares that a source found missing", _OF_CLIENT)
SOURCE_REFUSED = Figure("naru_source_refused_registrations", "Registrations that a vendor refuses a source", _OF_CLIENT)
SOURCE_REQUESTS = Figure("naru_source_requests_total", "Requests of a source to its vendor", _OF_CLIENT)
SOURCE_FAILED = Figure("naru_source_failed_requests_total", "Those that failed, of whatever", _OF_CLIENT)
RECENT_GAPS = Figure(
    "naru_recent_gaps",
    "Gaps told within a day in which a terminal or its source lost rows for want of room or in a failure",
    ("client", "reason"),
)
UNCOLLECTED = Figure(
    "naru_uncollected_symbols",
    "Active symbols that nobody collects, by how somebody asked for them: watchlist, alert_rule, registered",
    ("kind",),
)
ALARMS = Figure("naru_alarms", "Alarms that are not cleared, by code", ("code",))
ROLLOVERS_UNDONE = Figure("naru_rollovers_undone", "Trading days that are over and not yet rolled over")
ROLLOVERS_OVERDUE = Figure(
    "naru_rollovers_overdue", "Trading days that should have been rolled over for a while (alarm rollover_late)"
)
BACKUP_AT = Figure(
    "naru_backup_proven_timestamp_seconds",
    "When the newest backup that was restored and compared began; before the first, when the first batch was committed",
)
BACKUP_COPY_AT = Figure(
    "naru_backup_copy_proven_timestamp_seconds",
    "When the newest backup began whose copy in the other place was proven; before that, when the first came there",
)
BACKUP_COPIES_WAITING = Figure(
    "naru_backup_copies_waiting", "Verified backups that are here and not in the other place"
)
DISK_FREE = Figure("naru_disk_free_bytes", "Room where this program's host writes", ("place",))
DISK_SIZE = Figure("naru_disk_size_bytes", "Size of the disk where this program's host writes", ("place",))
LOOK_SECONDS = Figure("naru_look_seconds", "How long the last look at a part of the deployment took", ("part",))
LOOK_FAILED = Figure("naru_look_failed", "1 when a part of the deployment could not be looked at", ("part",))
