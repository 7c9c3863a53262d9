"""08:00: a finished trading day goes to history. Level-triggered (what is due and not done?), one step at a time, each
step safe to run again; so it may be killed anywhere, be days late, or be called by two at once.

    open → sealed → verified → moved → aggregated → cleaned → done

Ticks that come after that enter temp_market_data like all others; a day that is done and has some again goes once more
from `sealed` on, which moves them after the others and makes its daily candles anew. Where retention has removed what
they belong to (`marketdata.maintenance.dropped`), they are kept and told, and nothing is made of them.
"""

from __future__ import annotations

from marketdata.maintenance.rollover.comparison import Mismatch
from marketdata.maintenance.rollover.overdue import KNOWN_AHEAD, check_overdue, undone
from marketdata.maintenance.rollover.plan import plan_lines
from marketdata.maintenance.rollover.run_context import utc_now
from marketdata.maintenance.rollover.runner import run_due, run_one
from marketdata.maintenance.rollover.schedule import MARKET, current_date, due, due_at, newest_due, windows
from marketdata.maintenance.rollover.steps import NOT_WHOLE

__all__ = [
    "KNOWN_AHEAD",
    "MARKET",
    "NOT_WHOLE",
    "Mismatch",
    "check_overdue",
    "current_date",
    "due",
    "due_at",
    "newest_due",
    "plan_lines",
    "run_due",
    "run_one",
    "undone",
    "utc_now",
    "windows",
]
