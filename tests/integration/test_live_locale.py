"""The latest trade is the latest one, also on a Redis that was started in Korean."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from marketdata.realtime import live_state
from tests import market
from tests.market import NINE_US
from tests.servers import Redis

pytestmark = pytest.mark.once

KOREAN = "ko_KR.UTF-8"


class KoreanRedis(Redis):
    """Compares text as that locale does."""

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command, environment = super()._command()
        return command, {**os.environ, **environment, "LOCPATH": str(self.folder / "locales"), "LC_ALL": KOREAN}


@pytest.fixture
def korean(tmp_path, settings) -> Iterator[None]:
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not installed")
    (tmp_path / "locales").mkdir()
    made = subprocess.run(
        ["localedef", "-i", "ko_KR", "-f", "UTF-8", tmp_path / "locales" / KOREAN], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this machine has no description of the Korean locale")
    with KoreanRedis(tmp_path) as server:
        settings.REDIS_URL = server.url
        live_state.connection.cache_clear()
        live_state.connection().set(live_state.SEEDED, "by the test")  # from a database that has nothing
        yield
        live_state.connection().close()
        live_state.connection.cache_clear()


def test_an_earlier_trade_never_replaces_a_later_one(korean):
    for at in range(0, 3_000_000, 9_973):
        for time_us, price in ((NINE_US + at, 1), (NINE_US - 7 * at - 1, 2)):
            pipeline = live_state.connection().pipeline(transaction=False)
            live_state.remember(pipeline, market.ticks([{"symbol": f"S{at}", "time_us": time_us, "price": price}]))
            pipeline.execute()

    assert {one["price"] for one in live_state.latest("krx").values()} == {1}
