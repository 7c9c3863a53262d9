"""`python -m tests.simulators.kis`: KIS as a process of its own. Tells its addresses as a line of JSON, then takes
orders from its standard input, a line each: `account` (what it did, as a line of JSON), `samples`, `settle`, `pause`,
`go`, `pace N` (trades a second from now on), `no_rest` (REST is away from now on), `fault JSON` (a step of the script,
now), `approvals JSON` (keys that are valid, with their appkeys), `stop`.
"""

import argparse
import asyncio
import datetime
import json
import sys
from pathlib import Path

from terminals.wire.options import between, decimal
from tests.simulators.kis import script
from tests.simulators.kis.clock import SimulatedClock
from tests.simulators.kis.market import KST, Market
from tests.simulators.kis.rest import Faults, Key, RestSimulator
from tests.simulators.kis.ws import Options, WebSocketSimulator


def main() -> None:
    """Run until `stop`, or until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.kis", description=__doc__)
    parser.add_argument("--port", type=between(0, 65_535), default=0)
    parser.add_argument("--seed", type=between(0, 2**31 - 1), default=1)
    parser.add_argument("--symbols", type=between(1, 5_000), default=20)
    parser.add_argument("--start", default="2026-11-20T10:00:00", help="Seoul time at which the simulation begins")
    parser.add_argument("--end", help="Seoul time at which its clock stands still")
    parser.add_argument("--speed", type=decimal(0), default=1.0, help="simulated seconds in a real one")
    parser.add_argument("--trades", type=between(0, 10**9), help="end after so many")
    parser.add_argument("--trades-per-s", type=decimal(0), default=200.0)
    parser.add_argument("--book-share", type=decimal(0, 1), default=0.3)
    parser.add_argument("--ping-s", type=decimal(0), default=10.0)
    parser.add_argument("--cut-s", type=decimal(0), default=100.0)
    parser.add_argument("--encrypted", action="append", default=[], metavar="TR")
    parser.add_argument("--approval", action="append", default=[], metavar="KEY=APPKEY", help="an approval key")
    parser.add_argument("--appkey", action="append", default=[], metavar="KEY=SECRET", help="serve REST, too, to it")
    parser.add_argument("--token-interval-s", type=decimal(0), default=60.0)
    parser.add_argument("--chance", action="append", default=[], metavar="FAULT=SHARE", help="of a REST call")
    parser.add_argument("--script", type=Path, help="JSON: a list of steps; tests/simulators/kis/script.py has them")
    parser.add_argument("--sample", type=between(0, 10**9), default=0, help="note when every so manieth trade left")
    parser.add_argument("--paused", action="store_true", help="no trade before `go`")
    asyncio.run(_run(parser.parse_args()))


async def _run(given: argparse.Namespace) -> None:
    start = datetime.datetime.fromisoformat(given.start).replace(tzinfo=KST)
    steps = script.parse(json.loads(given.script.read_text(encoding="utf-8"))) if given.script else []
    end = datetime.datetime.fromisoformat(given.end).replace(tzinfo=KST) if given.end else None
    market, clock = Market(seed=given.seed, symbols=given.symbols), SimulatedClock(start, speed=given.speed, end=end)
    chances = {fault: float(share) for fault, share in (one.split("=", 1) for one in given.chance)}
    rest = RestSimulator(
        market,
        [Key(*one.split("=", 1)) for one in given.appkey],
        faults=Faults(chances=chances, seed=given.seed),
        now=clock.now,
        token_interval_s=given.token_interval_s,
    )
    rest.approvals.update(one.split("=", 1) for one in given.approval)
    simulator = WebSocketSimulator(
        market,
        clock,
        rest.approvals,
        script=steps,
        options=Options(
            trades_per_s=given.trades_per_s,
            trades=given.trades,
            book_share=given.book_share,
            ping_s=given.ping_s,
            cut_s=given.cut_s,
            encrypted=frozenset(given.encrypted),
            sample=given.sample,
        ),
        seed=given.seed,
    )
    simulator.paused = given.paused
    url = await simulator.start(given.port)
    rest_url = await rest.start()
    _say({"websocket": url, "rest": rest_url, "symbols": list(market.stocks)})
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    reader = asyncio.create_task(asyncio.to_thread(_read, loop, lines))
    while (line := (await lines.get()).strip()) not in ("stop", ""):
        await _obey(simulator, rest, *line.partition(" ")[::2])
    await simulator.stop()
    await rest.stop()
    reader.cancel()


async def _obey(simulator: WebSocketSimulator, rest: RestSimulator, order: str, argument: str) -> None:
    match order:
        case "account":
            now = {"sessions": simulator.sessions, "registrations": sorted(simulator.registrations())}
            _say({**simulator.account.as_json(), **now, "done": simulator.done.is_set(), "rest": rest.summary()})
        case "samples":
            _say({"samples": simulator.account.samples})
        case "settle":
            await simulator.settle()
            _say({"settled": True})
        case "no_rest":
            await rest.stop()
            _say({"rest": False})
        case "pause" | "go":
            simulator.paused = order == "pause"
            _say({"paused": simulator.paused})
        case "pace":
            simulator.pace(float(argument))
            _say({"trades_per_s": float(argument)})
        case "fault":
            (step,) = script.parse([{"after": 0, **json.loads(argument)}])
            await simulator.begin(step)
            _say({"fault": step.fault})
        case "approvals":
            simulator.approvals.update(json.loads(argument))
            _say({"approvals": len(simulator.approvals)})
        case _:
            _say({"error": f"{order} is no order"})


def _read(loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str]") -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line)
        if line.strip() == "stop":
            return
    loop.call_soon_threadsafe(lines.put_nowait, "stop")


def _say(content: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
