"""Alerts under what nobody hopes for: thousands of rules at once, prices that flutter, a clock that is set."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from analytics.alerts import announcements, due
from ingest import recovery
from marketdata.models import Alert, AlertRule
from marketdata.realtime import alerts as shared
from marketdata.realtime import live_state, records_feed
from marketdata.types.units import SEOUL
from tests.integration.test_alert_rules import LEVEL, fired, owner, rule, trades
from tests.waiting import until

__all__ = ["owner"]

RULES, PEOPLE = 10_000, 100


def test_ten_thousand_rules_that_become_true_in_one_commit_give_one_alert_each(owner):
    people = get_user_model().objects.bulk_create(
        [get_user_model()(username=f"trader{number}") for number in range(PEOPLE)]
    )
    owners = list(get_user_model().objects.filter(username__in=[one.username for one in people]).order_by("pk"))
    AlertRule.objects.bulk_create(
        [
            AlertRule(
                owner=owners[number % PEOPLE], name=f"{number}", kind="price", symbols=["005930"], cooldown_s=0,
                parameters={"direction": "above", "level": str(60_000 + number), "band": "100"},
            )
            for number in range(RULES)
        ],
        batch_size=500,
    )  # fmt: skip
    due.watch()

    trades("69999")  # the level of the last one, and above those of all others
    bell(lambda: Alert.objects.count() == RULES)

    found = list(Alert.objects.values_list("name", "value", "episode", "cleared_at"))
    assert sorted(found, key=lambda one: int(one[0])) == [(f"{number}", "69999", 1, None) for number in range(RULES)]
    assert Alert.objects.filter(announced_at=None).count() == 0
    entries: Any = live_state.connection().xrange(records_feed.STREAM + "krx")
    told = [one["id"] for _, values in entries for one in records_feed.decode("krx", values).alerts]
    assert sorted(set(told)) == sorted(told)  # each once
    assert set(told) <= set(Alert.objects.values_list("pk", flat=True))

    states: Any = live_state.connection().hgetall(shared.STATES + "krx")
    trades("69950", "69999")  # within the band of all
    bell()
    assert Alert.objects.count() == RULES
    live_state.connection().delete(shared.STATES + "krx")
    live_state.connection().hset(shared.STATES + "krx", mapping=states)  # as after a worker that died
    bell()
    assert Alert.objects.count() == RULES

    trades("64000")  # over for those of above 64,100
    bell(lambda: Alert.objects.filter(cleared_at=None).count() == 4_101)
    trades("65000")
    bell(lambda: Alert.objects.filter(episode=2).count() == 65_000 - 64_100)
    assert Alert.objects.count() == RULES + 900
    assert announcements.announce() == 0


def bell(is_so: Callable[[], bool] = lambda: True) -> None:
    """What the timetable does for a commit beside which nobody looked, until it is so: this machine may be so busy that
    a Redis does not answer in time."""

    def rung() -> bool:
        recovery.announce_missed()
        due.watch()
        return is_so()

    until(rung, seconds=100, what="what the bell finds")


def test_a_price_that_flutters_around_the_level_fires_once_with_a_band_and_once_a_pause_without_one(owner):
    rule(owner, parameters=LEVEL)
    rule(owner, name="paused", parameters={"direction": "above", "level": "70000"}, cooldown_s=3600)
    rule(owner, name="bare", parameters={"direction": "above", "level": "70000"})

    for _ in range(10):
        trades("69999", "70000", "69990", "70010")

    assert Alert.objects.filter(name="up").count() == 1
    assert Alert.objects.filter(name="paused").count() == 1
    assert list(Alert.objects.filter(name="bare").order_by("pk").values_list("episode", "value")) == [
        (number, "70010")
        for number in range(1, 11)  # of one look at most one
    ]


@pytest.mark.parametrize(
    ("at", "quiet"),
    [("21:59:59", False), ("22:00:00", True), ("23:59:59", True), ("00:00:00", True), ("06:59:59", True),
     ("07:00:00", False)],
)  # fmt: skip
def test_quiet_hours_are_those_of_seoul_and_go_on_across_midnight(owner, monkeypatch, at, quiet):
    rule(owner, quiet_from=datetime.time(22), quiet_until=datetime.time(7))
    moment = datetime.datetime.combine(datetime.date(2026, 11, 28), datetime.time.fromisoformat(at), SEOUL)
    monkeypatch.setattr(due, "_now", lambda: moment.astimezone(datetime.UTC))

    trades("70500")

    assert list(Alert.objects.values_list("quiet", flat=True)) == [quiet]


def test_a_clock_that_is_set_forward_or_back_fires_nothing_twice_and_switches_no_rule_off(owner, monkeypatch, settings):
    settings.ALERT_MAX_PER_HOUR = 3
    made = rule(owner, parameters={"direction": "above", "level": "70000"})
    real = due._now_us

    for hours in (0, 9, -9, 0):  # a clock that was wrong by a zone, either way
        monkeypatch.setattr(due, "_now_us", lambda hours=hours: real() + hours * 3_600_000_000)
        monkeypatch.setattr(
            due, "_now", lambda hours=hours: datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
        )
        trades("70100")
        trades("70200")
        due.watch()
        trades("69000")

    assert fired() == [("005930", "70100", False)] * 4
    Alert.objects.filter(pk__gte=0).update(fired_at=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=9))
    for _ in range(2):
        trades("70100")
        trades("69000")
    made.refresh_from_db()
    assert made.enabled
    assert Alert.objects.count() == 6
