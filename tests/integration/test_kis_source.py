"""The kis source as a whole against both sides of KIS's simulator, without a server behind the spool."""

import contextlib
import dataclasses
import datetime
import json
import logging
import operator
import threading
import urllib.request

import pytest

from terminals import private
from terminals.clock import Clock
from terminals.finding import Level
from terminals.link import Address, Config, Identity, Terminal
from terminals.lock import FileLock
from terminals.recording import FileRecorder, PlayedRecording
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.played import PlayedInput
from terminals.sources.kis.source import Kis, Options
from terminals.sources.kis.wanted import read_wanted
from terminals.wire import Encoding, new_secret
from terminals.wire import Kind as RowKind
from tests import waiting
from tests.integration.kis_streams import FAST, Content
from tests.servers import free_port
from tests.simulators.kis.market import KST
from tests.simulators.kis.process import SimulatorProcess

pytestmark = pytest.mark.once

APPKEYS = {"one": "PS" + "A" * 34, "two": "PS" + "B" * 34}


def simulator(*arguments):
    keys = [word for name, key in APPKEYS.items() for word in ("--appkey", f"{key}=secret-{name}")]
    # Tokens end by the service's clock, so it has to be ours.
    now = datetime.datetime.now(KST).strftime("%Y-%m-%dT%H:%M:%S")
    given = ("--symbols", "8", "--ping-s", "0.2", "--token-interval-s", "0", "--start", now)
    return SimulatorProcess(*given, *keys, *arguments)


def accounts_at(kis):
    return [
        Account(
            name=name,
            kind=AccountKind.REAL,
            appkey=key,
            appsecret=f"secret-{name}",
            rest_url=kis.rest,
            websocket_url=kis.websocket,
        )
        for name, key in APPKEYS.items()
    ]


def source(kis, folder, *, codes=None, timing=FAST, recorder=None, **options):
    wanted = read_wanted(",".join(codes or kis.symbols), {})
    return Kis(accounts_at(kis), wanted, folder / "state", options=Options(timing=timing, **options), recorder=recorder)


def terminal_in(folder):
    config = Config(
        address=Address.parse("127.0.0.1:9"),
        identity=Identity("kis", new_secret(), "KIS", "KRX"),
        feed="krx",
        spool=folder / "spool",
    )
    return Terminal(config)


