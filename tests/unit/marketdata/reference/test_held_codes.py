"""Which codes a share had, whatever was renamed to what."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from marketdata.models import SymbolRename
from marketdata.reference import corporate_actions

CODES = "ABCD"
DAY = datetime.date(2026, 3, 16)


def date(number):
    return DAY + datetime.timedelta(days=number)


@st.composite
def histories(draw):
    """(who has which code on each of some days, the renames). Many shares may change codes on one day, with each other
    too; a code that was given up may be a new share's, from the same day on."""
    bearers = {code: number for number, code in enumerate(CODES[:3])}
    days, renames = [dict(bearers)], []
    for number in range(1, draw(st.integers(2, 6))):
        moved = dict(zip(CODES, draw(st.permutations(CODES)), strict=True))
        renames += [SymbolRename(old=old, new=moved[old], since=date(number)) for old in bearers if old != moved[old]]
        bearers = {moved[old]: share for old, share in bearers.items()}
        for code in sorted(set(CODES) - bearers.keys()):
            if any(one.old == code for one in renames) and draw(st.booleans()):
                bearers[code] = 100 * number + CODES.index(code)
        days.append(dict(bearers))
    return days, renames


@given(histories())
def test_a_share_has_on_each_day_the_code_that_it_bore_and_nobody_else_s(history):
    days, renames = history

    for on, bearers in enumerate(days):
        for code, share in bearers.items():
            held = corporate_actions.held(code, date(on), renames)
            for number, others in enumerate(days):
                mine = [one for one, who in others.items() if who == share]
                found = [
                    one.code
                    for one in held
                    if (one.start is None or one.start <= date(number)) and (one.end is None or date(number) < one.end)
                ]
                assert found == mine or (mine == [] and not any(one in others for one in found))
