"""A PostgreSQL that another one took over from comes back: it takes no writes and no address, says what to do, and
follows the other one afterwards. What only it had is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.servers.pair import GUARD, REJOIN, Pair
from tests.servers.postgresql import DATABASE, PASSWORD, USER, PostgreSQL
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.environ.get("DB") != "postgresql", reason="PostgreSQL's own")

PROMOTED = "another server was promoted (timeline 2; this one is on 1)"
BESIDE = "another server takes writes on this timeline (1), too"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary with a table of notes, and the standby that follows it; commits do not wait for that one."""
    with ExitStack() as running:
        first, second = (PostgreSQL(shared_buffers_mib=64) for _ in range(2))
        running.callback(second.stop)
        running.enter_context(first)
        both = Pair(first, second)
        first.sql("CREATE TABLE note (id int PRIMARY KEY, text text NOT NULL); INSERT INTO note VALUES (1, 'old');")
        first.sql(f"GRANT ALL ON note TO {USER};")
        copied = both.run(second, REJOIN, "--copy")
        assert copied.returncode == 0, copied.stderr
        both.start(second)
        yield both


def notes(server: PostgreSQL) -> list[str]:
    return server.sql("SELECT id || ' ' || text FROM note ORDER BY id;").splitlines()


def follows(server: PostgreSQL, wanted: list[str]) -> None:
    """Wait until it has these notes; it takes none itself."""
    until(lambda: notes(server) == wanted, seconds=60, what="the replica has what was written")
    with pytest.raises(RuntimeError, match="read-only transaction"):
        server.sql("INSERT INTO note VALUES (100, 'here');")


def may_have_the_address(pair: Pair, server: PostgreSQL) -> str:
    """Why not; "" if it may."""
    return pair.run(server, GUARD, "socket", "203.0.113.77").stderr.removeprefix("postgresql-guard: ").strip()


def test_an_old_primary_takes_no_writes_follows_its_successor_and_tells_what_only_it_had(pair: Pair):
    first, second = pair.members
    login = f"host=127.0.0.1 port={first.port} dbname={DATABASE} user={USER} password={PASSWORD}"
    with psycopg.connect(login) as begun:  # committed after the two parted
        begun.execute("INSERT INTO note VALUES (5, 'begun before')")
        first.sql("INSERT INTO note VALUES (6, 'both');")
        until(lambda: len(notes(second)) == 2, seconds=60, what="the standby has what was written until now")
        second.kill()
    first.sql("INSERT INTO note VALUES (2, 'alone, \"quoted\"');")
    first.sql("BEGIN; SAVEPOINT one; INSERT INTO note VALUES (3, 'within'); RELEASE one; COMMIT;")
    first.sql("BEGIN; INSERT INTO note VALUES (4, 'taken back'); ROLLBACK; DELETE FROM note WHERE id = 1;")
    first.kill()
    pair.start(second)
    second.promote()
    second.sql("INSERT INTO note VALUES (2, 'new');")

    with pytest.raises(RuntimeError) as refused:
        pair.start(first)
    assert PROMOTED in str(refused.value)
    assert f"port={second.port}" in str(refused.value)
    assert REJOIN in str(refused.value)

    told = pair.run(first, REJOIN)
    assert told.returncode == 0, told.stderr
    assert "4 transactions were committed here alone" in told.stdout
    assert "naru public.note: 3 rows, 1 deleted" in told.stdout
    (kept,) = pair.kept(first).iterdir()
    assert (kept / "report").read_text() in told.stdout
    (rows,) = kept.glob("*.csv")
    assert rows.read_text().splitlines() == ["id,text", "5,begun before", '2,"alone, ""quoted"""', "3,within"]

    pair.start(first)
    follows(first, ["1 old", "2 new", "6 both"])
    second.sql("INSERT INTO note VALUES (3, 'newer');")
    follows(first, ["1 old", "2 new", "3 newer", "6 both"])


def parted(pair: Pair, *alone: str) -> tuple[PostgreSQL, PostgreSQL]:
    """An old primary that is down, to which these happened alone, and the one that took over."""
    first, second = pair.members
    second.kill()
    for statement in alone:
        first.sql(statement)
    first.kill()
    pair.start(second)
    second.promote()
    return first, second


def test_a_log_that_cannot_be_read_to_its_end_is_no_proof_that_nothing_was_committed_here_alone(pair: Pair):
    first, _second = parted(pair, "INSERT INTO note VALUES (2, 'alone');")
    pair.take(first, "pg_waldump", '"$REAL/pg_waldump" "$@" | head -n 1')

    told = pair.run(first, REJOIN)

    assert told.returncode == 1
    assert "the log could be read from" in told.stdout
    assert "no transaction was committed" not in told.stdout
    first.start()
    assert notes(first) == ["1 old", "2 alone"]


def test_a_table_that_was_emptied_since_is_named_as_not_kept(pair: Pair):
    first, _second = parted(pair, "INSERT INTO note VALUES (2, 'alone');", "TRUNCATE note;")

    told = pair.run(first, REJOIN)

    assert told.returncode == 0, told.stderr
    assert "naru: a table that was dropped, emptied or written anew since" in told.stdout


