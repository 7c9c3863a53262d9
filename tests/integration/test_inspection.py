"""What ingest servers hold in memory is told by `manage.py inspect` and by REST, exactly, also without a database."""

import json
import threading
import time
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace

import msgpack
import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from redis import RedisError

from api.auth import authentication
from marketdata.models import Client
from marketdata.realtime import inspection, live_state
from marketdata.reference import owners
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS
from tests.integration.serving import serving
from tests.market import NINE_US
from tests.waiting import until

__all__ = ["serving"]

RECENT, LATEST = "/v2/status/clients/desk-1/recent", "/v2/status/latest"


@pytest.fixture
def server(vendor, request):
    """The database's server, running again after the test."""
    if vendor == "sqlite":
        pytest.skip("a file has no server that could be killed")
    found = request.getfixturevalue(f"{vendor}_server")
    yield found
    found.start()
    connection.close()


def trade(symbol, price, *, at=0, **more):
    return {"symbol": symbol, "time": NINE_US + at, "price": price, "size": "1", "seq": at, **more}


class Desks:
    """Terminals that stay connected, although they say nothing: a server ends a session that is silent for 15 s. No
    worker judges what they send."""

    def __init__(self, road):
        self._road, self._terminals = road, {}
        self._lock, self._halted = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def send(self, client, rows, *, feed="krx"):
        """Send rows as the client's next batch, and wait until the ingest server holds them."""
        if client not in self._terminals:
            terminal = self._road.terminal(client)
            terminal.login()
            with self._lock:
                self._terminals[client] = terminal
        with self._lock:
            number = self._terminals[client].rows(rows, feed=feed)
        until(lambda: newest_batch(client) == number, seconds=60, what=f"rows of {client}")

    def leave(self, client):
        with self._lock:
            self._terminals.pop(client).close()

    def stop(self):
        self._halted.set()
        self._thread.join()

    def _beat(self):
        while not self._halted.wait(1.0):
            with self._lock:
                for terminal in self._terminals.values():
                    terminal.stay()


@pytest.fixture(autouse=True)
def _a_busy_machine(monkeypatch):
    monkeypatch.setattr(inspection, "WAIT_S", 60)


@pytest.fixture
def desks(road):
    made = Desks(road)
    yield made
    made.stop()


def newest_batch(client):
    """The number of the client's newest batch that is told; 0 when it is not connected, or nobody can tell."""
    try:
        found = inspection.recent(client, rows=1)
    except (inspection.NotConnected, RedisError):
        return 0
    return int(found[0].ticks.tick_id[0]) >> TICK_BITS & (1 << SEQ_BITS) - 1 if found else 0


