import datetime

import pytest

from terminals.sources.kis import hours

KST = datetime.timezone(datetime.timedelta(hours=9))


def at(text):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=KST).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("feeds", "moment", "phase"),
    [
        ({"krx"}, "2026-11-20T08:59:59", None),
        ({"krx"}, "2026-11-20T09:00:00", "regular"),
        ({"krx"}, "2026-11-20T15:25:00", None),
        ({"krx"}, "2026-11-20T16:30:00", "after_market"),
        ({"krx"}, "2026-09-11T16:30:00", None),
        ({"nxt"}, "2026-11-20T08:10:00", "pre_market"),
        ({"nxt"}, "2025-03-03T08:10:00", None),
        ({"krx", "nxt"}, "2026-11-20T19:59:59", "after_market"),
        ({"krx"}, "2026-11-21T10:00:00", None),
        ({"kis_overseas"}, "2026-11-20T10:00:00", None),
    ],
)
def test_when_records_are_to_be_expected(feeds, moment, phase):
    found = hours.expected(frozenset(feeds), at(moment))

    assert (found and found.name) == phase


def test_the_shortest_silence_of_several_feeds_counts():
    found = hours.expected(frozenset({"krx", "nxt", "unified"}), at("2026-11-20T10:00:00"))

    assert found is not None
    assert found.silence_s == 120.0
    assert hours.began_s_ago(found, at("2026-11-20T10:00:00")) in (3600.0, 3570.0)
