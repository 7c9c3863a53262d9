"""The session with the Terminal: started, subscribed, watched, and built anew when it does not come back by itself.

Whether the SDK subscribes again after a broken connection is said differently by different sources. Both are right
here: what is activated again, or painted anew, goes on; what is not within `recover_s` makes the whole session be built
anew.
"""

import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from terminals.backoff import Backoff
from terminals.clock import wall_us
from terminals.link import Failed, Interrupted
from terminals.masking import masked
from terminals.recording import Recorder
from terminals.sources.bloomberg import reasons, sdk
from terminals.sources.bloomberg.decoding import Decoder
from terminals.sources.bloomberg.reasons import Again
from terminals.sources.bloomberg.sdk import Record
from terminals.sources.bloomberg.settings import FIELDS, SERVICE, Settings
from terminals.sources.contract import Pace, Receiver
from terminals.wire.language import gettext as _

POLL_MS: Final = 500
START_ATTEMPTS: Final = 3
RESTART_S: Final = 5.0
"""The least pause before a session is built anew."""
LATER_S: Final = 300.0
SLOWLY_S: Final = 30.0
_KEEP_ALIVE_MS: Final = 10_000
_ANSWER_MS: Final = 5_000

_NO_SESSION: Final = _("a Terminal must run on this PC, logged in by the same user")

log = logging.getLogger("naru.bloomberg")


def new_session(blpapi: Any, settings: Settings) -> Any:
    """A session that is not started. Its queue is polled, so all that comes is handled by one thread."""
    options = blpapi.SessionOptions()
    options.setServerHost(settings.host)
    options.setServerPort(settings.port)
    options.setDefaultSubscriptionService(SERVICE)
    options.setNumStartAttempts(START_ATTEMPTS)
    options.setAutoRestartOnDisconnection(True)
    options.setMaxEventQueueSize(settings.queue_events)
    options.setKeepAliveEnabled(True)
    options.setDefaultKeepAliveInactivityTime(_KEEP_ALIVE_MS)
    options.setDefaultKeepAliveResponseTimeout(_ANSWER_MS)
    return blpapi.Session(options)


def failure_of(blpapi: Any, session: Any) -> str:
    """Why a session did not start, or its service did not open: the events that say so are in its queue already."""
    told = []
    while (event := session.tryNextEvent()) is not None:
        told += [
            f"{record.kind} {reasons.describe(record.content)}".strip()
            for message in event
            for record in sdk.records(blpapi, message, {})
            if record.kind in ("SessionStartupFailure", "SessionTerminated", "ServiceOpenFailure")
        ]
    return "; ".join(told)


class Subscriptions:
    """The securities of one session, each under a number that is never used again."""

    def __init__(self, blpapi: Any, session: Any, settings: Settings) -> None:
        self._blpapi, self._session = blpapi, session
        self._options = {"interval": str(settings.interval_s)} if settings.interval_s else None
        self.security_of: dict[int, str] = {}

    def subscribe(self, securities: Iterable[str]) -> None:
        """Ask for these. blpapi's own exception if the session is over."""
        asked = self._blpapi.SubscriptionList()
        for security in securities:
            number = len(self.security_of) + 1
            self.security_of[number] = security
            asked.add(security, list(FIELDS), self._options, self._blpapi.CorrelationId(number))
        if asked.size():
            self._session.subscribe(asked)

    def records(self, event: Any) -> Iterator[Record]:
        """What an event says."""
        for message in event:
            yield from sdk.records(self._blpapi, message, self.security_of)


