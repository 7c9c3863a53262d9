"""The real thing: Daphne as a process, an ordinary WebSocket client, the dialect's official client, and a browser."""

import asyncio
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import websockets

from marketdata import alarms
from tests.frozen import frozen
from tests.integration.serving import CODES, PATIENCE_S, REPLAY, SIMULATOR, and_leave, commit, connect, minute, serving
from tests.integration.test_lost_connections import takes_while_busy
from tests.market import DAY_US, MINUTE_US, NINE_US
from tests.servers import free_port
from tests.waiting import until

__all__ = ["serving"]

pytestmark = pytest.mark.once


@pytest.fixture
def web(serving, road):
    """The address of a Daphne on the test's database and Redis, without scheme."""
    yield from _web(road, PAGE_PUBLIC="1", WS_OUTBOX_BYTES="65536", API_THREADS="4")


def _web(road, **environment):
    port = free_port()
    road._environment.update(environment)
    start_web(road, port)
    yield f"127.0.0.1:{port}"


def start_web(road, port):
    """Start Daphne on a port and wait until it answers."""
    road.start("web", ["manage.py", "runweb", "--port", str(port)])
    until(lambda: _healthy(port), seconds=3 * PATIENCE_S, what="Daphne")


def _healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


async def entered(socket, serving, **content):
    await socket.send(json.dumps(serving.auth()))
    await socket.send(json.dumps({"action": "subscribe", **content}))
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["T"] != "subscription":
        heard += json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
    return heard[-1]


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_an_ordinary_client_gets_trades_from_daphne(web, serving, compression):
    async with connect(f"ws://{web}/v2/stream/krx", compression=compression) as socket:
        await entered(socket, serving, trades=["*"])
        await commit(serving, [{"price": "70000.5"}])

        (trade,) = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S), parse_float=Decimal)

    assert trade["p"] == Decimal("70000.5")
    assert ["permessage-deflate"] * (compression is not None) == [one.name for one in socket.protocol.extensions]


async def last_words(slow, road):
    """What a client that reads nothing is told at its end. It has to listen soon: then the server hears no more."""
    given_up = {"name": "naru_stream_closed_total", "code": "407"}
    await asyncio.to_thread(until, lambda: road.metric(**given_up) == 1, seconds=120, what="the end of a socket")
    slow.transport.resume_reading()
    words = "[]"
    with suppress(websockets.ConnectionClosed):
        while True:
            words = await asyncio.wait_for(slow.recv(), PATIENCE_S)
    return json.loads(words)


async def test_a_client_that_stops_reading_is_closed_while_others_get_everything(web, serving, road):
    rows = [{"price": str(1 + number % 1000), "symbol": CODES[number % 3]} for number in range(4000)]
    async with (
        connect(f"ws://{web}/v2/stream/krx", max_queue=1) as slow,
        connect(f"ws://{web}/v2/stream/krx", max_queue=None) as brisk,
    ):
        await entered(slow, serving, trades=["*"])
        slow.transport.pause_reading()
        await entered(brisk, serving, trades=["*"], seq=True, slow="gap")
        told = asyncio.create_task(last_words(slow, road))
        received: list[int] = []
        for _ in range(10):
            await commit(serving, rows)
            wanted = (len(received) // len(rows) + 1) * len(rows)
            while len(received) < wanted:
                for message in json.loads(await asyncio.wait_for(brisk.recv(), PATIENCE_S)):
                    assert message["T"] in ("t", "seq", "warning")  # half of its send queue may be full for a moment
                    if message["T"] == "t":
                        received.append(message["o"])
        last = await told

    assert received == list(range(1, 10 * len(rows) + 1))
    assert (last[-1].get("code"), slow.close_code) == (407, 4407)
    assert slow.close_code == 4407


async def test_a_message_beyond_any_reason_ends_that_socket_only(web, serving):
    for compression in (None, "deflate"):  # 2 MiB are 2 KiB then, and are not inflated
        async with connect(f"ws://{web}/v2/stream/krx", compression=compression) as socket:
            await socket.send("x" * (1 << 21))
            with suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), PATIENCE_S)
            assert socket.close_code in (1006, 1009)
    async with connect(f"ws://{web}/v2/stream/krx") as socket:
        await entered(socket, serving, trades=["*"])


