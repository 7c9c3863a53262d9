"""What is installed is what was looked at: every package has one version and the SHA-256 of its files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
# Which files the packages of a lock come from.
LOCKS = {
    "embedded": ["embedded.txt"],
    "archive": ["archive.txt"],
    "chat": ["chat.txt"],
    "kafka": ["kafka.txt"],
    "sentry": ["sentry.txt"],
    "otel": ["otel.txt"],
    "offsite": ["offsite.txt"],
    "dev": [
        "dev.txt",
        "embedded.txt",
        "archive.txt",
        "chat.txt",
        "kafka.txt",
        "sentry.txt",
        "otel.txt",
        "offsite.txt",
        "terminals-kis.txt",
        "terminals-infomax.txt",
    ],
    "bench": ["bench.txt"],
    "terminals-kis": ["terminals-kis.txt"],
    "terminals-infomax": ["terminals-infomax.txt"],
    "server": [
        "../requirements.txt",
        "embedded.txt",
        "archive.txt",
        "chat.txt",
        "kafka.txt",
        "sentry.txt",
        "otel.txt",
        "offsite.txt",
    ],
    "mysqlclient": [],
    "tools": [],
}
PINNED = re.compile(
    r"([A-Za-z0-9._-]+)==([^ ;]+)(?: ; [^\\]+?)? \\(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+", re.ASCII
)


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name):
    """Version by package, and what the file has beside packages."""
    text = (FOLDER / f"{name}.lock").read_text(encoding="utf-8")
    found = {plain(match[1]): match[2] for match in PINNED.finditer(text)}
    rest = [line for line in PINNED.sub("", text).splitlines() if line and not line.startswith("#")]
    return found, rest


def constraints():
    lines = (FOLDER / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {plain(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def test_every_lock_is_known():
    assert {path.stem for path in FOLDER.glob("*.lock")} == set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_versions_and_hashes_and_nothing_else(name):
    found, rest = locked(name)

    assert found
    assert rest == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_versions_of_the_constraints(name):
    found, _ = locked(name)
    known = constraints()

    assert {package: version for package, version in found.items() if known.get(package) != version} == {}


@pytest.mark.parametrize("name", [name for name, files in LOCKS.items() if files])
def test_a_lock_has_what_is_required(name):
    found, _ = locked(name)
    required = set()
    for file in LOCKS[name]:
        lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
        required |= {plain(match[0]) for line in lines if (match := re.match(r"[A-Za-z][A-Za-z0-9._-]*", line))}

    assert required - set(found) == set()


def test_the_environment_is_made_from_the_locks_alone():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"\$\(PIP\) (.+)", makefile)

    assert len(installs) == 3
    assert all("--require-hashes" in line and line.endswith(".lock") for line in installs)
    assert "--require-hashes" in (FOLDER / "make-venv").read_text(encoding="utf-8").splitlines()[-1]


def test_what_the_benchmarks_compare_with_runs_nowhere_else():
    assert "asyncpg" in locked("bench")[0]
    assert [name for name in LOCKS if name != "bench" and "asyncpg" in locked(name)[0]] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^([a-z-]+):.*\$\(VENV\)/bench\b", makefile, re.MULTILINE) == ["bench", "bench-api"]
