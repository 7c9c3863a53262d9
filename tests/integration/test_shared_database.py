"""The database that tests share is each time what the migrations made of it."""

import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from marketdata.models import Feed, JobLease, Market, Source, Symbol
from tests import database
from tests.road import ROOT


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


LATE = """
import sys
import django
django.setup()
from django.db import connection
connection.set_autocommit(False)
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO job_lease (job, owner, fence, until_us) VALUES ('late', '', 0, 0)")
    print("begun", flush=True)
    sys.stdin.readline()
connection.commit()
"""


def test_what_a_process_of_a_test_before_had_under_way_is_over(road_database, private_folder):
    if connection.vendor == "sqlite":
        pytest.skip("who is killed lets go of a file")
    environment = {**os.environ, "DATABASE_URL": database.url(), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", LATE], env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"

        with database.road(private_folder):
            _, complaint = other.communicate("\n", timeout=300)
            assert not JobLease.objects.filter(job="late").exists()

    assert "Error" in complaint
