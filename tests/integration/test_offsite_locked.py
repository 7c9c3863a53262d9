"""A bucket with Object Lock keeps the copies whatever the server does, and Naru goes on with one in which it may delete
nothing, or in which what it deletes stays below."""

import dataclasses
import json
import os

import pytest
from botocore.exceptions import ClientError

from marketdata import backups
from marketdata.backups import container, offsite
from marketdata.backups.offsite import copying, places, restoring
from marketdata.backups.offsite.folder import MountedFolder
from marketdata.backups.offsite.places import Miscopied, PlaceUnavailable
from marketdata.models import Alarm, BackupRun
from marketdata.storage import storage
from marketdata.storage.backups import BackupError
from tests import offsite as elsewhere
from tests.backup import DAY, HOUR, NOW, batch, given, verified
from tests.builders import commit
from tests.integration.test_offsite_places import PART, bucket, silent, to_bucket
from tests.servers.s3 import BUCKET, S3

__all__ = ["given"]
pytestmark = pytest.mark.once


@pytest.fixture
def locked():
    with S3() as server:
        server.make_locked_bucket()
        yield server


@pytest.fixture
def owned(tmp_path):
    return elsewhere.keys(tmp_path / "vault")


def versions(server):
    """All that the bucket holds, also below deletions."""
    return bucket(server, "")._client.list_object_versions(Bucket=BUCKET).get("Versions", [])


def deny_deletion(server):
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    bucket(server, "")._client.put_bucket_policy(Bucket=BUCKET, Policy=policy)


def copied(given, where):
    """A backup, copied and proven."""
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    assert offsite.run_due(NOW, given=given, where=where) == [run.name]
    run.refresh_from_db()
    assert (run.copy_signer, run.copy_restored, run.copy_proven_at) == ("vault", True, NOW)
    return run


def told():
    return Alarm.objects.get(code=copying.FAILED, cleared_at=None).message


def test_whatever_is_sent_has_its_md5_without_which_a_locked_bucket_takes_nothing(locked, tmp_path):
    place, sent = bucket(locked, "desk"), []

    def note(request, event_name, **_):
        if request.method == "PUT":
            sent.append((event_name.rpartition(".")[2], "Content-MD5" in request.headers))

    place._client.meta.events.register("before-send.s3", note)
    (tmp_path / "source").write_bytes(os.urandom(PART + 1))

    place.upload(tmp_path / "source", "one", progress=silent)
    place.write("two", b"small")

    assert sent == [("UploadPart", True), ("UploadPart", True), ("PutObject", True)]


def test_who_has_the_server_cannot_take_copies_away_from_a_locked_bucket(given, locked, owned, tmp_path):
    where = to_bucket(locked, owned, tmp_path)
    run = copied(given, where)
    place, before = where.place(), versions(locked)
    assert len(before) == 5, "the mark, two files, manifest and signature"

    for one in before:
        with pytest.raises(ClientError, match="AccessDenied"):
            place._client.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
    place.write(f"{run.name}.copy.json", b"{}")
    with pytest.raises(BackupError):
        restoring.restore(place, run.name, tmp_path / "none", owned.identity, owned.trust, given=given)
    for name in place.names():
        place.remove(name)
    assert place.names() == []
    with pytest.raises(PlaceUnavailable, match="keeps versions"):
        restoring.restore(place, run.name, tmp_path / "none", owned.identity, owned.trust, given=given)
    assert offsite.run_due(NOW + DAY, given=given, where=where) == []
    assert "keeps versions" in told()

    # As docs/backups.md says: the versions of before, into a folder.
    assert {one["VersionId"] for one in before} <= {one["VersionId"] for one in versions(locked)}
    folder = tmp_path / "versions"
    folder.mkdir()
    for one in before:
        found = place._client.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
        (folder / one["Key"].rpartition("/")[2]).write_bytes(found["Body"].read())
    restoring.restore(MountedFolder(folder), run.name, tmp_path / "restored", owned.identity, owned.trust, given=given)
    assert [path.name for path in (tmp_path / "restored").iterdir()] == ["naru.sqlite3"]


def test_a_manifest_that_was_deleted_is_told_from_one_that_never_was(given, locked, owned, tmp_path):
    where = to_bucket(locked, owned, tmp_path)
    run = copied(given, where)

    def restored(name):
        restoring.restore(where.place(), name, tmp_path / "none", owned.identity, owned.trust, given=given)

    with pytest.raises(BackupError, match="there is no such backup"):
        restored("naru-20200101T000000Z-full")
    where.place().remove(f"{run.name}.copy.json")

    with pytest.raises(BackupError, match="keeps versions"):
        restored(run.name)
    offsite.run_due(NOW + 8 * DAY, given=given, where=where)
    assert "keeps versions" in Alarm.objects.get(code=copying.WRONG, cleared_at=None).message


def old_and_new(given, where):
    """A copy that is past its time, of a backup that is not here any more, and a newer one that is to be copied."""
    old = copied(given, where)
    commit(storage(), batch(9, days=9))
    new = verified(backups.make(NOW + 40 * DAY, given=given, kind="full"))
    container.remove(given.folder, old.name)
    return old, new


def test_what_is_past_its_time_is_let_go_and_lies_below_its_deletion_while_it_is_locked(given, locked, owned, tmp_path):
    where = dataclasses.replace(to_bucket(locked, owned, tmp_path), keep=DAY)
    old, new = old_and_new(given, where)
    before = {one["VersionId"] for one in versions(locked)}

    assert offsite.run_due(NOW + 40 * DAY, given=given, where=where) == [new.name]

    assert not [name for name in where.place().names() if name.startswith(old.name)]
    assert BackupRun.objects.get(pk=old.pk).copy_place == ""
    assert before <= {one["VersionId"] for one in versions(locked)}
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_place_that_lets_nothing_be_deleted_is_told_what_to_set_and_everything_else_goes_on(
    given, locked, owned, tmp_path
):
    where = dataclasses.replace(to_bucket(locked, owned, tmp_path), keep=DAY)
    old, new = old_and_new(given, where)
    deny_deletion(locked)

    assert offsite.run_due(NOW + 40 * DAY, given=given, where=where) == [new.name]

    assert "RETENTION_BACKUPS_OFFSITE_DAYS=0" in told()
    assert BackupRun.objects.get(pk=new.pk).copy_proven_at == NOW + 40 * DAY
    assert BackupRun.objects.get(pk=old.pk).copy_place != ""
    assert len([name for name in where.place().names() if name.startswith(old.name)]) == 4
    offsite.run_due(NOW + 40 * DAY + HOUR, given=given, where=dataclasses.replace(where, keep=None))
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_what_came_changed_is_told_as_that_where_nothing_may_be_deleted_and_is_sent_again(
    locked, tmp_path, monkeypatch
):
    deny_deletion(locked)
    place = bucket(locked, "desk")
    (tmp_path / "source").write_bytes(os.urandom(PART + 1))

    def another_tag(parsed, **_):
        parsed["ETag"] = '"another"'

    with monkeypatch.context() as patched:
        patched.setattr(place, "_read_back", lambda *_given: "another")
        place._client.meta.events.register("after-call.s3.CompleteMultipartUpload", another_tag)
        with pytest.raises(Miscopied, match=r"came to .* changed"):
            place.upload(tmp_path / "source", "one", progress=silent)
        place._client.meta.events.unregister("after-call.s3.CompleteMultipartUpload", another_tag)

    place.upload(tmp_path / "source", "one", progress=silent)

    place.download("one", tmp_path / "back", progress=silent)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "source").read_bytes()
