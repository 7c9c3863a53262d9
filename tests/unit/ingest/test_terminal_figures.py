"""What is told of terminals that are connected, and not of what they have not said."""

from ingest.registry import Registry
from ingest.terminal_figures import TerminalFigures
from tests.unit.ingest.test_registry import member


def told(figures: TerminalFigures) -> dict[tuple[str, str], float]:
    samples = (sample for metric in figures.collect() for sample in metric.samples)
    return {(one.name, one.labels["client"]): one.value for one in samples}


def test_what_a_terminal_dropped_is_told_once_it_has_said_so_and_no_more_when_it_is_gone():
    figures, one = TerminalFigures(), member(Registry(), "one")
    name = ("naru_terminal_dropped_rows_total", "desk-1")

    figures.tell([one.describe()])
    before = told(figures)
    one.dropped = 7
    figures.tell([one.describe()])
    after = told(figures)
    figures.tell([])

    assert name not in before  # 0 would make an increase of what it says next
    assert after[name] == 7
    assert told(figures) == {}


def test_the_offset_of_a_clock_is_told_in_seconds_as_soon_as_it_is_known():
    figures, one = TerminalFigures(), member(Registry(), "one")
    name = ("naru_clock_offset_seconds", "desk-1")

    figures.tell([one.describe()])
    before = told(figures)
    one.clock.add(1_773_619_200_000_000, 1_773_619_202_500_000)
    figures.tell([one.describe()])

    assert name not in before
    assert told(figures)[name] == -2.5
