"""The ledger's side of a comparison: what it lacks, what it has with other content, and what nobody has any more."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketdata.ledger import batch_ledger, comparisons, stream_numbers
from marketdata.maintenance import retention
from marketdata.models import Alarm, Client, Gap, IngestBatch, IngestStream, Source
from marketdata.reference import owners


@pytest.fixture(autouse=True)
def _database(road_database: None) -> None:
    """An empty one."""


def claim(stream: int, *seqs: int, feed: str = "krx") -> None:
    rows = [
        batch_ledger.Claim(
            batch=stream << 32 | seq, state="stored", feed=feed, rows=1, stored=1, rejected=0, checksum=1,
            first_us=1, last_us=1, received_us=1, committed_us=1,
        )
        for seq in seqs
    ]  # fmt: skip
    batch_ledger.claim(rows)


def test_an_audit_of_everything_again_and_again_walks_the_ledger_once():
    claim(9, 1, 2, 4, 8)

    with CaptureQueriesContext(connection) as asked:
        found = batch_ledger.missing(9, [(1, 2**32 - 1)] * 4096)

    assert found == [(3, 3), (5, 7), (9, 2**32 - 1)]
    assert len(asked) == 2


def test_a_comparison_names_what_is_missing_and_what_is_other():
    claim(9, 1, 2, 4)
    comparisons.give_up(9, [4, 5])

    found = comparisons.compare(9, {1: 1, 2: 7, 3: 1, 4: 0, 5: 0})

    assert (found.missing, found.differs) == ([(3, 3)], [(2, 2), (5, 5)])
    assert IngestBatch.objects.get(batch=9 << 32 | 5).checksum == batch_ledger.GIVEN_UP
    assert IngestBatch.objects.get(batch=9 << 32 | 4).checksum == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_hole_in_a_spool_of_several_feeds_is_a_gap_of_each_of_them(is_known):
    """`is_known`: by what the ledger has of the spool; else by what belongs to its client."""
    client = Client.objects.create_with_secret(name="several", source=Source.objects.get(code="REPLAY"))[0]
    stream = stream_numbers.open_stream(client, "0" * 16)
    if is_known:
        claim(stream, 1, 2, 6)
        claim(stream, 9, feed="nxt")
        IngestBatch.objects.filter(batch=stream << 32 | 1).update(feed="unified")
    else:
        owners.claim("krx", ["005930"], client)
        owners.claim("nxt", ["005930"], client)
        owners.claim("unified", ["000660"], client)
    Gap.objects.create(batch=stream << 32 | 3, feed="krx", symbol="005930", from_us=1, to_us=1, rows=1, reason="other")

    comparisons.tell_holes(client, stream, 8)
    IngestStream.objects.update(whole_upto=0)
    comparisons.tell_holes(client, stream, 8)

    told = Gap.objects.filter(symbol="").values_list("batch", "feed")
    seqs = (3, 7) if is_known else (1,)
    assert sorted((batch & batch_ledger.SEQ_MASK, feed) for batch, feed in told) == [
        (seq, feed) for seq in seqs for feed in ("krx", "nxt", "unified")
    ]
    assert "gaps of krx, nxt, unified" in Alarm.objects.get(code="ledger_hole").message


def test_two_that_look_for_the_same_holes_at_once_tell_them_once(monkeypatch):
    """A login and retention, or logins at two servers: the spool's row is locked for it."""
    client = Client.objects.create_with_secret(name="twice", source=Source.objects.get(code="REPLAY"))[0]
    stream = stream_numbers.open_stream(client, "0" * 16)
    claim(stream, 1, 4)
    look = batch_ledger.holes

    def while_another_tells(*args, **kwargs):
        monkeypatch.setattr(batch_ledger, "holes", look)
        assert comparisons.tell_holes(client, stream, 3) == 1
        return look(*args, **kwargs)

    monkeypatch.setattr(batch_ledger, "holes", while_another_tells)
    with CaptureQueriesContext(connection) as asked:
        again = comparisons.tell_holes(client, stream, 6)

    assert again == 1
    assert sorted(Gap.objects.values_list("batch", "idx", "feed")) == [
        (stream << 32 | 2, 0, "krx"), (stream << 32 | 5, 0, "krx")
    ]  # fmt: skip
    locks = [query for query in asked if "FOR UPDATE" in query["sql"]]
    assert len(locks) == (2 if connection.features.has_select_for_update else 0)


def test_the_feeds_of_a_hole_are_looked_for_near_it(monkeypatch):
    monkeypatch.setattr(comparisons, "FEEDS_OF", 2)
    client = Client.objects.create_with_secret(name="long", source=Source.objects.get(code="REPLAY"))[0]
    stream = stream_numbers.open_stream(client, "0" * 16)
    claim(stream, 1, feed="old")
    claim(stream, 2, 3)
    claim(stream, 5, 6, feed="nxt")
    claim(stream, 7, feed="new")

    comparisons.tell_holes(client, stream, 4)

    assert sorted(Gap.objects.values_list("feed", flat=True)) == ["krx", "nxt"]


def test_what_retention_forgot_is_no_hole_and_what_was_lost_before_is_told():
    client = Client.objects.create_with_secret(name="kept", source=Source.objects.get(code="REPLAY"))[0]
    stream = stream_numbers.open_stream(client, "0" * 16)
    claim(stream, *range(1, 5), *range(8, 21))
    IngestBatch.objects.filter(batch=stream << 32 | 20).update(committed_us=batch_ledger.now_us())

    retention.forget_ledger(datetime.datetime.now(datetime.UTC), progress=lambda _: None)
    again = comparisons.tell_holes(client, stream, 15)

    assert again == 0
    assert [(gap.batch & batch_ledger.SEQ_MASK, gap.reason) for gap in Gap.objects.all()] == [
        (5, "ledger_hole: batches 5 to 7 of epoch " + "0" * 16)
    ]
    assert IngestBatch.objects.filter(batch__gt=stream << 32).count() == 1
