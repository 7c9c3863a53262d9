"""One question to the WebSocket, for `check` and `--mode setup`: as the owner of the session, and no sooner after the
last connection than a session would."""

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Final

from websockets.exceptions import ConnectionClosed, WebSocketException

from terminals import private
from terminals.finding import Finding, Level
from terminals.lock import Locked
from terminals.sources.kis import connecting, messages
from terminals.sources.kis.connecting import Identity, Timing
from terminals.sources.kis.messages import Meaning, Reply
from terminals.sources.kis.planner import Registration
from terminals.wire.language import gettext as _

_ANSWER_S: Final = 15.0
_PATIENCE_S: Final = 30.0
"""Longer than the floor; a wait after failures is told instead."""


async def answer_of(identity: Identity, registration: Registration, key: str, folder: Path, timing: Timing) -> Finding:
    """Whether a registration is answered; it is taken back at once."""
    private.make(folder)
    try:
        lock = connecting.own(folder, identity)
    except Locked as error:
        told = _("{name}: another process owns this appkey: {reason}").format(name=identity.name, reason=error)
        return Finding(Level.DOUBTFUL, told, _("it has the WebSocket; end it to have this checked"))
    try:
        return await _in_turn(identity, registration, key, folder, timing)
    finally:
        lock.release()


async def _in_turn(identity: Identity, registration: Registration, key: str, folder: Path, timing: Timing) -> Finding:
    # Not for secrets: when to connect.
    reconnects = connecting.reconnects_of(folder, identity, timing, random.Random())  # noqa: S311  # see the line above
    wait_s = reconnects.wait_s(time.time())
    if wait_s > _PATIENCE_S:
        told = _("{name}: after {attempts} connections the next one may begin in {wait:.0f} s").format(
            name=identity.name, attempts=reconnects.attempts, wait=wait_s
        )
        return Finding(Level.DOUBTFUL, told, _("check again then: KIS blocks who connects in a loop"))
    await asyncio.sleep(wait_s)
    reconnects.begin(time.time())
    try:
        async with asyncio.timeout(_ANSWER_S):
            reply = await _ask_once(identity, registration, key, timing)
    except (OSError, WebSocketException, TimeoutError) as error:
        told = _("{name}: the WebSocket {url} does not answer: {reason}").format(
            name=identity.name, url=identity.url, reason=f"{type(error).__name__} {error}"
        )
        return Finding(Level.WRONG, told, _("let the firewall pass TCP to this port"))
    if reply.meaning is Meaning.ACTIVE:
        reconnects.held()
        return Finding(Level.GOOD, _("{name}: the WebSocket takes registrations").format(name=identity.name))
    remedy = _("another program has the session of this appkey: end it") if reply.meaning is Meaning.OWNED else ""
    return Finding(Level.WRONG, f"{identity.name}: {reply.code} {reply.text}", remedy)


async def _ask_once(identity: Identity, registration: Registration, key: str, timing: Timing) -> Reply:
    async with await connecting.open_socket(identity, timing) as socket:
        with contextlib.suppress(ConnectionClosed):  # then its last words say why
            await socket.send(
                messages.command(registration, register=True, approval_key=key, customer=identity.customer)
            )
        async for message in socket:
            text = message if isinstance(message, str) else message.decode("utf-8", "replace")
            reply = messages.parse(text)
            if isinstance(reply, Reply):
                if reply.meaning is Meaning.ACTIVE:
                    await socket.send(
                        messages.command(registration, register=False, approval_key=key, customer=identity.customer)
                    )
                return reply
    raise OSError("closed without an answer")