class Stream:
    """The source: runs until it is stopped."""

    def __init__(
        self,
        blpapi: Any,
        settings: Settings,
        decoder: Decoder,
        recorder: Recorder,
        rng: random.Random | None = None,
        wall_us: Callable[[], int] = wall_us,
    ) -> None:
        """`wall_us` is the clock by which the terminal says when a batch was closed."""
        self._blpapi, self._settings, self._wall_us = blpapi, settings, wall_us
        self._decoder, self._recorder = decoder, recorder
        self._backoff = Backoff(rng or random.SystemRandom())
        self._given_up: set[str] = set()  # Bloomberg will not have them, however often they are asked for
        self._retries: dict[str, tuple[float, float]] = {}  # security -> when it is due, and the pause before that
        self._awaited: dict[str, float] = {}  # security -> since when its stream has to show itself
        self._told = ""

    def describe(self) -> str:
        """One line for the log."""
        counted = self._decoder.counts
        figures = " ".join(
            f"{name}={counted[name]}"
            for name in (sdk.MARKET_DATA, "gaps", "refused_delayed", "refused_unknown", "unreadable")
        )
        where = f"{self._settings.host}:{self._settings.port}"
        return f"bloomberg {where} securities={len(self._settings.securities)} {figures}"

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Stream until stopped. What is missing at the end is told as a gap, and what was while nothing ran."""
        if (last_us := terminal.spool.last_captured_us) is not None:
            # That is by this machine's clock; what is received is stamped by the server's.
            self._decoder.resume(last_us + pace.now_us() - self._wall_us())
        try:
            while pace.wait(0.0):
                session = new_session(self._blpapi, self._settings)
                left = ""
                try:
                    left = self._stream(session, terminal, pace)
                except self._blpapi.Exception as error:
                    left = masked(str(error))
                finally:
                    with contextlib.suppress(self._blpapi.Exception):
                        session.stop()
                if left:
                    log.error("the session is left reason=%r", left)
                    self._take(Record("SessionTerminated", None, {"description": left}), terminal, pace)
                if not pace.wait(self._backoff.failed(RESTART_S)):
                    break
        finally:
            self._decoder.finish(pace.now_us(), terminal)
        return False

    def _stream(self, session: Any, terminal: Receiver, pace: Pace) -> str:
        """One session, until it is over or the program is to stop; why it has to be left, if it does."""
        subscriptions = Subscriptions(self._blpapi, session, self._settings)
        self._retries.clear()
        self._awaited.clear()
        if not session.start() or not session.openService(SERVICE):
            self._tell_failure(session)
            return ""
        self._told = ""
        wanted = [security for security in self._settings.securities if security not in self._given_up]
        self._await(wanted, pace)
        subscriptions.subscribe(wanted)
        while pace.wait(0.0):
            for record in subscriptions.records(session.nextEvent(POLL_MS)):
                self._take(record, terminal, pace)
                if record.kind == "SessionTerminated":
                    return ""
                self._watch(record, pace)
            if late := self._late(pace):
                return f"{len(late)} streams do not come back, {late[0]} among them"
            subscriptions.subscribe(self._due(pace))
        return ""

    def _tell_failure(self, session: Any) -> None:
        """Why it did not start; the same trouble is told once, not at each try."""
        told = failure_of(self._blpapi, session)
        if told != self._told:
            self._told = told
            where = f"{self._settings.host}:{self._settings.port}"
            log.error("no session at %s reason=%r: %s", where, told, _NO_SESSION)

    def _take(self, record: Record, terminal: Receiver, pace: Pace) -> None:
        self._recorder.note("blpapi", record.text())
        received_us = pace.now_us()
        try:
            self._decoder.handle(record, received_us, terminal)
        except (Interrupted, Failed):
            self._decoder.not_taken(record, received_us, terminal)
            raise

    def _watch(self, record: Record, pace: Pace) -> None:
        """What a message means for the subscriptions."""
        security = record.security
        match record.kind:
            case "SessionConnectionDown":
                self._await(set(self._settings.securities) - self._given_up - self._retries.keys(), pace)
            case "SubscriptionStreamsDeactivated" if security is not None:
                self._await([security], pace)
            case "SubscriptionStarted" | "SubscriptionStreamsActivated" if security is not None:
                self._shown(security)
            case sdk.MARKET_DATA if security is not None and record.is_picture:
                self._shown(security)
            case "SubscriptionFailure" | "SubscriptionTerminated" if security is not None:
                self._awaited.pop(security, None)
                self._plan_retry(security, reasons.again(reasons.category_of(record.content)), pace)
            case _:
                pass

    def _await(self, securities: Iterable[str], pace: Pace) -> None:
        for security in securities:
            self._awaited.setdefault(security, pace.now())

    def _shown(self, security: str) -> None:
        self._awaited.pop(security, None)
        self._retries.pop(security, None)
        self._backoff.succeeded()

    def _plan_retry(self, security: str, again: Again, pace: Pace) -> None:
        if again is Again.NEVER:
            self._given_up.add(security)
            self._retries.pop(security, None)
            return
        least_s = LATER_S if again is Again.LATER else SLOWLY_S
        before_s = self._retries.get(security, (0.0, 0.0))[1]
        pause_s = min(max(least_s, 2 * before_s), 12 * least_s)
        self._retries[security] = (pace.now() + pause_s, pause_s)

    def _due(self, pace: Pace) -> list[str]:
        """What is to be asked for again now."""
        now = pace.now()
        due = [security for security, (at, _pause_s) in self._retries.items() if at <= now]
        for security in due:
            # The pause is kept: should it be refused again, the next one is longer.
            self._retries[security] = (float("inf"), self._retries[security][1])
        self._await(due, pace)
        return due

    def _late(self, pace: Pace) -> list[str]:
        """What did not show itself in time."""
        return [one for one, since in self._awaited.items() if pace.now() - since > self._settings.recover_s]
