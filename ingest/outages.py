"""Whether the database was away, so that what was acknowledged last is compared again when it is back."""

from __future__ import annotations

import logging
from collections.abc import Sized

log = logging.getLogger(__name__)


class Outages:
    """What this process' questions to the database say of it. `returns` goes up each time it comes back: it may be
    another one than before, which lacks what was acknowledged last, so whoever is connected compares again."""

    def __init__(self, clients: Sized) -> None:
        self.returns = 0
        self._clients = clients
        self._is_away = False

    def away(self) -> None:
        """It did not answer."""
        self._is_away = True

    def answers(self) -> None:
        """It did."""
        if self._is_away:
            self._is_away = False
            self.returns += 1
            log.warning("the database is back clients=%d", len(self._clients))
