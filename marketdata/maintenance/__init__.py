"""What is done with days that are over: the rollover, and what goes after its time."""

from django.dispatch import Signal

before_drop = Signal()
"""Prices, order books or events are about to be dropped: `table`, `dates` and `progress`. Kept of a receiver lets them
stay."""


class Kept(Exception):
    """What is past its time may not go yet; the message says why."""
