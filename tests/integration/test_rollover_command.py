"""`manage.py rollover`: the plan, one date by hand, and what is wrong."""

import pytest
from django.core.management import CommandError
from django.db import connection

from marketdata.maintenance import leases
from marketdata.models import JobLease, RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import TEMP
from tests.integration.rolling import MONDAY, command, state_of
from tests.upkeep import commit

pytestmark = pytest.mark.usefixtures("krx_symbols")

State = RolloverRun.State


def test_the_plan_says_what_would_be_done_and_does_nothing():
    commit(MONDAY)

    said = command("--plan")

    assert "2026-03-16 open: 4 ticks in temp_market_data; seal → verify → move → aggregate → clean → finish" in said
    assert "KRX regular session 09:00" in said
    assert storage().dates(TEMP) == [MONDAY]
    assert not RolloverRun.objects.exists()


def test_one_date_may_be_rolled_over_by_hand():
    commit(MONDAY)

    said = command("--date", "2026-03-16")

    assert "2026-03-16 done: 4" in said
    assert state_of(MONDAY) == State.DONE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--date", "2026-13-01"], "YYYY-MM-DD"),
        (["--date", "yesterday"], "YYYY-MM-DD"),
        (["--date", "1999-01-04"], "no tick, ledger entry or rollover of this date is known"),
        (["--accept", "because"], "--accept goes with --date"),
    ],
)
def test_a_wrong_date_is_an_error_that_says_what_is_right(arguments, words):
    with pytest.raises(CommandError, match=words):
        command(*arguments)


def test_the_command_says_that_another_is_at_it():
    commit(MONDAY)
    JobLease.objects.create(job=leases.UPKEEP, owner="elsewhere/77", fence=1, until_us=2**62)

    with pytest.raises(CommandError, match="elsewhere/77"):
        command("--date", "2026-03-16")


def test_the_command_fails_when_a_day_could_not_be_moved():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data")
    RolloverRun.objects.create(trade_date=MONDAY)

    with pytest.raises(CommandError, match="stored are 0"):
        command()
