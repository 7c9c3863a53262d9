"""Somebody who looks at the market all the while, so that the web server has work to be killed at."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

QUERY: Final = "/v2/stocks/bars?symbols=S00001,S00002,S00003&timeframe=1Min&feed=sim&limit=100"
EVERY_S: Final = 0.25
NOBODY: Final = 0


class Reader:
    """Asks for bars with a key of its own, four times a second; `answers` counts by HTTP status, 0 is no answer. `url`
    is that of the server, `trust` whom it believes by TLS."""

    def __init__(self, url: str, key: tuple[str, str], trust: ssl.SSLContext | None = None) -> None:
        self.answers: Counter[int] = Counter()
        self._address, self._trust = url, trust
        self._headers = {"APCA-API-KEY-ID": key[0], "APCA-API-SECRET-KEY": key[1]}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def ask(self) -> int:
        """The HTTP status of one question, or 0."""
        request = urllib.request.Request(self._address + QUERY, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._trust) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return NOBODY

    def bars(self, symbols: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """All minute bars of the symbols, page after page, numbers as decimals; OSError if they are not answered."""
        found: dict[str, list[dict[str, Any]]] = {}
        asked = {"symbols": ",".join(symbols), "timeframe": "1Min", "feed": "sim", "limit": "10000"}
        while True:
            url = f"{self._address}/v2/stocks/bars?{urllib.parse.urlencode(asked)}"
            request = urllib.request.Request(url, headers=self._headers)
            with urllib.request.urlopen(request, timeout=60, context=self._trust) as answer:
                page = json.load(answer, parse_float=Decimal, parse_int=Decimal)
            for symbol, bars in page["bars"].items():
                found.setdefault(symbol, []).extend(bars)
            if not page["next_page_token"]:
                return found
            asked["page_token"] = page["next_page_token"]

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            self.answers[self.ask()] += 1
