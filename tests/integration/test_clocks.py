"""Clocks that disagree: measured, shown, alarmed, and taken back when they agree again."""

import pytest

from marketdata.ledger import batch_ledger
from marketdata.models import Alarm, Client, Market, Symbol
from marketdata.realtime import live_state
from tests.road import Road

pytestmark = pytest.mark.once
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _symbol(road: Road, redis_server, settings) -> None:
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


def shown(client: str) -> float | None:
    for server in live_state.status()["ingest"]:
        for one in server["clients"]:
            if one["client"] == client:
                return float(one["clock_offset_ms"])
    return None


def active(code: str) -> list[str]:
    return list(Alarm.objects.filter(code=code, cleared_at=None).order_by("subject").values_list("subject", flat=True))


def test_a_terminal_whose_clock_is_off_is_shown_and_alarmed_until_it_leaves(road):
    road.ingest()
    right, ahead = road.terminal("right"), road.terminal("ahead")
    right.login(time_us=batch_ledger.now_us())
    ahead.login(time_us=batch_ledger.now_us() + HOUR_US)

    road.until(lambda: active("clock_offset") == ["ahead"], seconds=60, what="the alarm")
    road.until(lambda: shown("ahead"), seconds=60, what="the page")
    offsets = (shown("right"), shown("ahead"))
    kept = road.until(
        lambda: Client.objects.get(name="ahead").clock_offset_us, seconds=60, what="the offset in the database"
    )
    message = Alarm.objects.get(code="clock_offset").message
    ahead.close()
    road.until(lambda: not active("clock_offset"), seconds=60, what="the alarm's end")

    assert offsets[0] == pytest.approx(0, abs=2_000)
    assert offsets[1] == pytest.approx(HOUR_US / 1000, abs=2_000)
    assert kept == pytest.approx(HOUR_US, abs=2_000_000)
    assert "ahead of" in message


def test_when_all_terminals_disagree_with_the_server_its_own_clock_is_suspected(road):
    road.ingest()
    for number in range(3):
        road.terminal(f"t{number}").login(time_us=batch_ledger.now_us() - HOUR_US)

    road.until(lambda: active("clock_offset") == ["t0", "t1", "t2"], seconds=60, what="an alarm of each")
    road.until(lambda: len(active("server_clock")) == 1, seconds=60, what="the alarm of the server")
