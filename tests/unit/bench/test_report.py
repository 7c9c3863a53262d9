import re
from xml.etree import ElementTree

import msgspec
import pytest

from tests.bench import picture, report
from tests.bench.calibration import Calibration
from tests.bench.candles import Candles, Case
from tests.bench.latency import Beside, Latency
from tests.bench.peers import Measured, Peers, Turn
from tests.bench.rest import BARS, Cost, Requests
from tests.bench.results import Results
from tests.bench.throughput import Round, Throughput
from tests.bench.waiting import Waits

KINDS = ("terminals", "ingest", "worker", "web", "database", "redis")
SVG = "{http://www.w3.org/2000/svg}"


def costs(database, *values):
    return {database if kind == "database" else kind: value for kind, value in zip(KINDS, values, strict=True)}


def road(database, *committed):
    rounds = [
        Round(100_000.0, 8.0, per_s, 900_000, 900_000, 500.0, costs(database, 1.0, 2.0, 5.0, 0.0, 8.0, 1.0))
        for per_s in committed
    ]
    return Throughput(database, 20.0, 2, rounds, {database: "9.9"})


def small(database, p50):
    cost = costs(database, 10.0, 30.0, 40.0, 10.0, 20.0, 5.0)
    return Latency(database, p50, 79.5, 130.25, 50_000, 65_000, 5_000, 510.0, cost, 2, {database: "9.9"})


def way(name, size, into, per_s, *, ours=False):
    return Measured(name, into, ours, size, [Turn(per_s, 7.0, 8.0, 20_000), Turn(per_s * 2, 7.5, 8.5, 20_000)])


@pytest.fixture
def results():
    return Results(
        machine="2 cores (a processor), 24 GiB, a system",
        began="2026-11-27 07:00 UTC",
        minutes=9.0,
        before=Calibration(100.0, 150.0, 0.2),
        after=Calibration(110.0, 160.0, 1.9),
        packages={"celery": "5.7.0"},
        waiting=Waits(0.5, {"help": [(1.5, 0.7), (1.7, 0.8)]}, 4.2, 9.5, 3.1),
        mariadb=road("mariadb", 80_000.0, 90_000.0, 110_000.0),
        mariadb_small=small("mariadb", 24.5),
        postgresql=road("postgresql", 70_000.0),
        postgresql_small=small("postgresql", 33.0),
        mariadb_books=Beside("mariadb", 500, [(small("mariadb", 24.5), small("mariadb", 26.25))], 5_000, 5_000),
        peers=Peers(
            [
                way("Django bulk_create", 1_000, "MariaDB", 6_000.0),
                way("asyncpg COPY", 1_000, "PostgreSQL", 40_000.0),
                way("Naru, LOAD DATA", 5_000, "MariaDB", 90_000.0, ours=True),
            ],
            {"QuestDB": "its server is nowhere to be had"},
            {"asyncpg": "0.32.0"},
        ),
        candles=Candles([Case(20, "shuffled", 20_000, [60.0, 66.0, 63.0], [126.0, 120.0, 130.0])], 1_000_000, "2.1.0"),
        rest=Requests("sqlite", 200, [Cost(BARS, "here", 8.35, 8.0, 9.5), Cost("1 candle", "here", 3.0, 2.5, 4.0)]),
        mariadb_rest=Requests("mariadb", 200, [Cost(BARS, "here", 9.25, 9.0, 11.0)]),
    )


def test_the_budget_compares_medians(results):
    lines = {work: here for work, _, here in report.budget(results)}

    assert lines["MariaDB: committed ticks/s through the whole road, against LOAD DATA alone"] == (
        "**0.90 ×** (90,000 against 100,000)"
    )
    assert lines["PostgreSQL: committed ticks/s through the whole road, against COPY alone"] == (
        "**0.70 ×** (70,000 against 100,000)"
    )
    assert lines["candles of 1,000,000 ticks, against polars"] == "**0.50 ×**, the worst case"
    assert lines["MariaDB: the same with 500 order books/s beside them"] == (
        "**p50 26.25 ms, p99 79.5 ms**, the worst turn"
    )
    assert lines["SQLite: 1,000 bars by REST, CPU"] == "**8.3 ms**"
    assert lines["the whole road on MariaDB against Django bulk_create 1,000 alone"] == (
        "**10.0 ×** (90,000 against 9,000)"
    )


def test_the_terminals_are_shown_but_no_part_of_what_a_tick_costs(results):
    text = report.cpu(results)

    assert "| MariaDB, batches of 1,000 | 1.0 | 2.0 | 5.0 | 0.0 | 8.0 | 1.0 | 16.0 |" in text
    assert "| PostgreSQL, batches of 12 at 5,000 ticks/s | 10 | 30 | 40 | 10 | 20 | 5 | 105 |" in text
    assert "LOAD DATA alone costs MariaDB 8.0 us a row." in text


