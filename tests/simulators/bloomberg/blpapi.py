"""A stand-in for Bloomberg's SDK and the Terminal behind it: classes, enums and order of events as in the real ones.

Modelled on the SDK's own Python sources (msitt/blpapi-python 3.26: session, event, message, sessionoptions,
subscriptionlist, correlationid, names) and the message shapes of its examples/unittests/snippets/test_events.py. As in
the SDK, a thread of the session fills a bounded queue: at 3/4 it says SlowConsumerWarning, when it overflows DataLoss.

`Terminal` is what a test moves. A process of its own (`import blpapi` with this folder on its path) plays a script: a
file of JSON lines named by FAKE_BLPAPI_SCRIPT, each [seconds to wait, method of Terminal, arguments…]. Or it hears of a
market that goes on without it, `python -m tests.simulators.bloomberg`, at the address in FAKE_BLPAPI_MARKET.
"""

import builtins
import contextlib
import datetime
import json
import os
import queue
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__version__ = "3.26.5.1"


class Exception(builtins.Exception):
    """blpapi.Exception, the root of the SDK's own."""


class InvalidStateException(Exception):
    """Called at the wrong time."""


class DuplicateCorrelationIdException(Exception):
    """A number that is in use."""


class Name:
    """A name of the SDK; equal to a text that says the same."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return self._text == str(other)

    def __hash__(self) -> int:
        return hash(self._text)


class Event:
    """A type and its messages."""

    ADMIN, SESSION_STATUS, SUBSCRIPTION_STATUS, REQUEST_STATUS = 1, 2, 3, 4
    RESPONSE, PARTIAL_RESPONSE, SUBSCRIPTION_DATA, SERVICE_STATUS, TIMEOUT = 5, 6, 8, 9, 10
    UNKNOWN = -1

    def __init__(self, kind: int, messages: Sequence["Message"] = ()) -> None:
        self._kind, self._messages = kind, messages

    def eventType(self) -> int:  # noqa: N802  # the SDK's name
        return self._kind

    def __iter__(self) -> Iterator["Message"]:
        return iter(self._messages)


class CorrelationId:
    """Carries a number."""

    def __init__(self, value: int) -> None:
        self._value = value

    def value(self) -> int:
        return self._value


class Message:
    """One message; `content` as `toPy` gives it."""

    RECAPTYPE_NONE, RECAPTYPE_SOLICITED, RECAPTYPE_UNSOLICITED = 0, 1, 2
    FRAGMENT_NONE, FRAGMENT_START, FRAGMENT_INTERMEDIATE, FRAGMENT_END = 0, 1, 2, 3

    def __init__(
        self,
        kind: str,
        content: Mapping[str, Any],
        numbers: Sequence[int] = (),
        recap: int = RECAPTYPE_NONE,
        fragment: int = FRAGMENT_NONE,
    ) -> None:
        self._kind, self._content, self._numbers = kind, dict(content), numbers
        self._recap, self._fragment = recap, fragment

    def messageType(self) -> Name:  # noqa: N802  # the SDK's name
        return Name(self._kind)

    def correlationIds(self) -> list[CorrelationId]:  # noqa: N802  # the SDK's name
        return [CorrelationId(number) for number in self._numbers]

    def recapType(self) -> int:  # noqa: N802  # the SDK's name
        return self._recap

    def fragmentType(self) -> int:  # noqa: N802  # the SDK's name
        return self._fragment

    def toPy(self) -> dict[str, Any]:  # noqa: N802  # the SDK's name
        return self._content


class SubscriptionList:
    """Topics with their fields, options and numbers."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []

    def add(
        self,
        topic: str,
        fields: Sequence[str] | str | None = None,
        options: Mapping[str, str] | None = None,
        correlationId: CorrelationId | None = None,  # noqa: N803  # the SDK's name
    ) -> int:
        assert correlationId is not None
        if fields:
            topic += "?fields=" + (fields if isinstance(fields, str) else ",".join(fields))
        if options:
            topic += ("&" if fields else "?") + "&".join(f"{name}={value}" for name, value in options.items())
        self.entries.append((topic, correlationId.value()))
        return 0

    def size(self) -> int:
        return len(self.entries)


