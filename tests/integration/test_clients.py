"""The dialect's official clients, unmodified, against the real server: every market-data method they have, and their
streams. What they get is what REST says; what Naru has no data of is the documented error."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from marketdata.models import AdjustmentFactor
from tests import clients
from tests.clients import matrix
from tests.integration.serving import minute, serving
from tests.integration.test_stream_served import web
from tests.market import MINUTE_US, NINE_US
from tests.servers import ServerMissing

__all__ = ["serving", "web"]

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
ONE, TWO = "005930", "000660"
MINUTES = range(0, 12, 2)
CLOSES = {ONE: [70_000.0 + at for at in MINUTES], TWO: [70_100.5 + at for at in MINUTES]}
BIDS = {ONE: [69_990.0], TWO: [69_991.0]}
DAY = {symbol: closes[-1] for symbol, closes in CLOSES.items()}
ASKS = {ONE: 70_001.0, TWO: 70_002.0}
DIVIDEND = {"old_rate": 69_639, "new_rate": 70_000, "cash": 361}
STREAM = {"trades": 70_500.0, "quotes": 70_490.0, "bars": 70_500.0}


@pytest.fixture
def market(serving):
    for symbol, closes in CLOSES.items():
        serving.commit([
            minute(at, symbol=symbol, price=str(price)) for at, price in zip(MINUTES, closes, strict=True)
        ])  # fmt: skip
        serving.commit([
            {"kind": "quote", "symbol": symbol, "time": NINE_US + 11 * MINUTE_US, "bid": str(BIDS[symbol][0]),
             "ask": str(ASKS[symbol]), "bid_size": "1", "ask_size": "2", "size": None}
        ])  # fmt: skip
    for ex_date, kind, rates in (("2026-01-05", "split", {"new_rate": 50}), ("2026-02-02", "dividend", DIVIDEND)):
        AdjustmentFactor.objects.create(symbol=ONE, ex_date=ex_date, kind=kind, **{"old_rate": 1, **rates})
    return serving


def run(serving, web, command, name=None, **more):
    """What a client's script told, by method. While it listens a trade, a quote and a later trade are committed."""
    try:
        extra = clients.need(name) if name else {}
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    environment = {
        **os.environ, "NARU_HTTP": f"http://{web}", "NARU_STREAM": f"ws://{web}", "NARU_KEY": serving.reader.key_id,
        "NARU_SECRET": serving.secret, "NARU_LAST": "70500", "PYTHONWARNINGS": "ignore", **more,
    }  # fmt: skip
    paths = [*extra.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)]
    environment |= {**extra, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(240, process.kill)
        timer.start()
        try:
            lines = iter(process.stdout.readline, "") if process.stdout else iter(())
            for line in lines:
                if line.startswith("listening"):
                    serving.commit([minute(40, price="70500")])
                    serving.commit([
                        {"kind": "quote", "time": NINE_US + 40 * MINUTE_US, "bid": "70490", "ask": "70510",
                         "size": None}
                    ])  # fmt: skip
                    serving.commit([minute(42, price="70600")])
                elif line.startswith("{"):
                    told: dict[str, dict[str, Any]] = json.loads(line)
                    return told
        finally:
            timer.cancel()
            process.kill()
    raise AssertionError("the client ended without a word")


def errors(told):
    return {name: found["error"] for name, found in told.items() if "error" in found}


def assert_documented(client, told):
    """The page's matrix is what this run found; with WRITE_CLIENTS_MATRIX (`make clients-matrix`) it becomes so."""
    found = {name: matrix.WORKS if "got" in outcome else matrix.NO_DATA for name, outcome in told.items()}
    text = matrix.PAGE.read_text(encoding="utf-8")
    if os.environ.get("WRITE_CLIENTS_MATRIX"):
        text = matrix.rewritten(text, client, found)
        matrix.PAGE.write_text(text, encoding="utf-8")
    assert matrix.documented(text, client) == found


def got(told):
    return {name: found["got"] for name, found in told.items() if "got" in found}


def test_alpaca_py_reads_whatever_naru_has(market, web):
    told = run(market, web, [sys.executable, "-m", "tests.clients.alpaca_py"])

    assert_documented("alpaca-py", told)
    refused = errors(told)
    assert set(refused) == {"get_news", "get_option_chain", "get_crypto_latest_trade"}
    assert all("40410005" in text or "no such data" in text for text in refused.values())
    have = got(told)
    assert have["get_stock_bars 1Min"] == have["get_stock_trades"] == CLOSES
    assert have["get_stock_bars 1Day"] == [DAY[ONE]]
    assert have["get_stock_quotes"] == BIDS
    assert have["get_stock_latest_trade"] == have["get_stock_latest_bar"] == DAY
    assert have["get_stock_latest_quote"] == ASKS
    assert have["get_stock_snapshot"] == {symbol: [price, price] for symbol, price in DAY.items()}
    assert have["get_most_actives"] == sorted(CLOSES)
    assert have["get_corporate_actions"] == {
        "forward_splits": [f"{ONE} 2026-01-05"], "cash_dividends": [f"{ONE} 2026-02-02"],
    }  # fmt: skip
    assert have["stream"] == STREAM


def test_the_older_client_for_python_does_as_well(market, web):
    told = run(market, web, [sys.executable, "-m", "tests.clients.trade_api"], "trade_api")

    assert_documented("alpaca-trade-api (Python)", told)
    assert set(errors(told)) == {"get_news", "get_latest_crypto_trades"}
    have = got(told)
    assert have["get_bars"] == have["get_trades"] == CLOSES[ONE]
    assert have["get_bars 1Day"] == [DAY[ONE]]
    assert have["get_bars of two"] == [[TWO, DAY[TWO]], [ONE, DAY[ONE]]]
    assert have["get_quotes"] == BIDS[ONE]
    assert have["get_latest_bar"] == have["get_latest_trade"] == have["get_snapshot"] == DAY[ONE]
    assert have["get_latest_bars"] == have["get_latest_trades"] == have["get_snapshots"] == DAY
    assert (have["get_latest_quote"], have["get_latest_quotes"]) == (ASKS[ONE], ASKS)
    assert have["get_clock"] is True
    assert have["get_calendar"] == ["2026-03-13", "2026-03-16"]
    assert {ONE, TWO} <= set(have["list_assets"])
    assert have["get_asset"] == ONE
    assert have["stream"] == STREAM


@contextmanager
def tls(web: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """(address of a port of this machine that speaks TLS and passes all on to the server, its certificate)."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    host, port = web.split(":")
    command = [sys.executable, "-m", "tests.clients.tls", str(certificate), str(key), host, port]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"localhost:{int(process.stdout.readline() if process.stdout else 0)}", certificate
        finally:
            process.kill()


def test_the_client_for_node_major_3_reads_by_rest_and_over_tls(market, web, tmp_path):
    with tls(web, tmp_path) as (address, certificate):
        told = run(
            market, web, [shutil.which("node") or "node", str(ROOT / "tests/clients/node3.js")], "node3",
            NARU_TLS=f"https://{address}", NODE_EXTRA_CA_CERTS=str(certificate),
        )  # fmt: skip

    assert_documented("@alpacahq/alpaca-trade-api 3 (Node)", told)
    assert set(errors(told)) == {"getNews", "getLatestCryptoTrades", "getLatestOptionTrades"}
    have = got(told)
    assert have["getBarsV2"] == have["getTradesV2"] == CLOSES[ONE]
    assert have["getBarsV2 1Day"] == [DAY[ONE]]
    assert have["getMultiBarsV2"] == {symbol: [price] for symbol, price in DAY.items()}
    assert have["getMultiTradesV2"] == CLOSES
    assert have["getMultiTradesAsyncV2"] == CLOSES[TWO] + CLOSES[ONE]
    assert have["getQuotesV2"] == BIDS[ONE]
    assert have["getMultiQuotesV2"] == BIDS
    assert have["getLatestTrade"] == have["getLatestBar"] == have["getSnapshot"] == DAY[ONE]
    assert have["getLatestTrades"] == have["getLatestBars"] == DAY
    assert (have["getLatestQuote"], have["getLatestQuotes"]) == (ASKS[ONE], ASKS)
    assert have["getSnapshots"] == sorted(DAY.values())
    assert have["getCalendar"] == ["2026-03-13", "2026-03-16"]
    assert have["getAsset"] == ONE
    assert have["getCorporateActions"] == {"splits": ["2026-01-05"], "dividends": [361]}
    assert have["stream"] == STREAM


def test_the_client_for_node_major_4_does_as_well(market, web):
    node = [shutil.which("node") or "node", str(ROOT / "tests/clients/node4.js")]
    told = run(market, web, node, "node4")

    assert_documented("@alpacahq/alpaca-trade-api 4 (Node)", told)
    refused = errors(told)
    assert set(refused) == {"news", "optionLatestTrades", "stockAuctionSingle"}
    assert all(text.startswith("404 this product has no") for text in refused.values())
    have = got(told)
    assert have["stockBars"] == have["stockTrades"] == CLOSES
    assert have["stockBars 1Day"] == {symbol: [price] for symbol, price in DAY.items()}
    assert have["stockTradeSingle"] == CLOSES[ONE]
    assert have["stockQuotes"] == BIDS
    assert have["stockLatestBars"] == have["stockLatestTrades"] == have["stockSnapshots"] == DAY
    assert have["stockLatestQuotes"] == ASKS
    assert have["stockLatestTradeSingle"] == have["stockLatestBarSingle"] == have["stockSnapshotSingle"] == DAY[ONE]
    assert have["stockMetaExchanges"] is True
    assert have["mostActives"] == sorted(CLOSES)
    assert have["corporateActions"] == {"splits": [50], "dividends": [361]}
    assert have["stream"] == STREAM
