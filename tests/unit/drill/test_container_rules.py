"""What the drill of containers calls closed, and that it sees each thing that is not."""

import copy

import pytest

from tests.drill import container_rules
from tests.drill.engine import Container, mib

SERVICES = {"web": {"deploy": {"resources": {"limits": {"cpus": "1", "memory": "512m"}}}}}
STATUS = "Name:\tpython3\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNoNewPrivs:\t{sealed}\n" + "".join(
    f"{name}:\t{{capabilities}}\n" for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
)
NONE, SOME = "0" * 16, "00000000a80425fb"


def told(**changed: object) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {
        "Config": {"User": "10001:10001", "Labels": {"com.docker.compose.service": "web"}},
        "State": {"Pid": 77, "Running": True, "Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
        "HostConfig": {
            "ReadonlyRootfs": True, "Privileged": False, "CapAdd": None, "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"], "Memory": 512 << 20, "NanoCpus": 10**9,
            "RestartPolicy": {"Name": "unless-stopped"},
        },
        "NetworkSettings": {"Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18000"}], "7070/tcp": None}},
    }  # fmt: skip
    for place, value in changed.items():
        part, _, name = place.partition("__")
        found[part][name] = value
    return found


@pytest.fixture
def processes(tmp_path):
    def kept(*, uid=10001, sealed=1, capabilities=NONE, root="ro", limit=512 << 20):
        process = tmp_path / "77"
        (process / "root/sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
        (process / "status").write_text(STATUS.format(uid=uid, sealed=sealed, capabilities=capabilities))
        (process / "mounts").write_text(f"overlay / overlay {root},relatime,lowerdir=/x 0 0\nproc /proc proc rw 0 0\n")
        (process / "root/sys/fs/cgroup/memory.max").write_text(f"{limit}\n")
        return tmp_path

    return kept


def broken(processes, **changed):
    return container_rules.broken({"web": Container(copy.deepcopy(told(**changed)))}, SERVICES, processes)


def test_a_container_that_is_closed_has_nothing_wrong(processes):
    assert broken(processes()) == []


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("HostConfig__ReadonlyRootfs", False, "may write to its root file system"),
        ("HostConfig__Privileged", True, "keeps capabilities"),
        ("HostConfig__CapAdd", ["NET_RAW"], "keeps capabilities"),
        ("HostConfig__CapDrop", None, "keeps capabilities"),
        ("HostConfig__SecurityOpt", None, "may get new privileges"),
        ("Config__User", "", "runs as root"),
        ("Config__User", "0:10001", "runs as 0:10001"),
        ("HostConfig__Memory", 0, "has a memory of 0 bytes and not 536870912"),
        ("HostConfig__NanoCpus", 0, "has 0.0 processors and not 1.0"),
        (
            "NetworkSettings__Ports", {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}]},
            "is published to other machines: 0.0.0.0:80",
        ),
    ],
)  # fmt: skip
def test_what_the_engine_was_not_asked_for_is_named(processes, place, value, said):
    assert broken(processes(), **{place: value}) == [f"web {said}"]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"uid": 0}, "has a process of root's"),
        ({"capabilities": SOME}, f"has a process with capabilities: {SOME}"),
        ({"sealed": 0}, "has a process that may get new privileges"),
        ({"root": "rw"}, "has a root file system that can be written to"),
        ({"limit": "max"}, "has a memory of max bytes in memory.max"),
    ],
)
def test_what_the_kernel_does_not_hold_to_is_named(processes, kept, said):
    assert broken(processes(**kept)) == [f"web {said}"]


def test_a_service_without_a_container_is_named(processes):
    assert container_rules.broken({}, SERVICES, processes()) == ["web has no container"]


def test_limits_are_read_as_both_composes_print_them():
    def read(memory, cpus):
        return container_rules.limits({"web": {"deploy": {"resources": {"limits": {"cpus": cpus, "memory": memory}}}}})

    assert read("1536m", "0.5") == {"web": (1536 << 20, 0.5)}
    assert read("2147483648", 2) == read("2g", "2") == {"web": (2 << 30, 2.0)}
    with pytest.raises(ValueError, match="no amount"):
        read("plenty", 1)


def test_memory_is_read_as_the_engine_prints_it():
    assert [mib("512MiB"), mib("1.5GiB"), mib("512KiB"), mib("0B")] == [512.0, 1536.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="no amount"):
        mib("--")


@pytest.mark.parametrize(
    ("state", "policy", "is_well"),
    [
        ({"Running": True, "Health": {"Status": "healthy"}}, "unless-stopped", True),
        ({"Running": True, "Health": {"Status": "starting"}}, "unless-stopped", False),
        ({"Running": True, "Health": {"Status": "unhealthy"}}, "unless-stopped", False),
        ({"Running": True}, "no", False),
        ({"Running": False, "Status": "exited"}, "no", True),
        ({"Running": False, "Status": "exited", "ExitCode": 1}, "no", False),
        ({"Running": False, "Status": "exited"}, "unless-stopped", False),
    ],
)
def test_a_container_is_well_if_it_is_healthy_or_did_what_it_was_for(state, policy, is_well):
    found = told(HostConfig__RestartPolicy={"Name": policy})
    found["State"] = {"Status": "running", "ExitCode": 0, "Pid": 0, **state}

    assert Container(found).is_well == is_well