def inspect(*words):
    """What the command writes, and what it complains of."""
    out, err = StringIO(), StringIO()
    call_command("inspect", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def inspect_json(*words):
    return json.loads(inspect("--json", *words)[0], parse_float=Decimal)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_the_last_rows_of_a_terminal_are_told_as_they_came(desks, road):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000.00000001", at=at) for at in range(5)])
    quote = {"symbol": "000660", "time": NINE_US + 9, "kind": "quote", "bid": "-0.5", "ask_size": "0.000001"}
    desks.send("desk-1", [quote, {"symbol": "035420", "price": "no number"}])

    lines = inspect("desk-1", "--rows", "3")[0].splitlines()
    rows = inspect_json("desk-1", "--rows", "3")["rows"]

    assert [row["symbol"] for row in rows] == ["005930", "000660", "035420"]
    assert (rows[0]["price"], rows[0]["time"]) == (Decimal("70000.00000001"), "2026-03-16T09:00:00.000004+09:00")
    assert {**rows[1], "received": ""} == {
        "received": "", "batch": rows[1]["batch"], "feed": "krx", "symbol": "000660",
        "time": "2026-03-16T09:00:00.000009+09:00", "kind": "quote", "bid": Decimal("-0.5"),
        "ask_size": Decimal("0.000001"),
    }  # fmt: skip
    assert [row["batch"].split("/")[1] for row in rows] == ["1", "2", "2"]
    assert (rows[2]["time"], "price" in rows[2]) == (None, False)  # shown as far as it could be read
    assert len(lines) == 5
    assert "70000.00000001" in lines[2]
    assert "09:00:00.000009+09:00" in lines[3]
    assert "0.000001" in lines[3]
    assert [row["price"] for row in inspect_json("desk-1", "--symbol", "005930")["rows"]] == [
        Decimal("70000.00000001")
    ] * 5
    assert inspect_json("desk-1", "--symbol", "373220")["rows"] == []


@pytest.mark.once
def test_a_client_that_is_not_connected_is_told_who_is(desks, road):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000")])

    with pytest.raises(CommandError, match=r"desk-9 is not connected; connected are: desk-1$"):
        inspect("desk-9")

    desks.leave("desk-1")
    until(lambda: newest_batch("desk-1") == 0, seconds=60, what="desk-1 to leave")
    with pytest.raises(CommandError, match="desk-1 is not connected; connected are: none"):
        inspect("desk-1")


def test_a_symbol_is_told_with_all_who_send_it_and_the_one_it_belongs_to(desks, road):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000"), trade("000660", "120000.5")])
    desks.send("desk-2", [trade("005930", "70100", at=1), trade("005930", "70200", at=2)])
    desks.send("desk-3", [trade("005930", "69900", at=3)], feed="nxt")
    owners.claim("krx", ["005930"], Client.objects.get(name="desk-1"))

    told = inspect_json()
    of_symbol = inspect_json("--symbol", "005930", "--rows", "3")
    text, complaint = inspect()

    shown = [
        (one["symbol"], one["feed"], one["client"], one["owner"], one["price"], one["rows"]) for one in told["series"]
    ]
    assert shown == [
        ("000660", "krx", "desk-1", None, Decimal("120000.5"), 1),
        ("005930", "krx", "desk-2", "desk-1", 70200, 2),
        ("005930", "krx", "desk-1", "desk-1", 70000, 1),
        ("005930", "nxt", "desk-3", None, 69900, 1),
    ]
    assert (told["total"], told["owners"], told["silent"], "ticks" in told) == (4, True, [], False)
    assert of_symbol["series"] == told["series"][1:]
    assert [(one["client"], one["price"]) for one in of_symbol["ticks"]] == [
        ("desk-3", 69900), ("desk-2", 70200), ("desk-2", 70100)
    ]  # fmt: skip
    assert (len(text.splitlines()), complaint) == (6, "")


def test_while_the_database_is_away_the_command_answers_from_memory(desks, road, server):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000.5")])
    server.kill()

    rows = inspect_json("desk-1")["rows"]
    told = inspect_json()
    complaint = inspect()[1]

    assert [(row["symbol"], row["price"]) for row in rows] == [("005930", Decimal("70000.5"))]
    assert [(one["client"], one["owner"], one["price"]) for one in told["series"]] == [
        ("desk-1", None, Decimal("70000.5"))
    ]
    assert told["owners"] is False
    assert "owners unknown" in complaint


# --- REST -------------------------------------------------------------------------------------------------------------


def test_by_rest_as_by_the_command(desks, serving, road):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000.00000001"), trade("000660", "5", at=1)])
    owners.claim("krx", ["005930"], Client.objects.get(name="desk-1"))

    rows = serving.read(RECENT)["rows"]
    told = serving.read(LATEST, symbol="005930")

    assert [(row["symbol"], row["price"], row["time"]) for row in rows] == [
        ("005930", Decimal("70000.00000001"), "2026-03-16T00:00:00.000000Z"),
        ("000660", 5, "2026-03-16T00:00:00.000001Z"),
    ]
    assert rows[0]["received"].endswith("Z")
    assert [row["symbol"] for row in serving.read(RECENT, limit=1)["rows"]] == ["000660"]
    assert [row["symbol"] for row in serving.read(RECENT, symbol="005930")["rows"]] == ["005930"]
    assert [(one["owner"], one["price"]) for one in told["series"]] == [("desk-1", Decimal("70000.00000001"))]
    assert [one["client"] for one in told["ticks"]] == ["desk-1"]
    assert serving.read(LATEST, limit=1)["total"] == 2
    missing = serving.get("/v2/status/clients/desk-9/recent")
    assert (missing.status_code, missing.json()["code"]) == (404, 40410003)
    assert "connected are: desk-1" in missing.json()["message"]


@pytest.mark.once
@pytest.mark.parametrize("path", [RECENT, LATEST])
def test_who_may_ask_and_for_how_much(serving, settings, path):
    settings.PAGE_PUBLIC = True
    _, secret = Client.objects.create_with_secret(name="sender", may_read=False)
    sender = Client.objects.get(name="sender")
    visitor, staff = Browser(), Browser()
    visitor.cookies[authentication.PAGE_COOKIE] = authentication.page_cookie()
    staff.force_login(get_user_model().objects.create_superuser("boss"))

    assert visitor.get(path).status_code == 401  # the public page is not enough
    keys = {authentication.KEY_HEADER: sender.key_id, authentication.SECRET_HEADER: secret}
    assert serving.get(path, headers=keys).status_code == 403
    assert {serving.get(path, limit=limit).status_code for limit in (0, 1001, "1_0", "x")} == {400}
    assert serving.get(path, symbol="a,b").status_code == 400
    assert "allowed are limit, symbol" in serving.get(path, rows=1).json()["message"]
    assert staff.get(path, {"limit": "1_0"}).status_code == 400  # past the door


def test_while_the_database_is_away_a_key_that_was_used_lately_is_answered(desks, serving, road, server, monkeypatch):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000.5")])
    client, secret = Client.objects.create_with_secret(name="fresh", may_read=True)
    fresh = {authentication.KEY_HEADER: client.key_id, authentication.SECRET_HEADER: secret}
    assert serving.get(RECENT).status_code == 200
    server.kill()
    start = time.monotonic()
    now = [start + authentication.REMEMBER_S + 1]
    monkeypatch.setattr(authentication, "time", SimpleNamespace(monotonic=lambda: now[0]))

    rows = serving.read(RECENT)["rows"]
    told = serving.read(LATEST)

    assert [row["price"] for row in rows] == [Decimal("70000.5")]
    assert ([one["client"] for one in told["series"]], told["owners"]) == (["desk-1"], False)
    assert serving.get(RECENT, headers=fresh).status_code == 503
    wrong = {**serving.headers, authentication.SECRET_HEADER: "wrong"}
    assert serving.get(RECENT, headers=wrong).status_code == 503
    assert serving.get("/v2/symbols").status_code == 503  # nothing else goes by what was known
    now[0] = start + authentication.OUTAGE_S + 1
    assert serving.get(RECENT).status_code == 503


# --- between the processes --------------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_server_that_does_not_answer_is_named_and_the_others_are_heard(desks, serving, road, monkeypatch):
    monkeypatch.setattr(inspection, "WAIT_S", 1)
    live_state.show_ingest("ghost", {"instance": "ghost", "clients": [{"client": "desk-1", "since": 1.0}]}, ttl_s=600)
    alone = serving.get(RECENT)
    all_silent = serving.get(LATEST)
    road.ingest()
    desks.send("desk-2", [trade("005930", "1")])

    def heard():
        answer = serving.get(LATEST)
        return answer.json() if answer.status_code == 200 else None

    together = until(heard, seconds=120, what="an answer of the server that is there")

    assert (alone.status_code, all_silent.status_code) == (503, 503)
    assert "the ingest server ghost does not answer" in alone.json()["message"]
    assert ([one["client"] for one in together["series"]], together["silent"]) == (["desk-2"], ["ghost"])


@pytest.mark.once
def test_questions_that_nobody_answers_do_not_pile_up(redis, monkeypatch):
    monkeypatch.setattr(inspection, "WAIT_S", 0)
    live_state.show_ingest("ghost", {"instance": "ghost", "clients": [{"client": "desk-1", "since": 1.0}]}, ttl_s=600)

    for _ in range(inspection.MOST_WAITING + 8):
        with pytest.raises(inspection.NoAnswer):
            inspection.recent("desk-1", rows=1)

    assert redis.llen(inspection.QUESTIONS + "ghost") == inspection.MOST_WAITING
    assert 0 < redis.ttl(inspection.QUESTIONS + "ghost") <= inspection.FADE_S


@pytest.mark.once
def test_a_question_is_not_taken_when_its_asker_has_left(redis, monkeypatch):
    live_state.show_ingest("ghost", {"instance": "ghost", "clients": [{"client": "desk-1", "since": 1.0}]}, ttl_s=600)
    monkeypatch.setattr(inspection, "WAIT_S", -5)  # a wait that was over before it began
    with pytest.raises(inspection.NoAnswer):
        inspection.recent("desk-1", rows=1)
    monkeypatch.setattr(inspection, "WAIT_S", 0)

    assert redis.llen(inspection.QUESTIONS + "ghost") == 1
    assert inspection.next_question(redis, "ghost") is None
    redis.rpush(
        inspection.QUESTIONS + "ghost", msgpack.packb(["token", time.time() + 600, "recent", "desk-1", 1, None])
    )
    assert inspection.next_question(redis, "ghost") == ["token", "recent", "desk-1", 1, None]


@pytest.mark.once
def test_only_a_few_of_a_process_wait_for_an_answer_at_a_time(redis, monkeypatch):
    monkeypatch.setattr(inspection, "WAIT_S", 60)
    live_state.show_ingest("ghost", {"instance": "ghost", "clients": [{"client": "desk-1", "since": 1.0}]}, ttl_s=600)
    for _ in range(inspection.MOST_ASKING):
        assert inspection._asking.acquire(blocking=False)
    try:
        with pytest.raises(inspection.NoAnswer, match="others are asking"):
            inspection.recent("desk-1", rows=1)
    finally:
        for _ in range(inspection.MOST_ASKING):
            inspection._asking.release()

    assert redis.llen(inspection.QUESTIONS + "ghost") == 0


@pytest.mark.once
def test_a_question_that_cannot_be_read_ends_nothing(desks, road, redis):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000")])
    (instance,) = [server["instance"] for server in live_state.status()["ingest"]]

    for nonsense in (b"\xc1", b"\x01", b"\x93\xa1a\xa1b\xa1c"):
        redis.rpush(inspection.QUESTIONS + instance, nonsense)

    assert newest_batch("desk-1") == 1
    assert road.tail("ingest").count("question not answered") == 3
    assert road.processes["ingest"].poll() is None


@pytest.mark.once
def test_a_redis_that_was_away_is_asked_again(desks, road, redis_server):
    road.ingest()
    desks.send("desk-1", [trade("005930", "70000")])
    redis_server.kill()
    try:
        with pytest.raises(CommandError, match="Redis does not answer"):
            inspect("desk-1")
    finally:
        redis_server.start()

    until(lambda: newest_batch("desk-1") == 1, seconds=60, what="an answer", every=0.5)


@pytest.mark.once
def test_the_memory_of_what_is_held_is_a_metric_within_its_limits(desks, road):
    road._environment |= {"INGEST_RING_BYTES": "65536", "INGEST_DATASET_BYTES": "1048576"}
    road.ingest()
    for _ in range(30):
        desks.send("desk-1", [trade("005930", "70000", at=at) for at in range(100)])
    until(lambda: road.metric("naru_ring_bytes") > 50_000, seconds=60, what="a full ring")

    inspect()

    assert road.metric("naru_ring_bytes") <= 65_536
    assert 0 < road.metric("naru_dataset_bytes") <= 1_048_576