class SessionOptions:
    """What was set, by the name of the setter."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"ServerHost": "127.0.0.1", "ServerPort": 8194, "MaxEventQueueSize": 10_000}

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in _SETTERS:
            raise AttributeError(name)
        return lambda value: self.values.__setitem__(name.removeprefix("set"), value)


_SETTERS = {
    f"set{name}"
    for name in (
        "ServerHost", "ServerPort", "DefaultSubscriptionService", "DefaultTopicPrefix", "ConnectTimeout",
        "NumStartAttempts",
        "AutoRestartOnDisconnection", "MaxEventQueueSize", "SlowConsumerWarningHiWaterMark",
        "SlowConsumerWarningLoWaterMark", "KeepAliveEnabled", "DefaultKeepAliveInactivityTime",
        "DefaultKeepAliveResponseTimeout", "RecordSubscriptionDataReceiveTimes",
    )
}  # fmt: skip


class Terminal:
    """The Terminal of this PC, and Bloomberg behind it. What a security's picture is, what it refuses, what happens."""

    def __init__(self) -> None:
        self.paints: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, str] = {}  # security -> category of its SubscriptionFailure
        self.field_exceptions: dict[str, str] = {}  # security -> a field of it that is refused
        self.logged_in = True
        self.has_service = True
        self.speed = 1.0  # how much sooner than on a clock whoever waits for an event hears that there is none
        self.resubscribes = True  # whether the SDK brings subscriptions back after a broken connection
        self.sessions: list[Session] = []
        self.starts = 0  # sessions that were to be started
        self.topics: list[str] = []  # every topic that was ever asked for

    def paint(self, security: str, fields: Mapping[str, Any]) -> None:
        """What the initial paint of a security says."""
        self.paints[security] = dict(fields)

    def refuse(self, security: str, category: str) -> None:
        """Refuse it from now on; an empty category allows it again."""
        self.refusals[security] = category

    def say(self, security: str, kind: str, subtype: str | None, fields: Mapping[str, Any]) -> None:
        """News of a security: only the fields that are in `fields` changed."""
        said = {"MKTDATA_EVENT_TYPE": kind, **fields}
        if subtype is not None:
            said["MKTDATA_EVENT_SUBTYPE"] = subtype
        self.paints.get(security, {}).update(fields)
        for session in self._alive():
            session.deliver_data(security, said)

    def drop(self, seconds: float | None = None) -> None:
        """The connection breaks; it comes back after `seconds` (None: by `restore`)."""
        for session in self._alive():
            session.connection_down()
        if seconds is not None:
            time.sleep(seconds)
            self.restore()

    def restore(self) -> None:
        """The connection is back."""
        for session in self._alive():
            session.connection_up()

    def terminate(self) -> None:
        """The session ends: the Terminal was logged in elsewhere."""
        for session in self._alive():
            session.terminate("logged in elsewhere")

    def lose(self, security: str, messages: int) -> None:
        """Bloomberg says that messages of a security are lost."""
        for session in self._alive():
            session.deliver(Event.ADMIN, "DataLoss", {
                "id": security, "source": "Test", "numMessagesDropped": messages
            }, session.numbers_of(security))  # fmt: skip

    def be_slow(self, dropped: int) -> None:
        """The queue filled up and shrank again."""
        for session in self._alive():
            session.deliver(Event.ADMIN, "SlowConsumerWarning", {})
            session.deliver(Event.ADMIN, "SlowConsumerWarningCleared", {"eventsDropped": dropped})

    def _alive(self) -> list["Session"]:
        return [session for session in self.sessions if session.is_running]


terminal = Terminal()
"""The one Terminal of this process; a test puts its own here."""


