"""HAProxy and Keepalived read the files that we hand out as they are."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers import packages
from tests.servers.keepalived import CONFIGURATION, FILES

pytestmark = pytest.mark.once

PROXY = FILES.parent / "haproxy/haproxy.cfg"


# A network of its own, with an interface of the name that the example has.
APART = ("unshare", "--net", "sh", "-c", 'ip link add eth0 type bridge && exec "$@"', "sh")


def told(name: str, *options: str, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    program, environment = packages.need(name, packages.FAILOVER)
    return subprocess.run(
        [*within, str(program), *options], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_haproxy_takes_the_file():
    answer = told("haproxy", "-c", "-L", "proxy1", "-f", str(PROXY))

    assert answer.returncode == 0, answer.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="Keepalived looks into what only root may")
@pytest.mark.parametrize(("nodes", "virtual"), [(3, "192.0.2.10"), (2, "192.0.2.10"), (3, "192.0.2.10/24")])
def test_keepalived_takes_the_file_with_the_example_of_a_node(tmp_path: Path, nodes: int, virtual: str):
    check = tmp_path / "check"
    check.write_text("#!/bin/sh\nexit 0\n")
    check.chmod(0o755)
    for name in (CONFIGURATION, "node.conf"):
        text = (FILES / name).read_text(encoding="utf-8")
        text = text.replace("/usr/local/lib/naru/galera-writable", str(check))
        text = text.replace("$VIP=192.0.2.10\n", f"$VIP={virtual}\n")
        if nodes == 2:
            text = text.replace("$PEER2=192.0.2.13", "$PEER2=")
        (tmp_path / name).write_text(text, encoding="utf-8")

    answer = told("keepalived", "--config-test", f"--use-file={tmp_path / CONFIGURATION}", within=APART)

    assert answer.returncode == 0, answer.stderr
