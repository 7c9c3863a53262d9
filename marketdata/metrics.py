"""Every metric that is counted as it happens: its name, unit and meaning. With METRICS_DIR set, all processes of a
machine add up in one place, those of a program in a folder of it. `marketdata/monitoring/figures.py` has what is looked
up when somebody asks."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from marketdata import __version__, private

if settings.METRICS_FOLDER:
    private.make(Path(settings.METRICS_FOLDER))
    # In a container each process has the number of the one before it; what that one was is not what this one is.
    for left in Path(settings.METRICS_FOLDER).glob(f"gauge_live*_{os.getpid()}.db"):
        left.unlink(missing_ok=True)

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# every process
BUILD = Gauge("naru_build_info", "1, with the version that runs", ["version"], multiprocess_mode="livemax")
BUILD.labels(version=__version__).set(1)

# ingest server
WIRE_ERRORS = Counter("naru_wire_errors_total", "Connections ended for an error, by its code", ["code"])
AUTH_FAILURES = Counter("naru_auth_failures_total", "Refused logins, by what was wrong", ["reason"])
SUPERSEDED = Counter("naru_sessions_superseded_total", "Sessions taken over by a newer login of the same client")
CONNECTIONS = Gauge("naru_connections", "Open terminal connections", multiprocess_mode="livesum")
RECEIVED_BYTES = Counter("naru_received_bytes_total", "Bytes read from terminals")
RECEIVED_BATCHES = Counter("naru_received_batches_total", "Batches received from terminals")
RECEIVED_TICKS = Counter("naru_received_ticks_total", "Ticks received from terminals")
RECEIVED_RECORDS = Counter("naru_received_records_total", "Order books and events received from terminals")
REPEATED_BATCHES = Counter(
    "naru_repeated_batches_total", "Batches received again that were committed or in flight already"
)
INFLIGHT_BYTES = Gauge(
    "naru_inflight_bytes", "Bytes of batches received and not yet committed", multiprocess_mode="livesum"
)
RING_BYTES = Gauge("naru_ring_bytes", "Bytes held by the clients' ring buffers", multiprocess_mode="livesum")
DATASET_BYTES = Gauge("naru_dataset_bytes", "Bytes held by the unified dataset", multiprocess_mode="livesum")
STORAGE_FAILING = Gauge(
    "naru_storage_failing", "1 while batches cannot be stored, whatever is in them", multiprocess_mode="livemax"
)
CERTIFICATE_END = Gauge(
    "naru_certificate_end_timestamp_seconds",
    "Unix time when the certificate that ingest shows terminals ends; 0 where none is shown",
    multiprocess_mode="livemax",
)
READING_PAUSED = Gauge(
    "naru_reading_paused", "Connections not being read because the limit is reached", multiprocess_mode="livesum"
)
PUBLISH_FAILURES = Counter("naru_publish_failures_total", "Messages the broker did not take")
REDRIVEN = Counter(
    "naru_redriven_batches_total", "Batches sent to the workers again because they did not commit in time"
)
OLDEST_BATCH = Gauge(
    "naru_oldest_batch_received_timestamp_seconds",
    "When the batch was received that waits for its commit the longest; 0 while none waits",
    multiprocess_mode="livemostrecent",
)
COMMIT_SECONDS = Histogram("naru_commit_seconds", "From receiving a batch to knowing it is committed", buckets=SECONDS)

# worker
MISSING_BODIES = Counter(
    "naru_missing_bodies_total", "Messages whose batches were gone from Redis; these are sent to the workers again"
)
JUDGING_SECONDS = Histogram(
    "naru_judging_seconds", "From a worker's taking a message to its transaction: decoding and checks", buckets=SECONDS
)
FEED_SECONDS = Histogram(
    "naru_feed_seconds",
    "From receiving a batch to its entry in the feed; of a message, that of its oldest batch",
    buckets=SECONDS,
)
STORED_TICKS = Counter("naru_stored_ticks_total", "Ticks committed")
STORED_BOOKS = Counter("naru_stored_books_total", "Order books committed")
STORED_EVENTS = Counter("naru_stored_events_total", "Market events committed")
STORED_GAPS = Counter("naru_stored_gaps_total", "Gaps that terminals reported and that were kept")
REJECTED_ROWS = Counter("naru_rejected_rows_total", "Rows refused, by reason", ["reason"])
OUTSIDE_LIMITS = Counter(
    "naru_outside_limits_trades_total", "Trades stored at a price outside the limits of their day, by feed", ["feed"]
)
FLOAT_NOISE = Counter(
    "naru_float_noise_rows_total", "Rows in which float noise was taken off a number, by source", ["source"]
)
REFUSED_BATCHES = Counter("naru_refused_batches_total", "Batches refused as a whole, by code", ["code"])
TRANSACTION_SECONDS = Histogram("naru_transaction_seconds", "One worker transaction, begin to commit", buckets=SECONDS)
TRANSACTION_RETRIES = Counter(
    "naru_transaction_retries_total", "Transactions run again after a deadlock or lost connection"
)
QUALITY_ROWS = Counter("naru_quality_rows_total", "Series of a day whose quality was computed")
STATISTICS = Counter("naru_statistics_total", "Results of statistics put in place")
FEED_FAILURES = Counter("naru_feed_failures_total", "Commits that could not be announced at once")
FEED_RECOVERED = Counter(
    "naru_feed_recovered_batches_total", "Batches announced later because the first attempt failed"
)
FEED_PENDING = Gauge(
    "naru_feed_pending_batches",
    "Committed batches that have not reached the feed, when last looked",
    multiprocess_mode="mostrecent",
)

# what clients named into being (marketdata/limits/quotas.py)
QUOTA_USED = Gauge("naru_quota_used", "Names of a kind in use", ["quota", "client"], multiprocess_mode="mostrecent")
QUOTA_LIMIT = Gauge("naru_quota_limit", "The most there may be", ["quota", "client"], multiprocess_mode="mostrecent")
QUOTA_REFUSED = Counter("naru_quota_refused_total", "Names refused because a quota was reached", ["quota"])

# what is asked of a vendor (marketdata/vendors/duties.py)
VENDOR_RUN = Gauge(
    "naru_vendor_last_run_timestamp_seconds",
    "When a job that asks a vendor last ended well",
    ["job"],
    multiprocess_mode="mostrecent",
)
VENDOR_ROWS = Counter("naru_vendor_rows_total", "What a vendor's answers had of what a job asks for", ["job"])
VENDOR_FAILURES = Counter("naru_vendor_failures_total", "Times a vendor did not answer or refused a job", ["job"])

# every task of Celery's
TASK_SECONDS = Histogram(
    "naru_task_seconds", "How long a task ran", ["task"], buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 600, 3600)
)
TASK_FAILURES = Counter("naru_task_failures_total", "Tasks that ended with an error", ["task"])
TASK_FAILURE = Gauge(
    "naru_task_failure_timestamp_seconds",
    "When a task last ended with an error",
    ["task"],
    multiprocess_mode="mostrecent",
)
TASK_SUCCESS = Gauge(
    "naru_task_success_timestamp_seconds", "When a task last ended well", ["task"], multiprocess_mode="mostrecent"
)

# whoever starts others: the one-command run, runworkers
PROGRAM_EXITS = Counter(
    "naru_program_exits_total",
    "Times a program of the run, or a process of a worker before its time, ended and was started again",
    ["program"],
)

# alerts
ALERTS = Counter("naru_alerts_total", "Alerts that rules of people gave, by kind", ["kind"])
ALERT_SECONDS = Histogram(
    "naru_alert_seconds", "From the commit of a trade to its alert on the stream",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
)  # fmt: skip
ALERT_FAILURES = Counter("naru_alert_failures_total", "Looks with alert rules that failed and are repeated")
ALERT_DELIVERIES = Counter(
    "naru_alert_deliveries_total", "Attempts to deliver an alert, by kind of target and outcome", ["kind", "outcome"]
)

# another broker
FANOUT_MESSAGES = Counter("naru_fanout_messages_total", "Messages given to the producer of another broker", ["topic"])
FANOUT_LAG = Gauge(
    "naru_fanout_lag_seconds", "From the newest commit published to another broker to the newest of the feed",
    ["feed"], multiprocess_mode="mostrecent",
)  # fmt: skip
FANOUT_AWAY = Gauge(
    "naru_fanout_broker_away_seconds", "How long another broker has been away; 0 while it is there",
    multiprocess_mode="mostrecent",
)  # fmt: skip
FANOUT_REFILLS = Counter("naru_fanout_refills_total", "Times the database was read for what the feed had no more")
FANOUT_FAILURES = Counter("naru_fanout_failures_total", "Times publishing was begun anew, by what failed", ["reason"])

# API
HTTP_SECONDS = Histogram(
    "naru_http_request_seconds", "From a request to its answer, by the hundred of the answer's status", ["status"],
    buckets=SECONDS,
)  # fmt: skip
RATE_LIMITED = Counter("naru_rate_limited_total", "Requests refused with 429, by kind of caller", ["kind"])
COUNTED_LOCALLY = Counter("naru_counted_locally_total", "Times Redis could not count logins or requests")
HTTP_REFUSED = Counter(
    "naru_http_refused_total", "HTTP connections ended before their request was read, by status or reason", ["reason"]
)
UNAUTHENTICATED = Gauge(
    "naru_unauthenticated_connections", "Connections that have not logged in", ["kind"], multiprocess_mode="livesum"
)
TURNED_AWAY = Counter(
    "naru_turned_away_total", "Connections that had not logged in and gave way to newer ones", ["kind"]
)
SOCKETS = Gauge("naru_stream_sockets", "Open WebSockets", multiprocess_mode="livesum")
STREAM_SYMBOLS = Gauge(
    "naru_stream_symbols", "Symbols that readers of the stream subscribed to, each channel counted",
    multiprocess_mode="livesum",
)  # fmt: skip
STREAM_SKIPPED = Counter(
    "naru_stream_skipped_trades_total", "Trades skipped for slow WebSockets, each told by a gap message"
)
STREAM_OVERTAKEN = Counter("naru_stream_overtaken_total", "Quotes and candles that a newer one overtook in a queue")
STREAM_CLOSED = Counter("naru_stream_closed_total", "WebSockets closed by the server, by error code", ["code"])
STREAM_CANDLES_UNREAD = Counter(
    "naru_stream_candles_unread_total", "Candles for the stream that could not be read from the database at once"
)
STREAM_RESTARTS = Counter(
    "naru_stream_feed_restarts_total", "Times the feed's Redis was found to be another one than before"
)
