"""What goes wrong in the KIS WebSocket simulator, and when: a list of steps, each due after so many records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FAULTS: Final = {
    "width": "from now on the records of a kind of TR (`kind` CNT0, ASP0, …) are `width` wide",
    "drop": "the next `count` trades happen and are not sent",
    "repeat": "the next `count` trades are sent twice",
    "wrong_count": "the next `count` frames of trades give one record more than they have",
    "bytes": "the next `count` frames of trades come as bytes",
    "empty": "the next `count` trades have empty fields where nothing is needed",
    "null": "the next `count` trades have (null) for a price",
    "nonsense": "the next `count` trades have -100.00 for changes and rates",
    "expected": "`count` expected prices among the trades",
    "no_code": "the next `count` frames of trades begin with a code that is none",
    "short": "the next `count` frames of trades end in the middle of a record",
    "garbage": "a page of HTML as a message",
    "not_text": "a message of bytes that are no text",
    "unknown_tr": "a frame of a TR that nobody knows",
    "halt": "a stock is halted, and trades again after `count` of its trades",
    "burst": "`count` trades at once",
    "silence": "no data for `seconds`; PINGPONG goes on",
    "half_open": "nothing at all for `seconds`, and nothing that comes is read",
    "cut": "all connections are torn down",
    "close": "all connections are closed in good order",
    "refuse": "the next `count` handshakes are answered with 503 and a page of HTML",
    "owned": "the next `count` connections are told OPSP8996 and closed",
    "full": "a session takes `count` registrations",
    "expire_keys": "approval keys that are out there are not found any more (OPSP0011), but those of `but`",
    "lose_answers": "the next `count` answers to commands are not sent",
    "late_answers": "the next `count` answers to commands come after data",
    "skew": "the clock of the service jumps by `seconds`",
}


@dataclass(frozen=True)
class Step:
    """One fault. `after`: when so many trades have happened."""

    after: int
    fault: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.fault in FAULTS, f"{self.fault} is none of {', '.join(FAULTS)}"


def parse(content: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Steps from JSON: [{"after": 1000, "fault": "drop", "count": 3}, …]."""
    return [
        Step(int(one["after"]), str(one["fault"]), {key: one[key] for key in one if key not in ("after", "fault")})
        for one in content
    ]
