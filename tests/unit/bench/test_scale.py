import argparse
import dataclasses
import json
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from tests.bench import calibration, picture
from tests.bench.calibration import Calibration
from tests.bench.scale import __main__ as bench
from tests.bench.scale import capacity, figures, history, page, roads, sockets, symbols
from tests.bench.scale.history import History, Point, Read
from tests.soak.report import Growth, Soak


def cpu(small):
    return {"terminals": 9.0, "ingest": small / 2, "worker": small / 2}


def point(rows, slower):
    return Point(
        rows=rows, days=rows // history.DAY_ROWS, reads=[Read("the newest trades", 2.0 * slower, 3.0, 4.0, 500.0)],
        committed_per_s=300_000.0, cpu_us=cpu(5.0 * slower), p50=18.0, p99=30.0, small_cpu_us=cpu(100.0),
        bytes={"market_data_tick": 44 * rows, "ingest_batch": rows // 10, "ingest_batch_day": rows // 20,
               "market_data_minute": 20 * rows, "market_data": rows // 100},
        rows_of={"market_data_tick": rows, "ingest_batch": rows // 1_000, "ingest_batch_day": rows // 1_000,
                 "market_data_minute": rows // 10, "market_data": rows // 1_000},
    )  # fmt: skip


@pytest.fixture
def whole():
    return figures.Scale(
        machine="2 cores, 24 GiB", database="mariadb", began="2026-11-28 13:55 UTC", minutes=7.5, seconds=4.0,
        before=Calibration(30, 40, 0.1), after=Calibration(31, 41, 0.2), packages={"django": "5.2.19"},
        roads=[
            roads.Road(workers, servers, 100_000.0 * workers, cpu(4.0 + 1.2), 400.0, 18.0, 30.0, cpu(104.0))
            for servers in roads.INGEST_SERVERS
            for workers in roads.WORKERS
        ],
        sockets=[
            sockets.Sockets(number, each, 18.0 + 1_000 * (number * each > 10_000), 30.0 + number / 50,
                            5.0 * number * each, 2.0, 120.0, 5.0 + number * each / 400, 5.0 if number else 0.0,
                            150.0 + number / 8, number * each / 200)
            for number, each in sockets.SOCKETS
        ],
        symbols=[
            symbols.Symbols(number, 18.0, 31.0, cpu(150.0 + number / 100), 300_000.0, cpu(6.0),
                            {"naru:feed": 9_000_000, "naru:stats": 1_000 * number}, 90.0)
            for number in symbols.SYMBOLS
        ],
        history=History(
            "mariadb", 1024, 250_000.0, [point(1_000_000, 1.0), point(10_000_000, 1.08), point(1_000_000, 1.0)]
        ),
    )  # fmt: skip


def test_the_page_has_every_figure_of_a_run(whole):
    text = page.text(whole, None, None)

    assert "| 2 | 4 | 400,000 | 5.2 | 18.0 | 30.0 | 104 |" in text
    assert "| 1,000 | 20 | 100,000 | 1018.0 | 50.0 | 55 | 5.0 | 2.0 | 120 | 275 | 100 |" in text
    assert "| 4,000 | 18.0 | 31.0 | 190 | 0 | 300,000 | 6.0 | 4,000 | 90 |" in text
    assert "| the newest trades, ms | 2.00 | 2.16 | 2.00 | 1.08 |" in text
    assert "| storing, batches of 1,000, us a tick | 5.0 | 5.4 | 5.0 | 1.08 |" in text


def test_the_largest_history_is_told_beside_the_one_of_the_run(whole):
    longest = dataclasses.replace(
        whole.history, points=[point(1_000_000, 1.0), point(50_000_000, 1.2), point(1_000_000, 1.0)]
    )

    assert "### 50,000,000 rows" in page.text(whole, longest, None)
    assert longest.slower()["the newest trades"] == 1.2


def test_the_smallest_history_counts_as_it_was_before_and_after(whole):
    drifting = dataclasses.replace(
        whole.history, points=[point(1_000_000, 1.0), point(10_000_000, 1.5), point(1_000_000, 2.0)]
    )

    assert drifting.slower()["the newest trades"] == 1.0


def test_the_picture_is_svg_with_a_bar_for_each_figure(whole):
    drawn = picture.draw(page.panels(whole), caption=page.caption(whole))

    bars = [one for one in ElementTree.fromstring(drawn).iter() if one.get("class") in ("ours", "other")]
    assert len(bars) == 6 + (len(sockets.SOCKETS) - 1) + 3  # not the one whose ticks wait in a queue


def test_the_last_line_tells_what_was_slower(whole):
    told: dict[str, Any] = page.summary(whole)

    assert told["ticks_per_s"]["1x2"] == 200_000
    assert told["slower"] == {"the newest trades": 1.08, history.WRITE_FAST: 1.08, history.WRITE_SMALL: 1.0}


def test_a_batch_and_a_tick_cost_what_two_sizes_of_batches_told(whole):
    made = capacity.model(whole)

    assert made.cost_us(12) == pytest.approx(104.0)
    assert made.cost_us(1_000) == pytest.approx(5.2)
    assert made.us_a_symbol_s == pytest.approx(50.0)  # 1 us a tick for 100 symbols, at 5,000 ticks a second
    assert made.redis_bytes_a_symbol == pytest.approx(1_000.0)
    assert made.disk_bytes["market_data_tick"] == pytest.approx(44.0)


def test_a_symbol_that_costs_less_than_can_be_told_makes_nothing_cheaper(whole):
    least = whole.symbols[0]
    noise = dataclasses.replace(least, small_cpu_us=cpu(roads.cost(least.small_cpu_us) + 90.0))
    whole = dataclasses.replace(whole, symbols=[noise, *whole.symbols[1:]])

    assert capacity.model(whole).us_a_symbol_s == 0.0
    assert capacity.model(whole).us_a_s == pytest.approx((153.0 + 90.0 - 104.0) * 5_000)  # the dearer
    assert "-0" not in capacity.text(whole, None, None)


def test_what_is_slower_than_it_may_be_is_named_below_the_table(whole):
    assert "More than 110%" not in page.text(whole, None, None)
    slow = dataclasses.replace(whole, history=History(
        "mariadb", 1024, 250_000.0, [point(1_000_000, 1.0), point(10_000_000, 1.2), point(1_000_000, 1.0)]
    ))  # fmt: skip

    text = page.text(slow, None, None)
    assert "More than 110%: the newest trades" in text
    assert "| the newest trades, ms | 2.00 | 2.40 | 2.00 | **1.20, missed** |" in text
    assert page.summary(slow)["missed"] == {"the newest trades": 1.2, history.WRITE_FAST: 1.2}


@pytest.mark.parametrize(("slower", "status"), [(1.08, 0), (1.2, 1)])
def test_a_run_that_misses_what_it_must_keep_ends_with_status_1(whole, slower, status, tmp_path, monkeypatch, capsys):
    found = dataclasses.replace(whole.history, points=[
        point(1_000_000, 1.0), point(10_000_000, slower), point(1_000_000, 1.0)
    ])  # fmt: skip
    written: list[figures.Scale] = []
    monkeypatch.setattr(figures, "write", written.append)
    monkeypatch.setattr(page, "write", written.append)
    monkeypatch.setattr(calibration, "measure", lambda: Calibration(30, 40, 0.1))
    monkeypatch.setattr(bench, "PARTS", {"history": bench.PARTS["history"]})
    (tmp_path / "history.json").write_bytes(msgspec.json.encode(found))
    given = argparse.Namespace(keep=tmp_path, seconds=4.0, history=10_000_000, database="mariadb")

    ended = bench._all(given)

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert ended == status
    assert list(last["missed"]) == ["the newest trades", history.WRITE_FAST] * status
    assert len(written) == 2


@pytest.mark.parametrize(("slower", "status"), [(1.08, 0), (1.2, 1)])
def test_the_part_of_history_alone_says_at_last_what_it_missed(whole, slower, status, monkeypatch, capsys):
    found = dataclasses.replace(whole.history, points=[
        point(1_000_000, 1.0), point(10_000_000, slower), point(1_000_000, 1.0)
    ])  # fmt: skip
    monkeypatch.setattr(bench, "PARTS", {"history": bench.Part("rows", lambda _given: found, History)})

    assert bench._one(argparse.Namespace(only="history", into=None)) == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert ("missed" in last) == bool(status)


def grown(program, cpu_percent, mib):
    return Growth(program, 1, 0, mib, mib, 0.0, 0.0, (1.0, 1.0), (1.0, 1.0), cpu_percent)


@pytest.fixture
def soak():
    quiet = Calibration(30, 40, 0.1)
    return Soak(
        machine="2 cores, 24 GiB", began="2026-11-28 13:55 UTC", database="mariadb", minutes=60.0, warm_minutes=30.0,
        asked_per_s=50, rows=330_000, rows_per_s=92.0, requests=1_000, messages=36_000, connections=10, before=quiet,
        after=quiet, programs=[
            grown("ingest", 5.0, 100.0), grown("worker", 20.0, 300.0), grown("worker-alerts", 1.0, 200.0),
            grown("mariadb", 3.0, 300.0), grown("market", 6.0, 30.0),
        ], numbers=[], mib_by_minute={},
    )  # fmt: skip


def test_upkeep_is_what_small_batches_cost_beyond_those_without_it(whole):
    made = capacity.model(whole)

    # 300 symbols cost 153 us a tick with upkeep, 4,000 cost 190 and all without it 104, at 5,000 ticks a second
    assert made.upkeep_cores(300) == pytest.approx((153.0 - 104.0) * 5_000 / 1e6)
    assert made.upkeep_cores(4_000) == pytest.approx((190.0 - 104.0) * 5_000 / 1e6)
    assert made.cores(5_000, 12, 4_000) == pytest.approx(190.0 * 5_000 / 1e6)


def test_what_is_to_be_bought_has_upkeep_in_it(whole, soak):
    text = capacity.text(whole, None, soak, capacity.Day(books_per_s=0))

    assert "| upkeep | 0.23 + 4,450 × 50 us | 0.45 |" in text
    assert "| alerts, backups, hourly upkeep, launcher, as in the soak | 92 rows/s | 0.01 |" in text
    assert "| **together** | | **0.60** |" in text  # 0.08 to store, 0.06 for frames
    assert "(2 × 0.60, rounded up" in text


@pytest.mark.skipif(not figures.FILE.exists(), reason="nothing was measured yet")
def test_no_fewer_cores_are_bought_than_the_same_pace_took_with_all_upkeep():
    kept = figures.read()

    measured = max(roads.cost(one.small_cpu_us) for one in kept.symbols) * 5_000 / 1e6
    counted = capacity.model(kept).cores(5_000, 12, kept.symbols[-1].symbols)
    assert counted >= 0.95 * measured


def test_points_that_the_model_was_not_made_of_are_counted_from_it(whole, soak):
    found = {one.what: (one.counted, one.measured) for one in capacity.checks(whole, None, soak)}

    with_upkeep = (
        "cores with all upkeep, 1,000 symbols, 5,000 ticks/s in batches of 12 (from 300 and 4,000 of the same part)"
    )
    assert found[with_upkeep] == pytest.approx((0.8, 0.8))
    full = "cores with all upkeep, 300 symbols, 300,000 ticks/s in batches of 1,000 (upkeep from batches of 12)"
    assert found[full] == pytest.approx((300_000 * 5.2 / 1e6 + 0.245, 1.8))
    of_soak = next(
        measured for what, (_, measured) in found.items() if what.startswith("cores of everything in the soak")
    )
    assert of_soak == pytest.approx(0.29 / capacity.slower_than(whole, soak))
    slow = dataclasses.replace(soak, before=dataclasses.replace(soak.before, processor_ms=2 * soak.before.processor_ms))
    assert capacity.slower_than(whole, slow) == 2 * capacity.slower_than(whole, soak)
    assert capacity.others_cores(whole, slow) == capacity.others_cores(whole, soak) / 2
    assert found["CPU a tick without upkeep, 4 workers, 1 ingest server, batches of 12, us"] == pytest.approx(
        (104, 104)
    )
    web = "web process, 1,000 sockets of {} symbols, % of a core (from 100 of 20)"
    assert found[web.format(2)] == pytest.approx((10.0, 10.0))
    assert found[web.format(20)] == pytest.approx((55.0, 55.0))
    assert found["market_data_tick beside 1 million trades, MB (from 10 million)"] == pytest.approx((44.0, 44.0))


def test_the_page_says_which_points_the_model_misses(whole):
    far = dataclasses.replace(whole.roads[0], small_cpu_us=cpu(150.0))
    whole = dataclasses.replace(whole, roads=[far, *whole.roads[1:]])

    missed = [one for one in capacity.checks(whole, None, None) if one.missed]
    text = capacity.text(whole, None, None)

    assert [one.what for one in missed] == ["CPU a tick without upkeep, 1 worker, 1 ingest server, batches of 12, us"]
    assert f"| {missed[0].what} | 104.00 | 150.00 | 0.69 | **missed**: not explained |" in text
    assert "of which it misses 1 by more than 20%" in text


def test_a_day_is_counted_from_the_model(whole):
    day = capacity.Day(trades=10_000_000, busiest_minute=0.03, rows_a_batch=100)

    text = capacity.text(whole, None, None, day)

    assert "10,000,000 × 3.0% / 60 = 5,000 ticks/s" in text
    assert "| to store and announce, batches of 100 | 5,000 ticks/s × (" in text
    assert "| market_data_tick | 440 |" in text


@pytest.mark.skipif(not figures.FILE.exists(), reason="nothing was measured yet")
def test_the_kept_pages_are_those_of_the_kept_figures():
    kept, longest = figures.read(), figures.longest()

    assert page.PAGE.read_text(encoding="utf-8") == page.text(kept, longest, figures.soak())
    assert capacity.PAGE.read_text(encoding="utf-8") == capacity.text(kept, longest, figures.soak())
