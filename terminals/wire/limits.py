"""The numbers both ends of the wire agree on, in bytes, rows and plain seconds. None is a setting."""

PRICE_SCALE = 8
"""Prices are held as integers of 1e-8: DECIMAL(18,8)."""
SIZE_SCALE = 6
"""Sizes and volumes are held as integers of 1e-6: DECIMAL(18,6) (docs/adr/0013)."""
VALUE_SCALE = PRICE_SCALE + SIZE_SCALE
"""A traded value, price x size, is exact in 1e-14."""
OLDEST_SIZE_SCALE = 4
"""The finest size scale that every version of the protocol knows. A finer one is used only where a size needs it."""
OLDEST_ENCODING = 3
"""The last encoding of batches that every version knows."""
OLDEST_COLUMN = 13
"""The last column of ticks that every version knows."""
ABSENT = -(2**63)
"""A 64-bit field without a value."""
ABSENT_DATE = -(2**31)
"""A trading date without a value (32 bits)."""
ABSENT_SYMBOL = 0xFFFF
"""A symbol index without a symbol (16 bits)."""

PROTOCOL = 1
HEADER_BYTES = 12
HELLO_BYTES = 4096
"""The longest payload a server takes before it has said WELCOME."""
FRAME_BYTES = 1024 * 1024
"""The longest payload of any frame after WELCOME."""
BATCH_ROWS = 5000
BATCH_BOOKS = 1000
"""The most order books in a batch."""
BATCH_GAPS = 1000
"""The most gaps in a batch."""
BOOK_LEVELS = 10
"""The most levels of one side of an order book."""
BODY_BYTES = 4096
"""The longest body of an event, as JSON."""
BODY_DEPTH = 16
"""The most levels of objects and arrays in it."""
WINDOW_BATCHES = 64
WINDOW_BYTES = 4 * 1024 * 1024
MAX_SEQ = 2**32 - 1
"""The last batch number of an epoch; a spool that reaches it has to begin a new epoch."""

FEED_LENGTH = 16
SYMBOL_LENGTH = 24
RANGES = 4096
"""The most [first, last] pairs in one control frame."""
AUDIT_BATCHES = 4096
"""The most batches in one AUDIT with checksums."""
AUDIT_S = 15.0
"""How often a connected client compares what it keeps, in seconds."""

HELLO_S = 5.0
FRAME_S = 10.0
HEARTBEAT_S = 1.0
CLOCK_S = 10.0
"""Both sides say what their clock is at least this often, busy or not."""
EARLIEST_US = 631_152_000_000_000
"""1990-01-01 in microseconds since 1970: before that it is no clock, and no history."""
DEAD_S = 15.0
