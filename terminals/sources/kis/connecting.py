"""How a session with KIS comes about: whose it is, how long what may take, who may connect and when."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from terminals.lock import FileLock
from terminals.sources.kis.reconnects import FLOOR_S, MOST_S, Reconnects
from terminals.sources.kis.registrations import ANSWER_S, RETRY_S, SPACING_S

_PATH: Final = "/tryitout"
_FRAME_BYTES: Final = 4 * 1024 * 1024
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The defaults are for the real service; a simulator runs faster."""

    connect_s: float = 10.0
    floor_s: float = FLOOR_S
    most_s: float = MOST_S
    owned_s: float = 45.0
    """At least so long after OPSP8996, and between two looks at a lock that another process holds."""
    held_s: float = 60.0
    """A session that has brought data for so long was a success."""
    dead_s: float = 100.0
    """Without a frame of any kind, PINGPONG included, the socket is dead: the service, too, gives up after 100 s."""
    spacing_s: float = SPACING_S
    answer_s: float = ANSWER_S
    retry_s: float = RETRY_S
    patience_s: float = 2.0
    """How long reading waits for room before it drops."""
    goodbye_s: float = 5.0
    silence: float = 1.0
    """Factor of the silence in `hours`."""
    clock_s: float = 10.0
    """So long after connecting, records without a date wait for something that tells the time of KIS."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose session it is. `key_id` stands for the appkey in names of files."""

    name: str
    key_id: str
    url: str
    customer: str = "P"


def own(folder: Path, identity: Identity) -> FileLock:
    """The session of this appkey, for one process of this machine at a time. Locked."""
    return FileLock(folder / f"{identity.key_id}.session")


def reconnects_of(folder: Path, identity: Identity, timing: Timing, rng: random.Random) -> Reconnects:
    """When its owner may connect."""
    file = folder / f"{identity.key_id}.reconnects"
    return Reconnects(file, rng=rng, floor_s=timing.floor_s, most_s=timing.most_s)


async def open_socket(identity: Identity, timing: Timing) -> ClientConnection:
    """A connection. OSError, TimeoutError, WebSocketException."""
    local = urlsplit(identity.url).hostname in _LOCAL
    async with asyncio.timeout(timing.connect_s):
        return await connect(
            identity.url + _PATH,
            ping_interval=None,  # PINGPONG is theirs; a PING of ours is answered by nobody
            compression=None,
            max_size=_FRAME_BYTES,
            close_timeout=timing.goodbye_s,
            proxy=None if local else True,
        )
