"""The files by which a site fails over: what they name is there, and the same everywhere."""

import os
import re
import subprocess

import pytest

from tests.servers import pair
from tests.servers.keepalived import CONFIGURATION, FILES, NODE, RELEASE, render


def read(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def test_the_configuration_uses_what_a_node_says_of_itself_and_nothing_else():
    used = set(re.findall(r"\$\{?([A-Z0-9]+)", read(CONFIGURATION)))

    assert used == set(re.findall(r"^\$([A-Z0-9]+)=", read(NODE), re.MULTILINE))


def test_a_node_has_its_own_values_and_the_rest_of_the_example():
    rendered = render(read(NODE), {"NODE": "db2", "VIP": "10.0.0.9"})

    assert "$NODE=db2\n" in rendered
    assert "$VIP=10.0.0.9\n" in rendered
    assert "$INTERFACE=eth0\n" in rendered


def test_a_value_that_the_example_lacks_is_an_error():
    with pytest.raises(ValueError, match="COLOUR"):
        render(read(NODE), {"COLOUR": "blue"})


def test_what_systemd_runs_after_keepalived_is_what_we_hand_out():
    told = read("override.conf")

    assert f"ExecStopPost=/usr/local/lib/naru/{RELEASE}\n" in told
    assert "Restart=always\n" in told


def test_an_address_that_is_not_there_is_released_all_the_same(tmp_path):
    (tmp_path / NODE).write_text("$VIP=203.0.113.77\n$INTERFACE=lo\n")

    assert subprocess.run([FILES / RELEASE, tmp_path / NODE], check=False).returncode == 0


def test_the_scripts_of_postgresql_use_what_a_server_says_of_itself_and_nothing_else():
    example = (pair.FILES / pair.EXAMPLE).read_text(encoding="utf-8")
    scripts = [(pair.FILES / name).read_text(encoding="utf-8") for name in (pair.GUARD, pair.REJOIN)]
    used = {name for script in scripts for name in re.findall(r"\$\{?([A-Z_]{2,})", script)} - {"NARU_POSTGRESQL_PAIR"}

    assert used == set(re.findall(r"^([A-Z]+)=", example, re.MULTILINE))


def test_what_systemd_runs_before_and_beside_postgresql_is_what_we_hand_out():
    before, beside = (
        (pair.FILES / name).read_text(encoding="utf-8") for name in ("override.conf", f"{pair.GUARD}.service")
    )

    assert f"ExecStartPre=/usr/local/lib/naru/{pair.GUARD} start\n" in before
    assert f"ExecStart=/usr/local/lib/naru/{pair.GUARD} watch\n" in beside
    assert os.access(pair.FILES / pair.GUARD, os.X_OK)
    assert os.access(pair.FILES / pair.REJOIN, os.X_OK)
