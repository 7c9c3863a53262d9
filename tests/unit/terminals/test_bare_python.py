"""The folder runs on a Python with nothing installed: isolated, without site-packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from terminals.sources import SOURCES

ROOT = Path(__file__).resolve().parents[3]
INSIDES = {(ROOT / "terminals/sources" / name) for name in ("kis", "infomax", "bloomberg")}
"""Folders of sources that need packages. Their own module, `__init__`, needs none."""


def needs_nothing(path):
    return path.name == "__init__.py" or not INSIDES.intersection(path.parents)


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "terminals").rglob("*.py")
    if needs_nothing(path)
)


def bare(code, *argv, language="ko"):
    """Run code in a child that sees the standard library and this project, nothing else."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + code, *argv],
        capture_output=True,
        text=True,
        env=os.environ | {"NARU_LANG": language},
    )


def test_every_module_imports_and_brings_nothing_but_the_standard_library():
    found = bare(
        f"import importlib; [importlib.import_module(name) for name in {MODULES!r}]; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - {'__main__'})"
    )

    # The standard library's own, named after the platform; `zoneinfo` looks up its folders there.
    brought = {name for name in found.stdout.split() if not name.startswith("_sysconfigdata_")}
    assert brought == {"terminals"}, found.stderr


def test_the_list_of_sources_imports_none_of_them():
    known = [entry.module for entry in SOURCES.values()]

    found = bare(
        "import sys, runpy\n"
        "try: runpy.run_module('terminals', run_name='__main__', alter_sys=True)\n"
        "except SystemExit: pass\n"
        f"print('imported:', [name for name in {known!r} if name in sys.modules])",
        "--help",
    )

    assert all(f"\n    {name} " in found.stdout for name in SOURCES), found.stderr
    assert found.stdout.endswith("imported: []\n")


@pytest.mark.parametrize("words", [[], *([name] for name in SOURCES), ["symbols"]])
def test_the_help_is_there_in_korean_and_english(words):
    run = "import runpy; runpy.run_module('terminals', run_name='__main__', alter_sys=True)"
    found = bare(run, *words, "--help")

    assert found.returncode == 0, found.stderr
    assert "usage: " in found.stdout
    assert any("가" <= letter <= "힣" for letter in found.stdout)
    in_english = bare(run, *words, "--help", language="en")
    assert in_english.returncode == 0, in_english.stderr
    assert "usage: " in in_english.stdout
    assert in_english.stdout.isascii()
