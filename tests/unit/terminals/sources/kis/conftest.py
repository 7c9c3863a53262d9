"""The KIS simulator on a port of this machine, and accounts that it knows."""

import datetime
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from terminals.sources.kis import rest
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.rest import Client, Retry
from tests.simulators.kis.market import KST, Market
from tests.simulators.kis.rest import VIRTUAL_PER_S, Key, RestSimulator

APPKEY, APPSECRET = "PSk" + "k" * 33, "s" * 90 + "T" * 90
VIRTUAL_APPKEY = "PSv" + "v" * 33
LONG_S = 60.0
"""How long a call may take on a machine that does much else."""
WINDOW_S = 0.1
"""Over how long this service counts calls, so that nobody waits for whole seconds; one test of the limiter has the
second that the real one counts over."""
QUICK = {trouble: Retry(retry.tries, 0.01) for trouble, retry in rest.RETRIES.items()}
"""As often as otherwise, and sooner."""
NOON = datetime.datetime(2026, 11, 27, 12, 0, 30, tzinfo=KST)


def account_at(url: str, *, kind: AccountKind = AccountKind.REAL, appkey: str = APPKEY) -> Account:
    """An account of the simulator at `url`."""
    return Account("main", kind, appkey, APPSECRET, url, "ws://127.0.0.1:1")


def client_of(account: Account, folder: Path, **options: Any) -> Client:
    """A client that has time, and counts its calls as the simulator does."""
    return Client(account, folder, **{"within_s": LONG_S, "window_s": WINDOW_S, **options})


@pytest.fixture
async def simulator() -> AsyncIterator[RestSimulator]:
    """A started simulator with forty stocks; its market stands at noon."""
    keys = [Key(APPKEY, APPSECRET), Key(VIRTUAL_APPKEY, APPSECRET, VIRTUAL_PER_S)]
    service = RestSimulator(Market(seed=1, symbols=40), keys, now=lambda: NOON, window_s=WINDOW_S)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
def account(simulator: RestSimulator) -> Account:
    """The real account of `simulator`."""
    return account_at(simulator.url)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A port of this machine at which nobody answers; it is kept, so that nobody else gets it."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"
