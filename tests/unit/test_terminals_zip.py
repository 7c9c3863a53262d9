"""The package for a dealing-room PC: unpacked anywhere, on a Python with nothing installed, it runs and sends."""

import configparser
import contextlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from terminals import wire
from terminals.sources import SOURCES
from tests.unit.terminals.linking import SECRET, Server

ROOT = Path(__file__).resolve().parents[2]
MAKE = ROOT / "docker/terminals/make_zip.py"


def make(folder):
    """The package, made as `make terminals` does it: by any Python, from a folder of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(MAKE), str(folder)], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    """The folder in it, unpacked where no repository is."""
    folder = tmp_path_factory.mktemp("pc")
    with zipfile.ZipFile(package) as opened:
        opened.extractall(folder)
    return folder / package.stem


def run(folder, *words, **environment):
    """`python -m terminals` there, without site-packages and without what this process has in its environment."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")}
    return subprocess.run(
        [sys.executable, "-E", "-s", "-S", "-m", "terminals", *words],
        cwd=folder, env=kept | environment, capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip


def test_the_same_commit_makes_the_same_bytes(package, tmp_path):
    assert make(tmp_path / "again").read_bytes() == package.read_bytes()


def test_it_has_the_whole_program_and_what_a_person_needs_and_nothing_else(package):
    with zipfile.ZipFile(package) as opened:
        names = {name.removeprefix(f"{package.stem}/") for name in opened.namelist()}

    program = {path.relative_to(ROOT).as_posix() for path in (ROOT / "terminals").rglob("*.py")}
    texts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/terminals").glob("*.md")}
    wanted = {f"examples/{source}.toml" for source in SOURCES} | {
        "설치.txt",
        "INSTALL.txt",
        "LICENSE",
        "docs/protocol.md",
    }
    wanted |= {entry.requirements for entry in SOURCES.values() if entry.requirements} | {
        "requirements/constraints.txt"
    }
    assert program | texts | wanted <= names
    assert "terminals/locale/ko/LC_MESSAGES/django.mo" in names
    assert {name for name in names if "__pycache__" in name or name.endswith((".pyc", ".po", ".key"))} == set()
    assert {name.partition("/")[0] for name in names if "/" in name} == {
        "terminals",
        "requirements",
        "examples",
        "docs",
    }


def test_a_python_with_nothing_installed_lists_the_sources(unpacked):
    korean, english = run(unpacked, "--help"), run(unpacked, "--help", NARU_LANG="en", PYTHONIOENCODING="utf-8")

    assert (korean.returncode, english.returncode) == (0, 0), korean.stderr + english.stderr
    assert all(f"\n    {name} " in english.stdout for name in SOURCES)
    assert "나루로 시세를 보냅니다." in korean.stdout


def test_it_sends_by_the_options_of_its_example(unpacked, tmp_path):
    options = (unpacked / "examples/simulate.toml").read_text(encoding="utf-8")
    (tmp_path / "desk1.key").write_text(SECRET)
    (tmp_path / "desk1.key").chmod(0o600)
    with contextlib.closing(Server()) as server:
        (tmp_path / "simulate.toml").write_text(options.replace("127.0.0.1:7070", str(server.address)), "utf-8")
        key, spool = str(tmp_path / "desk1.key"), str(tmp_path / "spool")
        config = str(tmp_path / "simulate.toml")

        done = run(unpacked, "simulate", "--config", config, "--key-file", key, "--spool", spool, "--trades", "40")

        sent = [row for payload in server.fake.held.values() for row in wire.decode_columns(payload)]

    assert done.returncode == 0, done.stderr
    assert sum(row["kind"] == wire.Kind.TRADE for row in sent) == 40
    assert not list(unpacked.rglob("*.seg"))


@pytest.mark.parametrize("file", sorted(MAKE.parent.glob("*.toml")), ids=lambda path: path.name)
def test_an_example_holds_no_key_and_keeps_its_spool_beside_it(file):
    content = tomllib.loads(file.read_text(encoding="utf-8"))

    assert "key" not in content
    assert content["key-file"].endswith(".key")
    assert content["spool"].startswith("spool/")


def test_the_unit_and_the_task_start_the_program_as_its_options_say():
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]  # as the documentation has it
    unit.read(MAKE.parent / "naru-terminal@.service", encoding="utf-8")
    task = ElementTree.fromstring((MAKE.parent / "naru-task.xml").read_text(encoding="utf-8"))
    namespace = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}

    assert unit["Service"]["ExecStart"].endswith("-m terminals %i --config /etc/naru/terminals/%i.toml")
    assert unit["Service"]["RestartPreventExitStatus"] == "2 3"
    assert unit["Service"]["UMask"] == "0077"
    assert task.findtext(".//t:Arguments", "", namespace).startswith("-m terminals SOURCE --config ")
    assert task.findtext(".//t:ExecutionTimeLimit", "", namespace) == "PT0S"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_itself_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = tmp_path / "naru-terminal@kis.service"
    shutil.copy(MAKE.parent / "naru-terminal@.service", unit)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    absent = "/opt/naru-terminals/venv/bin/python is not executable"  # there is none on this machine
    assert [line for line in done.stderr.splitlines() if absent not in line] == []
