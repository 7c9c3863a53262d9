"""A wrong setting stops the start, and what is said names the variable, its value and what would be right."""

import os
import runpy
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.road import ROOT

pytestmark = pytest.mark.once

WRONG = [
    ("DEBUG", "maybe", "true"),
    ("BEHIND_TLS", "2", "false"),
    ("FEED_MAX_TICKS", "999", "1000 to 100000000"),
    ("INGEST_PORT", "0", "1 to 65535"),
    ("INGEST_PORT", "65536", "1 to 65535"),
    ("INGEST_PORT", "seven", "1 to 65535"),
    ("INGEST_ALLOW_PLAIN", "ja", "one of"),
    ("INGEST_MAX_CLIENTS", "-1", "1 to 65535"),
    ("INGEST_MAX_INFLIGHT_BYTES", "256MiB", "whole number"),
    ("INGEST_MAX_MESSAGES", "0", "1 to 1000"),
    ("INGEST_MESSAGE_TICKS", "1e3", "whole number"),
    ("INGEST_REDRIVE_S", "0", "0.1 to 600"),
    ("INGEST_REDRIVE_S", "nan", "0.1 to 600"),
    ("INGEST_RING_BYTES", "1", "65536"),
    ("INGEST_RING_AGE_S", "inf", "1 to 86400"),
    ("INGEST_DATASET_BYTES", "-5", "1048576"),
    ("MAX_FUTURE_S", "-0.1", "0 to 86400"),
    ("LATE_AFTER_S", "soon", "number of seconds"),
    ("PARTITION_DAYS_AHEAD", "61", "1 to 60"),
    ("WS_MAX_CONNECTIONS", "many", "whole number"),
    ("WS_OUTBOX_BYTES", "0", "16384"),
    ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR"),
    ("OIDC_ISSUER", "http://login.example.com", "https://"),
    ("OIDC_ROLES", "desk=root", "desk=quant"),
    ("OIDC_CLIENT_SECRET_FILE", "/nowhere/secret", "chmod 600"),
    ("PASSWORD_LOGIN", "0", "OIDC_ISSUER"),
]
SECRET = [
    ("SECRET_KEY", "geheim", "50 characters"),
    ("DATABASE_URL", "oracle://naru:geheim@db/naru", "mysql://"),
    ("DATABASE_URL", "geheim", "mysql://"),
    ("DATABASE_URL", "mariadb://naru:geheim@db/naru", "mysql://"),
    ("DATABASE_URL", "mysql://naru:geheim@db:port/naru", "mysql://"),
    ("DATABASE_URL", "postgres:naru:geheim@db/naru", "postgres://"),
    ("DATABASE_URL", "pgsql://naru:geheim@db/naru", "postgres://"),
    ("REDIS_URL", "http://:geheim@redis/0", "redis://"),
    ("REDIS_URL", "geheim", "redis://"),
    ("BROKER_URL", "geheim", "amqp://"),
]


def read_settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    """The settings module as a new process would see it."""
    monkeypatch.delenv("DATABASE_SILENCE_S", raising=False)  # the tests' own
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "marketdata/settings.py"))


@pytest.mark.parametrize(("name", "value", "right"), WRONG)
def test_a_wrong_value_is_named_with_what_would_be_right(monkeypatch, name, value, right):
    with pytest.raises(ImproperlyConfigured) as caught:
        read_settings(monkeypatch, **{name: value})

    said = str(caught.value)
    assert f"{name}={value!r}" in said
    assert right in said


@pytest.mark.parametrize(("name", "value", "right"), SECRET)
def test_a_wrong_secret_is_named_but_not_shown(monkeypatch, name, value, right):
    with pytest.raises(ImproperlyConfigured) as caught:
        read_settings(monkeypatch, **{name: value})

    said = str(caught.value)
    assert name in said
    assert right in said
    assert "geheim" not in said


def retention(ticks: int, minutes: int, ledger: int) -> dict[str, str]:
    names = ("RETENTION_TICKS_DAYS", "RETENTION_MINUTES_DAYS", "RETENTION_LEDGER_DAYS")
    return dict(zip(names, map(str, (ticks, minutes, ledger)), strict=True))


@pytest.mark.parametrize(
    ("kept", "shorter", "longer", "why"),
    [
        (retention(101, 100, 200), "RETENTION_MINUTES_DAYS", "RETENTION_TICKS_DAYS", "belongs into its minute candle"),
        (retention(101, 101, 100), "RETENTION_LEDGER_DAYS", "RETENTION_TICKS_DAYS", "sent again"),
        (retention(50, 101, 100), "RETENTION_LEDGER_DAYS", "RETENTION_MINUTES_DAYS", "sent again"),
    ],
)
def test_what_protects_something_is_not_kept_for_a_shorter_time(monkeypatch, kept, shorter, longer, why):
    with pytest.raises(ImproperlyConfigured) as caught:
        read_settings(monkeypatch, **kept)

    said = str(caught.value)
    assert said.startswith(f"{shorter}=100 cannot be used: it must be at least 101, because {longer} is 101")
    assert why in said


