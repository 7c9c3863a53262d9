"""How a client's script tells what it got: one JSON object a line, and a line `listening` before the stream's data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

HTTP, STREAM = os.environ.get("NARU_HTTP", ""), os.environ.get("NARU_STREAM", "")
KEY, SECRET = os.environ.get("NARU_KEY", ""), os.environ.get("NARU_SECRET", "")
LAST = float(os.environ.get("NARU_LAST", "nan"))
"""The close of the candle that a stream is listened to for; others that were open before close meanwhile."""
ONE, TWO = "005930", "000660"
START, END = "2026-03-16T00:00:00Z", "2026-03-17T00:00:00Z"


class Report:
    """By method: `got`, or `error` when it raised."""

    def __init__(self) -> None:
        self.methods: dict[str, dict[str, Any]] = {}

    def call(self, name: str, job: Callable[[], Any]) -> None:
        """Call one method and keep what came of it."""
        try:
            self.methods[name] = {"got": job()}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the finding
            self.methods[name] = {"error": f"{type(error).__name__}: {error}"[:300]}

    def tell(self) -> None:
        print(json.dumps(self.methods, default=str), flush=True)


def listening() -> None:
    print("listening", flush=True)