def test_the_page_has_every_part_its_hour_and_its_calibration(results):
    text = report.page(results)

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Which machine-hour this was",
        "Committed ticks a second, MariaDB",
        "Committed ticks a second, PostgreSQL",
        "CPU per tick by process",
        "From a terminal to a browser",
        "Order books beside ticks, MariaDB",
        "The same rows stored by others",
        "Candles",
        "What a request by REST costs",
        "What a person waits for",
    ]
    assert "Begun 2026-11-27 07:00 UTC, 9 minutes" in text
    assert "| before | 100 ms | 150 ms | 250 ms | 0.2 |" in text
    assert "| after | 110 ms | 160 ms | 270 ms | 1.9 |" in text
    assert "Left out: QuestDB, its server is nowhere to be had." in text
    assert "asyncpg 0.32.0" in text
    assert "polars 2.1.0" in text
    assert "| SQLite | 1 candle | 3.00 (2.50 to 4.00) |" in text
    assert "| MariaDB | 1,000 candles | 9.25 (9.00 to 11.00) |" in text
    assert "Not measured" not in text


def test_every_table_of_the_page_has_as_many_cells_in_each_row(results):
    tables = re.findall(r"(?:^\|.*\|$\n?)+", report.page(results), re.MULTILINE)

    assert len(tables) == 11
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_a_part_that_failed_is_named_and_left_out(results):
    results.mariadb = results.mariadb_small = results.peers = results.candles = results.waiting = None
    results.mariadb_rest = results.mariadb_books = None
    results.failed = {"peers": "ended with status 1"}

    text = report.page(results)

    assert "**Not measured: peers: ended with status 1**" in text
    assert "The same rows stored by others" not in text
    assert "MariaDB" not in text.replace("MariaDB 9.9", "")
    assert "PostgreSQL" in text


def test_a_run_in_which_everything_failed_makes_a_page_and_an_empty_picture(results):
    for name in (
        "waiting",
        "mariadb",
        "mariadb_small",
        "postgresql",
        "postgresql_small",
        "peers",
        "candles",
        "rest",
        "mariadb_rest",
        "mariadb_books",
    ):
        setattr(results, name, None)
    results.failed = {"mariadb": "ended with status 1"}

    assert "Not measured: mariadb" in report.page(results)
    assert picture.draw(picture.panels(results), caption="").count("<rect") == 1


def number(shape, name):
    return float(shape.get(name, "0"))


def drawn(results):
    return ElementTree.fromstring(picture.draw(picture.panels(results), caption=report.caption(results)))


def test_the_picture_has_titles_units_a_figure_at_each_bar_and_the_hour(results):
    texts = [text.text for text in drawn(results).iter(f"{SVG}text")]

    for wanted in (
        "Committed ticks, batches of 1,000",
        "a second, median of the rounds; more is better",
        "90,000",
        "CPU by process, batches of 12 at 5,000 ticks a second",
        "microseconds a tick, without the terminals; less is better",
        "milliseconds; less is better",
        "worker",
        "asyncpg COPY 1,000",
        "60,000",
    ):
        assert wanted in texts
    assert any("2026-11-27 07:00 UTC" in text and "calibration 250 ms" in text for text in texts)


def test_bars_are_as_long_as_their_figures_and_stay_within_the_picture():
    bars = [picture.Bar("long", 200.0, "200"), picture.Bar("pieces", 100.0, "100", pieces=[75.0, 25.0])]

    root = ElementTree.fromstring(picture.draw([picture.Panel("t", "u", bars, ["a", "b"])], caption="c"))

    ground, long, first, second, *_ = root.iter(f"{SVG}rect")
    assert number(first, "width") == pytest.approx(number(long, "width") * 0.375, abs=0.1)
    assert number(second, "x") == pytest.approx(number(first, "x") + number(first, "width"), abs=0.1)
    assert number(long, "x") + number(long, "width") < number(ground, "width")
    assert number(ground, "height") == number(root, "height")


def test_everything_drawn_lies_within_the_picture(results):
    root = drawn(results)
    height, width = number(root, "height"), number(root, "width")

    for shape in root.iter():
        if shape.tag in (f"{SVG}rect", f"{SVG}text"):
            assert 0 <= number(shape, "y") <= height
            assert 0 <= number(shape, "x") <= width


def test_the_picture_brings_its_ground_and_colours_for_light_and_dark(results):
    text = picture.draw(picture.panels(results), caption="")
    light, dark = text.split("@media (prefers-color-scheme: dark)")

    for name in (".ground", "text {", ".ours", ".other", ".faint", ".p0", ".p5"):
        assert name in light
        assert name in dark.split("</style>")[0]


def test_names_are_escaped_in_the_picture():
    bar = picture.Bar("<a & b>", 1.0, "1")

    root = ElementTree.fromstring(picture.draw([picture.Panel("t", "u", [bar])], caption='"&"'))

    assert "<a & b>" in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["waiting", "mariadb", "mariadb_small", "peers", "candles", "rest"])
def test_what_a_part_found_is_the_same_after_its_way_through_json(results, name):
    found = getattr(results, name)

    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
