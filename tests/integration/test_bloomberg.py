"""The Bloomberg source as a program, through server, worker and database. The SDK it imports is a stand-in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketdata.models import Gap, IngestReject
from marketdata.storage import storage
from terminals.wire import Kind
from tests.integration.processing import EVER
from tests.road import Road, secret_of

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]
SAMSUNG, INDEX, DELAYED, REFUSED = "005930 KS Equity", "KOSPI Index", "000660 KS Equity", "999999 KS Equity"
SECURITIES = {SAMSUNG: "005930", INDEX: "KOSPI", DELAYED: "000660", REFUSED: "999999"}
TRADES = 50
TOLD = {("vendor_delayed", "000660"), ("vendor_subscription", "999999"), ("vendor_stream", "005930")}
# What happens at the desk, step by step; see tests/simulators/bloomberg/blpapi.py.
SCRIPT = [
    [0, "paint", SAMSUNG, {"LAST_PRICE": 70000.0, "BID": 69900.0, "ASK": 70000.0, "OPEN": 69500.0, "HIGH": 70500.0,
                           "LOW": 69400.0, "VOLUME": 1000, "RT_PX_CHG_PCT_1D": 1.4492753623188406,
                           "IS_DELAYED_STREAM": False}],
    [0, "paint", INDEX, {"LAST_PRICE": 2612.43, "VOLUME": None, "IS_DELAYED_STREAM": False}],
    [0, "paint", DELAYED, {"LAST_PRICE": 200000.0, "IS_DELAYED_STREAM": True}],
    [0, "refuse", REFUSED, "NO_AUTH"],
    [0, "await", len(SECURITIES)],
    *([[0.001, "say", SAMSUNG, "TRADE", "NEW", {"LAST_PRICE": 70100.0, "SIZE_LAST_TRADE": 3}]] * TRADES),
    [0, "say", SAMSUNG, "QUOTE", "BID", {"BID": 69800.0}],
    [0, "say", DELAYED, "TRADE", "NEW", {"LAST_PRICE": 200500.0, "SIZE_LAST_TRADE": 1}],
    [0, "lose", SAMSUNG, 7],
    [0, "drop", 0.05],
    [0, "say", INDEX, "TRADE", "NEW", {"LAST_PRICE": 2613.01}],
]  # fmt: skip


def test_what_bloomberg_says_is_stored_and_what_is_missing_is_a_gap_of_its_symbol(road: Road, tmp_path):
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(step) + "\n" for step in SCRIPT))
    lines = "".join(f'"{security}" = "{symbol}"\n' for security, symbol in SECURITIES.items())
    link = f'server = "127.0.0.1:{road.port}"\nclient = "desk"\nspool = "{tmp_path}/spool"\nregister-market = "KRX"\n'
    (tmp_path / "bloomberg.toml").write_text(f"{link}recover-s = 3600\n[securities]\n{lines}")
    environment = os.environ | {
        "NARU_KEY": secret_of("desk", "BLOOMBERG"),
        "PYTHONPATH": str(ROOT / "tests/simulators/bloomberg"),
        "FAKE_BLPAPI_SCRIPT": str(tmp_path / "script.jsonl"),
    }
    road.ingest()
    road.worker()

    with subprocess.Popen(
        [sys.executable, "-m", "terminals", "bloomberg", "--config", str(tmp_path / "bloomberg.toml")],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        try:
            # Batches of ticks, events and gaps are committed each by itself, in any order.
            road.until(lambda: len(ticks("005930", Kind.TRADE)) >= TRADES, seconds=120, what="the trades")
            road.until(lambda: len(ticks("KOSPI", Kind.SNAPSHOT)) >= 3, seconds=120, what="the last price")
            road.until(lambda: len(ticks("005930", Kind.SNAPSHOT)) >= 2, seconds=120, what="the second picture")
            road.until(lambda: ticks("005930", Kind.QUOTE), seconds=120, what="the quote")
            road.until(lambda: len(gaps()) >= 3, seconds=120, what="the gaps")
            road.until(lambda: told() >= TOLD, seconds=120, what="the events")
        finally:
            program.terminate()
            _out, log = program.communicate(timeout=300)

    assert program.returncode == 0, log
    assert len(ticks("005930", Kind.TRADE)) == TRADES
    assert len(ticks("005930", Kind.QUOTE)) == 1
    assert len(ticks("005930", Kind.SNAPSHOT)) == 2  # before and after the break
    assert len(storage().read_ticks("000660", "bloomberg", *EVER)) == 0
    assert gaps() == [
        ("005930", 0, "bloomberg_disconnected"),
        ("005930", 7, "bloomberg_data_loss"),
        ("KOSPI", 0, "bloomberg_disconnected"),
    ]
    assert not IngestReject.objects.exists()


def told() -> set[tuple[str, str]]:
    """The events, each with its symbol."""
    return {(one.kind, one.symbol) for one in storage().read_events(*EVER, limit=1000)}


def ticks(symbol: str, kind: Kind) -> list[int]:
    """The prices of a kind."""
    found = storage().read_ticks(symbol, "bloomberg", *EVER)
    return [int(price) for price in found.price[found.kind == kind]]


def gaps() -> list[tuple[str, int, str]]:
    return sorted(Gap.objects.filter(feed="bloomberg").values_list("symbol", "rows", "reason"))
