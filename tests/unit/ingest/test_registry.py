import json

from ingest.authenticator import ClientSession
from ingest.recent import Recent
from ingest.registry import Member, Registry
from ingest.streams import Stream
from marketdata.ledger.session_fences import Fence


def member(registry: Registry[str], link: str, *, client: int = 1, stream: int = 7, fence: int = 1) -> Member[str]:
    admission = ClientSession(
        client_id=client, name=f"desk-{client}", source_id=3, source="KIS", stream=stream, commit=0, ranges=[], proof=""
    )
    return Member(
        link=link,
        admission=admission,
        fence=Fence(client, fence, "here/1"),
        stream=registry.stream(stream),
        register_market=None,
        address="127.0.0.1",
        agent="test",
        recent=Recent(max_bytes=10_000, max_age_s=60.0),
    )


def test_of_two_sessions_of_a_client_the_newer_one_stays():
    registry: Registry[str] = Registry()
    first, second = member(registry, "first"), member(registry, "second")

    taken_over = [registry.join(first), registry.join(second)]
    registry.leave(first)

    assert taken_over == [None, first]
    assert list(registry.members.values()) == [second]


def test_a_login_whose_answer_comes_after_that_of_a_newer_one_is_known_as_the_older():
    registry: Registry[str] = Registry()
    second = member(registry, "second", fence=2)
    registry.join(second)

    assert registry.newer(Fence(1, 1, "here/1")) is second
    assert registry.newer(Fence(1, 3, "here/1")) is None
    assert registry.newer(Fence(2, 1, "here/1")) is None


def test_a_client_that_left_is_gone_and_its_stream_is_remembered():
    registry: Registry[str] = Registry()
    one = member(registry, "one")
    registry.join(one)
    one.stream.settle(1)

    registry.leave(one)

    assert registry.members == {}
    assert registry.stream(7).commit == 1
    assert registry.stream(8) == Stream(8)


def test_clients_do_not_take_each_other_over():
    registry: Registry[str] = Registry()

    taken_over = [registry.join(member(registry, "a")), registry.join(member(registry, "b", client=2, stream=8))]

    assert taken_over == [None, None]
    assert len(registry.members) == 2


def test_a_rate_counts_the_ticks_since_it_was_last_asked_for():
    one = member(Registry(), "one")
    one.measure(100.0)

    one.ticks += 500
    one.measure(102.0)
    busy = one.rate
    one.measure(103.0)

    assert (busy, one.rate) == (250.0, 0.0)


def test_what_is_shown_of_a_client_can_be_written_as_json_and_names_it():
    shown = json.loads(json.dumps(member(Registry(), "one").describe()))

    assert (shown["client"], shown["source"], shown["address"]) == ("desk-1", "KIS", "127.0.0.1")
    assert {"since", "heard", "batches", "ticks", "rejected", "rate", "commit", "paused", "dropped"} <= set(shown)
