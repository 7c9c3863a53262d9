"""What is encrypted to public keys opens with each of their private keys, and with no other; a change anywhere is
found."""

import os

import pytest

from marketdata.backups import streams
from marketdata.backups.container import Tampered
from marketdata.backups.offsite import sealing
from marketdata.backups.offsite.sealing import NoKey
from marketdata.storage.backups import BackupError

CONTENT = os.urandom(200_000)


def silent(step, done=0, total=None):
    pass


@pytest.fixture
def keys(tmp_path):
    """Two private keys in files, and a file encrypted to both."""
    public = [sealing.new_identity(tmp_path / name) for name in ("one", "two")]
    (tmp_path / "plain").write_bytes(CONTENT)
    sealed = sealing.encrypt(tmp_path / "plain", tmp_path / "sealed", sealing.recipients(public), progress=silent)
    assert (sealed.plain_bytes, sealed.bytes) == (len(CONTENT), (tmp_path / "sealed").stat().st_size)
    assert sealed.sha256 == streams.sha256(tmp_path / "sealed")
    assert sealed.plain_sha256 == streams.sha256(tmp_path / "plain")
    return tmp_path


def opened(folder, key, content=None):
    if content is not None:
        (folder / "sealed").write_bytes(content)
    found = sealing.decrypt(folder / "sealed", folder / "opened", sealing.identities(folder / key), progress=silent)
    assert found.plain_sha256 == streams.sha256(folder / "opened")
    return (folder / "opened").read_bytes()


def test_each_private_key_opens_it(keys):
    assert [opened(keys, key) == CONTENT for key in ("one", "two")] == [True, True]
    assert CONTENT[:64] not in (keys / "sealed").read_bytes()
    assert [(keys / name).stat().st_mode & 0o077 for name in ("one", "two", "sealed", "opened")] == [0] * 4


def test_no_other_key_opens_it(keys):
    sealing.new_identity(keys / "other")

    with pytest.raises(NoKey, match="--identity FILE"):
        opened(keys, "other")


def test_a_changed_byte_anywhere_and_every_cut_is_found(keys):
    sealed = (keys / "sealed").read_bytes()
    for at in [*range(0, 700, 7), 65_000, 131_500, len(sealed) - 1]:
        with pytest.raises((Tampered, NoKey)):
            opened(keys, "one", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
    for at in [*range(0, 700, 7), 66_000, 131_500, len(sealed) - 1]:
        with pytest.raises((Tampered, NoKey)):
            opened(keys, "one", sealed[:at])


def test_what_ends_the_work_comes_out_as_it_was(keys):
    class Ended(Exception):
        pass

    def end(step, done=0, total=None):
        raise Ended

    for work, source in ((sealing.encrypt, "plain"), (sealing.decrypt, "sealed")):
        given = sealing.identities(keys / "one")
        given = [one.to_public() for one in given] if source == "plain" else given
        with pytest.raises(Ended):
            work(keys / source, keys / "out", given, progress=end)


def test_what_is_no_key_is_refused_by_name_and_not_shown(keys):
    with pytest.raises(BackupError, match="BACKUP_RECIPIENTS: age1nonsense"):
        sealing.recipients(["age1nonsense"])
    secret = (keys / "one").read_text().splitlines()[1]
    with pytest.raises(BackupError) as caught:  # a private key where a public one belongs
        sealing.recipients([secret])
    assert secret not in str(caught.value)
    with pytest.raises(BackupError, match="there already"):
        sealing.new_identity(keys / "one")
    for content, said in (
        (b"", "no private key"),
        (b"nonsense", "is no private key"),
        (b"# only words", "no private key"),
    ):
        (keys / "bad").write_bytes(content)
        (keys / "bad").chmod(0o600)
        with pytest.raises(BackupError, match=said):
            sealing.identities(keys / "bad")
    (keys / "one").chmod(0o640)
    with pytest.raises(BackupError, match="chmod 600"):
        sealing.identities(keys / "one")
    with pytest.raises(BackupError, match="cannot be read"):
        sealing.identities(keys / "none")
