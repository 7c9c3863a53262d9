"""Whatever a terminal gets wrong has a name on the wire or in the reject table, and a metric; its neighbours go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from redis import Redis

from marketdata.models import Client, DeadLetter, IngestBatch, IngestReject, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests import database
from tests.fakes import FakeTerminal
from tests.integration.mistakes import (
    AFTER_LOGIN,
    BEFORE_LOGIN,
    GOOD,
    REFUSED,
    ROWS,
    batch_frame,
    but,
    columns,
)
from tests.market import NINE_US
from tests.road import Road, secret_of

WIRE_ERRORS = "naru_wire_errors_total"
LOGINS = "naru_auth_failures_total"


@pytest.fixture(scope="module")
def road(
    django_db_modify_db_settings, django_db_blocker, redis_server, private_folder, tmp_path_factory
) -> Iterator[Road]:
    """One ingest server and one worker for all of these tests."""
    redis_server.start()
    with Redis.from_url(redis_server.url) as client:
        client.flushall()  # messages that another test left would be taken into this database
    folder = tmp_path_factory.mktemp("bad_input")
    with django_db_blocker.unblock(), database.road(private_folder):
        Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
        Symbol.objects.create(code="000660", market=Market.objects.get(code="KRX"), is_active=False)
        with Road(folder, redis_server.url, MAX_FUTURE_S="5") as made:
            made.ingest()
            made.worker()
            yield made


@pytest.fixture(scope="module")
def neighbour(road: Road) -> Iterator[FakeTerminal]:
    with road.terminal("neighbour") as terminal:
        terminal.login()
        yield terminal


@pytest.fixture(autouse=True)
def _the_neighbour_notices_nothing(neighbour: FakeTerminal) -> Iterator[None]:
    neighbour.rows([GOOD])
    yield
    neighbour.rows([GOOD])
    neighbour.until_committed()
    assert neighbour.rejects == []


@pytest.fixture
def terminal(road: Road, request) -> Iterator[FakeTerminal]:
    """A terminal that was let in; it may not register symbols."""
    secret = secret_of("clumsy", may_register=False)
    with road.terminal("clumsy", secret=secret, epoch=None) as connected:
        connected.login()
        yield connected


@contextmanager
def counted(road: Road, metric: str, **labels: str) -> Iterator[None]:
    """The metric goes up by one (or more) while the block runs."""
    before = road.metric(metric, **labels)
    yield
    road.until(lambda: road.metric(metric, **labels) > before, seconds=60, what=f"{metric} {labels}")


# --- who is it ---------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_an_unknown_client_is_not_let_in(road):
    with (
        counted(road, LOGINS, reason="unknown_client"),
        counted(road, WIRE_ERRORS, code="not_authorised"),
        FakeTerminal(road.port, client="stranger") as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_wrong_proof_is_refused_in_the_same_words_as_an_unknown_client(road):
    secret_of("known")
    with (
        counted(road, LOGINS, reason="wrong_proof"),
        FakeTerminal(road.port, client="known") as wrong,
        FakeTerminal(road.port, client="stranger") as unknown,
    ):
        wrong.say(wrong.hello())
        unknown.say(unknown.hello())

        assert wrong.last_words() == unknown.last_words()


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "rights", "reason"),
    [("gone", {"is_active": False}, "disabled"), ("reader", {"may_send": False}, "may_not_send")],
)
def test_a_client_that_may_not_send_is_not_let_in(road, name, rights, reason):
    secret = secret_of(name, **rights)
    with counted(road, LOGINS, reason=reason), road.terminal(name, secret=secret) as terminal:
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_proof_of_one_connection_is_worth_nothing_in_another(road):
    with road.terminal("thrifty") as first:
        proof = first.hello().proof
        first.close()
    with road.terminal("thrifty") as second:
        second.say(second.hello(proof=proof))

        assert second.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_field_that_was_signed_cannot_be_changed_on_the_way(road):
    with road.terminal("honest") as terminal:
        terminal.say(terminal.hello(register_market="CME"))

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ({"source": "KIS"}, "source_mismatch", "source_mismatch"),
        ({"register_market": "NYSE"}, "register_refused", "unknown_market"),
    ],
)
def test_a_client_may_only_be_what_it_was_registered_as(road, options, code, reason):
    secret = secret_of("replayer")
    with (
        counted(road, LOGINS, reason=reason),
        counted(road, WIRE_ERRORS, code=code),
        FakeTerminal(road.port, client="replayer", secret=secret, **options) as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == code


@pytest.mark.once
def test_symbols_are_registered_only_by_those_who_may(road):
    secret = secret_of("modest", may_register=False)
    with (
        counted(road, WIRE_ERRORS, code="register_refused"),
        road.terminal("modest", secret=secret, register_market="CME") as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "register_refused"


def test_an_old_epoch_is_refused_once_a_newer_spool_has_sent(road):
    for epoch in ("00" * 8, "11" * 8):
        with road.terminal("moved", epoch=epoch) as one:
            one.login()
            one.rows([GOOD])
            one.until_committed()

    with counted(road, WIRE_ERRORS, code="old_epoch"), road.terminal("moved", epoch="00" * 8) as again:
        again.say(again.hello())

        assert again.last_words()[0] == "old_epoch"


def test_a_spool_that_lost_its_end_is_refused_before_it_uses_a_number_again(road):
    with road.terminal("behind", epoch="33" * 8) as before:
        before.login()
        before.rows([GOOD])
        before.until_committed()

    with counted(road, WIRE_ERRORS, code="spool_behind"), road.terminal("behind", epoch="33" * 8) as again:
        again.say(again.hello(last=0))

        assert again.last_words()[0] == "spool_behind"


def test_a_second_login_takes_over_and_the_first_is_told_to_go_away(road):
    with road.terminal("twice", epoch="22" * 8) as first:
        first.login()
        first.rows([GOOD])
        first.until_committed()
        with (
            counted(road, "naru_sessions_superseded_total"),
            road.terminal("twice", epoch="22" * 8) as second,
        ):
            welcome = second.login(last=1)

            code, _ = first.last_words()
            second.rows([GOOD])
            second.until_committed()

    assert code == "superseded"
    assert welcome.commit == 1


# --- bytes that are no frame -------------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("mistake", BEFORE_LOGIN)
def test_a_stranger_that_speaks_wrongly_is_told_what_was_wrong(road, mistake):
    data, expected = BEFORE_LOGIN[mistake]
    with counted(road, WIRE_ERRORS, code=expected), FakeTerminal(road.port) as terminal:
        terminal.send(data)

        code, message = terminal.last_words()

    assert code == expected
    assert message


@pytest.mark.once
@pytest.mark.parametrize("mistake", AFTER_LOGIN)
def test_a_client_that_speaks_wrongly_is_told_what_was_wrong(road, terminal, mistake):
    data, expected = AFTER_LOGIN[mistake]
    with counted(road, WIRE_ERRORS, code=expected):
        terminal.send(data)

        code, _ = terminal.last_words()

    assert code == expected


@pytest.mark.once
@pytest.mark.parametrize("at", [0, 1, 3, 4, 7, 8, 11, 12, 13, 60, -1])
def test_a_connection_cut_anywhere_leaves_nothing_behind(road, at):
    connections = road.metric("naru_connections")
    with road.terminal("cut") as terminal:
        terminal.send(terminal.hello().encode()[:at])

        terminal.close()

    road.until(lambda: road.metric("naru_connections") <= connections, seconds=60, what="the connection is forgotten")
    assert not IngestBatch.objects.filter(feed="cut").exists()


@pytest.mark.once
@pytest.mark.parametrize("at", [5, 12, 30, 60, -1])
def test_a_batch_cut_anywhere_is_no_batch(road, terminal, at):
    whole = batch_frame(wire.encode_rows(1, "cut", 1, [GOOD]))

    terminal.send(whole[:at])
    terminal.close()

    with road.terminal("clumsy", secret=terminal.secret, epoch=terminal.epoch) as again:
        assert again.login().commit == 0
    assert not IngestBatch.objects.filter(feed="cut").exists()


# --- batches that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole_and_kept(road, terminal, mistake):
    payload, expected = REFUSED[mistake]
    with counted(road, "naru_refused_batches_total", code=expected):
        terminal.batch(payload)
        terminal.until_committed()

    assert [(reject.seq, reject.code) for reject in terminal.rejects] == [(1, expected)]
    letter = DeadLetter.objects.latest("id")
    assert (letter.code, bytes(letter.payload)) == (expected, payload)
    assert IngestBatch.objects.get(batch=letter.batch).state == "refused"


@pytest.mark.once
def test_after_a_refused_batch_the_same_session_goes_on(road, terminal):
    terminal.batch(columns(5001))
    terminal.rows([GOOD])

    terminal.until_committed()

    assert [reject.code for reject in terminal.rejects] == ["too_many_rows"]


def test_a_batch_of_5000_rows_is_no_mistake(road, terminal):
    terminal.batch(columns(5000))

    terminal.until_committed()

    assert terminal.rejects == []


# --- rows that cannot be believed --------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("mistake", ROWS)
def test_a_row_that_cannot_be_believed_is_kept_aside_with_its_reason(road, terminal, mistake):
    row, reason = ROWS[mistake]
    with counted(road, "naru_rejected_rows_total", reason=reason):
        terminal.rows([GOOD, row, GOOD])
        terminal.until_committed()

    assert [(one.seq, one.code, one.rows, dict(one.reasons)) for one in terminal.rejects] == [
        (1, "rows", 1, {reason: 1})
    ]
    kept = IngestReject.objects.latest("id")
    assert (kept.idx, kept.reasons) == (1, reason)
    ledger = IngestBatch.objects.get(batch=kept.batch)
    assert (ledger.rows, ledger.stored, ledger.rejected) == (3, 2, 1)


def test_all_of_them_in_one_batch_are_kept_aside_each_with_its_own_reason(terminal):
    terminal.rows([row for row, _ in ROWS.values()])
    terminal.until_committed()

    kept = IngestReject.objects.filter(batch=IngestReject.objects.latest("id").batch).order_by("idx")
    assert [one.reasons for one in kept] == [reason for _, reason in ROWS.values()]
    assert json.loads(kept[1].record) == but(symbol="삼성전자")
    assert [one.rows for one in terminal.rejects] == [len(ROWS)]


def test_a_refused_row_is_kept_as_the_terminal_wrote_it(road, terminal):
    terminal.rows([but(price="-70000", size="ten", note="from cell B7")])
    terminal.until_committed()

    kept = IngestReject.objects.latest("id")

    assert json.loads(kept.record) == but(price="-70000", size="ten", note="from cell B7")
    assert set(kept.reasons.split()) == {"price_not_positive", "size_not_a_number"}


def test_what_a_spreadsheet_calculated_is_stored_as_it_was_meant_and_counted(road, terminal):
    at = NINE_US + 3_600_000_000
    rows = [
        but(time=at, price=1993.3000000000002, size=12.0, seq=12.0),
        but(time=at + 1, price="70000.00000000001", size=0.30000000000000004),
        but(time=at + 2, price="70000.5", size="0.000001", seq=13),
        but(time="2026-03-16t01:00:00.000003999z"),
    ]
    with counted(road, "naru_float_noise_rows_total", source="REPLAY"):
        before = road.metric("naru_float_noise_rows_total", source="REPLAY")
        terminal.rows(rows)
        terminal.until_committed()

    assert terminal.rejects == []
    stored = storage().read_ticks("005930", "krx", at, at + 4)
    assert stored.price.tolist() == [199_330_000_000, 7_000_000_000_000, 7_000_050_000_000, 7_000_000_000_000]
    assert stored.size.tolist() == [12_000_000, 300_000, 1, 1_000_000]
    assert stored.seq.tolist()[0] == 12
    assert road.metric("naru_float_noise_rows_total", source="REPLAY") == before + 2


@pytest.mark.once
def test_a_live_source_is_not_believed_about_last_year_and_a_replay_is(road):
    old = but(time="2024-03-18T09:00:00+09:00")
    with road.terminal("live", source="KIS") as live, road.terminal("archive") as replay:
        live.login()
        replay.login()
        live.rows([old])
        replay.rows([old])

        live.until_committed()
        replay.until_committed()

    assert [dict(one.reasons) for one in live.rejects] == [{"time_past": 1}]
    assert replay.rejects == []


def test_a_wrong_row_in_columns_is_refused_like_one_in_json(road, terminal):
    made = wire.Columns()
    made.append(symbol="005930", time_us=NINE_US, price=7 * 10**12, size=10_000)
    made.append(symbol=None, time_us=None, price=-1, size=-1, kind=5, side=9)
    terminal.batch(made.encode(1, "krx", 1))
    terminal.until_committed()

    reasons = set(IngestReject.objects.latest("id").reasons.split())

    assert {"symbol_missing", "time_missing", "kind_unknown", "side_unknown", "price_not_positive"} <= reasons
    assert terminal.rejects[0].rows == 1


def test_nothing_of_all_this_has_touched_the_neighbours_trades(road, neighbour):
    neighbour.until_committed()
    client = Client.objects.get(name="neighbour")

    stream = client.streams.get()
    batches = IngestBatch.objects.filter(batch__gte=stream.pk << 32, batch__lt=(stream.pk + 1) << 32)

    assert batches.count() == neighbour.seq
    assert sum(batch.stored for batch in batches) == neighbour.seq
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM temp_market_data WHERE tick_id >> 45 = %s", [stream.pk])
        assert cursor.fetchone() == (neighbour.seq,)
    assert storage().count("market_data_minute") > 0
