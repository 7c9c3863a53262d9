"""The stream's dialect, word by word: who gets in, what is subscribed to, what a wrong word is told."""

import json
import time
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from api.auth.authentication import KEY_HEADER, SECRET_HEADER
from api.stream import consumer, requests, shared
from marketdata import alarms
from marketdata.models import Alarm, Client
from tests.integration.serving import KIS, PATIENCE_S, beside, commit, hub, minute, serving
from tests.market import MINUTE_US

__all__ = ["hub", "serving"]


def application() -> Any:
    """The whole server, which sets logging up when it is first imported."""
    from api.asgi import application

    return application


ORIGIN = {"Host": "testserver", "Origin": "http://testserver"}


async def test_a_key_gets_in_by_message_and_trades_come(serving, hub):
    async with serving.socket() as socket:
        await socket.enter(serving)

        told = await socket.subscribe(trades=["005930"])
        await commit(serving, [{"symbol": "000660"}, {"price": "70000.5", "side": "buy"}])
        trade = await socket.next()

    with_trades = ("trades", "cancelErrors")
    assert told == {
        "T": "subscription",
        **{name: ["005930"] if name in with_trades else [] for name in requests.LISTED},
    }
    assert {name: str(trade[name]) for name in ("T", "S", "p", "s", "x", "tks")} == {
        "T": "t", "S": "005930", "p": "70000.5", "s": "1", "x": "krx", "tks": "B",
    }  # fmt: skip
    assert "o" not in trade


@pytest.mark.once
async def test_a_key_gets_in_by_headers(serving, hub):
    async with serving.socket(**{KEY_HEADER: serving.reader.key_id, SECRET_HEADER: serving.secret}) as socket:
        assert [(await socket.next())["msg"] for _ in range(2)] == ["connected", "authenticated"]
        await socket.say(**serving.auth())
        assert (await socket.next())["code"] == 403


@pytest.mark.once
@pytest.mark.parametrize(
    "auth", [{"key": "nobody", "secret": "x"}, {}, {"ticket": "forged"}, {"key": "", "secret": ""}]
)
async def test_nobody_else_gets_in(serving, hub, auth):
    async with serving.socket(**ORIGIN) as socket:
        await socket.say(action="auth", **auth)
        heard, code = await socket.closed()

    assert heard[-1]["code"] == 402
    assert code == 4402


@pytest.mark.once
async def test_a_client_that_may_not_read_does_not_get_in(serving, hub):
    _, secret = await beside(lambda: Client.objects.create_with_secret(name="sender", may_read=False))
    client = await Client.objects.aget(name="sender")

    async with serving.socket() as socket:
        await socket.say(action="auth", key=client.key_id, secret=secret)
        heard, _ = await socket.closed()

    assert heard[-1]["code"] == 402


@pytest.mark.once
async def test_a_feed_that_nobody_ever_wrote_gets_no_room_in_the_hub(serving, hub):
    async with serving.socket("made_up") as socket:
        await socket.say(**serving.auth())
        heard, code = await socket.closed()

    assert (heard[-1]["code"], code) == (409, 4409)
    assert list(hub._channels) == []


@pytest.mark.once
async def test_nothing_is_given_before_the_login(serving, hub):
    async with serving.socket() as socket:
        await socket.say(action="subscribe", trades=["*"])
        assert [(await socket.next()).get("code") for _ in range(2)] == [None, 401]
        await commit(serving, [{}])
        assert await socket.silent()


@pytest.mark.once
async def test_who_says_nothing_is_let_go(serving, hub, monkeypatch):
    monkeypatch.setattr(consumer, "AUTH_S", 0.2)

    async with serving.socket() as socket:
        heard, code = await socket.closed()

    assert (heard[-1]["code"], code) == (404, 4404)


@pytest.mark.once
async def test_staff_get_in_by_their_session_from_pages_of_this_server_only(serving, hub):
    def log_in():
        browser = Browser()
        browser.force_login(get_user_model().objects.create_user("staff", is_staff=True))
        return f"sessionid={browser.cookies['sessionid'].value}"

    cookie = await beside(log_in)

    async with serving.socket(**ORIGIN, Cookie=cookie) as socket:
        assert [(await socket.next())["msg"] for _ in range(2)] == ["connected", "authenticated"]
    async with serving.socket(Host="testserver", Origin="http://elsewhere", Cookie=cookie) as socket:
        assert (await socket.next())["msg"] == "connected"
        assert await socket.silent()
    async with serving.socket(Host="testserver", Cookie=cookie) as socket:
        assert (await socket.next())["msg"] == "connected"
        assert await socket.silent()


