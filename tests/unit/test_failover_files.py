"""The files by which a site fails over: what they name is there, and the same everywhere."""

import os
import re
import subprocess

import pytest

from tests.servers import pair
from tests.servers.keepalived import CHECK, CONFIGURATION, FILES, NODE, RELEASE, render


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
    assert f"ExecStartPre=/usr/local/lib/naru/{RELEASE}\n" in told
    assert "Restart=always\n" in told


def test_an_address_that_is_not_there_is_released_all_the_same(tmp_path):
    (tmp_path / NODE).write_text("$VIP=203.0.113.77\n$INTERFACE=lo\n")

    assert subprocess.run([FILES / RELEASE, tmp_path / NODE], check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an interface of its own is root's to make")
@pytest.mark.parametrize(
    ("written", "added"),
    [
        ("192.0.2.10", "192.0.2.10/32"),
        ("192.0.2.10/24", "192.0.2.10/24"),
        ("192.0.2.10/24  # of all three", "192.0.2.10/24"),
        ("2001:db8::10", "2001:db8::10/128"),
        ("2001:db8::10/64", "2001:db8::10/64"),
    ],
)
def test_an_address_is_released_in_each_form_and_others_stay(tmp_path, written, added):
    (tmp_path / NODE).write_text(f"$VIP={written}\n$INTERFACE=eth0\n")
    own = ("192.0.2.11/24", "2001:db8::11/64")
    steps = [
        "ip link add eth0 type bridge",
        *(f"ip address add {one} dev eth0 {'nodad' * (':' in one)}" for one in (*own, added)),
        f"{FILES / RELEASE} {tmp_path / NODE}",
        "ip -oneline address show dev eth0",
    ]

    told = subprocess.run(
        ["unshare", "--net", "sh", "-c", " && ".join(steps)], check=False, capture_output=True, text=True
    )

    assert told.returncode == 0, told.stderr
    assert re.findall(r"inet6? (\S+)", told.stdout) == list(own)


@pytest.mark.parametrize("written", ["", "192.0.2.10 dev eth1", "db.example.com", "192.0.2.10\n$VIP=192.0.2.11"])
def test_an_address_that_could_not_be_released_is_refused_before_keepalived_has_it(tmp_path, written):
    (tmp_path / NODE).write_text(f"$VIP={written}\n$INTERFACE=lo\n")

    told = subprocess.run([FILES / RELEASE, tmp_path / NODE], check=False, capture_output=True, text=True)

    assert told.returncode == 1
    assert "$VIP" in told.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="an interface of its own is root's to make")
@pytest.mark.parametrize(
    ("virtual", "status"), [("192.0.2.11", 0), ("192.0.2.11/24", 0), ("192.0.2.10/24", 1), ("2001:db8::11/64", 0)]
)
def test_a_donor_stays_the_writer_if_it_has_the_address_itself(tmp_path, virtual, status):
    client = tmp_path / "mariadb"
    told = {"wsrep_ready": "ON", "wsrep_cluster_status": "Primary", "wsrep_local_state": "2", "read_only": "OFF"}
    lines = "".join(f"{name}\\t{value}\\n" for name, value in {**told, "wsrep_reject_queries": "NONE"}.items())
    client.write_text(f"#!/bin/sh\nprintf '{lines}'\n", encoding="utf-8")
    client.chmod(0o755)
    steps = (
        "ip link add eth0 type bridge && ip address add 192.0.2.11/24 dev eth0 &&"
        f" ip address add 2001:db8::11/64 dev eth0 nodad && exec {FILES / CHECK} socket {virtual}"
    )

    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", steps], check=False,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert done.returncode == status


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
