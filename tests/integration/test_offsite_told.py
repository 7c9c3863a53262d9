"""What people and programs are told of the copies in another place: the doctor, Prometheus, the page of operations."""

import dataclasses

import pytest

from api.views import operations
from marketdata import backups
from marketdata.backups import copies, offsite
from marketdata.backups.offsite import places
from marketdata.doctor import Level
from marketdata.doctor.copies import other_place
from marketdata.models import BackupRun
from marketdata.monitoring import deployment
from marketdata.storage import storage
from tests import offsite as elsewhere
from tests.backup import DAY, HOUR, NOW, batch, given, verified
from tests.builders import commit

__all__ = ["given"]
pytestmark = pytest.mark.once


@pytest.fixture
def where(given, tmp_path, settings):
    """A place that the settings name, nothing copied to it yet."""
    owned = elsewhere.keys(tmp_path / "vault")
    found = elsewhere.to_folder(tmp_path / "there", owned)
    settings.BACKUP_OFFSITE, settings.BACKUP_RECIPIENTS = found.url, [owned.recipient]
    settings.BACKUP_SIGNERS_FILE = str(owned.signers)
    return elsewhere.signed_by(found, owned)


def levels(now=NOW):
    return [one.level for one in other_place(now)]


def figures():
    found = {metric.name: metric.samples[0].value for metric in deployment._look_at_copies()}
    return {name.removeprefix("naru_backup_"): value for name, value in found.items()}


def test_the_doctor_says_whether_the_place_is_there_copies_are_proven_and_signed(given, where, settings):
    assert levels() == [Level.ERROR, Level.WARNING, Level.OK]
    places.begin(where.place(), NOW)
    assert levels() == [Level.OK, Level.WARNING, Level.OK]
    commit(storage(), batch(1))
    verified(backups.make(NOW, given=given))
    offsite.run_due(NOW, given=given, where=dataclasses.replace(where, sign_command=()))
    assert levels() == [Level.OK, Level.OK, Level.WARNING]
    offsite.run_due(NOW + HOUR, given=given, where=where)
    assert levels() == [Level.OK] * 3
    assert levels(NOW + 400 * DAY) == [Level.OK, Level.WARNING, Level.OK]
    settings.BACKUP_RECIPIENTS = ["age1nonsense"]
    assert levels()[0] is Level.ERROR
    settings.BACKUP_OFFSITE = ""
    assert levels() == []


def test_prometheus_is_told_what_waits_and_when_the_newest_proven_backup_began(given, where):
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    verified(backups.make(NOW, given=given))
    assert figures() == {"copies_waiting": 1}

    offsite.run_due(NOW + HOUR, given=given, where=where)

    assert figures() == {"copies_waiting": 0, "copy_proven_timestamp_seconds": NOW.timestamp()}


def test_the_age_of_copies_that_were_never_proven_counts_from_the_first(given, where):
    places.begin(where.place(), NOW)
    commit(storage(), batch(1))
    for day in range(2):
        verified(backups.make(NOW + day * DAY, given=given))
        offsite.run_due(NOW + day * DAY, given=given, where=where)
    BackupRun.objects.update(copy_proven_at=None)
    copied = [run.copied_at.timestamp() for run in BackupRun.objects.order_by("pk") if run.copied_at is not None]
    assert len(set(copied)) == 2

    assert figures() == {"copies_waiting": 0, "copy_proven_timestamp_seconds": min(copied)}


def test_who_operates_is_told_where_copies_are_who_opens_and_who_signed_them(given, where, settings):
    places.begin(where.place(), NOW)
    assert operations.read()["copies"] | {"recipients": [], "place": ""} == {
        "place": "", "recipients": [], "copied": None, "copied_at": None, "proven": None, "proven_at": None,
        "restored": False, "signer": "", "signed": True, "unsigned": 0, "waiting": 0,
    }  # fmt: skip
    commit(storage(), batch(1))
    run = verified(backups.make(NOW, given=given))
    offsite.run_due(NOW + HOUR, given=given, where=where)

    told = operations.read()["copies"]

    assert (told["place"], told["copied"], told["proven"]) == (where.url, run.name, run.name)
    assert (told["proven_at"], told["restored"]) == ((NOW + HOUR).isoformat(), True)
    assert (told["signer"], told["unsigned"], told["waiting"]) == ("vault", 0, 0)
    key = settings.BACKUP_RECIPIENTS[0]
    assert told["recipients"] == [f"{key[:10]}…{key[-10:]}"] == copies.recipients()
    settings.BACKUP_OFFSITE = ""
    assert operations.read()["copies"] is None
