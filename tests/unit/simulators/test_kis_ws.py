"""The WebSocket side of KIS's simulator."""

import asyncio
import datetime

from tests.simulators.kis.clock import SimulatedClock
from tests.simulators.kis.market import KST, Market
from tests.simulators.kis.script import Step
from tests.simulators.kis.ws import WebSocketSimulator


def test_whoever_asks_something_else_need_not_wait_until_a_burst_is_over():
    async def turns() -> int:
        clock = SimulatedClock(datetime.datetime(2026, 11, 20, 9, tzinfo=KST))
        simulator = WebSocketSimulator(Market(seed=1, symbols=3), clock, {})
        burst = asyncio.create_task(simulator.begin(Step(after=0, fault="burst", arguments={"count": 500})))
        others = 0
        while not burst.done():
            await asyncio.sleep(0)
            others += 1
        assert simulator.account.trades == 500
        return others

    assert asyncio.run(turns()) >= 500 // 20  # a turn after each frame's records
