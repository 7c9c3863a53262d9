"""A private HAProxy with docker/haproxy/haproxy.cfg, in front of the nodes of a private cluster; one of a pair that
have the same memory of who the writer is."""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.servers import packages
from tests.servers.galera import Node
from tests.servers.keepalived import CHECK
from tests.servers.keepalived import FILES as CHECKS
from tests.servers.mariadb import DATABASE, PASSWORD, USER
from tests.servers.process import Server

CONFIGURATION = CHECKS.parent / "haproxy/haproxy.cfg"
PEERS = ("192.0.2.31:10000", "192.0.2.32:10000")
NODES = ("192.0.2.11:3306", "192.0.2.12:3306", "192.0.2.13:3306")


def render(example: str, values: dict[str, str]) -> str:
    """The example with other values; ValueError if it has one of them not just once."""
    for old, new in values.items():
        if example.count(old) != 1:
            raise ValueError(f"{CONFIGURATION.name} has {old!r} {example.count(old)} times")
        example = example.replace(old, new)
    return example


class HAProxy(Server):
    """The proxy of one of `peers` (addresses at which the proxies tell each other), by its place among them. A node is
    down for it after so many checks that fail (`fall`): on a machine that does much else one comes late."""

    name = "haproxy"

    def __init__(self, folder: Path, *, nodes: Sequence[Node], peers: Sequence[str], place: int, fall: int = 2) -> None:
        super().__init__(folder)
        self._nodes, self._peers, self._place, self._fall = nodes, peers, place, fall

    @property
    def url(self) -> str:
        return f"mysql://{USER}:{PASSWORD}@{self.host}:{self.port}/{DATABASE}"

    @property
    def writer(self) -> str:
        """The name of the node that a connection comes to; "" if it comes to none."""
        import MySQLdb

        try:
            client = MySQLdb.connect(
                host=self.host, port=self.port, user=USER, password=PASSWORD, connect_timeout=10, read_timeout=10
            )
        except MySQLdb.OperationalError:
            return ""
        try:
            client.query("SET wsrep_sync_wait = 0")
            client.query("SELECT @@wsrep_node_name")
            return str(client.store_result().fetch_row()[0][0])
        except MySQLdb.OperationalError:
            return ""
        finally:
            client.close()

    def _prepare(self) -> None:
        """The check is as it is handed out; HAProxy gives it nothing of its own environment."""
        shutil.copy(CHECKS / CHECK, self.folder / CHECK)
        login = self.folder / "galera-check.cnf"
        login.touch(mode=0o600)
        login.write_text(f"[client]\nuser={USER}\npassword={PASSWORD}\n", encoding="utf-8")
        program, environment = packages.need("mariadb")
        asks = self.folder / "check"
        asks.write_text(
            f"#!/bin/sh\nexport NARU_GALERA_CHECK={login} LD_LIBRARY_PATH={environment.get('LD_LIBRARY_PATH', '')}\n"
            f'exec {self.folder / CHECK} "$@"\n',
            encoding="utf-8",
        )
        asks.chmod(0o755)
        values = {
            "bind 127.0.0.1:3306": f"bind {self.host}:{self.port}",
            'external-check path "': f'external-check path "{program.parent}:',
            "external-check command /usr/local/lib/naru/galera-writable": f"external-check command {asks}",
            "inter 1s fall 2 ": f"inter 1s fall {self._fall} ",
            **dict(zip(PEERS, self._peers, strict=True)),
            **dict(zip(NODES, (node.address for node in self._nodes), strict=True)),
        }
        written = render(CONFIGURATION.read_text(encoding="utf-8"), values)
        (self.folder / CONFIGURATION.name).write_text(written, encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("haproxy", packages.FAILOVER)
        options = ["-db", "-L", f"proxy{self._place + 1}", "-f", str(self.folder / CONFIGURATION.name)]
        return [str(program), *options], environment

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0
