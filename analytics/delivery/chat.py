"""Sends an alert to a chat service with Apprise, in a process of its own (`analytics.delivery.chat_process`) that ends
with the attempt: whatever the service answers, or does not, costs a bounded time and a bounded memory, and what is not
installed is missed by nobody else.

An address is one of Apprise's, of a few services. It has no `?options`: some of them read files of the server. Where
the process may connect to is decided at each connection by the same rules as for webhooks, so neither a name that
leads elsewhere a moment later nor a redirect goes past them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from analytics.delivery import addresses
from analytics.delivery.addresses import LONGEST, Network, RefusedError, _

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 15.0
"""An attempt, with the start of its process."""
INHERITED = ("PATH", "LANG", "PYTHONPATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SYSTEMROOT")
"""Of the environment: no proxy, and no secret of the server."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where Apprise has it. `is_own`: it runs on a host that the address names; otherwise on its maker's alone.
    `is_plain`: without TLS, for the networks of ALERT_WEBHOOK_NETWORKS."""

    module: str
    name: str
    is_own: bool = False
    is_plain: bool = False


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "slack": Service("slack", "NotifySlack"),
        "discord": Service("discord", "NotifyDiscord"),
        "tgram": Service("telegram", "NotifyTelegram"),
        "gchat": Service("google_chat", "NotifyGoogleChat"),
        "workflows": Service("workflows", "NotifyWorkflows", is_own=True),
        "mmosts": Service("mattermost", "NotifyMattermost", is_own=True),
        "mmost": Service("mattermost", "NotifyMattermost", is_own=True, is_plain=True),
        "rockets": Service("rocketchat", "NotifyRocketChat", is_own=True),
        "rocket": Service("rocketchat", "NotifyRocketChat", is_own=True, is_plain=True),
    }
)
"""By scheme of an address: Slack, Discord, Telegram, Google Chat, Microsoft Teams (Workflows), Mattermost and
Rocket.Chat."""


def is_installed() -> bool:
    """Whether there is an Apprise to send with."""
    return importlib.util.find_spec("apprise") is not None


def check(address: str, allowed: Sequence[Network]) -> str:
    """What may be shown of an address. RefusedError says what is wrong with it: of the service, the host, or as
    Apprise reads it."""
    if not is_installed():
        raise RefusedError(_("chat needs Apprise on the server: pip install -r requirements/chat.txt"))
    scheme = address.partition("://")[0]
    if scheme not in SERVICES or "://" not in address:
        names = ", ".join(f"{name}://" for name in SERVICES)
        raise RefusedError(_("an address begins with one of {names}"), names=names)
    if len(address) > LONGEST or not address.isascii() or any(not "!" <= letter <= "~" for letter in address):
        raise RefusedError(_("an address has at most {most} letters of ASCII, and no blanks"), most=LONGEST)
    if any(letter in address for letter in "?#\\"):
        raise RefusedError(_("an address has no ?options, #fragment or backslash: leave them out"))
    service = SERVICES[scheme]
    shown = f"{scheme}://…"
    if service.is_own:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise RefusedError(_("this is no address")) from error
        if not host:
            raise RefusedError(_("the address names no host"))
        web = "http" if service.is_plain else "https"
        endpoint = addresses.Endpoint(web, host, port or (80 if service.is_plain else 443), "/")
        addresses.resolved(endpoint, allowed, addresses.system_resolve)
        shown = f"{scheme}://{host}/…"
    _ask({"address": address, "send": False}, allowed, LONGEST_S)
    return shown


def send(address: str, title: str, text: str, allowed: Sequence[Network], longest_s: float) -> None:
    """Deliver a message. RefusedError, of which nothing is a secret, and TimeoutError say why it did not arrive."""
    _ask({"address": address, "send": True, "title": title, "text": text}, allowed, longest_s)


def _ask(said: dict[str, object], allowed: Sequence[Network], longest_s: float) -> None:
    """RefusedError with what the process answers, if something failed. The address goes through its standard input,
    for arguments are seen by everybody."""
    question = json.dumps(said | {"allowed": [str(network) for network in allowed], "longest_s": longest_s})
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "analytics.delivery.chat_process"],
            input=question.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=longest_s,
            cwd=ROOT, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    try:
        told = json.loads(answer.stdout)
        failed = RefusedError(told["text"], **told["values"]) if told["text"] else None
    except (ValueError, KeyError, TypeError):
        failed = RefusedError(_("the process that sends it ended with status {status}"), status=answer.returncode)
    if failed is not None:
        raise failed
