"""The simulation keeps its rate, goes on counting after a restart, and does not make up for lost time."""

from terminals import wire
from terminals.sources.simulate import Simulation


class FakePace:
    """Time passes only by waiting."""

    def __init__(self, step_s=None):
        self.time, self._step_s = 100.0, step_s

    def now(self):
        return self.time

    def now_us(self):
        return int(self.time * 1_000_000)

    def wait(self, seconds):
        self.time += seconds if self._step_s is None else self._step_s
        return True


def produced(simulation, pace, first_seq=1):
    return [row for rows in simulation.produce(pace, first_seq=first_seq) for row in rows]


def test_the_rate_is_kept():
    pace = FakePace()

    rows = produced(Simulation(rate=2000, trades=10_000), pace)

    assert sum(row["kind"] == wire.Kind.TRADE for row in rows) == 10_000
    assert 4.9 < pace.time - 100.0 < 5.1


def test_a_low_rate_is_kept_too():
    pace = FakePace()

    produced(Simulation(rate=3, trades=30), pace)

    assert 9.9 < pace.time - 100.0 < 10.1


def test_books_and_snapshots_keep_rates_of_their_own_and_the_market_opens_with_them():
    rows = produced(Simulation(rate=100, trades=1000, books_per_s=50, snapshots_per_s=7), FakePace())

    count = {kind: sum(row["kind"] == kind for row in rows) for kind in wire.Kind}
    assert count[wire.Kind.TRADE] == 1000
    assert 495 <= count[wire.Kind.BOOK] <= 505
    assert 68 <= count[wire.Kind.SNAPSHOT] <= 72
    assert [row["event"] for row in rows if row["kind"] == wire.Kind.STATUS][:1] == ["market_status"]
    for beside in (False, True):  # ticks are numbered by themselves: they leave in batches of their own
        numbers = [row["seq"] for row in rows if (row["kind"] in (wire.Kind.BOOK, wire.Kind.STATUS)) is beside]
        assert numbers == list(range(1, len(numbers) + 1))


def test_indices_are_told_at_a_rate_of_their_own_if_asked_for():
    plain, told = (produced(Simulation(rate=100, trades=1000, indices_per_s=per_s), FakePace()) for per_s in (0, 1))

    of_indices = [row for row in told if row["symbol"].startswith("SX")]
    assert 9 <= sum(row["symbol"] == "SX001" for row in of_indices) == len(of_indices) / 2 <= 10
    assert not any(row["symbol"].startswith("SX") for row in plain)
    assert [row["seq"] for row in told] == list(range(1, len(told) + 1))


def test_books_that_are_late_are_not_made_up_for():
    chunks = Simulation(rate=1, books_per_s=100).produce(FakePace(step_s=3600))

    for _ in range(3):
        assert sum(row["kind"] == wire.Kind.BOOK for row in next(chunks)) <= 50


def test_event_times_are_those_of_now():
    rows = produced(Simulation(rate=1000, trades=100), FakePace())

    assert all(100_000_000 <= row["time_us"] <= 100_200_000 for row in rows)


def test_a_market_that_slept_an_hour_does_not_make_up_for_it():
    chunks = Simulation(rate=1000).produce(FakePace(step_s=3600))

    assert all(500 <= len(next(chunks)) <= 1000 for _ in range(3))


def test_a_restart_goes_on_counting():
    rows = produced(Simulation(rate=1000, trades=10), FakePace(), first_seq=4321)

    assert rows[0]["seq"] == 4321


def test_the_log_says_loudly_that_nothing_is_real():
    assert "SIMULATED" in Simulation().describe()
    assert "SIMULATED" in Simulation().describe()