def test_servers_change_places_and_back_with_nothing_left_behind(pair: Pair):
    first, second = pair.members
    for turn, (primary, standby) in enumerate([(first, second), (second, first)], start=2):
        primary.shut_down()
        standby.promote()
        standby.sql(f"INSERT INTO note VALUES ({turn}, 'new');")

        with pytest.raises(RuntimeError, match=f"timeline {turn}; this one is on {turn - 1}"):
            pair.start(primary)
        told = pair.run(primary, REJOIN)
        assert told.returncode == 0, told.stderr
        assert "no transaction was committed here alone" in told.stdout
        assert pair.run(primary, REJOIN).stderr.startswith("postgresql-rejoin: it is a replica already")

        pair.start(primary)
        follows(primary, notes(standby))

    assert notes(second) == ["1 old", "2 new", "3 new"]
    assert not pair.kept(first).exists()


def test_the_old_primary_is_not_made_a_replica_where_that_would_be_wrong(pair: Pair):
    first, second = pair.members
    assert "the server runs" in pair.run(first, REJOIN).stderr

    first.kill()
    assert "no other server takes writes" in pair.run(first, REJOIN).stderr

    (second.data / "standby.signal").unlink()  # by hand: nobody was promoted, and both are on one timeline
    second.kill()
    second.start()
    with pytest.raises(RuntimeError, match="another server takes writes"):
        pair.start(first)
    told = pair.run(first, REJOIN)
    assert told.returncode == 1
    assert "that one did not take over from it" in told.stdout


def test_of_two_that_take_writes_on_one_timeline_neither_has_the_address(pair: Pair):
    first, second = pair.members
    until(lambda: may_have_the_address(pair, first) == "", seconds=60, what="the primary may have the address")
    with pair.running(first, GUARD, "watch") as watch:
        (second.data / "standby.signal").unlink()  # by hand, instead of a promotion
        second.kill()
        second.start()

        until(
            lambda: all(may_have_the_address(pair, one).startswith(BESIDE) for one in (first, second)),
            seconds=60,
            what="neither may have the address",
        )
        until(lambda: BESIDE in _said(pair, first), seconds=60, what="the guard says so")
        assert watch.poll() is None
        assert first.running

        second.kill()
        until(lambda: may_have_the_address(pair, first) == "", seconds=60, what="somebody decided")


def test_a_standby_that_is_promoted_waits_for_nobody_though_its_primary_did(pair: Pair):
    first, second = pair.members
    for turn, (primary, standby, how) in enumerate([(first, second, "--copy"), (second, first, "")], start=2):
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby';")
        standby.kill()
        told = pair.run(standby, REJOIN, *how.split())  # with the settings of the primary
        assert told.returncode == 0, told.stderr
        pair.start(standby)
        primary.sql("SELECT pg_reload_conf();")
        primary.sql(f"INSERT INTO note VALUES ({turn}, 'confirmed');")
        primary.kill()

        standby.promote()
        standby.sql(f"INSERT INTO note VALUES ({10 * turn}, 'alone');")

    assert notes(first) == ["1 old", "2 confirmed", "3 confirmed", "20 alone", "30 alone"]


def test_a_primary_that_never_died_loses_the_address_and_is_ended_when_another_one_was_promoted(pair: Pair):
    first, second = pair.members
    until(lambda: may_have_the_address(pair, first) == "", seconds=60, what="the primary may have the address")
    until(
        lambda: may_have_the_address(pair, second) == "it follows another one", seconds=60, what="and the standby not"
    )
    with pair.running(first, GUARD, "watch") as watch:
        second.promote()

        until(lambda: may_have_the_address(pair, second) == "", seconds=60, what="the new one may have the address")
        until(lambda: not first.running, seconds=60, what="the old primary is ended")
        assert watch.poll() is None
    assert PROMOTED in pair.log_of(first).read_text()

    first.start()  # by hand, past the guard
    until(
        lambda: may_have_the_address(pair, first).startswith(PROMOTED), seconds=60, what="it may not have the address"
    )
    with pair.running(first, GUARD, "watch"):
        until(lambda: not first.running, seconds=60, what="the old primary is ended again")
    assert pair.run(first, REJOIN).returncode == 0
    pair.start(first)
    follows(first, ["1 old"])


def test_a_primary_waits_for_the_word_of_its_standby_or_of_the_operator(pair: Pair):
    first, second = pair.members
    first.kill()
    pair.start(first)  # its standby follows it
    alone = first.data / "naru-alone"
    for word in (second.start, alone.touch):
        first.kill()
        second.kill()
        with pair.running(first, GUARD, "start") as guard:
            until(lambda: "waiting" in _said(pair, first), seconds=60, what="the guard says what it waits for")
            assert guard.poll() is None
            word()
            until(lambda: guard.poll() is not None, seconds=60, what="the guard lets it start")
            assert guard.returncode == 0
    assert not alone.exists()

    second.start()
    second.promote()
    alone.touch()
    with pytest.raises(RuntimeError, match="not started"):  # whatever the operator thought
        pair.start(first)


def _said(pair: Pair, server: PostgreSQL) -> str:
    log = pair.log_of(server)
    return log.read_text() if log.exists() else ""


def test_one_that_cannot_be_rewound_is_copied_anew_and_what_it_had_is_put_aside(pair: Pair):
    first, second = pair.members
    first.kill()
    second.promote()
    for segment in (first.data / "pg_wal").glob("0*"):
        segment.unlink()

    refused = pair.run(first, REJOIN)
    assert refused.returncode == 1
    assert "is not there any more" in refused.stdout
    assert "postgresql-rejoin --copy" in refused.stderr

    told = pair.run(first, REJOIN, "--copy")
    assert told.returncode == 0, told.stderr
    (aside,) = first.folder.glob("data.*")
    assert str(aside) in told.stdout
    assert (aside / "PG_VERSION").exists()
    pair.start(first)
    follows(first, ["1 old"])