@contextlib.contextmanager
def running(kis_source, folder):
    """Runs it in a thread until the block ends."""
    stop, ended = threading.Event(), []

    def run():
        with terminal_in(folder) as terminal:
            ended.append(kis_source.run(terminal, Clock(stop)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(300)
    assert not thread.is_alive()
    assert ended == [False]


def played(recording, folder):
    """What a terminal has in its spool after it played this recording."""
    with terminal_in(folder) as terminal:
        assert PlayedRecording(recording, PlayedInput(), speed=0.0).run(terminal, Clock(threading.Event()))
    return Content(folder / "spool")


def test_everything_over_all_appkeys_is_streamed_and_polled_and_shown_and_recorded(tmp_path, caplog):
    caplog.set_level(logging.INFO, "naru.kis")
    port = free_port()
    recording = tmp_path / "in.jsonl"
    with simulator() as kis, FileRecorder(recording, max_bytes=1 << 30) as recorder:
        one = source(kis, tmp_path, per_appkey=5, metrics_port=port, recorder=recorder)
        with running(one, tmp_path):

            def enough():
                rows = one.numbers().rows
                return all(rows.get(kind, 0) >= 5 for kind in ("trade", "book", "snapshot")) and rows.get("status", 0)

            waiting.until(enough, seconds=60, what="rows of each kind")
            waiting.until(lambda: sum(one.active for one in one.numbers().sessions) == 10, seconds=60, what="sessions")
            numbers = one.numbers()
            address = f"http://127.0.0.1:{port}/metrics"
            metrics = urllib.request.urlopen(address, timeout=60).read().decode()
        account = kis.account()

    content = Content(tmp_path / "spool")
    assert numbers.coverage == {"websocket": 10, "polling": 6, "none": 0}
    assert numbers.success_rate > 0  # a call that a busy machine leaves waiting counts as failed
    assert 'naru_kis_session{appkey="one",state="connected"} 1.0' in metrics
    assert 'naru_kis_buffer{buffer="book"}' in metrics
    assert 'naru_kis_appkey_good_total{appkey="two"}' in metrics
    assert set(numbers.buffers) == {"price", "book", "event"}
    assert sum(one.made for one in numbers.calls.values()) > 0
    assert 'naru_kis_rows_total{kind="trade"}' in metrics
    assert account["rest"]["limiter_trips"] == 0
    assert {row["kind"] for row in content.rows} >= {RowKind.TRADE, RowKind.SNAPSHOT}
    assert content.batches[Encoding.BOOKS] > 0
    assert content.batches[Encoding.EVENTS] > 0
    last_words = [text for text in caplog.messages if text.startswith("kis_status ")][-1]
    told = json.loads(last_words.partition(" ")[2])["rows"]
    for kind in (RowKind.TRADE, RowKind.SNAPSHOT):  # what came after the last look, too
        assert told[kind.name.lower()] == sum(row["kind"] == kind for row in content.rows)
    again = played(recording, tmp_path / "again")
    as_traded = operator.itemgetter("symbol", "time_us", "price", "shares", "cum_volume")
    # What was still on its way when the program was stopped is recorded and was not sent.
    assert set(map(as_traded, content.trades())) <= set(map(as_traded, again.trades()))
    assert {row["kind"] for row in again.rows} >= {RowKind.TRADE, RowKind.SNAPSHOT}
    assert again.batches[Encoding.BOOKS] > 0
    written = recording.read_text()
    assert " /uapi/domestic-stock/v1/quotations/intstock-multprice?" in written
    tokens = [json.loads(file.read_text())["value"] for file in (tmp_path / "state").glob("*.token")]
    assert len(tokens) == 2
    assert not any(secret in written for secret in (*APPKEYS.values(), "secret-one", "secret-two", *tokens))


def test_the_test_mode_asks_for_five_symbols_and_opens_no_session(tmp_path):
    with simulator() as kis:
        one = source(kis, tmp_path, codes=kis.symbols[:5], mode="test", streaming=False, cycle_s=0.2)
        with running(one, tmp_path):
            waiting.until(lambda: one.numbers().rows.get("snapshot", 0) >= 10, seconds=60, what="pictures")
        account = kis.account()

    assert {row["symbol"] for row in Content(tmp_path / "spool").rows} == set(kis.symbols[:5])
    assert account["connections"] == 0


def test_setting_up_looks_at_keys_pictures_and_the_websocket(tmp_path):
    with simulator() as kis, terminal_in(tmp_path) as terminal:
        one = source(kis, tmp_path, codes=kis.symbols[:2], mode="setup")

        assert one.run(terminal, Clock(threading.Event()))
        found = list(one.check())

    assert [finding.level for finding in found] == [Level.GOOD] * len(found)
    assert len(found) == 2 * 4 + 1
    assert Content(tmp_path / "spool").rows


def test_an_appkey_that_is_in_use_elsewhere_is_told_in_words(tmp_path):
    with simulator() as kis:
        kis.fault("owned", count=2)
        found = list(source(kis, tmp_path, codes=kis.symbols[:1]).check())

    wrong = [finding for finding in found if finding.level is Level.WRONG]
    assert len(wrong) == 2
    assert "OPSP8996" in wrong[0].told
    assert "another program" in wrong[0].remedy


def test_a_check_opens_no_second_session_of_an_appkey_that_a_process_of_this_machine_has(tmp_path):
    with simulator() as kis:
        one = source(kis, tmp_path, codes=kis.symbols[:1])
        private.make(tmp_path / "state")
        lock = FileLock(tmp_path / "state" / f"{accounts_at(kis)[0].key_id}.session")
        found = list(one.check())
        lock.release()
        connections = kis.account()["connections"]

    (doubtful,) = [finding for finding in found if finding.level is Level.DOUBTFUL]
    assert "another process owns this appkey" in doubtful.told
    assert connections == 1  # of the other appkey


def test_a_check_keeps_the_wait_after_connections_that_failed(tmp_path):
    timing = dataclasses.replace(FAST, floor_s=10_000.0, most_s=10_000.0)
    with simulator() as kis:
        one = source(kis, tmp_path, codes=kis.symbols[:1], timing=timing)
        before = list(one.check())
        again = list(one.check())
        connections = kis.account()["connections"]

    assert [finding.level for finding in before] == [Level.GOOD] * len(before)
    assert sum("may begin in" in finding.told for finding in again if finding.level is Level.DOUBTFUL) == 2
    assert connections == 2


def test_a_session_whose_secret_is_wrong_stops_and_says_so(tmp_path):
    with simulator() as kis:
        accounts = [dataclasses.replace(one, appsecret="not-the-secret") for one in accounts_at(kis)[:1]]
        options = Options(timing=FAST, polling=False)
        one = Kis(accounts, read_wanted(kis.symbols[0], {}), tmp_path / "state", options=options)
        with running(one, tmp_path):

            def stopped():
                return [session.reason for session in one.numbers().sessions if session.condition == "stopped"]

            (reason,) = waiting.until(stopped, seconds=60, what="the session to stop")
        connections = kis.account()["connections"]

    assert "EGW00105" in reason
    assert connections == 0


def test_a_secret_that_is_wrong_is_told_without_being_shown(tmp_path):
    with simulator() as kis:
        account = Account(
            name="wrong",
            kind=AccountKind.REAL,
            appkey=APPKEYS["one"],
            appsecret="not-the-secret",
            rest_url=kis.rest,
            websocket_url=kis.websocket,
        )
        found = list(Kis([account], read_wanted(kis.symbols[0], {}), tmp_path / "state").check())

    assert found[0].level is Level.WRONG
    assert not any(word in finding.told for finding in found for word in ("not-the-secret", APPKEYS["one"]))
