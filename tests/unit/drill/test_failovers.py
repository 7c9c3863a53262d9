import itertools

import pytest

pytest.importorskip("MySQLdb")

from tests.drill import failovers
from tests.drill.writers import Holders, Holding, Parting, Write, both_wrote, split

NODES = ("db1", "db2", "db3")
PARTED = Parting(10.0, 30.0, frozenset({"db1"}))


def test_each_round_has_every_kind_once_and_the_seed_decides():
    kinds = failovers.KINDS
    two_rounds = [one.kind for one in failovers.plan(2 * len(kinds), seed=7, kinds=kinds)]

    assert sorted(two_rounds[: len(kinds)]) == sorted(kinds)
    assert sorted(two_rounds[len(kinds) :]) == sorted(kinds)
    assert list(failovers.plan(5, seed=7, kinds=kinds)) == list(failovers.plan(5, seed=7, kinds=kinds))
    assert [one.kind for one in failovers.plan(5, seed=7, kinds=kinds)] == two_rounds[:5]


def test_two_parted_sides_that_both_take_writes_are_a_split_brain():
    writes = [Write("db1", 12.0, 12.1), Write("db3", 20.0, 20.1)]

    assert len(split(writes, [PARTED], [], NODES)) == 1


def test_writes_of_one_side_alone_are_none():
    writes = [Write("db2", 12.0, 12.1), Write("db3", 20.0, 20.1)]

    assert split(writes, [PARTED], [], NODES) == []


@pytest.mark.parametrize("write", [Write("db1", 9.9, 10.2), Write("db1", 29.9, 30.1), Write("db1", 40.0, 40.1)])
def test_a_write_that_began_before_the_cut_or_was_answered_after_it_says_nothing(write):
    assert split([write, Write("db2", 12.0, 12.1)], [PARTED], [], NODES) == []


def test_two_holders_of_the_address_that_both_take_writes_are_a_split_brain():
    holding = Holding(5.0, 9.0, frozenset({"db1", "db2"}))

    assert len(split([Write("db1", 6.0, 6.1), Write("db2", 8.0, 8.1)], [], [holding], NODES)) == 1
    assert split([Write("db1", 6.0, 6.1), Write("db2", 8.9, 9.1)], [], [holding], NODES) == []
    assert split([Write("db1", 6.0, 6.1), Write("db3", 8.0, 8.1)], [], [holding], NODES) == []


def test_an_address_on_two_hosts_is_seen_from_the_first_moment_to_the_last():
    holders = Holders()
    for at, hosts in [(1.0, ["a"]), (2.0, ["a", "b"]), (3.0, ["b", "a"]), (4.0, ["b"]), (5.0, ["b", "c"])]:
        holders.saw(at, hosts)
    holders.end(6.0)

    assert holders.found == [Holding(2.0, 4.0, frozenset("ab")), Holding(5.0, 6.0, frozenset("bc"))]


def test_both_sides_are_needed():
    writes = [Write(name, 1.0, 2.0) for name in NODES]

    for one, other in itertools.permutations(NODES, 2):
        assert both_wrote(writes, 0.0, 3.0, {one}, {other})
    assert not both_wrote(writes, 0.0, 3.0, {"db1"}, set())
