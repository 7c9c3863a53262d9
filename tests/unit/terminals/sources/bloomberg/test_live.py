"""The session: what is subscribed how, what is asked for again, and that it comes back whether the SDK helps or not."""

import contextlib
import datetime
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from terminals import wire
from terminals.clock import Clock, wall_us
from terminals.finding import Level
from terminals.link import Failed, Interrupted
from terminals.recording import NoRecorder
from terminals.session_events import Ended
from terminals.sources.bloomberg import live, probe
from terminals.sources.bloomberg.decoding import Decoder
from terminals.sources.bloomberg.sdk import Record
from terminals.sources.bloomberg.settings import FIELDS, Settings
from terminals.wire import Kind
from tests.simulators.bloomberg import blpapi
from tests.unit.terminals.linking import SECRET, Server
from tests.unit.terminals.sources.bloomberg.receiving import Got
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[5]
SAMSUNG, KOSPI, GONE = "005930 KS Equity", "KOSPI Index", "999999 KS Equity"
SECURITIES = {SAMSUNG: "005930", KOSPI: "KOSPI"}
PATIENCE_S = 180.0
NOW_US = 1_800_000_000_000_000


class Still(Clock):
    """The server's time stands."""

    def now_us(self):
        return NOW_US


class Fast(Clock):
    """A clock on which five minutes are a third of a second, for what waits long."""

    SPEED = 1000.0

    def now(self):
        return time.monotonic() * self.SPEED

    def wait(self, seconds):
        return super().wait(seconds / self.SPEED)


@pytest.fixture
def desk(monkeypatch):
    """A Terminal of Bloomberg's that knows two securities."""
    terminal = blpapi.Terminal()
    terminal.speed = 50.0
    monkeypatch.setattr(blpapi, "terminal", terminal)
    terminal.paint(SAMSUNG, {"LAST_PRICE": 70000.0, "BID": 69900.0, "VOLUME": 1000, "IS_DELAYED_STREAM": False})
    terminal.paint(KOSPI, {"LAST_PRICE": 2612.43, "IS_DELAYED_STREAM": False})
    return terminal


@contextlib.contextmanager
def streaming(clock=Clock, recorder=None, before_us=None, wall_us=wall_us, **options):
    """The source in a thread, until the test has seen enough."""
    stop, got = threading.Event(), Got(before_us)
    settings = Settings(options.pop("securities", SECURITIES), **{"recover_s": 360_000.0, **options})
    stream = live.Stream(blpapi, settings, Decoder(settings), recorder or NoRecorder(), wall_us=wall_us)
    thread = threading.Thread(target=stream.run, args=(got, clock(stop)), daemon=True)
    thread.start()
    try:
        yield got
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def wait(ready, what):
    return until(ready, seconds=PATIENCE_S, what=what)


def trade(desk, price, security=SAMSUNG):
    desk.say(security, "TRADE", "NEW", {"LAST_PRICE": price, "SIZE_LAST_TRADE": 1})


def prices(got):
    return [row["price"] / 10**8 for row in got.of(Kind.TRADE)]


def painted(got):
    wait(lambda: {row["symbol"] for row in got.of(Kind.SNAPSHOT)} == set(SECURITIES.values()), "both pictures")


def test_pictures_come_first_then_trades(desk):
    with streaming() as got:
        painted(got)
        trade(desk, 70100.0)
        wait(lambda: prices(got) == [70100.0], "the trade")

    assert got.order.index("TRADE") > got.order.index("SNAPSHOT")
    assert got.gaps == []


def test_what_happened_since_an_earlier_run_ended_is_a_gap_of_each_symbol(desk):
    with streaming(Still, before_us=NOW_US - 10_000_000, wall_us=lambda: NOW_US) as got:
        painted(got)
        wait(lambda: len(got.gaps) == 2, "the gaps")

    assert {(gap.symbol, gap.from_us, gap.reason) for gap in got.gaps} == {
        (symbol, NOW_US - 10_000_000, "bloomberg_disconnected") for symbol in SECURITIES.values()
    }
    assert got.order.index("gap") < got.order.index("SNAPSHOT")


