"""What a person waits for before a command begins: the modules that its process imports, never seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import Tags
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted(
    (path.parts[-4], path.stem) for path in ROOT.glob("*/management/commands/*.py") if path.stem != "__init__"
)
WEB = {"daphne", "twisted", "OpenSSL", "rest_framework.views", "drf_spectacular.views", "api.urls", "api.admin.clients"}
DRIVERS = {"psycopg", "MySQLdb"}


def imported_by(program: str) -> set[str]:
    """Every module that a process of this program has imported when it ends."""
    told = f"import atexit, sys\natexit.register(lambda: print('imported', *sys.modules))\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, env=os.environ | {"DATABASE_URL": "sqlite://:memory:"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.rpartition("imported")[2].split())


def imported_by_command(*arguments: str) -> set[str]:
    return imported_by(f"import manage\nsys.argv[1:] = {arguments!r}\nmanage.main()")


def test_a_command_that_needs_no_server_no_database_and_no_arithmetic_imports_none():
    modules = imported_by_command("help")

    assert "marketdata.models" in modules
    assert modules & (WEB | DRIVERS | {"numpy", "redis"}) == set()


def test_no_command_imports_the_pages_or_a_driver_before_it_begins():
    named = [(app, command) for app, command in OURS if command != "runserver"]
    load = "\n".join(f"management.load_command_class{of}" for of in named)

    modules = imported_by(f"import django\ndjango.setup()\nfrom django.core import management\n{load}")

    assert {f"{app}.management.commands.{command}" for app, command in named} <= modules
    assert modules & (WEB | DRIVERS) == set()


@pytest.mark.parametrize(("app", "command"), OURS)
def test_no_command_checks_what_only_the_web_server_needs(app, command):
    assert get_commands()[command] == app
    assert not {"__all__", Tags.urls, Tags.admin} & {*load_command_class(app, command).requires_system_checks}


def test_the_check_of_the_admin_finds_its_pages():
    modules = imported_by_command("check", "--tag", "admin")

    assert {"api.admin.clients", "api.admin.ledger", "django_celery_beat.admin"} <= modules


def test_a_worker_imports_no_pages():
    modules = imported_by(
        "import celery_app\nfrom celery import signals\nsignals.import_modules.send(sender=celery_app.app)\n"
        "celery_app.app.WorkController(app=celery_app.app, pool='solo')"
    )

    assert {"ingest.tasks", "analytics.tasks", "marketdata.tasks"} <= modules
    assert modules & WEB == set()
