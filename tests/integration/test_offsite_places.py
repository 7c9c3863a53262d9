"""Another place keeps files whole or not at all, goes on where it was cut off, and is told from one that is away."""

import dataclasses
import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest

from marketdata import backups
from marketdata.backups import offsite
from marketdata.backups.container import Tampered
from marketdata.backups.offsite import copying, fetching, places, restoring
from marketdata.backups.offsite.bucket import Bucket
from marketdata.backups.offsite.folder import MountedFolder
from marketdata.backups.offsite.places import Miscopied, NotThere, PlaceUnavailable
from marketdata.models import Alarm, BackupRun, IngestBatch
from marketdata.storage import storage
from marketdata.storage.backups import BackupError
from tests import offsite as elsewhere
from tests.backup import DAY, HOUR, NOW, batch, given, verified
from tests.builders import commit
from tests.servers.s3 import BUCKET, S3

__all__ = ["given"]
pytestmark = pytest.mark.once
PART = 5 << 20
SECRET = "not-to-be-shown-0451"


class Cut(Exception):
    """Somebody ended the work."""


def silent(step, done=0, total=None):
    pass


def cut_at(limit):
    def progress(step, done=0, total=None):
        if done >= limit:
            raise Cut

    return progress


@pytest.fixture(scope="module")
def s3():
    with S3() as server:
        server.make_bucket()
        yield server


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        (tmp_path / "there").mkdir()
        return MountedFolder(tmp_path / "there")
    server = request.getfixturevalue("s3")
    return bucket(server, request.node.name.partition("[")[0][:40])


def bucket(server, prefix, **more):
    return Bucket(BUCKET, prefix, endpoint=server.url, access_key="key", secret_key=SECRET, part_bytes=PART, **more)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * PART + 12_345))
    return path


def test_a_file_comes_back_as_it_was_sent(place, source, tmp_path):
    place.upload(source, "one", progress=silent)
    place.write("two", b"small")

    assert place.names() == ["one", "two"]
    place.download("one", tmp_path / "back", progress=silent)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o077 == 0
    assert place.read("two") == b"small"
    with pytest.raises(Miscopied, match="far too large"):
        place.read("one")
    place.remove("one")
    place.remove("one")
    assert place.names() == ["two"]
    for ask in (lambda: place.read("one"), lambda: place.download("one", tmp_path / "back", progress=silent)):
        with pytest.raises(NotThere, match="one is not in"):
            ask()


def test_what_was_cut_off_is_not_there_and_is_gone_on_with(place, source, tmp_path):
    sent = []
    if isinstance(place, Bucket):
        place._client.meta.events.register(
            "before-call.s3.UploadPart", lambda params, **_: sent.append(params["url_path"])
        )

    with pytest.raises(Cut):
        place.upload(source, "one", progress=cut_at(2 * PART))
    assert "one" not in place.names()
    before = len(sent)
    place.upload(source, "one", progress=silent)

    place.download("one", tmp_path / "back", progress=silent)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    if isinstance(place, Bucket):
        assert (before, len(sent)) == (2, 4)


