"""Rules of the house that no other tool sees to."""

import ast
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest

import celery_app
from marketdata import __version__
from terminals import command_line
from terminals.sources import SOURCES

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# What has to be installed for a source, as its requirements/terminals-NAME.txt has it. The rest needs nothing.
PACKAGES = {
    "terminals/sources/kis": {"websockets", "httpx", "cryptography", "rich", "prometheus_client"},
    "terminals/sources/infomax": {"python_calamine", "xlwings"},
    "terminals/sources/bloomberg": {"blpapi"},
}
TYPED = {"replay": ["trades.csv"]}
"""What an example leaves to the command line."""
DOCUMENTS = [ROOT / name for name in ("README.md", "README.ko.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]


def test_the_version_that_runs_is_the_newest_of_the_changelog():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert headings[0] == __version__


def test_every_package_at_the_top_has_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}

    assert packages == set(PROJECT["tool"]["importlinter"]["root_packages"])


@pytest.mark.parametrize("package", ["analytics", "marketdata"])
def test_the_top_of_a_package_is_read_at_a_glance(package):
    found = sorted(path.name for path in (ROOT / package).glob("*.py"))

    assert len(found) <= 12, f"a new module belongs into a room: {', '.join(found)}"


def test_every_line_of_the_timetable_names_a_task_that_exists():
    celery_app.app.loader.import_default_modules()

    named = {line["task"] for line in celery_app.TIMETABLE.values()}

    assert named <= set(celery_app.app.tasks)


def test_every_task_of_ours_has_a_route_and_every_route_a_task():
    celery_app.app.loader.import_default_modules()

    ours = {name for name in celery_app.app.tasks if not name.startswith("celery.")}

    assert ours == set(celery_app.ROUTES)


def test_every_route_leads_to_a_queue_of_the_house():
    assert {route["queue"] for route in celery_app.ROUTES.values()} <= set(celery_app.QUEUES)


def test_every_setting_is_in_the_example_and_every_line_of_the_example_is_a_setting():
    module = ast.parse((ROOT / "marketdata/settings.py").read_text(encoding="utf-8"))
    read = {
        call.args[0].value
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }

    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)) == read


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document):
    named = set(
        re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|txt))`", document.read_text(encoding="utf-8"))
    )

    assert [path for path in sorted(named) if not _exists(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_is_there(document):
    rules = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}

    named = set(re.findall(r"`make ([a-z-]+)", document.read_text(encoding="utf-8")))

    assert named <= targets


def test_each_decision_has_a_number_of_its_own_which_its_title_tells():
    found = {path.name[:4]: path.read_text(encoding="utf-8")[:6] for path in (ROOT / "docs/adr").glob("*.md")}
    assert len(found) == len(list((ROOT / "docs/adr").glob("*.md")))
    assert found == {number: f"# {number}" for number in found}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "terminals").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_terminal_imports_the_standard_library_and_a_source_its_packages_and_the_wire_nothing_but_itself(path):
    place = path.relative_to(ROOT)
    home = "terminals.wire." if place.is_relative_to("terminals/wire") else "terminals."
    allowed = set().union(*(packages for folder, packages in PACKAGES.items() if place.is_relative_to(folder)))

    installed = {name for name in _imported(path) if name.partition(".")[0] not in {*sys.stdlib_module_names, *allowed}}

    assert [name for name in sorted(installed) if not f"{name}.".startswith(home)] == []


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_has_an_example_of_its_options_that_it_understands(source):
    example = ROOT / f"docker/terminals/{source}.toml"

    given, _module = command_line.read([source, "--config", str(example), *TYPED.get(source, [])])

    assert given.client


def test_no_test_is_a_case_of_unittest():
    """pytest would collect it and leave out its setUp: the plugin that knows it is not loaded."""
    cases = [path for path in (ROOT / "tests").rglob("*.py") if f"{'Test'}Case" in path.read_text(encoding="utf-8")]

    assert cases == []


def _imported(path: Path) -> set[str]:
    """The modules that a file names; `from terminals import wire` counts as terminals.wire."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _exists(path: str) -> bool:
    """What a run makes counts as there, and so does a NAME to fill in; a bare file name may lie in any folder."""
    if path.startswith(("var/", ".venv/")) or "NAME" in path:
        return True
    return (ROOT / path).exists() or ("/" not in path and any(ROOT.glob(f"*/**/{path}")))


def test_options_read_numbers_and_dates_by_the_definitions_of_the_house():
    loose = []
    packages = [*PROJECT["tool"]["importlinter"]["root_packages"], "tests"]
    for path in itertools.chain.from_iterable((ROOT / package).rglob("*.py") for package in packages):
        code = path.read_text(encoding="utf-8")
        if "add_argument" not in code:
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_argument"):
                kinds = [ast.unparse(word.value) for word in node.keywords if word.arg == "type"]
                loose += [f"{path}:{node.lineno}" for kind in kinds if kind in ("int", "float", "Decimal")]

    assert not loose, f"use terminals.wire.options, which refuses 1_000 and full-width digits: {loose}"


def test_the_epoch_and_the_desks_time_zone_are_told_once():
    written = re.compile(r'date(?:time)?\(1970|ZoneInfo\("Asia/Seoul"\)|\b86_?400_?000_?000\b')
    packages = set(PROJECT["tool"]["importlinter"]["root_packages"]) - {"terminals"}
    found = [
        str(path.relative_to(ROOT))
        for path in itertools.chain.from_iterable((ROOT / package).rglob("*.py") for package in sorted(packages))
        if written.search(path.read_text(encoding="utf-8"))
    ]

    assert found == ["marketdata/types/units.py"]
