import datetime
from xml.etree import ElementTree

import pytest

from tests.bench import picture
from tests.bench.api import __main__ as bench_api
from tests.bench.api import cases, measure, page
from tests.bench.api.measure import Cost, FanOut, Measured, Rate
from tests.bench.calibration import Calibration


def cost(case, cpu):
    return Cost(case.name, cpu, cpu - 0.5, cpu + 0.5, cpu + 1.25, cpu + 7.75, 142_000, 200)


@pytest.fixture
def whole():
    found = [
        Measured(database, [cost(case, start + place) for place, case in enumerate(cases.CASES)])
        for database, start in zip(bench_api.DATABASES, (2.11, 3.22, 4.33), strict=True)
    ]
    found[0].rates = [
        Rate(server, processes, clients, 100.0 * processes * clients, 5.5, 9.5, 3.5, 0.25)
        for server, processes in ((measure.DAPHNE, 1), (measure.DAPHNE, 2), (measure.OTHER, 1))
        for clients in measure.CLIENTS
    ]
    found[0].fan_out = [
        FanOut(measure.DAPHNE, 1, 50, 10_000, 300_000.0, 3.25),
        FanOut(measure.DAPHNE, 1, 200, 10_000, 400_000.0, 2.25),
        FanOut(measure.OTHER, 1, 200, 10_000, 500_000.0, 1.25),
    ]
    before, after = Calibration(100, 150, 0.2), Calibration(110, 160, 1.9)
    return page.Whole("2026-11-27 07:00 UTC", 3.0, 4.0, before, after, found, {"uvicorn": "0.54.0"})


def test_the_page_has_every_figure_of_a_run(whole):
    text = page.text(whole)

    assert "| 1,000 candles of 1Min | 29 | ≤ 3.0 | **2.11** | **3.22** | **4.33** |" in text
    assert "| 9 candles of 1Day | 130 | ≤ 43.3 | **6.11** |" in text
    assert "| MariaDB | 1,000 trades | 9.22 (8.72 to 9.72) | 10.47 | 16.97 | 142 | 200 |" in text
    assert "| Daphne | 2 | 16 | 3,200 | 5.5 | 9.5 | 3.50 | 0.25 |" in text
    assert "and uvicorn 0.54.0." in text
    assert "| uvicorn | 1 | 200 | 10,000 | 500,000 | 1.25 |" in text
    assert "took 250 ms before" in text


def test_the_picture_is_svg_with_a_bar_for_each_figure(whole):
    drawn = picture.draw(page.panels(whole), caption=page.caption(whole))

    bars = [one for one in ElementTree.fromstring(drawn).iter() if one.get("class") in ("ours", "other")]
    assert len(bars) == 3 * len(cases.CASES) + 9 + 3


def test_the_last_line_tells_what_one_web_process_of_the_product_does(whole):
    told = bench_api.summary(whole)

    assert told["bars_1000_ms_p50"] == 2.11
    assert told["trades_1000_ms_p50"] == 8.11
    assert told["rps"] == {"1": 100, "4": 400, "16": 1600}
    assert told["ws_fanout_per_s"] == 400_000


def test_a_request_that_was_never_asked_before_is_another_each_time():
    for case in cases.CASES:
        paths = {case.path(datetime.date(2026, 3, 16), number) for number in range(3)}

        assert len(paths) == (3 if case.cold else 1)
