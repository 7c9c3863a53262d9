"""One-time tickets: a browser fetches one by REST and shows it as the first message of its WebSocket. Valid once, for
60 s."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from api.auth import access
from marketdata.realtime import live_state

VALID_S = 60
_PREFIX = "naru:ticket:"


def issue(user: Any, session: str = "") -> str:
    """A ticket for whoever this is, by the login of this session if by one (`api.auth.sessions.row_of`). Redis keeps
    only its hash."""
    ticket = secrets.token_urlsafe(32)
    live_state.connection().set(_name(ticket), json.dumps([*access.name_of(user), session]), ex=VALID_S)
    return ticket


def redeem(ticket: str) -> tuple[str, int, str] | None:
    """Whose ticket it is, as `access.name_of` names them, and by which login; None when it is unknown, used or too
    old."""
    kept: Any = live_state.connection().getdel(_name(ticket))
    if not kept:
        return None
    kind, number, *session = json.loads(kept)  # of a web process of the version before without one
    return str(kind), int(number), str(session[0]) if session else ""


def _name(ticket: str) -> str:
    return _PREFIX + hashlib.sha256(ticket.encode()).hexdigest()
