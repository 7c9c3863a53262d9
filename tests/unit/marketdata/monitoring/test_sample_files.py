"""Workers come and go; what they counted stays, and is counted once."""

import json
import subprocess
import sys

import pytest

from marketdata.monitoring import sample_files

COUNTS = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from prometheus_client import Counter, Gauge, Histogram
Counter("naru_test_rows_total", "Rows", ["kind"]).labels("a").inc(int(sys.argv[2]))
Histogram("naru_test_seconds", "Seconds", buckets=(1, 5)).observe(int(sys.argv[2]))
Gauge("naru_test_open", "Open", multiprocess_mode="livesum").set(7)
Gauge("naru_test_set", "Set", multiprocess_mode="mostrecent").set(int(sys.argv[2]))
Gauge("naru_alarms", "Of an older version", ["code"], multiprocess_mode="mostrecent").labels("redis_away").set(1)
print("counted", flush=True)
sys.stdin.read()
"""


def counting(folder, number):
    """A process that counted and lives on."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTS, str(folder), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"counted\n"
    return process


def end(process):
    process.kill()
    process.communicate()


def told(folder):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in sample_files.read(folder)
        for sample in metric.samples
    }


ROWS = ("naru_test_rows_total", ("kind", "a"))


def test_what_an_older_version_counted_and_this_one_looks_up_is_told_no_more(tmp_path):
    end(counting(tmp_path, 2))

    for _turn in range(2):  # as it was left, and added up
        names = {name for name, *_labels in told(tmp_path)}
        assert "naru_test_set" in names
        assert "naru_alarms" not in names


def test_what_a_killed_process_counted_stays_and_what_it_had_open_does_not(tmp_path):
    first = counting(tmp_path, 2)
    second = counting(tmp_path, 3)
    assert told(tmp_path)[ROWS] == 5
    assert told(tmp_path)["naru_test_open",] == 14

    end(first)

    after = told(tmp_path)
    assert after[ROWS] == 5
    assert after["naru_test_open",] == 7
    assert after["naru_test_seconds_count",] == 2
    assert after["naru_test_seconds_sum",] == 5
    assert after["naru_test_set",] == 3
    end(second)


def test_files_of_ended_processes_are_folded_into_one(tmp_path):
    for number in (1, 2, 4):
        end(counting(tmp_path, number))

    folded = [told(tmp_path) for _ in range(3)]

    assert folded[0] == folded[1] == folded[2]
    assert folded[0][ROWS] == 7
    assert folded[0]["naru_test_seconds_bucket", ("le", "1.0")] == 1
    assert folded[0]["naru_test_seconds_bucket", ("le", "+Inf")] == 3
    assert folded[0]["naru_test_set",] == 4
    assert sorted(path.name for path in tmp_path.glob("*.db")) == [
        "counter_gone.db", "gauge_mostrecent_gone.db", "histogram_gone.db",
    ]  # fmt: skip
    end(counting(tmp_path, 10))
    assert told(tmp_path)[ROWS] == 17


@pytest.mark.parametrize("done", range(4))
def test_a_fold_that_was_killed_is_finished_by_the_next(tmp_path, done):
    """At each step behind the journal: new sums in place or not, old files gone or not."""
    for number in (1, 2):
        end(counting(tmp_path, number))
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.db") if not path.name.startswith("gauge_live")}
    whole = told(tmp_path)
    kinds: dict[str, list[str]] = {}
    for name in kept:
        kinds.setdefault(name.rpartition("_")[0], []).append(name)
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folding.json").write_text(json.dumps(kinds))
    for kind in list(kinds)[done:]:
        (tmp_path / f"{kind}_gone.db").rename(tmp_path / f"{kind}_gone.db.next")
    for kind in list(kinds)[:done]:
        for name in kinds[kind][: done - 1]:
            (tmp_path / name).unlink()

    assert told(tmp_path) == whole
    assert not list(tmp_path.glob("*.next"))


def test_programs_of_a_machine_are_read_together(tmp_path):
    programs = [tmp_path / name for name in ("9401", "9402")]
    for number, folder in enumerate(programs, start=1):
        folder.mkdir()
        end(counting(folder, number))

    assert told(tmp_path)[ROWS] == 3
    assert [told(folder)[ROWS] for folder in programs] == [1, 2]
