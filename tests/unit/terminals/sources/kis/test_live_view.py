"""What is shown of a KIS terminal: the same numbers in the window, for a monitor and for the server."""

import dataclasses
import io

import rich.console
from prometheus_client import CollectorRegistry, generate_latest

from terminals import wire
from terminals.sources.kis import status
from terminals.sources.kis.streams import SessionStatus
from terminals.wire import Kind

ONE = SessionStatus(
    name="one", condition="owned_elsewhere", reason="held by [process 12]", active=3, planned=5, refused=2,
    connections=1, failures=0, overrun=4, pings=9, clock_offset_s=-2.5, data_age_s=None,
)  # fmt: skip
NUMBERS = status.Numbers(
    mode="production", run_s=61.234567, client="desk1", requests=7, success_rate=0.9, cache_hit_rate=0.25,
    rows={"trade": 11, "book": 12}, buffered=6, buffers={"price": 1, "book": 2, "event": 3}, buffer_room=20_000,
    overruns={"book": 4}, server_offset_s=0.125, refused=2, refused_polled=1,
    coverage={"websocket": 3, "polling": 2, "none": 1}, calls={"one": status.Calls(6, 4, 1), "two": status.Calls(0, 0)},
    sessions=[ONE],
)  # fmt: skip


def test_the_window_shows_them():
    console = rich.console.Console(width=200, record=True, file=io.StringIO())

    console.print(status.table(NUMBERS))

    shown = console.export_text()
    for words in (
        "price 1 (0 lost), book 2 (4 lost), event 3 (0 lost), room 20000", "none 1, polling 2, websocket 3",
        "2 registrations, 1 of them polled", "+0.125 s", "book 12, trade 11", "90.0% good, cache 25.0%", "-2.5 s",
        "held by [process 12]", "80.0%", "two",
    ):  # fmt: skip
        assert words in shown, words


def test_a_monitor_gets_them():
    registry = CollectorRegistry()
    registry.register(status.Metrics(lambda: NUMBERS))

    told = generate_latest(registry).decode()

    for line in (
        'naru_kis_buffer{buffer="event"} 3.0', "naru_kis_buffer_room 20000.0",
        'naru_kis_overruns_total{buffer="book"} 4.0',
        'naru_kis_coverage{how="polling"} 2.0', "naru_kis_server_offset_seconds 0.125", "naru_kis_refused_polled 1.0",
        'naru_kis_clock_offset_seconds{appkey="one"} -2.5', 'naru_kis_appkey_good_total{appkey="one"} 4.0',
        'naru_kis_planned{appkey="one"} 5.0', "naru_kis_run_seconds 61.234567",
        'naru_kis_session{appkey="one",state="owned_elsewhere"} 1.0',
    ):  # fmt: skip
        assert f"\n{line}\n" in told, line


def test_the_server_gets_them_in_an_event_however_many_appkeys_there_are():
    many = [dataclasses.replace(ONE, name=f"appkey number {number}") for number in range(100)]
    numbers = dataclasses.replace(NUMBERS, sessions=many, alarms={f"alarm{number}": number for number in range(12)})

    events = wire.Events()
    events.append(kind=Kind.STATUS, event="vendor_status", time_us=1, body=numbers.brief())

    assert len(events) == 1
    assert numbers.brief()["sessions_left_out"] == 100 - len(numbers.brief()["sessions"])
    brief = NUMBERS.brief()
    for name in (
        "client",
        "coverage",
        "buffers",
        "overruns",
        "server_offset_s",
        "refused_polled",
        "success_rate",
        "rows",
    ):
        assert brief[name] == getattr(NUMBERS, name)
    assert brief["sessions"] == [
        {"name": "one", "condition": "owned_elsewhere", "active": 3, "planned": 5, "refused": 2, "offset_s": -2.5,
         "requests": 6}
    ]  # fmt: skip


def test_sessions_with_long_names_are_told_as_far_as_they_fit_an_event():
    many = [dataclasses.replace(ONE, name=f"{number} " + "실전투자" * 12) for number in range(20)]
    numbers = dataclasses.replace(NUMBERS, sessions=many)

    brief = numbers.brief()
    wire.Events().append(kind=Kind.STATUS, event="vendor_status", time_us=1, body=brief)

    assert 1 < len(brief["sessions"]) < 20
    assert [one["name"] for one in brief["sessions"]] == [one.name for one in many[: len(brief["sessions"])]]
    assert brief["sessions_left_out"] == 20 - len(brief["sessions"])
