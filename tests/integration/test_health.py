"""Whether the process lives is one question, whether it can serve another; why not is for those who are known."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client as Browser

from api.views import health
from marketdata.realtime import live_state
from tests.integration.serving import serving

__all__ = ["serving"]


@pytest.fixture(autouse=True)
def asked_anew(serving, monkeypatch):
    """Nothing is remembered of the answers of before."""
    monkeypatch.setattr(health, "KEPT_S", -1.0)
    monkeypatch.setattr(health, "_are_applied", False)


def ready(serving):
    answer = serving.get("/readyz")
    return answer.status_code, answer.json()


def test_all_is_well(serving):
    assert ready(serving) == (200, {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "redis": "ok"}})


def test_a_stranger_learns_no_reason_and_staff_does(serving, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live_state.connection.cache_clear()
    staff = Browser()
    staff.force_login(get_user_model().objects.create_user("staff", is_staff=True))

    assert Browser().get("/readyz").json() == {"status": "degraded"}
    assert serving.get("/readyz", headers={"APCA-API-KEY-ID": "NK0", "APCA-API-SECRET-KEY": "x"}).json() == {
        "status": "degraded"
    }
    assert "Redis does not answer" in staff.get("/readyz").json()["checks"]["redis"]


def test_a_redis_that_is_full_is_told(serving, redis):
    redis.config_set("maxmemory", 1)
    try:
        status, content = ready(serving)
    finally:
        redis.config_set("maxmemory", "512mb")

    assert (status, content["status"]) == (200, "degraded")
    assert "OutOfMemory" in content["checks"]["redis"]
    assert ready(serving)[1]["status"] == "ok"


def test_a_database_without_one_of_its_migrations_is_not_ready(serving):
    applied = MigrationRecorder.Migration.objects.filter(app="marketdata").latest("id")
    applied.delete()
    try:
        status, content = ready(serving)
    finally:
        applied.save()

    assert (status, content["status"]) == (503, "unavailable")
    assert content["checks"]["migrations"] == "migrations are missing: manage.py migrate"


def test_a_database_that_does_not_answer_is_not_ready_but_the_process_lives(serving, monkeypatch, tmp_path):
    connection.close()
    monkeypatch.setitem(
        connection.settings_dict, "NAME", str(tmp_path / "not/there") if connection.vendor == "sqlite" else "not_there"
    )
    try:
        answer, alive = Browser().get("/readyz"), Browser().get("/healthz")
    finally:
        connection.close()

    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
