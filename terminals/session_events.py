"""What happens in a session with the server, for whoever drives it."""

from dataclasses import dataclass

from terminals.wire import messages


@dataclass(frozen=True)
class Welcomed:
    """The server has proved itself and told what it has."""

    session: str
    committed: int


@dataclass(frozen=True)
class Committed:
    """Everything up to `upto` is in the database."""

    upto: int


@dataclass(frozen=True)
class Rejected:
    """The server refused rows of a batch and keeps them with their reasons."""

    reject: messages.Reject


@dataclass(frozen=True)
class Resending:
    """The audit found these batches missing; they are sent again."""

    ranges: messages.Ranges


@dataclass(frozen=True)
class Renewed:
    """Spool and ledger had different content; what the ledger does not have is in the spool's new epoch now."""

    epoch: str
    batches: int


@dataclass(frozen=True)
class ServerClock:
    """What the server's clock said, in microseconds since 1970."""

    time_us: int


@dataclass(frozen=True)
class Ended:
    """The session is over. `code` is the server's, or one of ours (see docs/protocol.md); close the connection."""

    code: str
    message: str
    retry_after_s: float = 0.0


Event = Welcomed | Committed | Rejected | Resending | Renewed | ServerClock | Ended
