"""The manifest of a copy is read as it was written, and nothing else is taken for one."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.backups.container import Tampered
from marketdata.backups.offsite import manifests
from marketdata.backups.offsite.manifests import Copy
from marketdata.backups.offsite.sealing import Sealed

NAME = "naru-20260317T030000Z-full"
INCREMENT = "naru-20260318T030000Z-incremental-2"
SEALED = Sealed(bytes=120, sha256="a" * 64, plain_bytes=100, plain_sha256="b" * 64)
FULL = Copy(
    name=NAME, kind="full", vendor="mysql", started_at="2026-03-17T03:00:00+00:00", place="0123456789abcdef", base="",
    base_sha256="", recipients=("age1x",), files=dict.fromkeys(manifests.files_of(NAME), SEALED),
)  # fmt: skip
ABOVE = dataclasses.replace(
    FULL, name=INCREMENT, kind="incremental", base=NAME, base_sha256="c" * 64,
    files=dict.fromkeys(manifests.files_of(INCREMENT), SEALED),
)  # fmt: skip


@pytest.mark.parametrize("copy", [FULL, ABOVE])
def test_a_manifest_is_read_as_it_was_written(copy):
    assert manifests.parse(manifests.to_bytes(copy), copy.name) == copy


def test_the_manifest_of_another_backup_is_refused():
    with pytest.raises(Tampered, match="manifest of another backup"):
        manifests.parse(manifests.to_bytes(FULL), INCREMENT)


@pytest.mark.parametrize(
    "change",
    [
        {"what": "other"}, {"format": 2}, {"name": "../etc"}, {"kind": "partial"},
        {"started_at": "2026-03-17T03:00:00"},
        {"started_at": "soon"}, {"base": NAME}, {"base_sha256": "c" * 64}, {"files": {}}, {"files": []},
        {"files": {"../x": SEALED.__class__}}, {"recipients": [1]}, {"place": 5}, {"more": 1},
        {"files": {name: {"bytes": -1, "sha256": "a" * 64, "plain_bytes": 1, "plain_sha256": "b" * 64}
                   for name in manifests.files_of(NAME)}},
        {"files": {name: {"bytes": True, "sha256": "a" * 64, "plain_bytes": 1, "plain_sha256": "b" * 64}
                   for name in manifests.files_of(NAME)}},
        {"files": {name: {"bytes": 1, "sha256": "A" * 64, "plain_bytes": 1, "plain_sha256": "b" * 64}
                   for name in manifests.files_of(NAME)}},
    ],
)  # fmt: skip
def test_what_a_manifest_cannot_say_is_refused(change):
    values = json.loads(manifests.to_bytes(FULL)) | change

    with pytest.raises(Tampered, match="no manifest of a copy"):
        manifests.parse(json.dumps(values, default=str).encode(), NAME)


def test_an_increment_without_the_manifest_it_builds_on_is_refused():
    changes: list[dict[str, Any]] = [{"base": ""}, {"base": "../x"}, {"base_sha256": ""}, {"base_sha256": "z" * 64}]
    for change in changes:
        with pytest.raises(Tampered):
            manifests.parse(manifests.to_bytes(dataclasses.replace(ABOVE, **change)), INCREMENT)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(content):
    with pytest.raises(Tampered):
        manifests.parse(content, NAME)


@given(st.integers(0, len(manifests.to_bytes(FULL)) - 2))
def test_a_manifest_that_was_cut_off_is_refused(at):
    with pytest.raises(Tampered):
        manifests.parse(manifests.to_bytes(FULL)[:at], NAME)
