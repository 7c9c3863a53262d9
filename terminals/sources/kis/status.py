"""How the source stands, as one table of numbers: for the window, for a monitor, for the server and for the log."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rich.console import Group
from rich.table import Table
from rich.text import Text

from terminals.sources.kis.streams import SessionStatus
from terminals.wire import BODY_BYTES

_CONDITIONS: Final = ("idle", "owned_elsewhere", "waiting", "connecting", "connected", "stopped")
_DOUBTFUL: Final = {
    "late": "Trades that came after their gap was told",
    "late_shares": "Shares of those trades",
    "fallen": "Volumes of KIS that fell",
    "wrong_volumes": "Volumes of KIS that no other trade bears out",
    "misdated": "Trades of a date that has not come",
    "untracked": "Trades whose volume was compared with nothing",
    "without_price": "Records without a price",
    "unfit": "Rows and gaps that fit no column and were not sent",
    "not_taken": "Rows that the terminal did not take any more when it ended",
    "not_kept": "Records set aside that found no room in the quarantine",
    "overrun": "Messages for which there was no room",
    "recounted": "Frames whose count of records was wrong",
    "limit_not_written": "Calls whose limit could not be written down",
}
"""Counts that are 0 on a good day: fields of `Numbers`, and the texts of their metrics."""


@dataclass(frozen=True)
class Calls:
    """Of one appkey since the start."""

    made: int
    good: int
    failed: int = 0

    @property
    def success_rate(self) -> float:
        """Of those that have ended; 1.0 before the first."""
        ended = self.good + self.failed
        return self.good / ended if ended else 1.0


@dataclass(frozen=True)
class Numbers:
    """Counts since the start; `coverage` counts wishes by how they are covered now."""

    mode: str
    run_s: float
    client: str = ""
    """The terminal's name on the server."""
    requests: int = 0
    success_rate: float = 1.0
    cache_hit_rate: float = 0.0
    limiter_waits: int = 0
    left_out: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    records: int = 0
    gaps: int = 0
    missing_shares: int = 0
    repeats: int = 0
    late: int = 0
    late_shares: int = 0
    fallen: int = 0
    wrong_volumes: int = 0
    misdated: int = 0
    untracked: int = 0
    without_price: int = 0
    unfit: int = 0
    not_taken: int = 0
    quarantined: int = 0
    not_kept: int = 0
    overrun: int = 0
    recounted: int = 0
    limit_not_written: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """REST requests by kind of failure."""
    rest_away: int = 0
    """Appkeys whose REST calls all fail."""
    buffered: int = 0
    """Messages that wait for the decoder."""
    buffers: dict[str, int] = field(default_factory=dict)
    """The same by what they tell: price, book, event."""
    buffer_room: int = 0
    """How many may wait in all."""
    overruns: dict[str, int] = field(default_factory=dict)
    """Messages there was no room for, by the same."""
    batches_waiting: int = 0
    server_offset_s: float = 0.0
    """This machine's clock minus the server's, as far as that has told it."""
    refused: int = 0
    """Registrations that KIS refused."""
    refused_polled: int = 0
    """Those among them that are polled."""
    calls: dict[str, Calls] = field(default_factory=dict)
    """REST calls by appkey."""
    coverage: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)
    sessions: list[SessionStatus] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    def brief(self) -> dict[str, Any]:
        """What fits an event on the server: of 20 appkeys at most, and of as many as there is room for. The others are
        counted in `sessions_left_out`."""
        left_out = ("sessions", "calls")
        found = {name: _short(value) for name, value in asdict(self).items() if name not in left_out}
        sessions = found["sessions"] = [
            {
                "name": one.name,
                "condition": one.condition,
                "active": one.active,
                "planned": one.planned,
                "refused": one.refused,
                "offset_s": _short(one.clock_offset_s),
                "requests": self.calls.get(one.name, Calls(0, 0)).made,
            }
            for one in self.sessions[:20]
        ]
        found["sessions_left_out"] = len(self.sessions) - len(sessions)
        while sessions and _bytes(found) > BODY_BYTES:
            sessions.pop()
            found["sessions_left_out"] += 1
        return found


def table(numbers: Numbers) -> Group:
    """For the window."""
    sums = Table(title=f"KIS {numbers.mode}", show_header=False)
    buffers = ", ".join(
        f"{name} {count} ({numbers.overruns.get(name, 0)} lost)" for name, count in numbers.buffers.items()
    )
    for name, value in (
        ("run time", f"{numbers.run_s:.0f} s"),
        ("requests", f"{numbers.requests}, {numbers.success_rate:.1%} good, cache {numbers.cache_hit_rate:.1%}"),
        ("written", _counts(numbers.rows)),
        ("failed", _counts(numbers.failed) + (f", {numbers.rest_away} appkeys away" if numbers.rest_away else "")),
        ("frames", f"{numbers.frames}, records {numbers.records}, set aside {numbers.quarantined}"),
        ("missing", f"{numbers.missing_shares} shares in {numbers.gaps} gaps, repeats {numbers.repeats}"),
        ("doubtful", _counts({name: getattr(numbers, name) for name in _DOUBTFUL if getattr(numbers, name)})),
        ("buffers", f"{buffers or '-'}, room {numbers.buffer_room}; {numbers.batches_waiting} batches uncommitted"),
        ("coverage", _counts(numbers.coverage)),
        ("refused", f"{numbers.refused} registrations, {numbers.refused_polled} of them polled"),
        ("clock", f"{numbers.server_offset_s:+.3f} s from the server's"),
        ("alarms", _counts(numbers.alarms)),
    ):
        sums.add_row(name, value)
    keys = Table(
        "appkey", "state", "active", "planned", "refused", "connections", "overrun", "clock", "requests", "good",
        "last data", "reason",
    )  # fmt: skip
    sessions = {one.name: one for one in numbers.sessions}
    for name in dict.fromkeys([*sessions, *numbers.calls]):
        calls = numbers.calls.get(name, Calls(0, 0))
        asked = (str(calls.made), f"{calls.success_rate:.1%}")
        if name not in sessions:
            keys.add_row(name, "REST", *["-"] * 6, *asked, "-", "")
            continue
        one = sessions[name]
        counts = (str(count) for count in (one.active, one.planned, one.refused, one.connections, one.overrun))
        age = "-" if one.data_age_s is None else f"{one.data_age_s:.1f} s"
        # What an exception or the service said may have brackets, which would be markup.
        keys.add_row(name, one.condition, *counts, f"{one.clock_offset_s:+.1f} s", *asked, age, Text(one.reason))
    return Group(sums, keys)


