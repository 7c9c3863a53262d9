"""What a session does without a service: its clocks, what it says when nobody has room for it, an unforeseen end."""

import asyncio
import datetime
import json
import time

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.sources.kis import connecting
from terminals.sources.kis.connecting import Identity, Timing
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import PolledRows
from terminals.sources.kis.losses import Losses
from terminals.sources.kis.planner import Registration
from terminals.sources.kis.service_clock import ServiceClock
from terminals.sources.kis.session import Condition, NoApprovalKey, Session
from tests.simulators.kis.market import KST
from tests.unit.terminals.sources.kis.frames_of_kis import book, trade
from tests.unit.terminals.sources.kis.test_intake import terminal_in

BOOK = Registration("H0STASP0", "005930")
ONE = Identity("one", "one", "ws://127.0.0.1:1")
NINE = "20261127090000"
NINE_US = 1_795_737_600_500_000
"""09:00:00 in Seoul, in the middle of the second."""


@pytest.fixture
def intake(tmp_path):
    """With room for one."""
    terminal = terminal_in(tmp_path)
    yield Intake(terminal, tmp_path / "kis", most_messages=1)
    terminal.close()


async def refused(key):
    raise NoApprovalKey("not known", is_final=True)


def session_of(intake, folder, **options):
    made = Session(ONE, refused, intake, Losses(intake.offer), folder, **options)
    made.want([Registration("H0STCNT0", "005930")])
    return made


def test_the_time_of_kis_stays_when_our_clock_is_set_right_by_the_server():
    ours, steady = NINE_US - 90_000_000, 5_000_000
    clock = ServiceClock(lambda: ours, lambda: steady)
    assert (clock.now_us(), clock.offset_us) == (ours, 0)

    clock.heard(NINE)
    assert (clock.now_us(), clock.offset_us) == (NINE_US, 90_000_000)

    ours, steady = NINE_US + 3_000_000, steady + 3_000_000  # the server's WELCOME
    assert (clock.now_us(), clock.offset_us) == (NINE_US + 3_000_000, 0)

    ours += 1_000_000  # less than PINGPONG can tell
    assert (clock.now_us(), clock.offset_us) == (ours, 0)


def test_what_is_no_time_is_refused_and_the_one_of_before_stays():
    clock = ServiceClock(lambda: NINE_US - 90_000_000, lambda: 0)
    clock.heard(NINE)

    with pytest.raises(ValueError, match="soon"):
        clock.heard("soon")

    assert clock.now_us() == NINE_US


def test_a_record_with_a_date_tells_the_day_as_long_as_the_service_has_told_nothing():
    ours, steady = NINE_US, 0
    clock = ServiceClock(lambda: ours, lambda: steady)
    known = [clock.is_known]

    clock.seen(NINE_US - 3_000_000)  # a record that took a while: no other day
    known.append(clock.is_known)
    assert known == [False, True]
    assert clock.now_us() == ours

    clock.seen(NINE_US - 7 * 86_400_000_000)
    steady = 2_000_000
    assert clock.now_us() == NINE_US - 7 * 86_400_000_000 + 2_000_000
    assert clock.at_us(1_000_000) == NINE_US - 7 * 86_400_000_000 + 1_000_000

    clock.heard(NINE)
    clock.seen(NINE_US + 86_400_000_000)
    assert clock.now_us() == NINE_US


async def test_when_it_connected_is_kept_by_the_clock_of_the_machine_as_a_check_keeps_it(intake, tmp_path):
    running = session_of(intake, tmp_path / "state", wall=lambda: time.time() - 90.0)

    began = time.time()
    await asyncio.wait_for(running.run(), 300)

    assert running.condition is Condition.STOPPED
    assert began <= json.loads((tmp_path / "state" / "one.reconnects").read_bytes())["last_at"] <= time.time()


async def test_an_alarm_there_is_no_room_for_is_counted(intake, tmp_path):
    assert intake.offer(PolledRows("krx", []))

    await asyncio.wait_for(session_of(intake, tmp_path / "state").run(), 300)

    assert intake.counts.overruns == {"event": 1}


class Socket:
    """Brings messages, then fails in a way that nobody foresaw."""

    def __init__(self, *messages):
        self.messages = messages or (f"0|{BOOK.tr_id}|001|{BOOK.tr_key}^",)

    async def __aiter__(self):
        for message in self.messages:
            yield message
        raise RuntimeError("unforeseen")

    async def send(self, _text):
        """Answers nothing."""

    async def close(self):
        """Is gone anyway."""


async def test_a_connection_that_ends_with_an_unforeseen_error_has_lost_what_was_registered(tmp_path, monkeypatch):
    async def approval(_refused):
        return "key"

    async def connect(_identity, _timing):
        return Socket()

    monkeypatch.setattr(connecting, "open_socket", connect)
    told = []

    def tell(lost):
        told.append(lost)
        return True

    losses = Losses(tell)
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    timing = Timing(floor_s=0.0)
    session = Session(ONE, approval, intake, losses, tmp_path, timing=timing, wall=lambda: NINE_US / 1e6)
    session.want([BOOK])

    with pytest.raises(RuntimeError, match="unforeseen"):
        await session.run()

    terminal.close()
    losses.end(session.now_us())
    assert [(lost.symbol, lost.reason) for lost in told] == [("005930", "book:disconnected")]


BOOK_FRAME, TRADE_FRAME = f"0|H0STASP0|001|{book()}", f"0|H0STCNT0|001|{trade()}"
PING = '{"header": {"tr_id": "PINGPONG", "datetime": "20261120090005"}}'


@pytest.mark.parametrize("teller", [TRADE_FRAME, PING])
async def test_records_without_a_date_wait_for_the_time_of_the_service_and_keep_their_order(
    tmp_path, monkeypatch, teller
):
    async def approval(_refused):
        return "key"

    async def connect(_identity, _timing):
        return Socket(BOOK_FRAME, BOOK_FRAME, teller)

    monkeypatch.setattr(connecting, "open_socket", connect)
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    session = Session(ONE, approval, intake, Losses(intake.offer), tmp_path, timing=Timing(floor_s=0.0))
    session.want([BOOK])

    with pytest.raises(RuntimeError, match="unforeseen"):
        await session.run()
    intake.start()
    intake.close()
    terminal.close()

    books = [
        row
        for _seq, payload in spools.read(tmp_path / "spool")
        if wire.parse_header(payload).encoding is wire.Encoding.BOOKS
        for row in wire.decode_books(payload)
    ]
    assert len(books) == 2
    assert {datetime.datetime.fromtimestamp(row["time_us"] / 1e6, KST).date().isoformat() for row in books} == {
        "2026-11-20"
    }


async def test_a_record_that_waits_for_room_when_its_connection_ends_is_lost_and_told(intake, tmp_path):
    session = session_of(intake, tmp_path)
    session.want([BOOK])
    assert intake.offer(PolledRows("krx", []))

    waiting = asyncio.create_task(session._data.take_of(BOOK_FRAME, NINE_US))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    assert session._losses.going_on() == [(BOOK, NINE_US, "no_room")]
    assert sum(intake.counts.overruns.values()) == 1