@pytest.mark.parametrize("ahead_us", [90_000_000, -90_000_000])
def test_a_gap_over_a_restart_is_by_the_clock_of_the_server_when_the_pc_has_another(desk, ahead_us):
    with streaming(Still, before_us=NOW_US + ahead_us - 10_000_000, wall_us=lambda: NOW_US + ahead_us) as got:
        wait(lambda: len(got.gaps) == 2, "the gaps")

    assert {(gap.from_us, gap.to_us) for gap in got.gaps} == {(NOW_US - 10_000_000, NOW_US)}


@pytest.mark.parametrize("error", [Interrupted(), Failed(Ended("spool_error", "I/O error"))], ids=["stop", "disk"])
def test_a_message_that_the_terminal_does_not_take_is_a_gap(desk, error):
    class Ending(Got):
        def send(self, rows, *, feed=None):
            if any(row["kind"] is Kind.TRADE for row in rows):
                raise error
            super().send(rows, feed=feed)
            if len(self.of(Kind.SNAPSHOT)) == 1:
                trade(desk, 70100.0)

    got, settings = Ending(), Settings({SAMSUNG: "005930"}, recover_s=3600.0)
    stream = live.Stream(blpapi, settings, Decoder(settings), NoRecorder())

    with pytest.raises(type(error)):
        stream.run(got, Clock(threading.Event()))

    assert [(gap.symbol, gap.rows, gap.reason) for gap in got.gaps] == [("005930", 1, "not_taken")]


@pytest.mark.parametrize(("interval_s", "end"), [(0, ""), (5, "&interval=5")])
def test_a_security_is_subscribed_with_its_fields_and_the_interval(desk, interval_s, end):
    with streaming(interval_s=interval_s) as got:
        painted(got)

    assert sorted(desk.topics) == sorted(f"{one}?fields={','.join(FIELDS)}{end}" for one in SECURITIES)


def test_the_session_is_made_as_the_options_say_and_is_stopped(desk):
    with streaming(host="pc2", port=8195, queue_events=5000) as got:
        painted(got)

    (session,) = desk.sessions
    values = session.options.values
    assert (values["ServerHost"], values["ServerPort"], values["MaxEventQueueSize"]) == ("pc2", 8195, 5000)
    assert values["AutoRestartOnDisconnection"] is True
    assert not session.is_running


def test_a_connection_that_the_sdk_brings_back_goes_on_in_its_session_with_a_gap(desk):
    with streaming() as got:
        painted(got)
        desk.drop()
        desk.restore()
        wait(lambda: len(got.gaps) == 2, "the gaps")
        trade(desk, 70200.0)
        wait(lambda: prices(got) == [70200.0], "the trade")

    assert {gap.symbol for gap in got.gaps} == {"005930", "KOSPI"}
    assert len(desk.sessions) == 1
    assert len(desk.topics) == 2


def test_a_connection_whose_streams_do_not_come_back_makes_a_new_session(desk):
    desk.resubscribes = False
    with streaming(Fast, recover_s=600.0) as got:
        painted(got)
        desk.drop()
        desk.restore()
        wait(lambda: len(desk.sessions) >= 2, "a new session")
        wait(lambda: (trade(desk, 70300.0), prices(got))[1], "a trade of it")
        wait(lambda: {gap.symbol for gap in got.gaps} == {"005930", "KOSPI"}, "the gaps")

    assert not desk.sessions[0].is_running


def test_a_session_that_ends_is_followed_by_another_that_subscribes_all(desk):
    with streaming(Fast) as got:
        painted(got)
        desk.terminate()
        wait(lambda: len(desk.sessions) == 2, "a new session")
        wait(lambda: len(desk.topics) == 4, "its subscriptions")
        wait(lambda: len(got.gaps) == 2, "the gaps")

    assert [event["body"]["state"] for event in got.events("vendor_session")][:3] == ["up", "down", "up"]


def test_a_terminal_that_is_not_there_yet_is_tried_again_and_told_once(desk, caplog):
    desk.logged_in = False
    with streaming(Fast) as got:
        wait(lambda: "no session at" in caplog.text, "the word that there is none")
        wait(lambda: desk.starts >= 3, "further tries")
        desk.logged_in = True
        painted(got)

    assert caplog.text.count("no session at") == 1
    assert "SessionStartupFailure" in caplog.text