def _bytes(body: Mapping[str, object]) -> int:
    return len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


class Metrics(Collector):
    """Asks for the numbers whenever a monitor does."""

    def __init__(self, numbers: Callable[[], Numbers]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """Counters of what was done, gauges of how it stands."""
        now = self._numbers()
        for name, text, value in (
            ("requests", "REST requests", now.requests),
            ("frames", "Frames that were read", now.frames),
            ("records", "Records of those frames", now.records),
            ("gaps", "Gaps that were reported", now.gaps),
            ("missing_shares", "Shares in those gaps", now.missing_shares),
            ("quarantined", "Frames and records that could not be read", now.quarantined),
            ("repeats", "Trades that came twice and were left out", now.repeats),
            ("limiter_waits", "Calls that had to wait for the limit", now.limiter_waits),
            *((name, text, getattr(now, name)) for name, text in _DOUBTFUL.items()),
        ):
            yield CounterMetricFamily(f"naru_kis_{name}", text, value=float(value))
        yield _labelled(CounterMetricFamily("naru_kis_rows", "Rows that were sent", labels=["kind"]), now.rows)
        failed = CounterMetricFamily("naru_kis_failed", "REST requests by kind of failure", labels=["kind"])
        yield _labelled(failed, now.failed)
        yield _labelled(CounterMetricFamily("naru_kis_alarms", "Alarms", labels=["code"]), now.alarms)
        yield _labelled(CounterMetricFamily("naru_kis_overruns", "Messages there was no room for", labels=["buffer"]),
                        now.overruns)  # fmt: skip
        yield _labelled(GaugeMetricFamily("naru_kis_buffer", "Messages that wait", labels=["buffer"]), now.buffers)
        for name, text, number in (
            ("run_seconds", "Since the start", now.run_s),
            ("buffer_room", "How many messages may wait", float(now.buffer_room)),
            ("server_offset_seconds", "This clock minus the server's", now.server_offset_s),
            ("refused", "Registrations that KIS refused", float(now.refused)),
            ("refused_polled", "Refused registrations that are polled", float(now.refused_polled)),
            ("success_ratio", "Good answers among REST requests", now.success_rate),
            ("cache_hit_ratio", "Pictures that were not sent again", now.cache_hit_rate),
            ("buffered_messages", "Messages that wait for the decoder", float(now.buffered)),
            ("batches_waiting", "Batches that are not committed", float(now.batches_waiting)),
            ("rest_away", "Appkeys whose REST calls all fail", float(now.rest_away)),
            ("left_out", "Pictures that the last cycle had no calls for", float(now.left_out)),
        ):
            yield GaugeMetricFamily(f"naru_kis_{name}", text, value=number)
        yield _labelled(GaugeMetricFamily("naru_kis_coverage", "Wishes by coverage", labels=["how"]), now.coverage)
        active = GaugeMetricFamily("naru_kis_registrations", "Active registrations", labels=["appkey"])
        planned = GaugeMetricFamily("naru_kis_planned", "Registrations that an appkey is to have", labels=["appkey"])
        offset = GaugeMetricFamily(
            "naru_kis_clock_offset_seconds", "The clock of KIS minus this machine's", labels=["appkey"]
        )
        state = GaugeMetricFamily("naru_kis_session", "1 for the state of a session", labels=["appkey", "state"])
        for one in now.sessions:
            active.add_metric([one.name], one.active)
            planned.add_metric([one.name], one.planned)
            for condition in _CONDITIONS:
                state.add_metric([one.name, condition], float(one.condition == condition))
            offset.add_metric([one.name], one.clock_offset_s)
        made = CounterMetricFamily("naru_kis_appkey_requests", "REST requests", labels=["appkey"])
        good = CounterMetricFamily("naru_kis_appkey_good", "Good answers to them", labels=["appkey"])
        for name, calls in now.calls.items():
            made.add_metric([name], calls.made)
            good.add_metric([name], calls.good)
        yield from (made, good, offset, planned)
        yield active
        yield state


def _counts(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(values.items())) or "-"


def serve(port: int, numbers: Callable[[], Numbers]) -> Callable[[], None]:
    """Give the numbers to monitors on this machine; what is returned ends that. OSError if the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(numbers))
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: dict[str, int]) -> Metric:
    for name, value in sorted(values.items()):
        family.add_metric([name], float(value))
    return family
