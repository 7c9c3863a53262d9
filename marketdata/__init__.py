"""Ticks, candles and whatever keeps them: models, storage, the ledger, the day. `__version__` is Naru's."""

__version__ = "0.1.0"
