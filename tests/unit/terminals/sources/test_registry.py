"""What is known of each source before it is imported, and what is said where its packages are missing."""

import argparse
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from terminals import sources
from terminals.sources.contract import SourceModule

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", sources.SOURCES)
def test_every_source_is_a_source_module(name):
    module = sources.load(name)

    assert module.CODE.isupper()
    assert len(module.CODE) <= 16
    assert module.FEED
    assert hasattr(module, "MARKET")
    assert module.WHEN_FULL in get_args(get_type_hints(SourceModule)["WHEN_FULL"])
    module.add_arguments(argparse.ArgumentParser())
    assert callable(module.open_source)


@pytest.mark.parametrize("entry", sources.SOURCES.values(), ids=sources.SOURCES)
def test_the_file_of_its_packages_is_there(entry):
    assert not entry.requirements or (ROOT / entry.requirements).is_file()


def register(monkeypatch, folder, text):
    (folder / "naru_needy.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    entry = sources.Entry("naru_needy", "", "requirements/terminals-needy.txt")
    monkeypatch.setitem(sources.SOURCES, "needy", entry)


def test_a_missing_package_is_told_with_the_file_that_has_it(tmp_path, monkeypatch):
    register(monkeypatch, tmp_path, "import naru_absent.inside\n")

    with pytest.raises(sources.SourceUnavailable, match=r"needy.*naru_absent.*requirements/terminals-needy\.txt"):
        sources.load("needy")


def test_a_missing_module_of_our_own_is_no_missing_package(tmp_path, monkeypatch):
    register(monkeypatch, tmp_path, "import terminals.naru_absent\n")

    with pytest.raises(ModuleNotFoundError, match="terminals"):
        sources.load("needy")
