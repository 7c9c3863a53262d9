"""The units that a server is given: each process of the one-command run has one, and all are closed alike."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marketdata.launcher import supervisor

FOLDER = Path(__file__).resolve().parents[2] / "docker/systemd"
UNITS = sorted(FOLDER.glob("naru-*.service"))
CLOSED = {
    "UMask": "0077",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "PrivateTmp": "yes",
    "LimitNOFILE": "65536",
    "User": "naru",
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
}
EXPOSED = 2.0
"""How open a unit may be in the eyes of `systemd-analyze security` (0 to 10). What is left is what a network service
needs: sockets, and addresses that the operator knows (IPAddressAllow)."""


class Repeated(dict[str, Any]):
    """systemd adds up what configparser would overwrite."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and isinstance(self.get(key), list):
            value = self[key] + value
        super().__setitem__(key, value)


def section(name, *files):
    """A section of a unit and its drop-ins."""
    parsed = configparser.RawConfigParser(dict_type=Repeated, strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[method-assign,assignment]  # as the documentation has it
    for file in files:
        parsed.read(file, encoding="utf-8")
    return dict(parsed[name])


def service(*files):
    return section("Service", *files)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_closed_to_the_rest_of_the_machine(unit):
    whole = service(unit, FOLDER / "naru-.service.d/naru.conf")

    assert CLOSED.items() <= whole.items()
    assert "/srv/naru/var" in whole["ReadWritePaths"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_started_again_however_long_what_it_needs_is_away(unit):
    files = unit, FOLDER / "naru-.service.d/naru.conf"

    assert section("Unit", *files)["StartLimitIntervalSec"] == "0"
    assert service(*files)["Restart"] == "always"


@pytest.mark.parametrize("file", ["keepalived/override.conf", "postgresql/postgresql-guard.service"])
def test_what_sees_to_one_writer_is_started_again_however_often_it_ends(file):
    path = FOLDER.parent / file

    assert section("Unit", path)["StartLimitIntervalSec"] == "0"
    assert service(path)["Restart"] == "always"


def test_the_units_start_what_the_one_command_starts():
    wanted = {
        f"naru-{program.name}": {word for word in program.command[1:] if word not in ("--loglevel", "WARNING")}
        for program in supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)
    }

    started = {
        unit.stem: {word.replace("%%", "%") for word in shlex.split(service(unit)["ExecStart"])[1:]} for unit in UNITS
    }

    assert started == wanted


def test_each_unit_answers_prometheus_on_a_port_of_its_own():
    wanted = {
        f"naru-{program.name}": [f"METRICS_PORT={program.metrics_port}"]
        for program in supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)
    }

    assert {unit.stem: [service(unit)["Environment"]] for unit in UNITS} == wanted
    assert len({port for (port,) in wanted.values()}) == len(wanted)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_itself_finds_nothing_wrong_with_a_unit(unit):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{FOLDER}:"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    absent = "/srv/naru/app/.venv/bin/python is not executable"  # there is none on this machine
    assert [line for line in done.stderr.splitlines() if absent not in line] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_hardly_exposed_in_the_eyes_of_systemd(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{FOLDER}:"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)

    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= EXPOSED, "\n".join(line for line in done.stdout.splitlines() if "✗" in line)