def _resident_mib(pid):
    (line,) = (one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def test_as_many_sockets_as_another_web_process_had_are_taken_while_this_one_is_busy(web, road):
    """Twisted takes 50, and what comes beyond is dropped without a word until its sender tries again."""
    host, port = web.split(":")

    assert takes_while_busy(road.processes["web"], (host, int(port)), 200)


async def test_what_a_client_says_while_nobody_listens_waits_at_the_client(web, serving, road, redis_server):
    """A frozen Redis holds each `subscribe` for seconds; what follows must not pile up in the server."""
    request = '{"action":"subscribe"}' + " " * 60_000
    pid = road.processes["web"].pid
    async with connect(f"ws://{web}/v2/stream/krx", additional_headers=serving.headers, compression=None) as one:
        told = [json.loads(await asyncio.wait_for(one.recv(), PATIENCE_S)) for _ in range(2)]
        assert told[1][0]["msg"] == "authenticated"
        with frozen(redis_server.pid):
            before = _resident_mib(pid)
            flood = asyncio.create_task(_say_often(one, request, 4_000))  # 240 MB
            done, _ = await asyncio.wait([flood], timeout=10)
            after = _resident_mib(pid)
            async with connect(f"ws://{web}/v2/stream/krx") as other:
                assert json.loads(await asyncio.wait_for(other.recv(), PATIENCE_S))[0]["msg"] == "connected"

        assert not done
        assert after - before < 48
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["T"] != "subscription":  # it is read on
            heard += json.loads(await asyncio.wait_for(one.recv(), PATIENCE_S))
        flood.cancel()
        one.transport.abort()


async def _say_often(socket, text, times):
    with suppress(websockets.ConnectionClosed):
        for _ in range(times):
            await socket.send(text)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own use of websockets
def test_the_official_client_reads_pages_and_the_stream(web, serving, caplog):
    caplog.set_level("INFO", logger="alpaca")
    historical, live, asked, timeframe = (
        pytest.importorskip(f"alpaca.data.{name}", reason="alpaca-py is not installed", exc_type=ImportError)
        for name in ("historical", "live", "requests", "timeframe")
    )

    serving.commit([minute(number, price="4800.25") for number in range(30)])
    client = historical.StockHistoricalDataClient(serving.reader.key_id, serving.secret, url_override=f"http://{web}")
    bars = client.get_stock_bars(
        asked.StockBarsRequest(symbol_or_symbols="005930", timeframe=timeframe.TimeFrame.Minute)
    )
    trades = client.get_stock_trades(asked.StockTradesRequest(symbol_or_symbols=["005930"], limit=7))
    stream = live.StockDataStream(
        serving.reader.key_id, serving.secret, url_override=f"ws://{web}/v2/krx"
    )  # fmt: skip
    heard = []

    async def keep(message):
        heard.append(message)
        if len(heard) == 5:
            await stream.stop_ws()

    async def listen():
        stream.subscribe_trades(keep, "005930")
        stream.subscribe_bars(keep, "*")
        running = asyncio.create_task(stream._run_forever())
        while "subscribed to" not in caplog.text:  # noqa: ASYNC110 - it offers nothing to wait for
            await asyncio.sleep(0.05)
        await commit(serving, [minute(40, price="4800.5")])
        await commit(serving, [minute(42, price="4800.75")])
        await asyncio.wait_for(running, PATIENCE_S)

    asyncio.run(listen())

    assert [bar.close for bar in bars["005930"]] == [4800.25] * 30
    assert len(trades["005930"]) == 7
    # The last two candles were not closed yet when we came, that of minute 40 closed while we listened.
    assert sorted(message.close for message in heard if type(message).__name__ == "Bar") == [4800.25, 4800.25, 4800.5]
    assert [message.price for message in heard if type(message).__name__ == "Trade"] == [4800.5, 4800.75]


@pytest.mark.page
@pytest.mark.once
def test_the_first_page_moves(web, serving, chromium):
    from tests.integration.test_page import PATIENCE_MS, fits, looked_at

    begin = (time.time_ns() // 1000 - 60 * MINUTE_US) // MINUTE_US * MINUTE_US
    rows = [(begin + number * MINUTE_US, str(70_000 + number)) for number in range(60)]
    trades = [{"time": at, "price": text, "symbol": code} for at, text in rows for code in CODES]
    serving.commit(trades, source=SIMULATOR)
    alarms.raise_alarm("partitions_short", "room ends", subject="market_data_tick")
    wrong: list[str] = []
    # The player runs an event loop in this thread, where Django lets nobody ask the database.
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, f"http://{web}/", wrong) as (page, expect):
        page.wait_for_selector('body[data-stream="live"]')
        page.wait_for_selector("#watch tr:nth-child(3)")
        expect(page.locator("#legend")).to_contain_text("close 70,059")
        expect(page.locator("#nature")).to_have_text("Simulated")
        page.evaluate("window.unsent = []")  # the server is told late that another one is looked at
        page.click('#watch tr[data-code="035420"]')
        expect(page.locator("#name")).to_have_text("035420")
        expect(page.locator("#last")).to_have_text("70,059")
        expect(page.locator("#tape tr").first).to_contain_text("70,059")
        page.wait_for_function("unsent.some(([text]) => text.includes('035420'))")
        now = {"time": time.time_ns() // 1000, "symbol": "035420", "price": "71000"}
        aside.submit(and_leave, lambda: serving.commit([now], source=SIMULATOR)).result()
        expect(page.locator("#last")).to_have_text("71,000")
        page.evaluate("unsent.splice(0).forEach(([, send]) => send()); window.unsent = null")
        expect(page.locator("#change")).to_contain_text("▲")
        expect(page.locator("#tape tr").first).to_contain_text("71,000")
        page.click('button[data-frame="5Min"]')
        expect(page.locator("#legend")).to_contain_text("close 71,000")
        narrow = page.context.browser.new_page(viewport={"width": 390, "height": 844})
        narrow.set_default_timeout(PATIENCE_MS)
        narrow.goto(f"http://{web}/")
        narrow.wait_for_selector('body[data-stream="live"]')
        expect(narrow.locator("#alarms")).to_have_text("alarms 1 · room for coming days runs out · partitions_short")
        expect(narrow.locator("#health")).to_have_attribute("href", "/collection")
        fits(narrow)

    assert wrong == []


@pytest.mark.page
def test_a_new_day_is_compared_with_the_day_before_without_a_reload(web, serving, chromium):
    from tests.integration.test_page import follows, looked_at

    def day(number, *trades):
        return [{"time": NINE_US + number * DAY_US + at * MINUTE_US, "price": price} for at, price in trades]

    # The session ends at 15:30; what is printed at 16:30 is no close.
    serving.commit(day(0, (0, "100"), (389, "200"), (450, "150")), source=REPLAY)
    serving.commit(day(1, (0, "210"), (389, "300"), (450, "250")), source=REPLAY)
    wrong: list[str] = []
    with ThreadPoolExecutor(1) as aside, looked_at(chromium, f"http://{web}/", wrong) as (page, expect):
        page.hover('#watch tr[data-code="005930"]')
        page.mouse.down()  # the list may be drawn anew before the button is let go
        expect(page.locator('#watch tr[data-code="005930"]')).to_have_attribute("aria-selected", "true")
        page.mouse.up()
        page.wait_for_selector('body[data-stream="live"]')
        expect(page.locator("#change")).to_contain_text("25.00%")  # 250 against 200
        page.click('button[data-frame="1Day"]')
        expect(page.locator("#legend")).to_contain_text("open 210 high 300 low 210 close 300")
        page.evaluate("window.untouched = true")
        follows(page, "bars", "005930")

        aside.submit(and_leave, lambda: serving.commit(day(2, (0, "330")), source=REPLAY)).result()
        expect(page.locator("#last")).to_have_text("330")
        expect(page.locator("#change")).to_contain_text("10.00%")  # 330 against 300
        expect(page.locator('#watch tr[data-code="005930"] td').nth(2)).to_contain_text("10.00%")
        expect(page.locator("#legend")).to_contain_text("open 330 high 330 low 330 close 330")
        aside.submit(and_leave, lambda: serving.commit(day(2, (1, "360")), source=REPLAY)).result()
        expect(page.locator("#change")).to_contain_text("20.00%")
        expect(page.locator("#legend")).to_contain_text("open 330 high 360 low 330 close 360")
        aside.submit(and_leave, lambda: serving.commit(day(2, (2, "300")), source=REPLAY)).result()
        expect(page.locator("#change")).to_have_text("0 (0.00%)")
        expect(page.locator('#watch tr[data-code="005930"] td').nth(2)).to_have_text("0.00%")
        assert page.evaluate("window.untouched")

    assert wrong == []
