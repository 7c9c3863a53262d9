"""`python -m analytics.delivery.chat_process`: one message to a chat service. Reads a JSON object from standard input,
answers one with the `text` of what failed ("" if nothing did) and its `values`. Knows neither Django nor the database;
what it may connect to is looked at by the interpreter itself (`socket.connect` of Python's audit events), whatever a
library does."""

from __future__ import annotations

import importlib
import ipaddress
import json
import logging
import re
import resource
import sys
from collections.abc import Callable, Sequence
from typing import Any

from analytics.delivery import addresses
from analytics.delivery.addresses import ANSWERED, Network, RefusedError, _
from analytics.delivery.chat import SERVICES, Service

MOST_BYTES = 1 << 30
"""Of memory, for who is answered without end."""
_STATUS = re.compile(r"error=(\d{3})\b")


class _Statuses(logging.Handler):
    """The HTTP status that Apprise logged; nothing else of its lines, which may have an address, is looked at."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.newest = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found:
            self.newest = found[1]


def guard(allowed: Sequence[Network], *, is_plain: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """What looks at each connection before it is made: RefusedError ends it."""
    scheme = "http" if is_plain else "https"

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            try:
                one = ipaddress.ip_address(str(address[0]).partition("%")[0])
            except (ValueError, TypeError, IndexError):
                raise RefusedError(_("nothing but addresses of the internet is connected to")) from None
            addresses.allow(one, allowed, scheme, str(one))
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            raise RefusedError(_("nothing is started"))

    return look


def answer(said: dict[str, Any]) -> RefusedError | None:
    """What failed, if something did."""
    service = SERVICES[said["address"].partition("://")[0]]
    made = _plugin(service, said["address"])
    if made is None:
        return RefusedError(_("Apprise does not read this address: its documentation has the form of each service"))
    if not said["send"]:
        return None
    statuses = _Statuses()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [statuses], False
    logger.setLevel(logging.DEBUG)
    try:
        is_delivered = made.notify(body=said["text"], title=said["title"])
    except RefusedError as error:
        return error
    except Exception as error:  # noqa: BLE001 - its words may have the address
        return RefusedError(type(error).__name__)
    if is_delivered:
        return None
    if statuses.newest:
        return RefusedError(ANSWERED, status=statuses.newest)
    return RefusedError(_("no answer, or one that is not understood"))


def _plugin(service: Service, address: str) -> Any:
    """Apprise's object for an address, None for one that it does not read."""
    module = importlib.import_module(f"apprise.plugins.{service.module}")
    asset = importlib.import_module("apprise").AppriseAsset(
        app_id="Naru", app_desc="Naru", http_redirects=False, secure_logging=True, storage_mode="memory",
    )  # fmt: skip
    kind = getattr(module, service.name)
    try:
        parts = kind.parse_url(address)
        return kind(**parts, asset=asset) if parts else None
    except (TypeError, ValueError):
        return None


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    said = json.load(sys.stdin)
    allowed = [ipaddress.ip_network(text) for text in said["allowed"]]
    service = SERVICES[said["address"].partition("://")[0]]
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    sys.addaudithook(guard(allowed, is_plain=service.is_plain))
    failed = answer(said)
    sys.stdout.write(json.dumps({"text": failed.text if failed else "", "values": failed.values if failed else {}}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
