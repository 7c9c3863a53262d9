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


def near(found: float | None, wanted: float, *, by: float) -> bool:
    """A message that a busy machine takes late makes a clock look behind, until another one comes."""
    return found is not None and abs(found - wanted) < by


def active(code: str) -> list[str]:
    return list(Alarm.objects.filter(code=code, cleared_at=None).order_by("subject").values_list("subject", flat=True))


def test_a_terminal_whose_clock_is_off_is_shown_and_alarmed_until_it_leaves(road):
    road.ingest()
    right = road.terminal("right")
    right.login(time_us=batch_ledger.now_us())
    ahead = road.terminal("ahead")
    ahead.login(time_us=batch_ledger.now_us() + HOUR_US)

    road.until(lambda: active("clock_offset") == ["ahead"], seconds=60, what="the alarm")
    road.until(lambda: near(shown("ahead"), HOUR_US / 1000, by=2_000), seconds=60, what="what is off on the page")
    road.until(lambda: near(shown("right"), 0, by=2_000), seconds=60, what="what is right on the page")
    road.until(
        lambda: near(Client.objects.get(name="ahead").clock_offset_us, HOUR_US, by=2_000_000),
        seconds=60, what="the offset in the database",
    )  # fmt: skip
    message = Alarm.objects.get(code="clock_offset").message
    ahead.close()
    road.until(lambda: not active("clock_offset"), seconds=60, what="the alarm's end")

    assert "ahead of" in message


def test_when_all_terminals_disagree_with_the_server_its_own_clock_is_suspected(road):
    road.ingest()
    for number in range(3):
        road.terminal(f"t{number}").login(time_us=batch_ledger.now_us() - HOUR_US)

    road.until(lambda: active("clock_offset") == ["t0", "t1", "t2"], seconds=60, what="an alarm of each")
    road.until(lambda: len(active("server_clock")) == 1, seconds=60, what="the alarm of the server")
