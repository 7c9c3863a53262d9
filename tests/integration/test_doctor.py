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
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import translation
from django_celery_beat.models import PeriodicTask

from marketdata import doctor
from marketdata.archive import manifests
from marketdata.doctor import clocks, disks, encryption, findings, preparation, processes
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


def test_on_the_servers_as_we_configure_them_nothing_is_wrong(settings):
    settings.CLOCK_OFFSET_ALARM_S = 600.0  # half of what an answer takes counts as one
    here = ("free disk", "NTP", "SECRET_KEY", "ingest servers", "queues without", "the timetable", "BEHIND_TLS")
    wrong = [one.words for one in doctor.examine() if one.level is not doctor.Level.OK]

    assert [words for words in wrong if not str(words).startswith(here)] == []
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
        status = process.wait(300)
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
    (finding,) = disks.archive()
    place = manifests.folder_of(date)
    place.mkdir(parents=True)
    (place / "_ticks.json").touch()
    (found,) = disks.archive()

    assert finding.level is doctor.Level.ERROR
    assert "2026-03-16" in str(finding.value)
    assert found.level is doctor.Level.OK


def test_a_clock_that_is_off_against_the_databases_is_seen():
    ahead = clocks.clock_offset_s(lambda: storage().clock_us() / 1e6 + 60)

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
        [sys.executable, "manage.py", "doctor"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_server.url,
             "BROKER_URL": redis_server.url},
    )  # fmt: skip

    assert done.returncode == 1
    assert "manage.py migrate" in done.stdout


def test_the_version_of_the_database_is_one_of_those_that_the_tests_run_with():
    found = examined()
    name = {"mariadb": "mysql: version", "postgresql": "postgresql: server_version"}.get(DB)

    assert name is None or found[name].level is doctor.Level.OK


@pytest.mark.once
def test_the_kernel_is_asked_whether_its_clock_is_kept_right():
    (kept,) = clocks.synchronisation(lambda: (0x2001, 1500))
    (left,) = clocks.synchronisation(lambda: (0x2041, 16_000_000))

    def refuse() -> tuple[int, int]:
        raise PermissionError(1, "no")

    (unknown,) = clocks.synchronisation(refuse)
    (real,) = clocks.synchronisation()

    assert (kept.level, left.level, unknown.level) == (
        doctor.Level.OK, doctor.Level.WARNING, doctor.Level.UNKNOWN,
    )  # fmt: skip
    assert "1.5 ms" in str(kept.value)
    assert real.level in (doctor.Level.OK, doctor.Level.WARNING, doctor.Level.UNKNOWN)


def certificate(folder: Path, days: int) -> str:
    """A PEM file whose certificate ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "naru.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=400)).not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "cert.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return str(file)


@pytest.mark.once
@pytest.mark.parametrize(("days", "level"), [(100, "ok"), (20, "warning"), (-1, "error")])
def test_a_certificate_that_ends_soon_is_told(settings, tmp_path, days, level):
    settings.INGEST_TLS_CERT = certificate(tmp_path, days)

    (finding,) = encryption.terminals()

    assert finding.level.value == level


@pytest.mark.once
def test_a_certificate_that_ends_soon_is_an_alarm_until_there_is_another(settings, tmp_path):
    def active() -> bool:
        doctor.recheck()
        return Alarm.objects.filter(code="unsafe_setting", subject="INGEST_TLS_CERT", cleared_at=None).exists()

    settings.INGEST_TLS_CERT = certificate(tmp_path, 20)
    soon = active()
    certificate(tmp_path, 100)
    renewed = active()
    settings.INGEST_TLS_CERT = "/nowhere.pem"  # a worker on a host without an ingest server

    assert (soon, renewed, active()) == (True, False, False)


@pytest.mark.once
def test_what_goes_to_other_machines_in_plain_text_is_named(settings):
    settings.REDIS_URL, settings.BROKER_URL = "redis://:x@redis.example.com/0", "amqps://rabbit.example.com"
    plain, sealed = list(encryption.connections())
    settings.INGEST_TLS_CERT, settings.INGEST_HOST, settings.INGEST_ALLOW_PLAIN = "", "0.0.0.0", True
    (terminals,) = encryption.terminals()
    settings.ALLOWED_HOSTS, settings.BEHIND_TLS = ["naru.example.com", "[::1]"], False
    (pages,) = encryption.pages()

    assert (plain.level.value, sealed.level.value) == ("unknown", "ok")
    assert (terminals.level.value, pages.level.value) == ("warning", "warning")
    settings.INGEST_TLS_CERT = "/nowhere.pem"
    assert [one.level.value for one in encryption.terminals()] == ["error"]


@pytest.mark.once
def test_a_queue_without_a_worker_and_a_timetable_that_stands_still_are_told(redis_server, tmp_path):
    PeriodicTask.objects.update(last_run_at=None)
    (never,) = processes.beat()
    (lonely,) = processes.workers()
    with Road(tmp_path / "road", redis_server.url) as road:
        road.worker()
        (served,) = processes.workers()

    assert str(never.value) == "never"
    assert {"raw_market_data", "backups"} <= set(str(lonely.value).split(", "))
    assert "raw_market_data" not in str(served.value)
    assert "backups" in str(served.value)


@pytest.mark.once
def test_a_mail_server_that_cannot_be_reached_is_told(settings):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    assert [one.level.value for one in processes.mail()] == ["warning"]


@pytest.mark.once
def test_a_redis_without_a_limit_or_with_an_unsafe_log_is_told(redis):
    redis.config_set("maxmemory", 0)
    redis.config_set("appendfsync", "no")
    try:
        found = examined()
    finally:
        redis.config_set("maxmemory", "512mb")
        redis.config_set("appendfsync", "everysec")

    assert found["REDIS_URL: maxmemory"].level is doctor.Level.WARNING
    assert found["REDIS_URL: appendfsync"].level is doctor.Level.WARNING
    assert found["REDIS_URL: role"].level is doctor.Level.OK


def test_a_command_ends_by_the_worst_that_was_found():
    def finding(level: doctor.Level) -> doctor.Finding:
        return doctor.Finding(what="", value="", wanted="", level=level)

    ok, unknown, warning, error = map(finding, doctor.Level)

    assert findings.status([ok, unknown]) == 0
    assert findings.status([ok, warning]) == 3
    assert findings.status([warning, error]) == 1


@pytest.mark.parametrize(("may_lack", "level"), [(False, doctor.Level.WARNING), (True, doctor.Level.UNKNOWN)])
def test_a_key_that_another_program_has_is_not_known_to_be_missing(settings, may_lack, level):
    settings.HAS_SECRET_KEY, settings.MAY_LACK_SECRET_KEY = False, may_lack

    (found,) = (one for one in preparation.program() if one.what == "SECRET_KEY")

    assert found.level is level
