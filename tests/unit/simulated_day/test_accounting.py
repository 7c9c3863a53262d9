"""The simulated day's accounts: what counts as explained, and what does not."""

from collections import Counter
from typing import Any

import pytest

from tests.simulated_day import accounting, day
from tests.simulated_day.accounting import Stored
from tests.simulators.kis import script

ACCOUNT = {
    "sent": {"H0STCNT0 005930": 3, "H0NXCNT0 005930": 1, "HDFSCNT0 DNASAAPL": 9},
    "last_volume": {"H0STCNT0 005930": {"20261120": 100, "20261123": 20}, "H0NXCNT0 005930": {"20261120": 7}},
    "withheld_shares": {"H0STCNT0 005930": 30},
    "expected": 2,
    "books": 4,
    "rest": {"books": 1},
}
KRX, NXT = ("krx", "005930"), ("nxt", "005930")
ROWS = {"trade": 4, "expected": 2, "book": 5, "snapshot": 8}


def stored(**other: Any) -> Stored:
    whole: dict[str, Any] = {
        "kinds": dict(ROWS),
        "trades": {KRX: 3, NXT: 1},
        "shares": {KRX: 90, NXT: 7},
        "gap_shares": {KRX: 30},
        "dead_letters": 0,
    }
    return Stored(**whole | other)


def judged(**other):
    return accounting.judge(accounting.told(ACCOUNT), stored(**other), ROWS)


def test_what_was_sent_is_read_by_feed_and_symbol():
    told = accounting.told(ACCOUNT)

    assert told.sent == {KRX: 3, NXT: 1}
    assert told.volumes == {KRX: 120, NXT: 7}
    assert told.lost_shares == 30


def test_a_day_with_every_share_in_its_place_has_nothing_unexplained():
    assert judged().unexplained == 0
    assert accounting.shares_are_there(accounting.told(ACCOUNT), stored())


def test_shares_of_a_refused_trade_are_explained():
    verdict = judged(
        kinds=ROWS | {"trade": 3},
        trades={KRX: 2, NXT: 1},
        shares={KRX: 80, NXT: 7},
        rejected_shares=Counter({KRX: 10}),
        refused=Counter(trade=1),
    )

    assert verdict.unexplained == 0


@pytest.mark.parametrize(
    ("other", "amount"),
    [
        ({"shares": {KRX: 89, NXT: 7}}, 1),
        ({"gap_shares": {}}, 30),
        ({"gap_shares": {KRX: 31}}, 1),
        ({"kinds": ROWS | {"trade": 5}, "trades": {KRX: 4, NXT: 1}}, 2),
        ({"kinds": ROWS | {"book": 4}}, 1),
        ({"kinds": ROWS | {"book": 6}}, 2),
        ({"kinds": ROWS | {"snapshot": 7}}, 1),
        ({"kinds": {kind: rows for kind, rows in ROWS.items() if kind != "expected"}}, 2),
        ({"dead_letters": 1}, 1),
        ({"shares": {KRX: 90, NXT: 7, ("krx", "000660"): 4}}, 4),
    ],
)
def test_whatever_is_lost_doubled_or_never_told_is_counted(other, amount):
    verdict = judged(**other)

    assert verdict.unexplained == amount
    assert verdict.findings


def test_latency_is_of_the_samples_that_were_stored():
    samples = [("H0STCNT0", "005930", volume, 1_000_000) for volume in range(1, 101)]
    samples += [("H0STCNT0", "005930", 999, 1_000_000), ("HDFSCNT0", "DNASAAPL", 1, 1_000_000)]
    committed = [("krx", "005930", volume, 1_000_500, 1_000_600, 1_000_000 + volume * 1000) for volume in range(1, 101)]

    assert accounting.latency(samples, lambda sql: committed) == {
        "mean": 50.5,
        "p50": 51.0,
        "p99": 100.0,
        "samples": 100,
        "gathered": 0.5,
        "sent": 0.1,
        "stored": 49.9,
    }
    assert accounting.latency([], lambda sql: committed) == {}


def test_every_step_of_the_day_is_a_fault_that_the_simulator_knows_and_lies_within_it():
    steps = script.parse(day.script(1_000, after=500))

    assert len(steps) == len(day.SCRIPT)
    assert all(500 <= step.after < 1_500 for step in steps)
    # Faults of the WebSocket that end a session for good, or the whole day with it, are tests of their own.
    assert set(script.FAULTS) - {step.fault for step in steps} == {"owned", "full", "expire_keys"}