@contextmanager
def cut_off(port: int, *, after: int, times: int) -> Iterator[tuple[int, list[int]]]:
    """A port in front of another one where so many answers break off after so many bytes; how many did."""
    broken: list[int] = []

    def answer(client: socket.socket) -> None:
        with closing(client), closing(socket.create_connection(("127.0.0.1", port))) as server:
            threads.submit(ask, client, server)
            told = 0
            with suppress(OSError):
                while piece := server.recv(65_536):
                    told += len(piece)
                    if told > after and len(broken) < times:
                        broken.append(told)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(piece)

    def ask(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(65_536):
                server.sendall(piece)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threads.submit(answer, listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(32) as threads:
        threads.submit(accept, listener)
        try:
            yield listener.getsockname()[1], broken
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("times", "comes"), [(3, True), (9, False)])
def test_an_answer_that_breaks_off_is_gone_on_with_a_bounded_number_of_times(s3, source, tmp_path, times, comes):
    bucket(s3, f"cut{times}").upload(source, "one", progress=silent)
    with cut_off(s3.port, after=PART // 2, times=times) as (port, broken):
        place = Bucket(BUCKET, f"cut{times}", endpoint=f"http://127.0.0.1:{port}", access_key="key", secret_key=SECRET)
        if comes:
            place.download("one", tmp_path / "back", progress=silent)
            assert (tmp_path / "back").read_bytes() == source.read_bytes()
        else:
            with pytest.raises(PlaceUnavailable, match="cannot be reached"):
                place.download("one", tmp_path / "back", progress=silent)
        place._client.close()
    assert len(broken) == (times if comes else 5)


def test_an_attempt_with_another_content_is_not_gone_on_with(place, source, tmp_path):
    with pytest.raises(Cut):
        place.upload(source, "one", progress=cut_at(2 * PART))
    source.write_bytes(os.urandom(PART + 1))

    place.upload(source, "one", progress=silent)

    place.download("one", tmp_path / "back", progress=silent)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_a_place_is_known_by_its_mark_and_one_that_has_anything_is_not_taken(place):
    with pytest.raises(PlaceUnavailable, match="is it mounted"):
        places.identify(place)

    made = places.begin(place, NOW)

    assert places.identify(place) == made
    with pytest.raises(BackupError, match="is not empty"):
        places.begin(place, NOW)
    place.write(places.MARK, b"{}")
    with pytest.raises(PlaceUnavailable, match="cannot be read"):
        places.identify(place)


def test_nothing_is_written_where_the_disk_is_not_mounted(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    where = elsewhere.to_folder(tmp_path / "mountpoint", owned)
    commit(storage(), batch(1))
    verified(backups.make(NOW, given=given))

    offsite.run_due(NOW, given=given, where=where)

    assert list((tmp_path / "mountpoint").iterdir()) == []
    assert "is it mounted" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
    (tmp_path / "mountpoint").rmdir()
    offsite.run_due(NOW, given=given, where=where)
    assert not (tmp_path / "mountpoint").exists()
    assert "mount it" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
    elsewhere.to_folder(tmp_path / "mountpoint", owned)
    places.begin(where.place(), NOW)
    offsite.run_due(NOW, given=given, where=where)
    assert not Alarm.objects.filter(code=copying.FAILED, cleared_at=None).exists()


def test_a_backup_goes_to_a_bucket_and_is_restored_from_it_alone(given, s3, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    owned = elsewhere.keys(tmp_path / "vault")
    where = dataclasses.replace(
        elsewhere.signed_by(elsewhere.to_folder(tmp_path / "none", owned), owned),
        url=f"s3://{BUCKET}/desk", endpoint=s3.url, access_key="key", secret_key=SECRET,
    )  # fmt: skip
    place = where.place()
    places.begin(place, NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))

    assert offsite.run_due(NOW, given=given, where=where) == [run.name]

    run.refresh_from_db()
    assert (run.copy_signer, run.copy_restored, run.copy_proven_at) == ("vault", True, NOW)
    target = tmp_path / "restored"
    restoring.restore(place, run.name, target, owned.identity, owned.trust, given=given)
    assert [path.name for path in target.iterdir()] == ["naru.sqlite3"]
    assert SECRET not in caplog.text + repr(where)


def test_a_storage_that_is_away_or_refuses_is_told_and_the_next_run_goes_on(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    with S3() as server:
        where = dataclasses.replace(
            elsewhere.to_folder(tmp_path / "none", owned), url=f"s3://{BUCKET}", endpoint=server.url,
            access_key="key", secret_key=SECRET,
        )  # fmt: skip
        offsite.run_due(NOW, given=given, where=where)
        assert "NoSuchBucket" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
        server.make_bucket()
        places.begin(where.place(), NOW)
    offsite.run_due(NOW, given=given, where=where)
    told = Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
    assert ("cannot be reached" in told, SECRET in told) == (True, False)
    assert BackupRun.objects.get(pk=run.pk).copy_place == ""


def test_what_a_restart_of_the_storage_cut_off_is_gone_on_with_at_the_parts_that_it_kept(source, tmp_path):
    sent = []
    with S3(keeps=True) as server:
        server.make_bucket()
        place = bucket(server, "desk")
        place.write("before", b"small")
        place._client.meta.events.register(
            "before-call.s3.UploadPart", lambda params, **_: sent.append(params["url_path"])
        )

        def dies(step, done=0, total=None):
            if done >= 2 * PART:
                server.kill()

        with pytest.raises(PlaceUnavailable, match="cannot be reached"):
            place.upload(source, "one", progress=dies)
        server.start()
        assert place.names() == ["before"]
        before = len(sent)
        place.upload(source, "one", progress=silent)

        place.download("one", tmp_path / "back", progress=silent)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (before, len(sent)) == (3, 5), "the third met nobody"


def to_bucket(server, owned, tmp_path):
    return dataclasses.replace(
        elsewhere.signed_by(elsewhere.to_folder(tmp_path / "none", owned), owned),
        url=f"s3://{BUCKET}/desk", endpoint=server.url, access_key="key", secret_key=SECRET,
    )  # fmt: skip


def cut_off_by_a_restart(given, server, where):
    """Two backups: the first copied and proven; while the second is sent the storage is killed, and begins anew."""
    server.make_bucket()
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    first = verified(backups.make(NOW, given=given))
    assert offsite.run_due(NOW, given=given, where=where) == [first.name]
    commit(storage(), batch(2, days=1))
    second = verified(backups.make(NOW + DAY, given=given))
    killed: list[int] = []

    def dies(step, done=0, total=None):
        if step.startswith("copying elsewhere") and not killed:
            server.kill()
            killed.append(done)

    assert offsite.run_due(NOW + DAY, given=given, where=where, progress=dies) == []
    assert killed
    assert "cannot be reached" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
    assert BackupRun.objects.get(pk=second.pk).copy_place == "", "nothing that was not seen whole counts"
    server.start()
    return first, second


def comes_back(given, where, owned, run, target):
    """From the other place alone."""
    there = list(IngestBatch.objects.values())
    restoring.restore(where.place(), run.name, target, owned.identity, owned.trust, given=given)
    with sqlite3.connect(target / "naru.sqlite3") as restored:
        assert restored.execute("SELECT count(*) FROM ingest_batch").fetchone() == (len(there),)


def test_a_copy_that_a_restart_of_the_storage_cut_off_is_made_and_proven_by_the_next_run(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    with S3(keeps=True) as server:
        where = to_bucket(server, owned, tmp_path)
        first, second = cut_off_by_a_restart(given, server, where)

        assert offsite.run_due(NOW + DAY + HOUR, given=given, where=where) == [second.name]

        assert not Alarm.objects.filter(cleared_at=None).exists()
        assert [
            BackupRun.objects.get(pk=run.pk).copy_proven_at for run in (first, second)
        ] == [NOW, NOW + DAY + HOUR]  # fmt: skip
        assert BackupRun.objects.get(pk=second.pk).copy_restored
        comes_back(given, where, owned, second, tmp_path / "target")


def test_a_storage_that_lost_everything_in_a_restart_is_told_of_until_it_is_begun_anew_and_then_given_everything(
    given, tmp_path
):
    owned = elsewhere.keys(tmp_path / "vault")
    with S3() as server:
        where = to_bucket(server, owned, tmp_path)
        first, second = cut_off_by_a_restart(given, server, where)

        def told(at):
            assert offsite.run_due(at, given=given, where=where) == []
            return Alarm.objects.get(code=copying.FAILED, cleared_at=None).message

        assert "NoSuchBucket" in told(NOW + DAY + HOUR)
        server.make_bucket()
        assert "manage.py copy_backups --new-place" in told(NOW + DAY + 2 * HOUR), (
            "an empty place is not taken for ours"
        )
        places.begin(where.place(), NOW + DAY)
        copied = offsite.run_due(NOW + DAY + 3 * HOUR, given=given, where=where)

        assert sorted(copied or []) == [first.name, second.name]
        assert not Alarm.objects.filter(cleared_at=None).exists()
        assert BackupRun.objects.get(pk=second.pk).copy_proven_at == NOW + DAY + 3 * HOUR
        for run in (first, second):
            fetching.chain(where.place(), run.name, owned.trust)
        comes_back(given, where, owned, second, tmp_path / "target")


def test_what_was_encrypted_is_kept_until_it_is_there(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    where = elsewhere.to_folder(tmp_path / "there", owned)
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))

    def progress(step, done=0, total=None):
        if step.startswith("copying elsewhere"):
            raise Cut

    with pytest.raises(Cut):
        offsite.run_due(NOW, given=given, where=where, progress=progress)
    outbox = given.folder / "offsite" / run.name
    sealed = (outbox / f"{run.name}.tar.zst.age").read_bytes()
    offsite.run_due(NOW, given=given, where=where)

    assert (tmp_path / "there" / f"{run.name}.tar.zst.age").read_bytes() == sealed
    assert [path.name for path in (given.folder / "offsite").iterdir()] == [f"{run.name}.identity"]
    assert (given.folder / "offsite" / f"{run.name}.identity").stat().st_mode & 0o077 == 0


def test_a_copy_that_was_made_for_another_place_is_refused(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    made = []
    for name in ("first", "second"):
        where = elsewhere.signed_by(elsewhere.to_folder(tmp_path / name, owned), owned)
        places.begin(where.place(), NOW)
        made.append(offsite.run_due(NOW, given=given, where=where))
    assert made == [[run.name]] * 2  # another place is copied to anew

    for path in (tmp_path / "first").glob(f"{run.name}.*"):
        (tmp_path / "second" / path.name).write_bytes(path.read_bytes())

    with pytest.raises(Tampered, match="for another place"):
        fetching.chain(where.place(), run.name, owned.trust)


def test_a_name_that_another_installation_took_is_not_overwritten(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    where = elsewhere.to_folder(tmp_path / "there", owned)
    place = where.place()
    places.begin(place, NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    place.write(f"{run.name}.copy.json", b"somebody else's")

    offsite.run_due(NOW, given=given, where=where)

    assert place.read(f"{run.name}.copy.json") == b"somebody else's"
    assert "another installation" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message


def test_a_signer_that_signs_nothing_is_told_and_the_copy_waits_for_one(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    where = elsewhere.to_folder(tmp_path / "there", owned)
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))

    offsite.run_due(NOW, given=given, where=dataclasses.replace(where, sign_command=("false",)))
    assert "made no signature" in Alarm.objects.get(code=copying.FAILED, cleared_at=None).message
    assert BackupRun.objects.get(pk=run.pk).copy_proven_at == NOW  # proven all the same
    raised_at = Alarm.objects.get(code=copying.FAILED).raised_at
    offsite.run_due(NOW, given=given, where=dataclasses.replace(where, sign_command=("false",)))
    assert Alarm.objects.get(code=copying.FAILED, cleared_at=None).raised_at == raised_at  # the same trouble, told once
    offsite.run_due(NOW + HOUR, given=given, where=elsewhere.signed_by(where, owned))

    assert BackupRun.objects.get(pk=run.pk).copy_signer == "vault"
    assert not Alarm.objects.filter(code=copying.FAILED, cleared_at=None).exists()


def test_a_copy_whose_own_key_is_gone_is_still_compared_byte_for_byte(given, tmp_path):
    owned = elsewhere.keys(tmp_path / "vault")
    where = elsewhere.to_folder(tmp_path / "there", owned)
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    offsite.run_due(NOW, given=given, where=where)
    (given.folder / "offsite" / f"{run.name}.identity").unlink()

    offsite.run_due(NOW + 8 * DAY, given=given, where=where)

    run.refresh_from_db()
    assert (run.copy_proven_at, run.copy_restored) == (NOW + 8 * DAY, False)
