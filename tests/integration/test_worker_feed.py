"""The feed's one rule: a batch is announced once, however often and by however many it is published."""

import itertools

import pytest

from analytics.series import candles
from marketdata.realtime import feed
from tests import market
from tests.market import NINE_US


def publish(redis, *batches: int, name: str = "krx", ticks: int = 1, checksum: int = 1) -> list[int]:
    """Publish a commit of these batches, each with content of this checksum; the batches that had been published
    before."""
    made = market.ticks([{"time_us": NINE_US + at} for at in range(ticks)], feed=name)
    pipeline = redis.pipeline(transaction=False)
    feed.publish(
        pipeline,
        made,
        candles.build(made),
        notes=[feed.batch_note(batch, checksum) for batch in batches],
        committed_us=5,
    )
    (answer,) = pipeline.execute()
    return [int(note.split(":")[0]) for note in feed.repeated(answer)]


def unpublished(redis, batches: list[int], *, checksum: int = 1) -> list[int]:
    notes = {feed.batch_note(batch, checksum): batch for batch in batches}
    return [notes[note] for note in feed.unpublished(redis, list(notes))]


def offsets(redis, name: str = "krx") -> list[tuple[int, int]]:
    entries = [feed.decode(name, number, values) for number, values in redis.xrange(feed.STREAM + name)]
    return [(entry.first, entry.last) for entry in entries]


def test_a_batch_published_twice_is_announced_once(redis):
    first, second = publish(redis, 7), publish(redis, 7)

    assert (first, second) == ([], [7])
    assert offsets(redis) == [(1, 1)]


def test_a_number_that_comes_with_other_content_is_announced(redis):
    publish(redis, 7)

    assert unpublished(redis, [7], checksum=2) == [7]
    assert publish(redis, 7, checksum=2) == []
    assert offsets(redis) == [(1, 1), (2, 2)]


def test_of_a_commit_in_which_one_batch_is_known_nothing_is_announced_and_that_one_is_named(redis):
    publish(redis, 7)

    assert publish(redis, 6, 7, 8, ticks=3) == [7]
    assert unpublished(redis, [6, 7, 8]) == [6, 8]
    assert offsets(redis) == [(1, 1)]


def test_feeds_count_each_for_itself(redis):
    for batch, name, ticks in ((1, "krx", 2), (2, "nxt", 5), (3, "krx", 3)):
        publish(redis, batch, name=name, ticks=ticks)

    assert offsets(redis, "krx") == [(1, 2), (3, 5)]
    assert offsets(redis, "nxt") == [(1, 5)]


def test_a_commit_without_ticks_is_noted_and_announced_to_nobody(redis):
    publish(redis, 9, ticks=0)

    assert unpublished(redis, [9, 10]) == [10]
    assert offsets(redis) == []


def test_the_largest_batch_number_is_told_apart_from_its_neighbour(redis):
    last = market.tick_id(2**32 - 1, 0, stream=2**18 - 1) >> 13

    publish(redis, last)

    assert unpublished(redis, [last - 1, last]) == [last - 1]
    assert publish(redis, last - 1) == []
    assert publish(redis, last) == [last]


def test_the_feed_keeps_as_many_ticks_as_it_may_and_its_offsets_go_on(redis, settings):
    settings.FEED_MAX_TICKS = 1000

    for batch in range(1, 400):
        publish(redis, batch, ticks=20)

    kept = offsets(redis)
    assert kept[-1] == (7961, 7980)
    assert 1000 <= kept[-1][1] - kept[0][0] < 4000
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(kept))


@pytest.mark.parametrize("batches", [[], [1], [1, 2, 3]])
def test_what_was_never_published_is_said_so(redis, batches):
    assert unpublished(redis, batches) == batches
