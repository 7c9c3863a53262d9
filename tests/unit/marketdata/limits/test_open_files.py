"""How many connections a process has room for, by how many files it may have open."""

import logging
import resource

import pytest

from marketdata.limits import open_files
from marketdata.limits.open_files import OTHER_FILES


@pytest.mark.parametrize(
    ("hard", "room", "warned"),
    [
        (resource.RLIM_INFINITY, 1_000, False),
        (1_000 + OTHER_FILES, 1_000, False),
        (999 + OTHER_FILES, 999, True),
        (OTHER_FILES, 1, True),
    ],
)
def test_no_more_connections_than_files(hard, room, warned, monkeypatch, caplog):
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    caplog.set_level(logging.WARNING)

    assert open_files.allow_most(1_000) == room
    assert raised == [(hard, hard)]
    assert ("few open files" in caplog.text) is warned