async def test_a_ticket_opens_one_socket(serving, hub):
    def fetch():
        return Browser().post("/v2/stream/ticket", headers=serving.headers).json()["ticket"]

    ticket = await beside(fetch)

    async with serving.socket(**ORIGIN) as socket:
        await socket.say(action="auth", ticket=ticket)
        assert [(await socket.next())["msg"] for _ in range(2)] == ["connected", "authenticated"]
    async with serving.socket(**ORIGIN) as socket:
        await socket.say(action="auth", ticket=ticket)
        heard, _ = await socket.closed()
        assert heard[-1]["code"] == 402


@pytest.mark.once
async def test_a_wrong_word_is_told_and_the_socket_stays(serving, hub):
    async with serving.socket() as socket:
        await socket.enter(serving)
        for content, code in (
            ({"action": "dance"}, 400),
            ({"action": "subscribe", "slow": "perhaps"}, 400),
            ({"action": "auth", "key": "k", "secret": "s"}, 403),
        ):
            await socket.say(**content)
            assert (await socket.next())["code"] == code
        await socket.subscribe(trades=["*"])


@pytest.mark.once
async def test_what_cannot_be_had_voids_nothing_else_of_a_request(serving, hub):
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.say(action="subscribe", trades=["005930", " no symbol"], news=["*"], unheard=["*"])
        heard = await socket.until("subscription")
        await socket.say(action="unsubscribe", trades=["005930"], unheard=["*"])
        left = await socket.until("subscription")

    assert [message.get("code") for message in heard] == [400, 409, 400, None]
    assert heard[-1]["trades"] == ["005930"]
    assert ([message.get("code") for message in left], left[-1]["trades"]) == ([400, None], [])


@pytest.mark.once
async def test_a_feed_answers_where_clients_of_the_dialect_look_for_it_and_control_messages_come_alone(serving, hub):
    headers = [(KEY_HEADER.lower().encode(), serving.reader.key_id.encode()),
               (SECRET_HEADER.lower().encode(), serving.secret.encode())]  # fmt: skip
    end = WebsocketCommunicator(application(), "/v2/iex", headers=headers)
    assert (await end.connect(timeout=PATIENCE_S))[0]
    await end.send_to(text_data=json.dumps({"action": "subscribe", "news": ["*"], "trades": ["*"]}))
    frames = [json.loads(await end.receive_from(timeout=PATIENCE_S)) for _ in range(4)]
    await commit(serving, [{}])
    frames.append(json.loads(await end.receive_from(timeout=PATIENCE_S)))
    await end.disconnect()
    assert [[message["T"] for message in frame] for frame in frames] == [
        ["success"], ["success"], ["error"], ["subscription"], ["t"],
    ]  # fmt: skip


@pytest.mark.once
async def test_unsubscribing_is_answered_with_what_is_left(serving, hub):
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.subscribe(trades=["005930", "000660"], bars=["*"])
        await socket.say(action="unsubscribe", trades=["000660"], bars=["*"])
        told = (await socket.until("subscription"))[-1]
        await commit(serving, [{"symbol": "000660"}, {}])

        assert (told["trades"], told["bars"]) == (["005930"], [])
        assert (await socket.next())["S"] == "005930"


@pytest.mark.once
async def test_the_oldest_socket_of_a_key_makes_room_and_is_told(serving, hub):
    shared.shared()[1].most_per_key = 2
    async with serving.socket() as first, serving.socket() as second, serving.socket() as third:
        for socket in (first, second, third):
            await socket.enter(serving)

        heard, code = await first.closed()

        assert (heard[-1]["code"], code) == (406, 4406)
        await second.subscribe(trades=["*"])


@pytest.mark.once
async def test_there_is_a_limit_to_all_readers(serving, hub, monkeypatch):
    monkeypatch.setattr(alarms, "told", {})
    shared.shared()[1].most = 1
    other, secret = await beside(lambda: Client.objects.create_with_secret(name="other"))
    async with serving.socket() as first, serving.socket() as second:
        await first.enter(serving)
        await second.say(action="auth", key=other.key_id, secret=secret)

        heard, code = await second.closed()

        assert (heard[-1]["code"], code) == (406, 4406)
        await first.subscribe(trades=["*"])
        alarm = await beside(lambda: Alarm.objects.get(code="limit_reached"))
        assert alarm.subject == "websockets"
        assert "WS_MAX_CONNECTIONS" in alarm.message


