"""What Bloomberg's messages mean: rows, gaps and events. Knows no session: live and recorded messages are alike to it.

After a picture only changes come, so each security has a state. A field that is absent is unchanged; one that is null
was withdrawn. Only a TRADE event is a trade: a picture is a snapshot, however its price looks.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from terminals.batcher import Row
from terminals.recording import Note
from terminals.sources.bloomberg import reasons, sdk, stamps
from terminals.sources.bloomberg.sdk import Record
from terminals.sources.bloomberg.settings import Settings
from terminals.sources.contract import Receiver, SymbolGap
from terminals.wire import PRICE_SCALE, SIZE_SCALE, Kind, gap_reasons, numbers
from terminals.wire.language import gettext as _

NOTICED_US: Final = 15_000_000
"""A broken connection is noticed within this: keep-alive after 10 s of silence, 5 s to answer (`live.py` sets both)."""
_TRADE_PRICE: Final = ("EVT_TRADE_PRICE_RT", "LAST_PRICE", "LAST_TRADE")
_TRADE_SIZE: Final = ("EVT_TRADE_SIZE_RT", "SIZE_LAST_TRADE")
_QUOTE: Final = {"bid": "BID", "ask": "ASK"}
_QUOTE_SIZE: Final = {"bid_size": "BID_SIZE", "ask_size": "ASK_SIZE"}
_DAY: Final = {
    "open": "OPEN", "high": "HIGH", "low": "LOW", "prev_close": "PREV_CLOSE_VALUE_REALTIME"
}  # fmt: skip
_OF_A_DAY: Final = ("OPEN", "HIGH", "LOW", "VOLUME", "RT_PX_CHG_PCT_1D")

log = logging.getLogger("naru.bloomberg")


@dataclass(slots=True)
class _State:
    """One security: the last value of each field, when it was last heard of, and since when it is not heard of."""

    values: dict[str, Any] = field(default_factory=dict)
    last_us: int = 0
    stale_us: int = 0
    delayed: bool | None = None
    """What Bloomberg said of its stream; None: nothing, and then it may be delayed."""
    is_judged: bool = False

    @property
    def is_real_time(self) -> bool:
        """Whether Bloomberg said that it is."""
        return self.delayed is False


class Decoder:
    """Takes messages in the order they came. `counts` says how many of what there were."""

    def __init__(self, settings: Settings) -> None:
        self._symbols, self._zone = settings.securities, settings.time_zone
        self._conflated = settings.interval_s > 0
        self._states = {security: _State() for security in settings.securities}
        self._slow_us = 0
        self._lost_since_slow = 0
        self.counts: Counter[str] = Counter()

    def take(self, note: Note, terminal: Receiver) -> None:
        """One message of a recording. WrongInput if it is none."""
        self.handle(Record.read(note.data), note.wall_us, terminal)

    def handle(self, record: Record, received_us: int, terminal: Receiver) -> None:
        """One message, received at `received_us`."""
        self.counts[record.kind] += 1
        match record.kind:
            case sdk.MARKET_DATA if record.security is not None:
                self._market_data(record, record.security, received_us, terminal)
            case "SubscriptionStarted":
                self._field_exceptions(record, received_us, terminal)
            case "SubscriptionFailure" | "SubscriptionTerminated":
                self._refused(record, received_us, terminal)
            case "SubscriptionStreamsDeactivated" if record.security is not None:
                self._lose([record.security], received_us)
                terminal.send([self._event("vendor_stream", received_us, record.security, {"state": "down"})])
            case "SubscriptionStreamsActivated" if record.security is not None:
                self._find(record.security, received_us, terminal)
                terminal.send([self._event("vendor_stream", received_us, record.security, {"state": "up"})])
            case "SessionConnectionDown" | "SessionTerminated":
                self._lose(self._states, received_us)
                terminal.send([self._event("vendor_session", received_us, None, {
                    "state": "down", "message": record.kind, "reason": reasons.describe(record.content)
                })])  # fmt: skip
            case "SessionConnectionUp":
                terminal.send([self._event("vendor_session", received_us, None, {"state": "up"})])
            case "DataLoss":
                self._data_loss(record, received_us, terminal)
            case "SlowConsumerWarning":
                self._slow_us, self._lost_since_slow = received_us, 0
                log.error("slow_consumer: the SDK's queue fills up; what it drops is told as a gap")
                terminal.send([self._event("vendor_slow", received_us, None, {"state": "slow"})])
            case "SlowConsumerWarningCleared":
                self._keeps_up(record, received_us, terminal)
            case _:
                log.info("message type=%s", record.kind)

    def resume(self, last_us: int) -> None:
        """An earlier run heard nothing after `last_us`: until a security is heard of again it has a gap."""
        for state in self._states.values():
            state.stale_us = last_us

    def finish(self, received_us: int, terminal: Receiver) -> None:
        """Nothing more comes: what is still missing is told, all of it at once, so that a stop while there is no room
        leaves out none."""
        missing = []
        for security, state in self._states.items():
            if state.stale_us:
                missing += self._gaps(security, state.stale_us, received_us, 0, gap_reasons.BLOOMBERG_DISCONNECTED)
                state.stale_us = 0
        if missing:
            terminal.report_gaps(missing)

    def not_taken(self, record: Record, received_us: int, terminal: Receiver) -> None:
        """The program was stopped, or its spool failed, before this message was taken: it is a gap. Raises as
        `report_gaps` does, by which the gap is kept."""
        if record.kind == sdk.MARKET_DATA:
            self._gap(record.security, received_us, received_us, 1, gap_reasons.NOT_TAKEN, terminal)

    def _market_data(self, record: Record, security: str, received_us: int, terminal: Receiver) -> None:
        state, content = self._states[security], record.content
        kind, subtype = content.get("MKTDATA_EVENT_TYPE"), content.get("MKTDATA_EVENT_SUBTYPE")
        if subtype == "DATALOSS":
            self._gap(security, state.last_us or received_us, received_us, 0, gap_reasons.BLOOMBERG_DATA_LOSS, terminal)
        if record.is_picture:
            self._find(security, received_us, terminal)
            if record.begins:
                state.values.clear()
        if subtype == "NEWDAY":
            for name in _OF_A_DAY:
                state.values.pop(name, None)
        state.values.update(content)
        state.last_us = received_us
        if "IS_DELAYED_STREAM" in content:
            said = content["IS_DELAYED_STREAM"]
            self._set_delayed(security, said if isinstance(said, bool) else None, received_us, terminal)
        elif "IS_DELAYED_STREAM" not in state.values and (record.ends if record.is_picture else not state.is_judged):
            self._set_delayed(security, None, received_us, terminal)
        if record.is_picture and not record.ends:
            return
        if not state.is_real_time:
            self.counts["refused_delayed" if state.delayed else "refused_unknown"] += 1
            return
        if kind == "TRADE" and not (record.is_picture or self._conflated):
            row = self._trade(record, security, received_us)
        elif kind == "QUOTE" and not (record.is_picture or self._conflated):
            row = self._quote(security, content, received_us)
        else:
            row = self._snapshot(record, security, received_us)
        if row is not None:
            terminal.send([row])

    def _trade(self, record: Record, security: str, received_us: int) -> Row | None:
        content, values = record.content, self._states[security].values
        subtype = content.get("MKTDATA_EVENT_SUBTYPE")
        time_us = stamps.of(content, stamps.TRADE, received_us, self._zone)
        price = _number(_latest(content, values, _TRADE_PRICE), PRICE_SCALE)
        size = _number(_latest(content, values, _TRADE_SIZE), SIZE_SCALE)
        if subtype not in (None, "NEW"):
            # A correction or a cancel names no trade of ours that it could change: it is kept as what was said.
            self.counts["corrections"] += 1
            said = {name: value for name, value in content.items() if name in (*_TRADE_PRICE, *_TRADE_SIZE)}
            body = {"subtype": str(subtype), "time_us": time_us, **said}
            return self._event("vendor_correction", received_us, security, body)
        if price is None:
            self._unreadable(security, content)
            return None
        if size is None:
            # An index, a currency: a new price, and nothing that was traded.
            return self._snapshot(record, security, received_us)
        return {
            "symbol": self._symbols[security],
            "time_us": received_us if time_us is None else time_us,
            "kind": Kind.TRADE,
            "price": price,
            "size": size,
            "cum_volume": _number(content.get("VOLUME"), SIZE_SCALE),
        }

    def _quote(self, security: str, content: Mapping[str, Any], received_us: int) -> Row | None:
        quote = self._best(security)
        if quote["bid"] is None and quote["ask"] is None:
            self.counts["quotes_withdrawn"] += 1
            return None
        times = [stamps.of(content, one, received_us, self._zone) for one in (stamps.BID, stamps.ASK)]
        time_us = max((one for one in times if one is not None), default=received_us)
        return {"symbol": self._symbols[security], "time_us": time_us, "kind": Kind.QUOTE, **quote}

    def _snapshot(self, record: Record, security: str, received_us: int) -> Row | None:
        content, values = record.content, self._states[security].values
        price = _number(_latest(content, values, ("LAST_PRICE", *_TRADE_PRICE)), PRICE_SCALE)
        if price is None:
            return self._quote(security, content, received_us)
        # The initial picture is as old as its last trade: a closed market's is no price of now.
        stamped = values if record.is_picture else content
        time_us = stamps.of(stamped, stamps.TRADE, received_us, self._zone)
        return {
            "symbol": self._symbols[security],
            "time_us": received_us if time_us is None else time_us,
            "kind": Kind.SNAPSHOT,
            "price": price,
            "cum_volume": _number(values.get("VOLUME"), SIZE_SCALE),
            "change_rate": _rounded(values.get("RT_PX_CHG_PCT_1D")),
            **{name: _number(values.get(theirs), PRICE_SCALE) for name, theirs in _DAY.items()},
            **self._best(security),
        }

    def _best(self, security: str) -> dict[str, int | None]:
        values = self._states[security].values
        prices = {name: _number(values.get(theirs), PRICE_SCALE) for name, theirs in _QUOTE.items()}
        return prices | {name: _number(values.get(theirs), SIZE_SCALE) for name, theirs in _QUOTE_SIZE.items()}

    def _unreadable(self, security: str, content: Mapping[str, Any]) -> None:
        self.counts["unreadable"] += 1
        if self.counts["unreadable"] <= 20:
            said = {name: content.get(name) for name in _TRADE_PRICE}
            log.error("a trade without a price that can be read security=%r said=%s", security, said)

    def _set_delayed(self, security: str, delayed: bool | None, received_us: int, terminal: Receiver) -> None:
        state = self._states[security]
        if state.is_judged and delayed == state.delayed:
            return
        is_first, state.is_judged, state.delayed = not state.is_judged, True, delayed
        if delayed is None:
            log.error("delay unknown security=%r: %s", security, _("Bloomberg does not say whether it is delayed"))
        elif delayed:
            log.error("delayed security=%r: %s", security, _("delayed by 15 minutes or more: no real-time permission"))
        elif is_first:
            return  # as it should be
        else:
            log.warning("delayed no more security=%r", security)
        terminal.send([self._event("vendor_delayed", received_us, security, {"delayed": delayed})])

    def _field_exceptions(self, record: Record, received_us: int, terminal: Receiver) -> None:
        for one in record.content.get("exceptions") or ():
            told = {"field": str(one.get("fieldId")), "reason": reasons.describe(one)}
            log.warning("field refused security=%r field=%s reason=%r", record.security, told["field"], told["reason"])
            self.counts["fields_refused"] += 1
            terminal.send([self._event("vendor_field", received_us, record.security, told)])

    def _refused(self, record: Record, received_us: int, terminal: Receiver) -> None:
        category, said = reasons.category_of(record.content), reasons.describe(record.content)
        if record.security is not None and record.kind == "SubscriptionTerminated":
            self._lose([record.security], received_us)
        log.error("refused security=%r reason=%r: %s", record.security, said, reasons.explain(category))
        body = {"state": record.kind, "category": category, "reason": said}
        terminal.send([self._event("vendor_subscription", received_us, record.security, body)])

    def _data_loss(self, record: Record, received_us: int, terminal: Receiver) -> None:
        rows = record.content.get("numMessagesDropped")
        rows = rows if isinstance(rows, int) and rows > 0 else 0
        self._lost_since_slow += rows
        state = self._states.get(record.security or "")
        from_us = state.last_us if state and state.last_us else received_us
        self._gap(record.security, from_us, received_us, rows, gap_reasons.BLOOMBERG_DATA_LOSS, terminal)

    def _keeps_up(self, record: Record, received_us: int, terminal: Receiver) -> None:
        dropped = record.content.get("eventsDropped")
        # What DataLoss has told already, security by security, is not told twice.
        rest = dropped - self._lost_since_slow if isinstance(dropped, int) else 0
        if rest > 0:
            self._gap(
                None, self._slow_us or received_us, received_us, rest, gap_reasons.BLOOMBERG_SLOW_CONSUMER, terminal
            )
        self._slow_us, self._lost_since_slow = 0, 0
        terminal.send([self._event("vendor_slow", received_us, None, {"state": "cleared", "dropped": dropped})])

    def _lose(self, securities: Iterable[str], received_us: int) -> None:
        """From here on, or from shortly before, nothing is heard of these."""
        for security in securities:
            state = self._states[security]
            if state.last_us and not state.stale_us:
                state.stale_us = max(state.last_us, received_us - NOTICED_US)

    def _find(self, security: str, received_us: int, terminal: Receiver) -> None:
        """It is heard of again; what may have happened meanwhile is a gap."""
        stale_us, self._states[security].stale_us = self._states[security].stale_us, 0
        if stale_us:
            self._gap(security, stale_us, received_us, 0, gap_reasons.BLOOMBERG_DISCONNECTED, terminal)

    def _gap(self, security: str | None, from_us: int, to_us: int, rows: int, reason: str, terminal: Receiver) -> None:
        terminal.report_gaps(self._gaps(security, from_us, to_us, rows, reason))

    def _gaps(self, security: str | None, from_us: int, to_us: int, rows: int, reason: str) -> list[SymbolGap]:
        """One, or none of a security of which nothing is sent anyway."""
        symbol = self._symbols.get(security) if security is not None else None
        state = self._states[security] if security is not None else None
        if state is not None and state.is_judged and not state.is_real_time:
            return []
        log.error("gap symbol=%s rows=%d reason=%s seconds=%.1f", symbol, rows, reason, (to_us - from_us) / 1e6)
        self.counts["gaps"] += 1
        return [SymbolGap(symbol=symbol, from_us=min(from_us, to_us), to_us=to_us, rows=rows, reason=reason)]

    def _event(self, event: str, time_us: int, security: str | None, body: Mapping[str, Any]) -> Row:
        symbol = self._symbols.get(security) if security is not None else None
        about = body if security is None else {"security": security, **body}
        return {"kind": Kind.STATUS, "event": event, "time_us": time_us, "symbol": symbol, "body": about}


def _latest(content: Mapping[str, Any], values: Mapping[str, Any], names: Iterable[str]) -> object:
    """The first of these fields that the message has; else, for it is unchanged then, the first that the state has."""
    names = tuple(names)
    for where in (content, values):
        for name in names:
            if where.get(name) is not None:
                return where[name]
    return None


def _number(value: object, scale: int) -> int | None:
    """A number of Bloomberg's as an integer of 1/10^scale; None for a null and for what is no such number."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return numbers.read(repr(value) if isinstance(value, float) else str(value), scale)[0]
    except ValueError:
        return None


def _rounded(value: object) -> int | None:
    """A figure that is calculated, so it may have any number of places."""
    if not isinstance(value, float | int) or isinstance(value, bool) or value != value or abs(value) > 1e9:
        return None
    return round(Decimal(repr(value)).scaleb(PRICE_SCALE))
