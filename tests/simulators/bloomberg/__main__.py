"""`python -m tests.simulators.bloomberg`: Bloomberg's market as a process of its own, for `blpapi.py` of this folder in
any number of terminals, one after the other. Tells its address as a line of JSON, then takes orders from its standard
input, a line each: `go` (so many trades a second), `pause`, `account` (what it said, as a line of JSON), `stop`.

A terminal that connects gets the pictures of now, then what happens: lines of JSON, a method of `blpapi.Terminal` and
its arguments each. Each trade of a security has a price of its own, by which it is known again.
"""

import argparse
import contextlib
import json
import socket
import sys
import threading
import time

from terminals.wire.options import between, decimal

_STEP_S = 0.01
_FIRST, _TICK = 1000, 0.25  # doubles have these prices exactly


class Market:
    """What has been said, and to whom it is said."""

    def __init__(self, securities: list[str]) -> None:
        self.said: dict[str, list[int]] = {security: [] for security in securities}
        """When each trade was said, in UTC microseconds, by security."""
        self._listeners: list[socket.socket] = []
        self._lock = threading.Lock()

    def trade(self, number: int) -> None:
        """The next trade of a security; one trade in a hundred is followed by a quote."""
        with self._lock:
            security = list(self.said)[number % len(self.said)]
            self.said[security].append(time.time_ns() // 1000)
            fields = self._fields(security)
            self._say(["say", security, "TRADE", "NEW", fields])
            if number % 100 == 0:
                self._say(["say", security, "QUOTE", "BID", {"BID": fields["LAST_PRICE"] - _TICK}])

    def tell(self, *step: object) -> None:
        """Let something else happen at the Terminal."""
        with self._lock:
            self._say(list(step))

    def welcome(self, listener: socket.socket) -> None:
        """Say what is, and from now on what happens."""
        with self._lock:
            self._listeners.append(listener)
            for security in self.said:
                self._say(["paint", security, {**self._fields(security), "IS_DELAYED_STREAM": False}], [listener])
            self._say(["ready"], [listener])

    def _fields(self, security: str) -> dict[str, float]:
        traded = len(self.said[security])
        return {"LAST_PRICE": _FIRST + traded * _TICK, "SIZE_LAST_TRADE": 1, "VOLUME": traded}

    def _say(self, step: list[object], to: list[socket.socket] | None = None) -> None:
        data = json.dumps(step).encode() + b"\n"
        for listener in list(self._listeners if to is None else to):
            try:
                listener.sendall(data)
            except OSError:
                self._listeners.remove(listener)


def main() -> None:
    """Run until `stop`, or until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.bloomberg", description=__doc__)
    parser.add_argument("--security", action="append", required=True, metavar="NAME")
    parser.add_argument("--trades-per-s", type=decimal(0), default=100.0)
    parser.add_argument("--drop-every", type=between(1, 10**9), metavar="N", help="the connection breaks each N trades")
    given = parser.parse_args()
    market, going, ended = Market(given.security), threading.Event(), threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, market), daemon=True).start()
    threading.Thread(target=_produce, args=(market, given, going, ended), daemon=True).start()
    _answer({"address": f"127.0.0.1:{server.getsockname()[1]}"})
    for line in sys.stdin:
        match line.strip():
            case "go":
                going.set()
                _answer({"going": True})
            case "pause":
                going.clear()
                _answer({"going": False})
            case "account":
                _answer({"said": market.said})
            case "stop":
                break
            case other:
                _answer({"error": f"{other} is no order"})
    ended.set()


def _accept(server: socket.socket, market: Market) -> None:
    with contextlib.suppress(OSError):
        while True:
            listener, _peer = server.accept()
            listener.settimeout(5.0)  # a terminal that is gone or stopped must not hold up the market
            market.welcome(listener)


def _produce(market: Market, given: argparse.Namespace, going: threading.Event, ended: threading.Event) -> None:
    looked_at, owed, number = time.monotonic(), 0.0, 0
    while not ended.wait(_STEP_S):
        before, looked_at = looked_at, time.monotonic()
        if not going.is_set():
            continue
        owed += (looked_at - before) * given.trades_per_s
        while owed >= 1.0:
            owed -= 1.0
            market.trade(number)
            number += 1
            if given.drop_every and number % given.drop_every == 0:
                market.tell("drop")
                market.tell("restore")


def _answer(content: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