@pytest.mark.once
async def test_there_is_a_limit_to_what_a_reader_names_by_all_its_sockets(serving, hub, monkeypatch):
    monkeypatch.setattr(alarms, "told", {})
    shared.shared()[1].most_symbols = 6
    async with serving.socket() as first, serving.socket() as second:
        for socket in (first, second):
            await socket.enter(serving)
        await first.subscribe(trades=["000660", "005930"])

        await second.say(action="subscribe", trades=["000660", "005930"])
        refused = (await second.until("error"))[-1]

        assert (refused["code"], refused["msg"].startswith("symbol limit exceeded")) == (405, True)
        assert (await second.subscribe(trades=["*"]))["trades"] == ["*"], "it is told, and may ask for less"
        alarm = await beside(lambda: Alarm.objects.get(code="limit_reached"))
        assert (alarm.subject, "WS_MAX_SYMBOLS_IN_ALL" in alarm.message) == ("stream symbols", True)
        await first.say(action="unsubscribe", trades=["000660", "005930"])
        await first.until("subscription")
        assert (await second.subscribe(trades=["000660", "005930"]))["trades"] == ["*", "000660", "005930"]


@pytest.mark.once
async def test_a_revoked_key_is_let_go(serving, hub, monkeypatch):
    monkeypatch.setattr("api.stream.connection_limits.CHECK_EVERY_S", 0.1)
    async with serving.socket() as socket:
        await socket.enter(serving)
        await Client.objects.filter(pk=serving.reader.pk).aupdate(is_active=False)

        heard, code = await socket.closed()

    assert (heard[-1]["code"], code) == (402, 4402)


async def test_candles_close_and_late_ticks_correct_them(serving, hub):
    now_us = time.time_ns() // 1000
    begin = (now_us - 3 * MINUTE_US) // MINUTE_US * MINUTE_US

    def trade(second, **other):
        return {"time": begin + second * 1_000_000, **other}

    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.subscribe(bars=["*"], updatedBars=["005930"])
        await commit(serving, [trade(10), trade(30, price="71000")], source=KIS)
        assert await socket.silent()

        await commit(serving, [{"time": now_us}], source=KIS)
        closed = await socket.next()
        await commit(serving, [trade(20, price="72000", size="2")], source=KIS)
        corrected = await socket.next()

    assert [closed[name] for name in ("T", "S", "o", "c", "n", "x")] == ["b", "005930", 70000, 71000, 2, True]
    assert [corrected[name] for name in ("T", "t", "h", "c", "v", "n")] == ["u", closed["t"], 72000, 71000, 4, 3]
    assert corrected["rev"] > closed["rev"]


@pytest.mark.once
async def test_the_forming_candle_is_opt_in(serving, hub):
    async with serving.socket() as eager, serving.socket() as long_running:
        for socket, forming in ((eager, True), (long_running, False)):
            await socket.enter(serving)
            await socket.subscribe(bars=["*"], forming=forming)
        await commit(serving, [minute(0)])
        await commit(serving, [minute(0)])

        bars = [await eager.next()]
        while bars[-1]["n"] < 2:
            bars.append(await eager.next())

        assert all(bar["x"] is False for bar in bars)
        assert await long_running.silent()


async def test_what_traded_before_anybody_listened_is_in_the_closed_candle(serving, hub):
    await commit(serving, [minute(0), minute(0, symbol="000660")])
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.subscribe(bars=["*"])
        await commit(serving, [minute(2)])

        assert sorted([(await socket.next())["S"] for _ in range(2)]) == ["000660", "005930"]


@pytest.mark.once
async def test_who_opted_in_hears_heartbeats_with_the_place(serving, hub, monkeypatch):
    monkeypatch.setattr("api.stream.hub.HEARTBEAT_S", 0.1)
    await commit(serving, [{}, {}])
    async with serving.socket() as socket, serving.socket() as quiet:
        await socket.enter(serving)
        await quiet.enter(serving)
        await quiet.subscribe(trades=["*"])
        await socket.subscribe(heartbeat=True)

        beat = await socket.next()

        assert (beat["T"], beat["o"], beat["epoch"], beat["stalled"]) == ("hb", 2, hub.epoch, False)
        assert await quiet.silent()


@pytest.mark.once
async def test_another_path_is_no_stream(serving, hub):
    end = WebsocketCommunicator(application(), "/v2/stream/krx/elsewhere")
    connected, _ = await end.connect(timeout=PATIENCE_S)
    assert not connected