class Session:
    """A session that is polled."""

    def __init__(self, options: SessionOptions | None = None) -> None:
        self.options = options or SessionOptions()
        self._terminal = terminal
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._queue: deque[Event] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._deliver_all, name="fake-blpapi", daemon=True)
        self._topics: dict[int, str] = {}  # number -> security
        self._slow, self._lost = False, Counter[tuple[int, ...]]()
        self.is_running = False
        self._started = False

    def start(self) -> bool:
        if self._started:
            raise InvalidStateException("a session may only be started once")
        self._started = True
        self._terminal.starts += 1
        self._thread.start()
        if not self._terminal.logged_in:
            self.deliver(Event.SESSION_STATUS, "SessionStartupFailure", _because("IO_ERROR", "Connection refused"))
            self._settle()
            return False
        self.is_running = True
        self._terminal.sessions.append(self)
        where = f"{self.options.values['ServerHost']}:{self.options.values['ServerPort']}"
        self.deliver(Event.SESSION_STATUS, "SessionConnectionUp", {"server": where, "encryptionStatus": "Clear"})
        self.deliver(Event.SESSION_STATUS, "SessionStarted", {"initialEndpoints": [{"address": where}]})
        self._settle()
        return True

    def openService(self, name: str) -> bool:  # noqa: N802  # the SDK's name
        if not self._terminal.has_service:
            reason = {"serviceName": name, **_because("NO_AUTH", "not entitled")}
            self.deliver(Event.SERVICE_STATUS, "ServiceOpenFailure", reason)
            self._settle()
            return False
        self.deliver(Event.SERVICE_STATUS, "ServiceOpened", {"serviceName": name})
        self._settle()
        return True

    def subscribe(self, asked: SubscriptionList) -> None:
        if not self.is_running:
            raise InvalidStateException("the session is not running")
        for topic, number in asked.entries:
            if number in self._topics:
                raise DuplicateCorrelationIdException(str(number))
            security = topic.partition("?")[0]
            self._topics[number] = security
            self._tasks.put(lambda number=number, security=security: self._begin(number, security))  # type: ignore[misc]  # the defaults bind the loop's values
            self._terminal.topics.append(topic)  # last: who waits for it may speak at once

    def nextEvent(self, timeout: int = 0) -> Event:  # noqa: N802  # the SDK's name
        with self._changed:
            longest_s = timeout / 1000 / self._terminal.speed if timeout else None
            if not self._changed.wait_for(lambda: bool(self._queue), longest_s):
                return Event(Event.TIMEOUT)
            return self._pop()

    def tryNextEvent(self) -> Event | None:  # noqa: N802  # the SDK's name
        with self._changed:
            return self._pop() if self._queue else None

    def stop(self) -> bool:
        if self.is_running:
            self.terminate("stopped")
        if self._thread.ident is not None:
            self._tasks.put(None)
            self._thread.join()
        return True

    # What the Terminal does; each is carried out by the session's own thread, in order.

    def deliver(self, kind: int, name: str, content: Mapping[str, Any], numbers: Sequence[int] = ()) -> None:
        """An event of one message."""
        self._tasks.put(lambda: self._put(Event(kind, [Message(name, content, numbers)]), numbers))

    def deliver_data(self, security: str, content: Mapping[str, Any]) -> None:
        """A MarketDataEvents message of a security that is subscribed."""
        numbers = self.numbers_of(security)
        if numbers:
            self.deliver(Event.SUBSCRIPTION_DATA, "MarketDataEvents", content, numbers)

    def connection_down(self) -> None:
        """The connection breaks: the session says so, and each stream that is then silent."""
        server = {"server": self.options.values["ServerHost"], "description": "connection lost"}
        self.deliver(Event.SESSION_STATUS, "SessionConnectionDown", server)
        for number in list(self._topics):
            streams = {"streams": [{"id": str(number), "endpoint": {"address": "x"}}], "reason": "connection lost"}
            self.deliver(Event.SUBSCRIPTION_STATUS, "SubscriptionStreamsDeactivated", streams, [number])

    def connection_up(self) -> None:
        """The connection is back; whether the streams are is the Terminal's choice."""
        self.deliver(Event.SESSION_STATUS, "SessionConnectionUp", {"server": self.options.values["ServerHost"]})
        if self._terminal.resubscribes:
            for number, security in list(self._topics.items()):
                streams = {"streams": [{"id": str(number), "endpoint": {"address": "x"}}], "reason": "connected"}
                self.deliver(Event.SUBSCRIPTION_STATUS, "SubscriptionStreamsActivated", streams, [number])
                self._tasks.put(lambda number=number, security=security: self._paint(number, security))  # type: ignore[misc]  # the defaults bind the loop's values

    def terminate(self, reason: str) -> None:
        """The last event of a session."""
        self.is_running = False
        self.deliver(Event.SESSION_STATUS, "SessionTerminated", _because("", reason))

    def numbers_of(self, security: str) -> list[int]:
        """The numbers under which a security is subscribed here."""
        return [number for number, one in list(self._topics.items()) if one == security]

    def _begin(self, number: int, security: str) -> None:
        category = self._terminal.refusals.get(security)
        if category or security not in self._terminal.paints:
            del self._topics[number]
            failed = _because(category or "BAD_SEC", "refused by the test")
            self._put(Event(Event.SUBSCRIPTION_STATUS, [Message("SubscriptionFailure", failed, [number])]))
            return
        refused = self._terminal.field_exceptions.get(security)
        started = {
            "exceptions": [{"fieldId": refused, **_because("BAD_FLD", "field not applicable")}] if refused else [],
            "resubscriptionId": number, "streamIds": [str(number)], "receivedFrom": {"address": "x:8194"},
        }  # fmt: skip
        self._put(Event(Event.SUBSCRIPTION_STATUS, [Message("SubscriptionStarted", started, [number])]))
        streams = {"streams": [{"id": str(number), "endpoint": {"address": "x:8194"}}], "reason": "subscribed"}
        self._put(Event(Event.SUBSCRIPTION_STATUS, [Message("SubscriptionStreamsActivated", streams, [number])]))
        self._paint(number, security)

    def _paint(self, number: int, security: str) -> None:
        """The picture in two messages, as a large one comes."""
        fields = list(self._terminal.paints[security].items())
        halves = (fields[: len(fields) // 2], fields[len(fields) // 2 :])
        for half, fragment in zip(halves, (Message.FRAGMENT_START, Message.FRAGMENT_END), strict=True):
            content = {"MKTDATA_EVENT_TYPE": "SUMMARY", "MKTDATA_EVENT_SUBTYPE": "INITPAINT", **dict(half)}
            message = Message("MarketDataEvents", content, [number], Message.RECAPTYPE_SOLICITED, fragment)
            self._put(Event(Event.SUBSCRIPTION_DATA, [message]))

    def _put(self, event: Event, numbers: Sequence[int] = ()) -> None:
        most = self.options.values["MaxEventQueueSize"]
        with self._changed:
            if event.eventType() == Event.SUBSCRIPTION_DATA and len(self._queue) >= most:
                self._lost[tuple(numbers)] += 1
                return
            self._queue.append(event)
            if not self._slow and len(self._queue) >= 0.75 * most:
                self._slow = True
                self._queue.append(Event(Event.ADMIN, [Message("SlowConsumerWarning", {})]))
            self._changed.notify_all()

    def _pop(self) -> Event:
        event = self._queue.popleft()
        if self._slow and len(self._queue) <= 0.5 * self.options.values["MaxEventQueueSize"]:
            # There is room again: what found none is told, each subscription by itself, and all together.
            for numbers, count in self._lost.items():
                lost = {"id": str(numbers), "source": "queue", "numMessagesDropped": count}
                self._queue.append(Event(Event.ADMIN, [Message("DataLoss", lost, numbers)]))
            cleared = {"eventsDropped": self._lost.total()}
            self._queue.append(Event(Event.ADMIN, [Message("SlowConsumerWarningCleared", cleared)]))
            self._slow = False
            self._lost.clear()
        return event

    def _deliver_all(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _settle(self) -> None:
        """Wait until the session's thread has carried out all it was given."""
        done = threading.Event()
        self._tasks.put(done.set)
        done.wait()


def _because(category: str, description: str) -> dict[str, Any]:
    return {"reason": {
        "source": "Test", "errorCode": 1, "category": category, "subcategory": "", "description": description
    }}  # fmt: skip


def _value(given: Any) -> Any:
    """A time in a script is written {"time": "2026-03-16T09:00:00+09:00"}, or without the date or the zone."""
    if isinstance(given, dict) and set(given) == {"time"}:
        for kind in (datetime.time, datetime.datetime):
            with contextlib.suppress(ValueError):
                return kind.fromisoformat(given["time"])
    return {name: _value(one) for name, one in given.items()} if isinstance(given, dict) else given


def _play(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        wait_s, method, *arguments = json.loads(line)
        time.sleep(wait_s)
        if method == "await":  # until that many subscriptions were asked for
            while len(terminal.topics) < arguments[0]:
                time.sleep(0.01)
        else:
            getattr(terminal, method)(*map(_value, arguments))


def _listen(address: str) -> None:
    """Hear the pictures of a market at once, the rest in a thread."""
    host, _, port = address.partition(":")
    lines = socket.create_connection((host, int(port))).makefile(encoding="utf-8")

    def hear() -> bool:
        for line in lines:
            method, *arguments = json.loads(line)
            if method == "ready":
                return True
            getattr(terminal, method)(*arguments)
        return False

    if not hear():
        raise OSError(f"the market at {address} says nothing")
    threading.Thread(target=hear, name="fake-terminal", daemon=True).start()


if _market := os.environ.get("FAKE_BLPAPI_MARKET"):
    _listen(_market)
if _script := os.environ.get("FAKE_BLPAPI_SCRIPT"):
    # Pictures and refusals first: the program may subscribe at once.
    threading.Thread(target=_play, args=(Path(_script),), name="fake-terminal", daemon=True).start()
