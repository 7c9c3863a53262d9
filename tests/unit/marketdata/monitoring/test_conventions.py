"""Names that whoever writes a query can guess: base units, counters in `_total`, few labels with few values."""

import re
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.metrics import MetricWrapperBase

from marketdata import metrics
from marketdata.monitoring import figures

COUNTED: dict[str, Any] = {
    one._name + ("_total" if one._type == "counter" else ""): one
    for one in vars(metrics).values()
    if isinstance(one, MetricWrapperBase)
}
LABELS = {
    # what bounds them
    "by": "hours and day",
    "client": "clients are registered, and INGEST_MAX_CLIENTS are connected at most",
    "code": "written in the code",
    "coverage": "written in the code",
    "feed": "quota of feeds",
    "job": "written in the code",
    "kind": "written in the code",
    "outcome": "written in the code",
    "part": "written in the code",
    "place": "written in the code",
    "program": "marketdata/launcher/supervisor.py",
    "queue": "celery_app.QUEUES",
    "quota": "written in the code",
    "reason": "written in the code",
    "redis": "live state and broker",
    "source": "table `source`",
    "status": "five hundreds",
    "table": "marketdata/storage/tables.py",
    "task": "celery_app.ROUTES",
    "topic": "fanout/messages.py, TOPICS",
    "version": "one a process",
}
NOT_BASE = re.compile(r"_(ms|milliseconds|microseconds|us|ns|minutes|hours|days|kib|mib|gib|kb|mb|gb|percent|pct)(_|$)")
MEASURES = ("seconds", "bytes")
NAMES = [*COUNTED, *figures.ALL]


def labels_of(name):
    return COUNTED[name]._labelnames if name in COUNTED else figures.ALL[name].labels


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_named_by_the_convention(name):
    known_everywhere = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                        "process_max_fds", "process_start_time_seconds")  # fmt: skip

    assert re.fullmatch(r"naru(_[a-z0-9]+)+", name) or name in known_everywhere
    assert not NOT_BASE.search(name)
    for measure in MEASURES:  # a unit stands at the end, before _total
        assert not re.search(rf"_{measure}_(?!total$)", name) or name.startswith("process_")


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_says_what_it_is(name):
    help_text = COUNTED[name]._documentation if name in COUNTED else figures.ALL[name].help

    assert len(help_text) > 10
    assert not help_text.endswith(".")
    assert "\n" not in help_text


@pytest.mark.parametrize("name", NAMES)
def test_the_labels_of_a_metric_are_few_and_bounded(name):
    labels = labels_of(name)

    assert len(labels) <= 2
    assert set(labels) <= set(LABELS)


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_counted_survives_the_process_or_says_that_it_lives(name):
    one = COUNTED[name]

    if one._type == "counter":
        assert name.endswith("_total")
    elif one._type == "histogram":
        assert name.endswith("_seconds")
        assert list(one._upper_bounds) == sorted(one._upper_bounds)
        assert len(one._upper_bounds) <= 16
    else:
        assert one._type == "gauge"
        assert not name.endswith("_total")
        # No others can be folded when a process has ended (monitoring/sample_files.py).
        assert one._multiprocess_mode in ("livesum", "livemax", "livemostrecent", "mostrecent")


def test_each_metric_is_explained_where_operators_look():
    page = (Path(__file__).resolve().parents[4] / "docs/operations.md").read_text(encoding="utf-8")

    assert [name for name in NAMES if name.startswith("naru_") and f"`{name}" not in page] == []


def test_no_name_is_given_twice():
    assert len(NAMES) == len(set(NAMES))
    assert not {one._name for one in COUNTED.values()} & {name.removesuffix("_total") for name in figures.ALL}


def test_every_metric_of_prometheus_client_s_register_is_one_of_ours():
    """Whoever makes one elsewhere puts it where the others are."""
    ours = {metric.name for metric in prometheus_client.REGISTRY.collect() if metric.name.startswith("naru_")}

    assert ours <= {one._name for one in COUNTED.values()} | {"naru_kis"}
