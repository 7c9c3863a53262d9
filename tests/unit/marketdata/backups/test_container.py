"""A backup as files: what goes in comes out, and whatever else is there is found."""

import io
import json
import tarfile

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata.backups import container
from marketdata.backups.container import Manifest, Tampered
from marketdata.storage.backups import BackupError

NAME = "naru-20260315T200000Z-full"


def quiet(step: str, done: int = 0, total: int | None = None) -> None:
    pass


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "empty").mkdir(parents=True)
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/table.ibd").write_bytes(bytes(range(256)) * 5_000)
    (folder / "nothing").touch()
    (folder / "이름").write_text("한글", encoding="utf-8")
    (folder / "private").write_text("secret")
    (folder / "private").chmod(0o600)
    return folder


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "backups"
    made.mkdir()
    return made


def stored(source, folder) -> Manifest:
    packed, raw, digest = container.pack(source, folder, NAME, level=3, progress=quiet)
    manifest = Manifest(
        name=NAME, kind="full", vendor="sqlite", started_at="2026-03-15T20:00:00+00:00", bytes=packed, raw_bytes=raw,
        sha256=digest,
    )  # fmt: skip
    container.write(folder, manifest)
    return manifest


def test_what_is_packed_comes_out_again(source, folder, tmp_path):
    manifest = stored(source, folder)
    target = tmp_path / "target"
    target.mkdir()

    container.check(folder, manifest, progress=quiet)
    container.unpack(folder, container.read(folder, NAME), target, progress=quiet)

    assert {path.relative_to(target) for path in target.rglob("*")} == {
        path.relative_to(source) for path in source.rglob("*")
    }
    assert (target / "deep/er/table.ibd").read_bytes() == (source / "deep/er/table.ibd").read_bytes()
    assert (target / "이름").read_text(encoding="utf-8") == "한글"
    assert (target / "private").stat().st_mode & 0o777 == 0o600


def test_holes_come_out_as_holes(source, folder, tmp_path):
    content = b"page" + bytes(3 << 20) + b"page" + bytes(1 << 20)
    (source / "sparse").write_bytes(content)
    target = tmp_path / "target"
    target.mkdir()

    container.unpack(folder, stored(source, folder), target, progress=quiet)

    assert (target / "sparse").read_bytes() == content
    assert (target / "sparse").stat().st_blocks * 512 < len(content) // 10


def test_only_this_user_may_read_a_backup(source, folder):
    stored(source, folder)

    assert [path.stat().st_mode & 0o077 for path in folder.iterdir()] == [0, 0]


def test_a_backup_that_could_not_be_packed_leaves_nothing(source, folder):
    def stop(step: str, done: int = 0, total: int | None = None) -> None:
        if done > 100_000:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        container.pack(source, folder, NAME, level=3, progress=stop)

    assert list(folder.iterdir()) == []


def test_progress_reaches_the_whole(source, folder):
    told = []
    container.pack(source, folder, NAME, level=3, progress=lambda step, done=0, total=None: told.append((done, total)))

    assert told[-1][0] == told[-1][1] == sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    assert told == sorted(told)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_changed_byte_anywhere_is_found(source, folder, data):
    manifest = stored(source, folder)
    path = container.path_of(folder, NAME)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    with pytest.raises(Tampered):
        container.check(folder, manifest, progress=quiet)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_an_archive_cut_anywhere_is_found(source, folder, data):
    manifest = stored(source, folder)
    path = container.path_of(folder, NAME)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])

    with pytest.raises(Tampered):
        container.check(folder, manifest, progress=quiet)


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside"])
def test_an_archive_that_reaches_out_of_its_folder_is_refused(folder, tmp_path, path):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo(path)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    container.path_of(folder, NAME).write_bytes(zstandard.compress(plain.getvalue()))
    manifest = Manifest(name=NAME, kind="full", vendor="sqlite", started_at="2026-03-15T20:00:00+00:00", raw_bytes=4)
    target = tmp_path / "target"
    target.mkdir()

    with pytest.raises(Tampered, match="does not belong"):
        container.unpack(folder, manifest, target, progress=quiet)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["../secret", "", "naru-unknown", "a/b"])
def test_a_name_that_is_no_backup_is_refused_and_the_latest_are_named(source, folder, name):
    stored(source, folder)

    with pytest.raises(BackupError, match=NAME):
        container.read(folder, name)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "name": 5}'])
def test_a_manifest_that_cannot_be_read_is_told_and_left_out_of_the_list(folder, text):
    (folder / f"{NAME}.json").write_text(text)

    with pytest.raises(Tampered):
        container.read(folder, NAME)
    assert container.everything(folder) == {}


def test_a_manifest_of_a_later_format_is_refused_by_number(source, folder):
    stored(source, folder)
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))

    with pytest.raises(BackupError, match="format 2"):
        container.read(folder, NAME)
