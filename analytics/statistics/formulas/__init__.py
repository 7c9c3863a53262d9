"""The arithmetic of statistics: arrays and numbers in, numbers out; no database, no Redis and no clock."""
