from collections import defaultdict
from types import SimpleNamespace

import pytest

from tests.bench.calibration import Calibration
from tests.soak import report
from tests.soak.samples import Life

SECONDS, EVERY, WARM = 3_600.0, 10.0, 600.0


def seen(per_h, *, begin=0.0, end=SECONDS, base=100.0):
    return [(at, base + per_h * at / 3_600) for at in (begin + EVERY * n for n in range(int((end - begin) / EVERY)))]


def life(program, samples):
    return Life(program, samples[0][0], rss_mib=samples)


def watched(program, rss, lives):
    programs = {
        program: {"rss_mib": rss, "fds": seen(0, base=20), "threads": seen(0, base=4), "cpu_s": seen(36.0, base=0)}
    }
    return SimpleNamespace(
        programs=programs, lives=dict(enumerate(lives)), numbers=defaultdict(list, redis_used_mib=seen(0.5))
    )


def test_a_program_that_grows_is_told_with_what_it_grows():
    found = report.growths(watched("web", seen(2.5), [life("web", seen(2.5))]), warm_s=WARM, seconds=SECONDS)

    assert [one.program for one in found] == ["web"]
    assert found[0].mib_per_h == pytest.approx(2.5)
    assert found[0].cpu_percent == pytest.approx(1.0)
    assert found[0].first_mib == pytest.approx(100.5, abs=0.2)
    assert found[0].last_mib == pytest.approx(102.4, abs=0.2)


def test_a_child_that_is_replaced_hides_no_leak():
    first, second = seen(4.0, end=1_800.0), seen(4.0, begin=1_800.0, base=98.0)
    together = first + second

    found = report.growths(
        watched("worker", together, [life("worker", first), life("worker", second)]), warm_s=WARM, seconds=SECONDS
    )

    assert found[0].mib_per_h == pytest.approx(4.0)
    assert found[0].replaced == 1


def soaked(watch):
    calm = Calibration(30, 40, 0.1)
    return report.Soak(
        machine="m", began="b", database="mariadb", minutes=60, warm_minutes=10, asked_per_s=50, rows=1, rows_per_s=1,
        requests=1, messages=1, connections=1, before=calm, after=calm,
        programs=report.growths(watch, warm_s=WARM, seconds=SECONDS), numbers=report.numbers(watch, warm_s=WARM),
        mib_by_minute=report.by_minute(watch),
    )  # fmt: skip


def test_whatever_grows_is_named():
    watch = watched("web", seen(2.5), [life("web", seen(2.5))])
    watch.numbers["database_connections"] = [(at, 10.0 if at < 3_000 else 40.0) for at, _ in seen(0)]

    soak = soaked(watch)

    assert soak.grows() == ["web: 2.50 MiB/h", "database_connections: 10 to 40"]
    assert len(soak.mib_by_minute["web"]) == 60


def test_a_database_that_says_what_it_has_allocated_is_judged_by_that():
    watch = watched("mariadb", seen(40.0), [life("mariadb", seen(40.0))])
    assert soaked(watch).grows() == ["mariadb: 40.00 MiB/h"]

    watch.numbers[report.ALLOCATED] = seen(0.2)
    assert soaked(watch).grows() == []

    watch.numbers[report.ALLOCATED] = seen(3.0)
    assert soaked(watch).grows() == ["database_used_mib: 3.00 MiB/h"]

    watch = watched("mariadb", seen(70.0), [life("mariadb", seen(70.0))])
    watch.numbers[report.ALLOCATED] = seen(0.2)
    assert soaked(watch).grows() == ["mariadb: 70.00 MiB/h"]
