"""Levels, areas and files of the log, as the settings put them together."""

import json
import logging
import logging.config

import pytest

from marketdata.logs import areas, configuration


@pytest.fixture
def configured():
    """Applies a configuration, and takes it back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    touched = ["naru.batches", "celery", "kombu", "daphne", "django.channels.server", *sum(areas.AREAS.values(), ())]
    levels = {name: logging.getLogger(name).level for name in touched}

    def apply(**given):
        plain = {
            "form": "line", "level": "INFO", "levels": {}, "batches": False, "folder": "", "max_bytes": 0, "kept": 1,
            "secrets": [], "version": "9.9",
        }  # fmt: skip
        logging.config.dictConfig(configuration.configuration(**{**plain, **given}))

    yield apply
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def test_each_line_is_in_the_main_file_and_in_that_of_its_area(configured, tmp_path):
    configured(form="ecs", folder=str(tmp_path / "logs"))

    for name in ("api.views", "marketdata.storage.mariadb", "ingest.tasks", "naru.batches", "ingestion"):
        logging.getLogger(name).warning("at %s", name)

    found = {
        path.stem: [json.loads(line)["log.logger"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (tmp_path / "logs").glob("*.log")
    }
    assert found == {
        "main": ["api.views", "marketdata.storage.mariadb", "ingest.tasks", "naru.batches", "ingestion"],
        "database": ["marketdata.storage.mariadb"],
        "collection": ["ingest.tasks", "naru.batches"],
    }
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_an_area_has_a_level_of_its_own_and_batches_a_switch(configured, tmp_path):
    configured(level="WARNING", levels={"database": "DEBUG", "collection": "ERROR"}, batches=True, folder=str(tmp_path))

    for name in ("api", "marketdata.storage", "ingest", "naru.batches", "celery.worker"):
        for level in (logging.DEBUG, logging.WARNING):
            logging.getLogger(name).log(level, "%s", level)

    lines = [line.split()[2:] for line in (tmp_path / "main.log").read_text(encoding="utf-8").splitlines()]
    assert [(words[1], words[0]) for words in lines] == [
        ("api", "WARNING"), ("marketdata.storage", "DEBUG"), ("marketdata.storage", "WARNING"),
        ("naru.batches", "DEBUG"), ("naru.batches", "WARNING"), ("celery.worker", "WARNING"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/srv/naru/manage.py", "runingest"], "runingest"),
        (["manage.py"], "manage"),
        (["/x/celery/__main__.py", "-A", "celery_app", "worker", "-n", "slow@%h"], "worker"),
        (["/x/bin/celery", "-A", "celery_app", "beat"], "beat"),
    ],
)
def test_a_process_is_called_by_its_command(words, name):
    assert configuration.program(words) == name


def test_passwords_of_addresses_are_secrets_as_written_and_as_meant():
    found = configuration.secrets(["key", ""], ["mysql://naru:p%40ss@db/naru", "redis://127.0.0.1:6379/0", ""])

    assert found == ["key", "p%40ss", "p@ss"]
