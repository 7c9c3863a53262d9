"""What to do when a session has ended, by its code. The same table stands in docs/protocol.md, section 9."""

from enum import Enum
from typing import Final


class RetryPolicy(Enum):
    """Come back with the ordinary back-off, come back slowly, or not at all."""

    RETRY = "retry"
    SLOW = "slow"
    STOP = "stop"


# A person has to change something at the terminal before these can go away.
_STOP: Final = frozenset({"superseded", "old_epoch", "spool_behind", "unknown_version", "refused_by_rule"})
# An administrator may mend these: final before the first WELCOME (somebody mistyped), worth waiting for after it.
_PERMISSION: Final = frozenset(
    {"not_authorised", "source_mismatch", "register_refused", "server_proof_wrong", "quota_reached"}
)
# One of the two programs is wrong; a quick retry would only repeat it.
_BUG: Final = frozenset(
    {
        "bad_batch_header",
        "bad_json",
        "bad_message",
        "bad_seq",
        "bad_server_frame",
        "encoding_refused",
        "frame_too_long",
        "size_scale_refused",
        "unexpected_frame",
        "unknown_flags",
        "unknown_type",
    }
)


def policy_for(code: str, *, was_welcomed: bool) -> RetryPolicy:
    """A code nobody knows is worth a retry, and so is a session that ended because a new epoch was begun."""
    if code in _STOP or (code in _PERMISSION and not was_welcomed):
        return RetryPolicy.STOP
    return RetryPolicy.SLOW if code in _PERMISSION or code in _BUG else RetryPolicy.RETRY
