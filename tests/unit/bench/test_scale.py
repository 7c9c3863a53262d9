import dataclasses
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import picture
from tests.bench.calibration import Calibration
from tests.bench.scale import capacity, figures, history, page, roads, sockets, symbols
from tests.bench.scale.history import History, Point, Read


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
            symbols.Symbols(number, 18.0, 31.0, cpu(100.0 + number / 100), 300_000.0, cpu(5.0),
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
    assert "| 4,000 | 18.0 | 31.0 | 140 | 0 | 300,000 | 5.0 | 4,000 | 90 |" in text
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
    assert "-0" not in capacity.text(whole, None)


def test_what_is_slower_than_it_may_be_is_named_below_the_table(whole):
    assert "More than 110%" not in page.text(whole, None, None)
    slow = dataclasses.replace(whole, history=History(
        "mariadb", 1024, 250_000.0, [point(1_000_000, 1.0), point(10_000_000, 1.2), point(1_000_000, 1.0)]
    ))  # fmt: skip

    assert "More than 110%: the newest trades" in page.text(slow, None, None)


def test_points_that_the_model_was_not_made_of_are_counted_from_it(whole):
    found = {what: (counted, measured) for what, counted, measured in capacity.checks(whole, None)}

    assert found["CPU a tick with 1,000 symbols, us (from 300 and 4,000)"] == pytest.approx((110.0, 110.0))
    web = "web process, 1,000 sockets of {} symbols, % of a core (from 100 of 20)"
    assert found[web.format(2)] == pytest.approx((10.0, 10.0))
    assert found[web.format(20)] == pytest.approx((55.0, 55.0))
    assert found["market_data_tick beside 1 million trades, MB (from 10 million)"] == pytest.approx((44.0, 44.0))


def test_a_day_is_counted_from_the_model(whole):
    day = capacity.Day(trades=10_000_000, busiest_minute=0.03, rows_a_batch=100)

    text = capacity.text(whole, None, day)

    assert "10,000,000 × 3.0% / 60 = 5,000 ticks/s" in text
    assert "4,450 × 50 us = **0.22 cores**" in text
    assert "| market_data_tick | 440 |" in text


@pytest.mark.skipif(not figures.FILE.exists(), reason="nothing was measured yet")
def test_the_kept_pages_are_those_of_the_kept_figures():
    kept, longest = figures.read(), figures.longest()

    assert page.PAGE.read_text(encoding="utf-8") == page.text(kept, longest, figures.soak())
    assert capacity.PAGE.read_text(encoding="utf-8") == capacity.text(kept, longest)
