"""Flags that the promises rest on: each wrong one is named with what is right, stops the start where it has to, and is
an alarm until it is mended."""

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import translation

from marketdata import doctor
from marketdata.archive import exports
from marketdata.models import Alarm, RolloverRun
from marketdata.storage import storage
from tests.conftest import DB
from tests.road import ROOT, Road

pytestmark = pytest.mark.usefixtures("road_database")


@pytest.fixture(autouse=True)
def _redis(redis, redis_server, settings) -> None:
    settings.REDIS_URL = settings.BROKER_URL = redis_server.url


def examined() -> dict[str, doctor.Finding]:
    return {str(one.what): one for one in doctor.examine()}


def run(*words: str) -> str:
    out = StringIO()
    call_command("doctor", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def doctor_json() -> list[dict[str, str]]:
    """What a program reads, whatever the state of things and the language."""
    out = StringIO()
    with suppress(CommandError):
        call_command("doctor", "--json", stdout=out, stderr=StringIO())
    shown: list[dict[str, str]] = json.loads(out.getvalue())
    return shown


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def unsafe(request: pytest.FixtureRequest) -> Iterator[str]:
    """A flag by which acknowledged ticks could be lost at a power cut, for every connection; its name."""
    if DB == "mariadb":
        server = request.getfixturevalue("mariadb_server")
        server.sql("SET GLOBAL innodb_flush_log_at_trx_commit=2;")
        try:
            yield "mysql: innodb_flush_log_at_trx_commit"
        finally:
            server.sql("SET GLOBAL innodb_flush_log_at_trx_commit=1;")
    elif DB == "postgresql":
        name = connection.settings_dict["NAME"]
        sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        connection.close()
        try:
            yield "postgresql: synchronous_commit"
        finally:
            sql(f"ALTER DATABASE {name} RESET synchronous_commit")
            connection.close()
    else:
        sql("PRAGMA synchronous = OFF")
        try:
            yield "sqlite: synchronous"
        finally:
            connection.close()


def test_on_the_servers_as_we_configure_them_nothing_is_wrong():
    wrong = [
        one.words for one in doctor.examine() if one.level is not doctor.Level.OK and "free disk" not in str(one.what)
    ]

    assert wrong == []
    assert storage().flags()


def test_a_flag_by_which_acknowledged_ticks_could_be_lost_is_named_and_stops_the_start(request):
    with unsafe(request) as name:
        finding = examined()[name]
        with pytest.raises(doctor.UnsafeDatabase) as refused:
            doctor.refuse_unsafe()
        with pytest.raises(CommandError):
            run()
    doctor.refuse_unsafe()

    assert (finding.level, finding.is_vital) == (doctor.Level.ERROR, True)
    assert finding.remedy
    assert name in str(refused.value)
    assert str(finding.wanted) in str(refused.value)


def test_whoever_means_it_may_start_all_the_same(request, settings):
    settings.ALLOW_UNSAFE_DATABASE = True

    with unsafe(request):
        doctor.refuse_unsafe()


@pytest.mark.skipif(DB == "sqlite", reason="the flag is of each connection there, and our settings set it")
def test_the_ingest_server_does_not_start_and_says_what_to_set(request, tmp_path, redis_server):
    with unsafe(request) as name, Road(tmp_path / "road", redis_server.url) as road:
        process = road.start("ingest", ["manage.py", "runingest"])
        status = process.wait(60)
        del road.processes["ingest"]

    assert status == 1
    assert name.split(": ")[1] in road.tail("ingest")
    assert "ALLOW_UNSAFE_DATABASE" in road.tail("ingest")


def test_a_wrong_flag_is_an_alarm_until_it_is_right(request):
    with unsafe(request) as name:
        doctor.recheck()
        active = list(Alarm.objects.filter(code="unsafe_setting", cleared_at=None).values_list("subject", flat=True))
    doctor.recheck()

    assert name in active
    assert not Alarm.objects.filter(code="unsafe_setting", subject=name, cleared_at=None).exists()


@pytest.mark.skipif(DB != "mariadb", reason="LOAD DATA is MariaDB's")
def test_load_data_switched_off_is_told_but_stops_no_start(mariadb_server):
    mariadb_server.sql("SET GLOBAL local_infile=0;")
    try:
        finding = examined()["mysql: local_infile"]
        doctor.refuse_unsafe()
    finally:
        mariadb_server.sql("SET GLOBAL local_infile=1;")

    assert (finding.level, finding.is_vital) == (doctor.Level.WARNING, False)
    assert "local_infile=ON" in str(finding.remedy)


def test_a_redis_that_may_evict_is_named(redis):
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        finding = examined()["REDIS_URL: maxmemory-policy"]
        doctor.recheck()
        active = Alarm.objects.filter(code="unsafe_setting", cleared_at=None).values_list("subject", flat=True)
        assert "REDIS_URL: maxmemory-policy" in active
    finally:
        redis.config_set("maxmemory-policy", "noeviction")

    assert (finding.value, finding.level) == ("allkeys-lru", doctor.Level.ERROR)


def test_a_redis_that_is_away_is_named(settings):
    settings.REDIS_URL = settings.BROKER_URL = "redis://127.0.0.1:1/0"

    assert examined()["REDIS_URL"].level is doctor.Level.ERROR


@pytest.mark.once
def test_a_machine_that_sees_another_archive_than_the_one_that_was_made_is_told(settings, tmp_path):
    date, now = datetime.date(2026, 3, 16), datetime.datetime.now(datetime.UTC)
    settings.ARCHIVE, settings.ARCHIVE_DIR = True, str(tmp_path)
    RolloverRun.objects.create(trade_date=date, state=RolloverRun.State.DONE, archived_at=now)
    (finding,) = doctor.archive()
    place = exports.folder_of(date)
    place.mkdir(parents=True)
    (place / "_ticks.json").touch()
    (found,) = doctor.archive()

    assert finding.level is doctor.Level.ERROR
    assert "2026-03-16" in str(finding.value)
    assert found.level is doctor.Level.OK


def test_a_clock_that_is_off_against_the_databases_is_seen():
    ahead = doctor.clock_offset_s(lambda: storage().clock_us() / 1e6 + 60)

    assert ahead == pytest.approx(60, abs=5)


def test_programs_get_it_as_json():
    shown = doctor_json()

    assert {"what", "value", "wanted", "level", "remedy"} == set(shown[0])
    assert "migrations" in {one["what"] for one in shown}


@pytest.mark.once
def test_people_read_it_in_korean_programs_and_logs_have_it_in_english(redis, settings):
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with translation.override("ko"):
            lines, shown = "\n".join(doctor.table(doctor.examine())), doctor_json()
            doctor.recheck()
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    alarm = Alarm.objects.get(code="unsafe_setting", subject="REDIS_URL: maxmemory-policy")

    assert "설정 파일에도 같은 값" in lines
    assert "마이그레이션" in lines
    assert "migrations" in {one["what"] for one in shown}
    assert alarm.shown == alarm.message
    assert "is allkeys-lru, must be noeviction: CONFIG SET maxmemory-policy noeviction" in alarm.message
    with translation.override("ko"):
        assert "현재 allkeys-lru, 올바른 값 noeviction: CONFIG SET maxmemory-policy noeviction" in alarm.shown


def test_a_database_without_tables_is_told_what_to_run(database_url, redis_server):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_server.url,
             "BROKER_URL": redis_server.url},
    )  # fmt: skip

    assert done.returncode == 1
    assert "manage.py migrate" in done.stdout
