"""What a server may answer, by frame. docs/protocol.md says of each what the client should do."""

from typing import Literal

ErrorCode = Literal[
    "frame_too_long",
    "bad_crc",
    "unknown_version",
    "unknown_type",
    "unknown_flags",
    "bad_json",
    "bad_message",
    "unexpected_frame",
    "hello_timeout",
    "frame_timeout",
    "idle_timeout",
    "not_authorised",
    "spool_behind",
    "old_epoch",
    "source_mismatch",
    "register_refused",
    "quota_reached",
    "bad_seq",
    "bad_batch_header",
    "too_many_connections",
    "server_busy",
    "internal",
]
"""In ERROR: the connection ends."""

BatchCode = Literal["bad_batch_header", "bad_batch", "too_many_rows", "feed_refused", "quota_reached"]
"""Why a batch is refused as a whole. A `bad_batch_header` ends the connection; the others are in REJECT."""

RejectCode = Literal[
    "rows", "feed_refused", "quota_reached", "too_many_rows", "bad_batch", "dead_letter", "checksum_mismatch"
]
"""In REJECT: the batch is settled, the session goes on."""

GoAwayCode = Literal["superseded", "shutting_down"]
"""In GOAWAY: the session ends without blame."""