def test_a_service_that_does_not_open_is_tried_again(desk, caplog):
    desk.has_service = False
    with streaming(Fast) as got:
        wait(lambda: "ServiceOpenFailure" in caplog.text, "the word that it does not open")
        desk.has_service = True
        painted(got)


@pytest.mark.parametrize(("category", "again"), [("NO_AUTH", 0), ("BAD_SEC", 0), ("TIMEOUT", 1), ("LIMIT", 1)])
def test_what_is_refused_is_asked_for_again_only_where_that_can_help(desk, category, again):
    desk.refuse(SAMSUNG, category)
    with streaming(Fast) as got:
        wait(lambda: got.events("vendor_subscription"), "the refusal")
        if again:
            desk.refuse(SAMSUNG, "")
        else:
            desk.terminate()  # a new session does not ask for it either
            wait(lambda: len(desk.sessions) == 2, "a new session")
        wait(lambda: len(desk.topics) >= 3, "what is asked for then")
        if again:
            painted(got)

    asked = [topic.partition("?")[0] for topic in desk.topics]
    assert (asked.count(SAMSUNG) > 1) is bool(again)


def test_one_security_that_does_not_exist_hinders_no_other(desk):
    with streaming(securities={**SECURITIES, GONE: "999999"}) as got:
        painted(got)
        wait(lambda: got.events("vendor_subscription"), "the refusal")

    assert got.events("vendor_subscription")[0]["symbol"] == "999999"


def test_a_burst_beyond_the_queue_is_told_to_the_message(desk):
    """5,000 trades at once into a queue of 1,000: what was dropped is in the gaps, the rest arrived."""
    with streaming(queue_events=1000) as got:
        painted(got)
        with got.lock:  # the reader stands still meanwhile
            for number in range(5000):
                trade(desk, 70000.0 + number)
            desk.sessions[0]._settle()

        def told():
            return len(prices(got)) + sum(gap.rows for gap in got.gaps)

        wait(lambda: told() == 5000, "every trade, or a gap for it")
        wait(lambda: len(got.events("vendor_slow")) == 2, "the queue to be empty again")

    # How many the queue has room for depends on where the reader stood, and on warnings that take a place of their own.
    assert 0 < sum(gap.rows for gap in got.gaps) < 5000
    assert told() == 5000


def test_messages_of_all_kinds_are_recorded_as_they_are_handled(desk):
    class Recorder:
        def __init__(self):
            self.notes = []

        def note(self, channel, data):
            self.notes.append((channel, Record.read(data)))

    recorder = Recorder()
    with streaming(recorder=recorder) as got:
        painted(got)
        trade(desk, 70100.0)
        wait(lambda: prices(got), "the trade")

    kinds = {record.kind for _channel, record in recorder.notes}
    assert {"SessionStarted", "ServiceOpened", "SubscriptionStarted", "MarketDataEvents"} <= kinds


# --- check ----------------------------------------------------------------------------------------------------------


def checked(**securities):
    return list(probe.check(blpapi, Settings(securities or SECURITIES)))


def test_a_desk_in_order_is_good(desk):
    assert [finding.level for finding in checked()] == [Level.GOOD] * 3
    assert not desk.sessions[0].is_running


def test_no_terminal_and_no_service_are_told_with_what_to_do(desk):
    desk.has_service = False
    no_service = checked()
    desk.logged_in = False
    no_terminal = checked()

    assert [finding.level for finding in no_service] == [finding.level for finding in no_terminal]
    assert [finding.level for finding in no_terminal] == [Level.GOOD, Level.WRONG]
    assert "Connection refused" in no_terminal[-1].told
    assert no_terminal[-1].remedy
    assert no_service[-1].remedy


