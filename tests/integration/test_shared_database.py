"""The database that tests share is each time what the migrations made of it."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError, InterfaceError, connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from marketdata.models import Feed, JobLease, Market, Source, Symbol
from tests import database


def test_what_a_test_changed_of_the_rows_that_come_with_the_migrations_is_put_right(road_database, private_folder):
    filled = (Feed, Market, Source, Group, Permission)
    before = [sorted(model.objects.values_list()) for model in filled]
    market = Market.objects.get(code="KRX")
    Feed.objects.create(name="sip")
    Feed.objects.filter(name="krx").delete()
    Market.objects.filter(code="KRX").update(name="changed")
    Symbol.objects.create(code="005930", market=market, primary_feed="sip")
    Source.objects.filter(id=Source.objects.latest("id").id).delete()
    Permission.objects.latest("id").delete()
    Group.objects.latest("id").delete()
    every = IntervalSchedule.objects.create(every=1, period="days")
    PeriodicTask.objects.create(name="left by a test", task="none", interval=every, total_run_count=1)

    with database.road(private_folder):
        assert [sorted(model.objects.values_list()) for model in filled] == before
        for model in (Symbol, PeriodicTask, PeriodicTasks, IntervalSchedule):
            assert not model.objects.exists()


def test_what_a_test_before_had_under_way_is_over(road_database, private_folder):
    if connection.vendor == "sqlite":
        pytest.skip("who is killed lets go of a file")
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("INSERT INTO job_lease (job, owner, fence, until_us) VALUES ('late', '', 0, 0)")

    with database.road(private_folder):
        with pytest.raises((DatabaseError, InterfaceError)):
            other.commit()
        other.close()
        assert not JobLease.objects.filter(job="late").exists()
