"""Who may read: a key id and a secret, of which the database holds a verifier only."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection

from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.models import Client, IngestStream, Source
from marketdata.reference import credentials
from terminals import wire


@pytest.fixture(autouse=True)
def _database(road_database: None) -> None:
    """An empty one."""


def reader(name: str = "reader", **rights) -> tuple[Client, str]:
    return Client.objects.create_with_secret(name=name, **rights)


def test_the_right_secret_opens_and_no_other():
    client, secret = reader()
    _, other = reader("other")

    assert credentials.verify(client.key_id, secret) == client
    assert credentials.verify(client.key_id, other) is None
    assert credentials.verify("NK" + "0" * 18, secret) is None


@pytest.mark.once
@pytest.mark.parametrize("secret", ["", "short", "x" * 43, "ä" * 43, "A" * 10_000, "\x00"])
def test_what_is_no_secret_at_all_is_only_wrong(secret):
    client, _ = reader()

    assert credentials.verify(client.key_id, secret) is None


def test_a_client_switched_off_is_nobody():
    client, secret = reader(is_active=False)

    assert credentials.verify(client.key_id, secret) is None


def test_a_renewed_secret_ends_the_old_one():
    client, old = reader()
    new = client.renew_secret()
    client.save()

    assert credentials.verify(client.key_id, old) is None
    assert credentials.verify(client.key_id, new) == client


def test_the_secret_is_nowhere_in_the_database():
    _, secret = reader()
    raw = wire.proof.secret_bytes(secret)

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM client")
        row = cursor.fetchone()

    shown = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert secret.encode() not in shown
    assert raw not in shown
    assert raw.hex().encode() not in shown


@pytest.mark.once
def test_names_that_could_confuse_are_refused():
    for name in ("", "two words", "한글", "x" * 33, "a/b"):
        with pytest.raises(ValidationError):
            reader(name)


def test_a_client_made_by_command_is_told_its_secret_once(capsys):
    call_command("addclient", "desk-7", "--source", "KIS")

    said = capsys.readouterr().out
    client = Client.objects.get(name="desk-7")
    assert client.key_id in said
    secret = next(word for word in said.split() if credentials.verify(client.key_id, word) == client)
    assert said.count(secret) == 1


@pytest.mark.once
def test_a_client_that_is_there_already_is_named_and_stays_as_it_is():
    client, secret = reader("desk-7", may_send=True, source=Source.objects.get(code="KIS"))

    with pytest.raises(CommandError, match=f"desk-7 is there already .key id {client.key_id}, source KIS.*admin"):
        call_command("addclient", "desk-7")

    assert credentials.verify(client.key_id, secret) == client


# --- spools --------------------------------------------------------------------------------------------------------


def sender() -> Client:
    return reader("sender", may_send=True, source=Source.objects.get(code="KIS"))[0]


def test_a_spool_keeps_its_number_and_a_newer_one_ends_it():
    client = sender()
    first = stream_numbers.open_stream(client, "00" * 8)

    again = stream_numbers.open_stream(client, "00" * 8)
    second = stream_numbers.open_stream(client, "11" * 8)

    assert first == again != second
    with pytest.raises(stream_numbers.OldEpochError):
        stream_numbers.open_stream(client, "00" * 8)
    assert IngestStream.objects.count() == 2


def test_two_clients_may_have_spools_of_the_same_name():
    first, second = sender(), reader("second", may_send=True, source=Source.objects.get(code="KIS"))[0]

    assert stream_numbers.open_stream(first, "00" * 8) != stream_numbers.open_stream(second, "00" * 8)


def claim(stream: int, *seqs: int) -> None:
    batch_ledger.claim(
        [
            batch_ledger.Claim(
                batch=stream << 32 | seq, state="stored", feed="krx", rows=1, stored=1, rejected=0, checksum=1,
                first_us=1, last_us=1, received_us=1, committed_us=1,
            )
            for seq in seqs
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seqs", "first", "commit", "ranges"),
    [
        ([], 1, 0, []),
        ([1, 2, 3], 1, 3, []),
        ([1, 2, 4, 5, 7], 1, 2, [(4, 5), (7, 7)]),
        ([2, 3], 1, 0, [(2, 3)]),
        ([1, 2, 3, 6], 3, 3, [(6, 6)]),
        ([1, 2], 5, 4, []),
    ],
)
def test_the_ledger_says_how_far_everything_is_committed_and_what_lies_above(seqs, first, commit, ranges):
    claim(8, 1, 2, 3, 4, 5, 6, 7)
    if seqs:
        claim(9, *seqs)
    claim(10, 1, 2)

    assert batch_ledger.committed(9, first) == (commit, ranges)


def test_what_was_asked_for_and_is_not_there_is_missing():
    claim(9, 1, 2, 4, 8)

    assert batch_ledger.missing(9, [(1, 5), (7, 10)]) == [(3, 3), (5, 5), (7, 7), (9, 10)]
    assert batch_ledger.missing(9, [(1, 2), (4, 4)]) == []
    assert batch_ledger.missing(9, [(1, 10)], most=2) == [(3, 3), (5, 7)]