def test_refusals_delays_and_fields_are_told_each(desk):
    desk.paint(KOSPI, {"LAST_PRICE": 1.0, "IS_DELAYED_STREAM": True})
    desk.refuse(SAMSUNG, "NO_AUTH")
    desk.field_exceptions[KOSPI] = "VOLUME"

    found = checked()

    told = {finding.level: finding.told for finding in found[2:-1]}
    assert [finding.level for finding in found[2:]] == [Level.WRONG, Level.DOUBTFUL, Level.WRONG, Level.WRONG]
    assert SAMSUNG in found[2].told
    assert "VOLUME" in told[Level.DOUBTFUL]
    assert KOSPI in found[4].told


# --- the command, in a process of its own that imports the stand-in as blpapi ---------------------------------------


def command(tmp_path, address, *words, environment=None):
    (tmp_path / "bloomberg.toml").write_text(
        f'server = "{address}"\nclient = "t1"\nspool = "{tmp_path}/spool"\n[securities]\n"{SAMSUNG}" = "005930"\n'
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NARU_LANG")}
    return subprocess.Popen(
        [sys.executable, "-m", "terminals", *words, "--config", str(tmp_path / "bloomberg.toml")],
        cwd=ROOT, env={**kept, "NARU_KEY": SECRET, "NARU_LANG": "en", **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("blpapi") is not None, reason="the real SDK is installed here")
def test_without_the_sdk_the_command_says_how_to_get_it(tmp_path):
    with command(tmp_path, "127.0.0.1:1", "bloomberg") as child:
        _out, told = child.communicate(timeout=PATIENCE_S)

    assert child.returncode == 2
    assert "--index-url=https://blpapi.bloomberg.com/" in told


def test_the_whole_program_streams_records_and_plays_the_recording(tmp_path):
    stamp = datetime.datetime(2026, 3, 16, 0, 30, tzinfo=datetime.UTC).isoformat()
    trade_fields = {"LAST_PRICE": 70100.0, "SIZE_LAST_TRADE": 3, "TRADE_UPDATE_STAMP_RT": {"time": stamp}}
    steps = [
        [0, "paint", SAMSUNG, {"LAST_PRICE": 70000.0, "IS_DELAYED_STREAM": False}],
        [0, "await", 1],
        *([[0.01, "say", SAMSUNG, "TRADE", "NEW", trade_fields]] * 20),
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    fake = {
        "PYTHONPATH": str(ROOT / "tests/simulators/bloomberg"),
        "FAKE_BLPAPI_SCRIPT": str(tmp_path / "script.jsonl"),
    }
    record = str(tmp_path / "in.jsonl")

    def trades(server):
        held = list(server.fake.held.values())
        columns = [one for one in held if wire.parse_header(one).encoding is wire.Encoding.COLUMNS]
        return [row for one in columns for row in wire.decode_columns(one) if row["kind"] == Kind.TRADE]

    with contextlib.closing(Server()) as server:
        with command(tmp_path, server.address, "bloomberg", "--record", record, environment=fake) as child:
            wait(lambda: len(trades(server)) == 20, "the trades")
            child.terminate()
            _out, told = child.communicate(timeout=PATIENCE_S)
        live_trades = trades(server)
    (tmp_path / "spool").rename(tmp_path / "spool of the live run")
    with contextlib.closing(Server()) as server:
        with command(tmp_path, server.address, "play", "bloomberg", record, "--pace", "0") as child:
            _out, played = child.communicate(timeout=PATIENCE_S)
        again = trades(server)

    assert (child.returncode, SECRET in told + played) == (0, False), played
    assert [(row["symbol"], row["price"]) for row in live_trades] == [("005930", 70100 * 10**8)] * 20
    assert again == live_trades


def test_the_sdk_itself_gives_the_records_that_its_stand_in_gives():
    """Where the real SDK is installed its own test utilities say the same."""
    real = pytest.importorskip("blpapi")
    from terminals.sources.bloomberg import sdk

    event = real.test.createEvent(real.Event.ADMIN)
    formatter = real.test.appendMessage(event, real.test.getAdminMessageDefinition(real.Name("DataLoss")))
    formatter.formatMessageDict({"id": "id", "source": "Test", "numMessagesDropped": 123})

    (record,) = [record for message in event for record in sdk.records(real, message, {})]

    assert (record.kind, record.security, record.content["numMessagesDropped"]) == ("DataLoss", None, 123)
