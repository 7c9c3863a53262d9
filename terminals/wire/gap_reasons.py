"""Why something is missing, as terminals say it in a gap. Public (docs/protocol.md, 5.3); a terminal of somebody else's
may say others. What they mean in words is in `marketdata.ledger.gap_reasons`."""

from typing import Final

OTHER_KINDS: Final = ("book:", "expected:", "status:", "index:")
"""How the reason of a gap begins in which no trades are missing, but such rows alone: its candles are whole. Behind it
stands one of the others."""
SPOOL_FULL: Final = "spool_full"
SPOOL_DAMAGED: Final = "spool_damaged"
NOT_TAKEN: Final = "not_taken"
DISCONNECTED: Final = "disconnected"
NOT_RUNNING: Final = "not_running"
NO_ROOM: Final = "no_room"
VOLUME_HOLE: Final = "volume_hole"
BEFORE_FIRST_TRADE: Final = "before_first_trade"
VOLUME_FELL: Final = "volume_fell"
VOLUME_WRONG: Final = "volume_wrong"
BLOOMBERG_DISCONNECTED: Final = "bloomberg_disconnected"
BLOOMBERG_DATA_LOSS: Final = "bloomberg_data_loss"
BLOOMBERG_SLOW_CONSUMER: Final = "bloomberg_slow_consumer"
