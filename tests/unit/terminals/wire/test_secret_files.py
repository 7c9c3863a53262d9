"""A secret is for its owner alone; a container is given root's, readable to its group."""

import os
from pathlib import Path

import pytest

from terminals import wire
from terminals.sources.kis import credentials

NOBODY = 65534
KEYS = f'[[account]]\nappkey = "{"a" * 36}"\nappsecret = "{"b" * 180}"\n'


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """A file of root's and of a group of ours, as Secrets and `docker/prepare` make them."""
    if os.getuid() != 0:
        pytest.skip("gives a file to another user")
    file = tmp_path / "kis_keys"
    file.write_text(KEYS, encoding="utf-8")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    file.chmod(0o440)
    os.chown(file, 0, NOBODY)
    return file


@pytest.fixture
def as_nobody():
    groups = os.getgroups()
    os.setgroups([NOBODY])
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)
    os.setgroups(groups)


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_of_ours_is_for_us_alone(tmp_path, mode, is_open):
    file = tmp_path / "secret"
    file.touch()
    file.chmod(mode)

    assert wire.is_open_to_others(file.stat()) is is_open


def test_keys_that_a_container_is_given_are_read(handed, as_nobody):
    (account,) = credentials.load(handed)

    assert account.appkey == "a" * 36


@pytest.mark.parametrize("mode", [0o444, 0o460, 0o441])
def test_a_file_of_roots_is_open_if_its_group_may_do_more_than_read_or_others_anything(handed, mode, request):
    handed.chmod(mode)
    request.getfixturevalue("as_nobody")

    assert wire.is_open_to_others(handed.stat())
    with pytest.raises(credentials.CredentialsError, match="chmod 600"):
        credentials.load(handed)


def test_root_itself_hands_down_nothing_to_itself(handed):
    assert wire.is_open_to_others(handed.stat())
