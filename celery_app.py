"""The whole day on one page: queues, routes and the timetable of Naru's Celery application."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown
from django.conf import settings
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from marketdata.logs import celery_signals  # noqa: F401 - connects them
from marketdata.realtime import rabbitmq, redis_urls
from marketdata.tracing import spans

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # Django's checks load every URL; a worker serves none
# The command `celery` takes BROKER_URL for its own --broker and would have it instead of what is made of it below.
os.environ.pop("CELERY_BROKER_URL", None)

QUEUES = (
    "raw_market_data",
    "processed-data",
    "feed-recovery",
    "chart-data",
    "statistics-data",
    "alert-deliveries",
    "maintenance",
    "backups",
)

WITHOUT_ACK = "raw_market_data"
"""The queue of batches: the ledger sends again what did not commit, so Redis need not remember what was fetched."""

ROUTES = {
    "ingest.tasks.process_batches": {"queue": "raw_market_data"},
    "ingest.recovery.announce_missed": {"queue": "feed-recovery"},
    "ingest.refusals.watch_refusals": {"queue": "processed-data"},
    "ingest.requeue.announce_requeued": {"queue": "processed-data"},
    "ingest.requeue.requeue_asked": {"queue": "maintenance"},
    "marketdata.tasks.roll_over": {"queue": "maintenance"},
    "marketdata.tasks.roll_over_asked": {"queue": "maintenance"},
    "marketdata.tasks.retain_asked": {"queue": "maintenance"},
    "marketdata.tasks.back_up_asked": {"queue": "backups"},
    "analytics.tasks.finish_voids": {"queue": "maintenance"},
    "analytics.tasks.compute_statistics": {"queue": "statistics-data"},
    "analytics.tasks.compute_charts": {"queue": "chart-data"},
    "analytics.tasks.watch_alerts": {"queue": "processed-data"},
    "analytics.tasks.compute_quality": {"queue": "chart-data"},
    "analytics.tasks.finish_quality": {"queue": "maintenance"},
    "analytics.tasks.deliver_alerts": {"queue": "alert-deliveries"},
    "analytics.tasks.report_quality": {"queue": "alert-deliveries"},
    "marketdata.tasks.extend_partitions": {"queue": "maintenance"},
    "marketdata.tasks.drop_expired": {"queue": "maintenance"},
    "marketdata.tasks.repair_gaps": {"queue": "maintenance"},
    "marketdata.tasks.repair_asked": {"queue": "maintenance"},
    "marketdata.tasks.load_masters": {"queue": "maintenance"},
    "marketdata.tasks.check_holidays": {"queue": "maintenance"},
    "marketdata.tasks.back_up": {"queue": "backups"},
    "marketdata.tasks.copy_backups": {"queue": "backups"},
    "marketdata.tasks.archive_days": {"queue": "backups"},
    "marketdata.tasks.keep_events": {"queue": "chart-data"},
    "marketdata.tasks.recheck": {"queue": "chart-data"},
    "marketdata.tasks.watch_upkeep": {"queue": "chart-data"},
    "marketdata.tasks.note_pipeline": {"queue": "chart-data"},
    "marketdata.tasks.refresh_caches": {"queue": "chart-data"},
}

# Every entry is level-triggered (does whatever is still due) and expires when the next one has come, so that a beat
# that was away, a second beat or workers that were busy for an hour change nothing.
TIMETABLE: dict[str, dict[str, Any]] = {
    "announce what was committed but never reached the feed": {
        "task": "ingest.recovery.announce_missed",
        "schedule": 5.0,
    },
    "announce what a requeue stored and did not announce": {
        "task": "ingest.requeue.announce_requeued",
        "schedule": 60.0,
    },
    "rows refused in masses, batches given up": {
        "task": "ingest.refusals.watch_refusals",
        "schedule": 5.0,
    },
    # Both do so while no market trades (marketdata/maintenance/quiet.py): a change of a table holds up a cluster.
    "keep partitions ahead of the calendar": {
        "task": "marketdata.tasks.extend_partitions",
        "schedule": 3600.0,
    },
    "drop partitions that are past their time": {
        "task": "marketdata.tasks.drop_expired",
        "schedule": 900.0,
    },
    # Not at 08:00 but every minute: a beat that was away at 08:00 misses nothing (django-celery-beat looks two hours
    # ahead and back only).
    "roll over the trading days that are over": {
        "task": "marketdata.tasks.roll_over",
        "schedule": 60.0,
    },
    "voiding that was interrupted, and subscribers that were not told": {
        "task": "analytics.tasks.finish_voids",
        "schedule": 30.0,
    },
    # Once a day by KIS's own wish, on trading days from NARU_KIS_MASTERS_TIME on; without keys of KIS nothing is done.
    "symbols from the master files of KIS": {
        "task": "marketdata.tasks.load_masters",
        "schedule": 300.0,
    },
    "holidays of KIS beside the calendar": {
        "task": "marketdata.tasks.check_holidays",
        "schedule": 900.0,
    },
    # From NARU_KIS_REPAIR_TIME on, half a minute at a time.
    "minute bars of KIS for minutes with gaps": {
        "task": "marketdata.tasks.repair_gaps",
        "schedule": 60.0,
    },
    "the backup that is due": {
        "task": "marketdata.tasks.back_up",
        "schedule": 900.0,
    },
    "verified backups to the other place": {
        "task": "marketdata.tasks.copy_backups",
        "schedule": 900.0,
    },
    "finished days to the archive": {
        "task": "marketdata.tasks.archive_days",
        "schedule": 600.0,
    },
    "latest prices for readers in SQL": {
        "task": "marketdata.tasks.refresh_caches",
        "schedule": 10.0,
    },
    # A candle that is over is there after some seconds; until one is, nothing is due.
    "candles for readers in SQL": {
        "task": "analytics.tasks.compute_charts",
        "schedule": 5.0,
    },
    "statistics of what changed": {
        "task": "analytics.tasks.compute_statistics",
        "schedule": 1.0,
    },
    "the pipeline's numbers, for their history": {
        "task": "marketdata.tasks.note_pipeline",
        "schedule": 10.0,
    },
    "deliveries of alerts that are due": {
        "task": "analytics.tasks.deliver_alerts",
        "schedule": 2.0,
    },
    # Commits look at once; this finds what nobody looked at, other rules, and pauses that are over.
    "alerts of people's rules": {
        "task": "analytics.tasks.watch_alerts",
        "schedule": 2.0,
    },
    "quality of what changed today": {
        "task": "analytics.tasks.compute_quality",
        "schedule": 15.0,
    },
    # Within a minute of the rollover, 20 s at a time.
    "quality of the trading days that were rolled over": {
        "task": "analytics.tasks.finish_quality",
        "schedule": 60.0,
    },
    # From QUALITY_REPORT_TIME on, once for each trading date; without recipients nothing is done.
    "the report of quality by mail": {
        "task": "analytics.tasks.report_quality",
        "schedule": 60.0,
    },
    "flags of database and Redis, room and clocks": {
        "task": "marketdata.tasks.recheck",
        "schedule": 60.0,
    },
    # In another queue than the rollover and the backups.
    "upkeep that should have been done": {
        "task": "marketdata.tasks.watch_upkeep",
        "schedule": 60.0,
    },
    "the database's own clean-up events": {
        "task": "marketdata.tasks.keep_events",
        "schedule": 300.0,
    },
}

SKEW_S = 30
"""How far the clocks of the machines of beat and a worker may differ: a turn expires at a moment that beat tells."""

for _entry in TIMETABLE.values():  # in the word of django-celery-beat, which leaves out Celery's own
    _entry["options"] = {"expire_seconds": max(int(_entry["schedule"]), SKEW_S)}


def broker_settings(broker_url: str) -> dict[str, Any]:
    """Celery's settings for the broker at `broker_url`; the measured reasons are in docs/adr/0002."""
    redis = redis_urls.is_redis(broker_url)
    transport = {
        "priority_steps": [0],  # each step would be one more key per queue in every BRPOP
        "visibility_timeout": 120,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,  # a worker asks twice before it sees that the server is frozen
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "socket_keepalive_options": redis_urls.KEEPALIVE,
        "health_check_interval": 5,
        "retry_on_timeout": False,
    }
    tls: dict[str, Any] = {}
    if redis_urls.is_watched(broker_url):
        place = redis_urls.watched(broker_url)
        transport |= {"master_name": place.master, "sentinel_kwargs": place.sentinel_options()}
        tls = {} if place.tls is None else {"broker_use_ssl": place.tls or {"ssl_cert_reqs": "required"}}
        broker_url = redis_urls.for_celery(broker_url)
    return {
        "broker_url": broker_url,
        **tls,
        "broker_transport_options": transport if redis else rabbitmq.OPTIONS,
        "broker_connection_timeout": rabbitmq.CONNECT_S,  # Redis has its own
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_pool_acquire_timeout": 5,
        "task_publish_retry_policy": {
            "max_retries": 3 if redis else 1,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
        },
        # Early ack: the ledger re-drives what did not commit. With late acks a worker exits whenever Redis drops, with
        # early ones seldom; the supervisor then starts it again.
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_create_missing_queues": False,
        "task_queues": [
            Queue(
                name,
                Exchange(name),
                routing_key=name,
                no_ack=redis and name == WITHOUT_ACK,
                queue_arguments=None if redis else rabbitmq.QUORUM,
            )
            for name in QUEUES
        ],
        "task_default_queue": "maintenance",
        "task_routes": ROUTES,
        "task_time_limit": 60,
        "task_soft_time_limit": 45,
        # msgpack keeps a batch as the bytes it came in; JSON would base64 it once more.
        "task_serializer": "msgpack",
        "accept_content": ["msgpack", "json"],
        "result_accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_soft_shutdown_timeout": 30,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_max_tasks_per_child": 20_000,
        "worker_max_memory_per_child": 300_000,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        # Celery's Django fixup reads it under this very name; without it every task connects to the database anew, and
        # with a number it keeps a lost connection until so many tasks failed. `marketdata.connections.Task` sees to
        # connections, so the fixup never closes one.
        "CELERY_DB_REUSE_MAX": sys.maxsize,
        "timezone": "Asia/Seoul",
        "enable_utc": True,
        "beat_schedule": TIMETABLE,
        "beat_scheduler": "marketdata.beat:Scheduler",
        "beat_max_loop_interval": 5,
    }


# Imported by whoever connects. By alias: naming the class in the settings would lose what `rediss://` says of TLS.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "marketdata.realtime.broker:Transport"))
TRANSPORT_ALIASES["sentinel"] = "marketdata.realtime.broker:SentinelTransport"
worker_process_shutdown.connect(lambda **_: spans.close(), weak=False)  # of Celery's own pool, past atexit
app = Celery("naru", task_cls="marketdata.connections:Task")
app.steps["worker"].add("marketdata.realtime.worker_pool:Alive")  # imported by workers alone, this one and the next
app.steps["worker"].add("marketdata.monitoring.worker:Metrics")
app.conf.update(broker_settings(settings.BROKER_URL))
app.autodiscover_tasks(["marketdata", "ingest", "ingest.requeue", "analytics"])
