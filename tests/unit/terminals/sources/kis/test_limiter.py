"""However many processes call, the service counts no more calls in any second than are allowed."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from terminals.sources.kis.credentials import AccountKind
from terminals.sources.kis.limiter import CallLimiter
from terminals.sources.kis.rest import quotation
from tests.unit.terminals.sources.kis.conftest import APPKEY, APPSECRET, VIRTUAL_APPKEY, WINDOW_S, account_at, client_of

PRICE = quotation("inquire-price", "FHKST01010100")
SAMSUNG = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000040"}
ROOT = Path(__file__).resolve().parents[5]
HAMMER = """
import asyncio, pathlib, sys
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.rest import Client, quotation

async def hammer():
    account = Account("main", AccountKind.REAL, sys.argv[1], sys.argv[2], sys.argv[3], "ws://127.0.0.1:1")
    async with Client(account, pathlib.Path(sys.argv[4]), within_s=60.0) as client:
        price = quotation("inquire-price", "FHKST01010100")
        query = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000040"}
        await asyncio.gather(*(client.get(price, query) for _ in range(int(sys.argv[5]))))
        print(client.calls.good, client.calls.made)

asyncio.run(hammer())
"""


async def test_four_hammering_processes_never_pass_the_limit(simulator, tmp_path):
    """Of the second that the real service counts over."""
    simulator.window_s, calls = 1.0, 8
    command = [sys.executable, "-c", HAMMER, APPKEY, APPSECRET, simulator.url, str(tmp_path), str(calls)]

    running = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    outputs = await asyncio.wait_for(asyncio.gather(*(one.communicate() for one in running)), 300)

    assert [out.decode().split() for out, _ in outputs] == [[str(calls)] * 2] * 4
    assert len(simulator.arrivals[APPKEY]) == 4 * calls
    assert simulator.busiest_second(APPKEY) <= 18
    assert simulator.limiter_trips == 0


async def test_a_virtual_account_calls_once_a_second(simulator, tmp_path):
    account = account_at(simulator.url, kind=AccountKind.VIRTUAL, appkey=VIRTUAL_APPKEY)
    async with client_of(account, tmp_path) as one, client_of(account, tmp_path) as other:
        await asyncio.gather(*(client.get(PRICE, SAMSUNG) for client in (one, other) for _ in range(2)))

    assert simulator.busiest_second(VIRTUAL_APPKEY) == 1
    assert simulator.limiter_trips == 0
    assert one.limiter.waits + other.limiter.waits > 0
    assert one.limiter.waited_s + other.limiter.waited_s > 0.0


async def test_a_simulator_without_a_limiter_before_it_refuses_call_nineteen(simulator, account, tmp_path, monkeypatch):
    monkeypatch.setattr(type(account), "calls_per_s", lambda self, day: 1000)
    simulator.window_s = 1000.0
    async with client_of(account, tmp_path) as client:
        calls = asyncio.gather(*(client.get(PRICE, SAMSUNG) for _ in range(30)))
        await asyncio.wait_for(simulator.tripped.wait(), 300)
        simulator.window_s = WINDOW_S
        await calls

    assert simulator.limiter_trips > 0
    assert client.calls.failed["quota"] == simulator.limiter_trips
    assert client.calls.good == 30


async def test_a_call_in_flight_keeps_its_token(limiter_of):
    limiter = limiter_of(1, longest_call_s=600.0)
    async with limiter.call():
        second = asyncio.create_task(_once(limiter))
        await asyncio.sleep(3 * WINDOW_S)
        waiting = not second.done()

    await asyncio.wait_for(second, 300)
    assert waiting


async def test_the_token_of_a_process_that_died_comes_back(limiter_of, tmp_path):
    dies = (
        "import asyncio, os, pathlib, sys\nfrom terminals.sources.kis.limiter import CallLimiter\n"
        "async def die():\n"
        "    folder = pathlib.Path(sys.argv[1])\n"
        "    async with CallLimiter('key', folder, lambda: 1, longest_call_s=0.3, window_s=0.1).call():\n"
        "        os._exit(7)\n"
        "asyncio.run(die())\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", dies, str(tmp_path), cwd=ROOT)
    assert await asyncio.wait_for(child.wait(), 300) == 7

    await asyncio.wait_for(_once(limiter_of(1)), 300)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_full_disk_lets_no_call_begin_and_takes_no_answer_away(limiter_of, tmp_path, caplog):
    (tmp_path / "key.calls").symlink_to("/dev/full")
    full = limiter_of(1)

    with pytest.raises(OSError, match="No space"):
        await _once(full)
    (tmp_path / "key.calls").unlink()
    limiter = limiter_of(1)
    written = limiter._lock.descriptor
    async with limiter.call():
        limiter._lock.descriptor = full._lock.descriptor  # it has filled up meanwhile

    assert limiter.not_written == 1
    assert "kis_limit_not_written" in caplog.text
    limiter._lock.descriptor = written


async def test_the_file_does_not_grow_and_is_private(limiter_of, tmp_path):
    limiter = limiter_of(100)
    for _ in range(3):
        await asyncio.gather(*(_once(limiter) for _ in range(20)))

    file = tmp_path / "key.calls"
    assert file.stat().st_size <= 100 * 16
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"torn", b"\xff" * 32])
async def test_a_file_of_something_else_is_written_over(limiter_of, tmp_path, content):
    (tmp_path / "key.calls").write_bytes(content)

    await asyncio.wait_for(_once(limiter_of(2)), 300)


@pytest.fixture
def limiter_of(tmp_path):
    """A limiter of so many calls a second over the same file, closed at the end."""
    with contextlib.ExitStack() as stack:

        def limiter(calls, **options):
            made = CallLimiter("key", tmp_path, lambda: calls, window_s=WINDOW_S, **options)
            stack.callback(made.close)
            return made

        yield limiter


async def _once(limiter: CallLimiter) -> None:
    async with limiter.call():
        pass