def test_what_protects_something_may_be_kept_just_as_long(monkeypatch):
    assert read_settings(monkeypatch, **retention(100, 100, 100))["RETENTION_LEDGER_DAYS"] == 100


def test_a_spool_is_not_taken_from_before_what_the_ledger_remembers(monkeypatch):
    with pytest.raises(ImproperlyConfigured, match=r"MAX_SPOOL_DAYS='61' .*1 to 60"):
        read_settings(monkeypatch, MAX_SPOOL_DAYS="61", **retention(60, 60, 60))
    monkeypatch.delenv("MAX_SPOOL_DAYS")
    assert read_settings(monkeypatch, **retention(60, 60, 60))["MAX_SPOOL_DAYS"] == 60


@pytest.mark.parametrize("name", sorted({name for name, _, _ in WRONG + SECRET}))
def test_an_empty_variable_is_as_good_as_none(monkeypatch, name):
    read_settings(monkeypatch, **{name: "  "})


def test_without_any_variable_naru_runs_on_sqlite_and_loopback(monkeypatch, tmp_path):
    for name in {*os.environ} & {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "METRICS_DIR", "SECRET_KEY", "LOG_LEVEL"}:
        monkeypatch.delenv(name)

    read = read_settings(monkeypatch, VAR_DIR=str(tmp_path))

    assert read["DATABASES"]["default"]["ENGINE"] == "marketdata.storage.sqlite.engine"
    assert read["DATABASES"]["default"]["NAME"] == str(tmp_path / "naru.sqlite3")
    assert (read["INGEST_HOST"], read["DEBUG"]) == ("127.0.0.1", False)
    assert read["BROKER_URL"] == read["REDIS_URL"] == "redis://127.0.0.1:6379/0"
    assert len(read["SECRET_KEY"]) >= 50


def test_mariadb_is_opened_for_load_data_and_with_strict_numbers(monkeypatch):
    read = read_settings(monkeypatch, DATABASE_URL="mysql://naru:pw@db:3307/market")

    options = read["DATABASES"]["default"]["OPTIONS"]
    assert options["local_infile"] == 1
    assert options["isolation_level"] == "read committed"
    assert "STRICT_ALL_TABLES" in options["sql_mode"]
    assert (read["DATABASES"]["default"]["HOST"], read["DATABASES"]["default"]["PORT"]) == ("db", 3307)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_opened_with_limits_on_waiting_and_keeps_what_the_url_says(monkeypatch, scheme):
    read = read_settings(monkeypatch, DATABASE_URL=f"{scheme}://naru:pw@db:5433/market?sslmode=require")

    database = read["DATABASES"]["default"]
    assert database["ENGINE"] == "marketdata.storage.postgresql.engine"
    assert (database["HOST"], database["PORT"]) == ("db", 5433)
    assert "-c lock_timeout=7s" in database["OPTIONS"]["options"]
    assert database["OPTIONS"]["tcp_user_timeout"] == 10_000
    assert database["OPTIONS"]["sslmode"] == "require"


def start(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value", "right"),
    [("INGEST_PORT", "70000", "1 to 65535"), ("DATABASE_URL", "oracle://naru:geheim@db/naru", "mysql://")],
)
def test_a_wrong_setting_stops_the_start(variable, value, right):
    done = start("runingest", **{variable: value})

    assert done.returncode != 0
    assert f"{variable}=" in done.stderr
    assert right in done.stderr
    assert "geheim" not in done.stderr + done.stdout


def test_prices_do_not_leave_the_machine_unencrypted_unless_that_is_meant():
    done = start("runingest", "--host", "0.0.0.0")

    assert done.returncode != 0
    assert "INGEST_TLS_CERT" in done.stderr
    assert "INGEST_ALLOW_PLAIN" in done.stderr


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path, content):
    cert = tmp_path / "cert.pem"
    if content is not None:
        cert.write_text(content)

    done = start("runingest", INGEST_TLS_CERT=str(cert), INGEST_TLS_KEY=str(cert))

    assert done.returncode != 0
    assert f"INGEST_TLS_CERT={str(cert)!r}" in done.stderr
    assert "PEM" in done.stderr


def test_a_port_that_is_taken_is_named(road_database, redis, road):
    road.ingest()

    done = start("runingest", "--port", str(road.port))

    assert done.returncode != 0
    assert f"127.0.0.1:{road.port}" in done.stderr
    assert "INGEST_PORT" in done.stderr
