"""What is vendored is what its list says: each file with its sha256, and beside it its licence."""

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = sorted(path for path in (ROOT / "api/static").rglob("VERSIONS"))


def named(listed: Path) -> dict[str, str]:
    """sha256 by file, of the lines that `sha256sum -c` reads."""
    lines = (line.split() for line in listed.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2 and len(parts[0]) == 64}


def test_what_is_vendored_has_a_list():
    folders = {path for path in (ROOT / "api/static").rglob("vendor") if path.is_dir()}

    assert folders == {path.parent for path in LISTS} != set()


@pytest.mark.parametrize("listed", LISTS, ids=lambda path: path.parent.name)
def test_every_vendored_file_is_the_one_of_its_list_and_has_its_licence(listed):
    files = {path.name: path for path in listed.parent.iterdir() if path != listed}
    licences = {name for name in files if name.endswith(".LICENSE")}
    expected = named(listed)

    found = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if name not in licences
    }

    assert found == expected
    assert {name.split(".")[0] for name in found} == {name.removesuffix(".LICENSE") for name in licences}
