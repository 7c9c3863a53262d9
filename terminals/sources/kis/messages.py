"""What is not data: commands to the WebSocket of KIS and its answers, which are JSON, and what the codes mean."""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from terminals.masking import masked_start
from terminals.sources.kis.planner import Registration

PINGPONG: Final = "PINGPONG"
_CODE, _TEXT = 32, 200  # characters that are kept of what the service says


class Meaning(Enum):
    """What a result code asks of the client."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    RETRY = "retry"
    """Later, with back-off."""
    FULL = "full"
    """The session takes no more: asking again is of no use."""
    REFUSED = "refused"
    """Of this registration: asking again is of no use."""
    NEW_KEY = "new_key"
    """The approval key is not taken: one new key, and if that is not taken either, stop."""
    OWNED = "owned"
    """Another process has the session of this appkey."""
    STOP = "stop"
    """The appkey, the account or this program is wrong."""


MEANINGS: Final = {
    "OPSP0000": Meaning.ACTIVE,
    "OPSP0001": Meaning.INACTIVE,
    "OPSP0002": Meaning.ACTIVE,  # already subscribed
    "OPSP0003": Meaning.INACTIVE,  # nothing there to unsubscribe
    "OPSP0007": Meaning.RETRY,
    "OPSP0008": Meaning.FULL,
    "OPSP0009": Meaning.RETRY,
    "OPSP0010": Meaning.NEW_KEY,
    "OPSP0011": Meaning.NEW_KEY,
    "OPSP8991": Meaning.REFUSED,
    "OPSP8992": Meaning.REFUSED,
    "OPSP8993": Meaning.REFUSED,
    "OPSP8994": Meaning.STOP,
    "OPSP8995": Meaning.STOP,
    "OPSP8996": Meaning.OWNED,
    "OPSP8997": Meaning.STOP,
    "OPSP8998": Meaning.STOP,
    "OPSP8999": Meaning.RETRY,
    "OPSP9990": Meaning.STOP,
    "OPSP9991": Meaning.STOP,
    "OPSP9992": Meaning.STOP,
    "OPSP9993": Meaning.RETRY,
    "OPSP9994": Meaning.STOP,
    "OPSP9995": Meaning.RETRY,
    "OPSP9996": Meaning.STOP,
    "OPSP9997": Meaning.STOP,
    "OPSP9998": Meaning.STOP,
    "OPSP9999": Meaning.STOP,
}
"""By code and never by text, which may change (koreainvestment/kis-ai-extensions, table of the result codes)."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The service asks whether we are there. `moment` is its clock, YYYYMMDDHHMMSS in Seoul, empty if it told none."""

    moment: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command, or a word about the whole session: then `registration` is None. `text` is without what
    may be a secret."""

    code: str
    text: str
    registration: Registration | None
    key: str = field(default="", repr=False)
    iv: str = field(default="", repr=False)

    @property
    def meaning(self) -> Meaning:
        """What to do; a code that is not known is tried again later."""
        return MEANINGS.get(self.code, Meaning.RETRY)


def command(registration: Registration, *, register: bool, approval_key: str, customer: str = "P") -> str:
    """The text of a registration or of its end."""
    header = {
        "approval_key": approval_key,
        "custtype": customer,
        "tr_type": "1" if register else "2",
        "content-type": "utf-8",
    }
    body = {"input": {"tr_id": registration.tr_id, "tr_key": registration.tr_key}}
    return json.dumps({"header": header, "body": body}, separators=(",", ":"))


def parse(text: str) -> Ping | Reply | None:
    """A control message; None for anything else."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    header, body = _table(message, "header"), _table(message, "body")
    if header.get("tr_id") == PINGPONG:
        moment = header.get("datetime")
        return Ping(moment if isinstance(moment, str) else "")
    code = body.get("msg_cd")
    if not isinstance(code, str):
        return None
    tr_id, tr_key, output = header.get("tr_id"), header.get("tr_key"), _table(body, "output")
    named = isinstance(tr_id, str) and tr_id not in ("", "(null)") and isinstance(tr_key, str) and tr_key != ""
    return Reply(
        masked_start(code.strip(), _CODE),
        masked_start(str(body.get("msg1", "")).strip(), _TEXT),
        Registration(str(tr_id).strip(), str(tr_key).strip()) if named else None,
        str(output.get("key", "")),
        str(output.get("iv", "")),
    )


def _table(message: object, name: str) -> dict[str, Any]:
    found = message.get(name) if isinstance(message, dict) else None
    return found if isinstance(found, dict) else {}
