"""What the images of the profile `ha` start with: three nodes become a cluster and come back as one, behind a
proxy; two Redis of which the Sentinels name one. The very scripts of docker/, on loopback, not in containers."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis

from tests.servers import packages
from tests.servers.galera import GALERA_SETTINGS, PATIENCE
from tests.servers.mariadb import SETTINGS, texts
from tests.servers.process import free_port, spawn, temporary_folder
from tests.waiting import until

pytestmark = pytest.mark.once

DOCKER = Path(__file__).resolve().parents[2] / "docker"
NODE_PORTS = (3306, 4444, 4567, 4568)
PASSWORDS = {"naru": "only-for-tests", "backup": "another-one", "check": "a-third", "redis": "a-fourth"}


class Container:
    """A start script with an address, folders and variables of its own."""

    def __init__(self, script: str, address: str, folder: Path, *words: str, path: Path, **variables: str) -> None:
        self.address, self.folder, self.log = address, folder, folder / "log"
        self._command = [str(DOCKER / script), *words]
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"} | variables
        for name in ("data", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def start(self, **variables: str) -> None:
        self._process = spawn(self._command, environment=self._environment | variables, log=self.log, cwd=self.folder)

    def run(self, *words: str, fails: bool = False, **variables: str) -> str:
        """What a command by hand beside it tells: `docker compose run --rm NAME WORDS`."""
        done = subprocess.run(
            [*self._command[:1], *words], env=self._environment | variables, cwd=self.folder, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr

    def succeeds(self, *words: str, **variables: str) -> bool:
        """Whether a command by hand beside it does."""
        environment = self._environment | variables
        done = subprocess.run(
            [*self._command[:1], *words], env=environment, cwd=self.folder, check=False, timeout=300
        )  # fmt: skip
        return done.returncode == 0

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def told(self) -> str:
        return self.log.read_text(errors="replace")


def shim(folder: Path, name: str, command: Sequence[str], environment: dict[str, str], drop: str = "") -> None:
    """A program of this name for the scripts: it runs where it was unpacked."""
    libraries = environment.get("LD_LIBRARY_PATH", "")
    lines = ["#!/bin/bash", f"export LD_LIBRARY_PATH={shlex.quote(libraries)}"]
    if drop:  # an option that has to be the first
        lines.append(f'[[ "${{1:-}}" != {drop}* ]] || shift')
    file = folder / name
    file.write_text("\n".join([*lines, f'exec {shlex.join(command)} "$@"', ""]), encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    told = {}
    for name, password in PASSWORDS.items():
        file = tmp_path / name
        file.write_text(password, encoding="utf-8")
        told[f"{name.upper()}_PASSWORD_FILE"] = str(file)
    return told


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that the images have, each as it lies on this machine."""
    try:
        return programs(tmp_path_factory.mktemp("bin"))
    except packages.ServerMissing as error:
        if os.environ.get("NARU_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))


def programs(folder: Path) -> Path:
    mariadbd, environment = packages.need("mariadbd")
    base = mariadbd.parents[1]
    _library, tree = packages.need_galera()
    known = [environment.get("LD_LIBRARY_PATH", ""), *(map(str, tree.library_folders()) if tree else ())]
    environment = environment | {"LD_LIBRARY_PATH": ":".join(filter(None, known))}
    root = ["--user=root"] if os.geteuid() == 0 else []
    options = [f"--basedir={base}", f"--plugin-dir={base}/lib/mysql/plugin", *texts(base), *root]
    tools = f"{base}/bin:{base}/sbin" + (f":{tree.root}/usr/bin" if tree else "")
    file = folder / "mariadbd"
    file.write_text(
        f"#!/bin/bash\nexport LD_LIBRARY_PATH={environment['LD_LIBRARY_PATH']} PATH={tools}:$PATH\n"
        # As the image has it: naru.cnf always, what the script says beside it.
        "settings=$NODE/alone.cnf\n"
        '[[ "${1:-}" != --defaults-extra-file=* ]] || { settings=${1#*=}; shift; }\n'
        f'exec {mariadbd} --defaults-file="$settings" {shlex.join(options)} "$@"\n',
        encoding="utf-8",
    )
    file.chmod(0o755)
    # Whoever gives a copy waits for 10 s before it begins, for the other one to listen once more.
    file = folder / "sleep"
    file.write_text('#!/bin/sh\n[ "$1" != 10 ] || set -- 3\nexec /bin/sleep "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    install, its = packages.need("mariadb-install-db")
    shim(
        folder, "mariadb-install-db", [str(install), "--no-defaults", f"--basedir={base}", *root], its, "--no-defaults"
    )
    for name, wanted in (
        ("mariadb", packages.TESTS), ("mariadb-backup", packages.TESTS), ("mbstream", packages.TESTS),
        ("redis-server", packages.TESTS), ("redis-cli", packages.TESTS), ("haproxy", packages.FAILOVER),
        ("socat", packages.CLUSTER),
    ):  # fmt: skip
        program, its = packages.need(name, wanted)
        shim(folder, name, [str(program)], its)
    return folder


def is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


class Site:
    """Three nodes and a proxy, by the scripts of the images."""

    def __init__(self, folder: Path, path: Path, secrets: dict[str, str]) -> None:
        self.path = path
        block = f"127.{free_port() % 200 + 20}.{free_port() % 250}"
        addresses = [f"{block}.{place}" for place in (1, 2, 3)]
        taken = [place for place in ((one, port) for one in addresses for port in NODE_PORTS) if not is_free(*place)]
        if taken:
            told = f"a node listens where the images do, and something of this machine does already: {taken}"
            if os.environ.get("NARU_REQUIRE_SERVERS"):
                raise OSError(told)
            pytest.skip(told)
        library, _tree = packages.need_galera()
        self.nodes = []
        for place, address in enumerate(addresses):
            home = folder / f"n{place}"
            home.mkdir()
            alone = f"!include {SETTINGS}\n[mariadbd]\ninnodb_log_file_size = 48M\ninnodb_buffer_pool_size = 64M\n"
            (home / "alone.cnf").write_text(alone, encoding="utf-8")
            # Three on one machine: each listens on its own address, and keeps less for who comes back.
            options = f"gcache.size=64M;pc.recovery=true;gmcast.listen_addr=tcp://{address}:4567;{PATIENCE}"
            galera = f'!include {GALERA_SETTINGS}\n{alone}wsrep_provider_options = "{options}"\n'
            (home / "cluster.cnf").write_text(galera, encoding="utf-8")
            # What takes a copy listens on every address.
            receive = f"--wsrep-sst-receive-address={address}:{free_port()}"
            self.nodes.append(
                Container(
                    "mariadb/start", address, home, f"--bind-address={address}", f"--tmpdir={home}/run", receive,
                    path=self.path, NODE=str(home), MARIADB_DATA=str(home / "data"), MARIADB_RUN=str(home / "run"),
                    GALERA_SETTINGS=str(home / "cluster.cnf"), GALERA_LIBRARY=str(library), MARIADB_BUFFER_POOL="64M",
                    GALERA_NODES=",".join(addresses), GALERA_NODE=address, **secrets,
                )
            )  # fmt: skip
        self.proxy_port = free_port()
        proxy = folder / "proxy"
        self.proxy = Container(
            "haproxy/start", "127.0.0.1", proxy, path=self.path, HAPROXY_SETTINGS=str(proxy / "haproxy.cfg"),
            HAPROXY_RUN=str(proxy / "run"), HAPROXY_PORT=str(self.proxy_port), GALERA_NODES=",".join(addresses),
            NARU_GALERA_CHECK=str(proxy / "check.cnf"), **secrets,
        )  # fmt: skip
        check = proxy / "galera-writable"
        check.write_text(
            f"#!/bin/sh\nNARU_GALERA_CHECK={proxy / 'check.cnf'} PATH={self.path}:$PATH"
            f" exec {DOCKER / 'keepalived/galera-writable'}\n"
        )
        check.chmod(0o755)
        text = (DOCKER / "haproxy/haproxy.cfg").read_text(encoding="utf-8")
        text = text.replace("/usr/local/lib/naru/galera-writable", str(check)).replace("127.0.0.1:10000", "127.0.0.1:0")
        (proxy / "haproxy.cfg").write_text(text, encoding="utf-8")

    def sql(self, place: int, statements: str) -> str:
        node = self.nodes[place]
        me = pwd.getpwuid(os.geteuid()).pw_name
        return self._client(f"--socket={node.folder}/run/mysqld.sock", f"--user={me}", given=statements)

    def through_the_proxy(self, statements: str) -> str:
        login = [f"--port={self.proxy_port}", "--user=naru", f"--password={PASSWORDS['naru']}", "naru"]
        return self._client("--host=127.0.0.1", "--protocol=tcp", "--connect-timeout=3", *login, given=statements)

    def _client(self, *options: str, given: str) -> str:
        command = [str(self.path / "mariadb"), "--no-defaults", *options, "--batch", "--skip-column-names"]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=300)
        return done.stdout.strip() if done.returncode == 0 else f"error: {done.stderr.strip()}"

    def keeps_who_writes(self) -> bool:
        """Whether who is connected through the proxy stays so while the node lags behind the others on purpose, as at
        the end of a backup: for longer than the proxy's check wants to call it down."""
        writer = self.through_the_proxy("SELECT @@wsrep_node_name")
        place = next((place for place, node in enumerate(self.nodes) if node.address == writer), None)
        if place is None:
            return False
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.through_the_proxy, "SELECT SLEEP(8); SELECT @@wsrep_node_name")
            time.sleep(1)  # it is connected by then, or asked once more
            try:
                self.sql(place, "SET GLOBAL wsrep_desync = ON")
                return asked.result() == f"0\n{writer}"
            finally:
                self.sql(place, "SET GLOBAL wsrep_desync = OFF")

    def is_whole(self, size: int = 3) -> bool:
        asked = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state_comment', 'wsrep_cluster_size')"
        told = [self.sql(place, asked) for place in range(size)]
        wanted = {f"wsrep_cluster_size\t{size}", "wsrep_local_state_comment\tSynced"}
        return all(set(one.split("\n")) == wanted for one in told)

    def wait(self, size: int) -> None:
        def is_there() -> bool:
            for node in self.nodes[:size]:
                if not node.is_alive:  # as `restart: unless-stopped` does
                    node.start()
            return self.is_whole(size)

        try:
            until(is_there, seconds=240, every=0.5, what=f"{size} nodes in step")
        except BaseException:
            print(*(node.told()[-6000:] for node in self.nodes), sep="\n----\n")
            raise


@pytest.fixture
def site(path: Path, secrets: dict[str, str]) -> Iterator[Site]:
    folder = temporary_folder("ha", in_memory=True)
    site = Site(folder, path, secrets)
    with ExitStack() as running:
        running.callback(shutil.rmtree, folder, ignore_errors=True)
        for one in (*site.nodes, site.proxy):
            running.callback(one.stop)
        yield site


def test_a_cluster_is_made_by_hand_alone_and_comes_back_as_one(site: Site, secrets: dict[str, str]):
    """Made, killed all at once, stopped and none known to be the last, one killed and the others stopped so, killed
    with one of them lost."""
    first, last, lost = site.nodes
    for node in site.nodes:
        node.start()
    until(lambda: all("waits for a node" in node.told() for node in site.nodes), seconds=120, what="nobody begins")
    assert [list((node.folder / "data").iterdir()) for node in site.nodes] == [[], [], []]
    assert "no data of a cluster" in first.run("begin", fails=True)

    first.run("new-cluster")
    site.wait(3)
    site.proxy.start()
    # Again and again: a proxy whose check comes late on a busy machine cuts what is open.
    table = "CREATE TABLE IF NOT EXISTS kept (id INT PRIMARY KEY); INSERT IGNORE INTO kept VALUES (1), (2)"
    until(lambda: site.through_the_proxy(table) == "", seconds=120, what="a writer behind the proxy")
    until(lambda: site.proxy.succeeds("ask"), seconds=240, what="all nodes are in step, and a writer answers")
    until(site.keeps_who_writes, seconds=240, what="whoever writes is not cut off by a backup")
    made = site.sql(0, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'")
    until(lambda: "there is a cluster" in last.run("begin", fails=True), seconds=120, what="a node that serves says so")
    wrong = {"CHECK_PASSWORD_FILE": secrets["REDIS_PASSWORD_FILE"]}
    until(
        lambda: "ERROR 1045" in last.run("begin", fails=True, **wrong), seconds=120, what="who refuses to tell is there"
    )

    for node in site.nodes:
        node.kill()
        noted = node.folder / "data/grastate.dat"
        nothing = "00000000-0000-0000-0000-000000000000"  # as Galera has it while a table is changed
        noted.write_text(noted.read_text().replace(made.split()[1], nothing))
    site.wait(3)
    assert all("was killed, and waits" in node.told() for node in site.nodes)
    assert all(f"stands at {made.split()[1]}:" in node.told() for node in site.nodes)
    assert site.sql(0, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'") == made
    assert [site.sql(place, "SELECT COUNT(*) FROM naru.kept") for place in range(3)] == ["2", "2", "2"]

    first.stop()
    until(
        lambda: site.through_the_proxy("INSERT IGNORE INTO kept VALUES (3)") == "", seconds=120, what="another writer"
    )
    lost.stop()
    last.stop()
    noted = last.folder / "data/grastate.dat"
    stopped = noted.read_text()
    assert "safe_to_bootstrap: 1" in stopped
    noted.write_text(stopped.replace("safe_to_bootstrap: 1", "safe_to_bootstrap: 0"))  # as Galera has it at once
    site.wait(3)
    assert [node.told().count(": begins the cluster") for node in site.nodes] == [1, 1, 0]
    assert {site.sql(place, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'") for place in range(3)} == {made}
    assert "node of a cluster" in first.run("new-cluster", fails=True)

    lost.kill()
    until(lambda: site.is_whole(2), seconds=120, what="the cluster goes on without it")
    (site.proxy.folder / "run/whole").unlink()  # as if the proxy began just now
    missing = f"{lost.address} is not in step"
    until(
        lambda: missing in site.proxy.run("ask", fails=True, HAPROXY_PATIENCE_S="100000"),
        seconds=120,
        what="one is missing",
    )
    until(lambda: site.proxy.succeeds("ask", HAPROXY_PATIENCE_S="0"), seconds=120, what="two nodes are enough in time")
    for node in (first, last):
        node.stop()
    noted.write_text(noted.read_text().replace("safe_to_bootstrap: 1", "safe_to_bootstrap: 0"))

    def waits() -> list[int]:
        return [node.told().count("waits for a node that serves") for node in (first, last)]

    before = waits()
    for node in (first, last):
        node.start()
    until(lambda: waits() == [told + 1 for told in before], seconds=120, what="they wait for the one that was killed")
    assert (lost.folder / "data/gvwstate.dat").exists()
    site.wait(3)
    assert [node.told().count(": begins the cluster") for node in site.nodes] == [1, 2, 0]
    assert {site.sql(place, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'") for place in range(3)} == {made}

    for node in site.nodes:
        node.kill()
    shutil.rmtree(lost.folder / "data")
    (lost.folder / "data").mkdir()
    for node in (first, last):
        assert f"at {made.split()[1]}:" in node.run("begin")
    first.run("wait")
    site.wait(2)
    assert [node.told().count(": begins the cluster") for node in site.nodes] == [1, 3, 0]
    assert [site.sql(place, "SELECT COUNT(*) FROM naru.kept") for place in range(2)] == ["3", "3"]
    assert site.sql(0, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'") == made

    for name in ("naru.made", "naru.founds"):
        (lost.folder / "data" / name).touch()
    lost.start(**wrong)
    until(lambda: "ERROR 1045" in lost.told(), seconds=120, what="it does not know whether there is a cluster")
    lost.stop()
    assert ": begins the cluster" not in lost.told()
    lost.start()
    until(lambda: not lost.is_alive, seconds=120, what="a server's own data are not thrown away")
    other = "uuid: 5e1f0000-0000-11ee-8000-000000000001\nseqno: 7\nsafe_to_bootstrap: 1\n"
    (lost.folder / "data/grastate.dat").write_text(other, encoding="utf-8")
    lost.start()
    until(lambda: not lost.is_alive, seconds=120, what="another cluster's data are not thrown away")
    assert re.findall("data of (a single server|the cluster 5e1f)", lost.told()) == [
        "a single server",
        "the cluster 5e1f",
    ]


def test_a_redis_follows_whom_the_sentinels_name_also_after_it_was_the_master(path: Path, secrets: dict[str, str]):
    folder = temporary_folder("ha")
    block = f"127.{free_port() % 200 + 20}.{free_port() % 250}"
    names, watching = [f"{block}.{place}" for place in (1, 2)], [f"{block}.{place}" for place in (3, 4, 5)]
    port, watch = free_port(), free_port()

    def container(address: str, *words: str) -> Container:
        home = folder / address
        return Container(
            "redis/start", address, home, *words, path=path, REDIS_DATA=str(home / "data"), REDIS_RUN=str(home / "run"),
            REDIS_SETTINGS=str(DOCKER / "redis"), REDIS_PORT=str(port), SENTINEL_PORT=str(watch), REDIS_BIND=address,
            REDIS_NAME=address, REDIS_FIRST=names[0], REDIS_SENTINELS=" ".join(watching), **secrets,
        )  # fmt: skip

    def role(address: str) -> str:
        client = redis.Redis(address, port, password=PASSWORDS["redis"], socket_timeout=2)
        try:
            told = client.info("replication")
            linked = told["role"] == "master" or told["master_link_status"] == "up"
            return str(told["role"]) if linked else ""
        except redis.RedisError:
            return ""
        finally:
            client.close()

    def set_on(address: str, value: str) -> None:
        with redis.Redis(address, port, password=PASSWORDS["redis"]) as client:
            client.set("kept", value)

    def get_of(address: str) -> str:
        with redis.Redis(address, port, password=PASSWORDS["redis"], decode_responses=True) as client:
            return str(client.get("kept"))

    def named() -> list[str]:
        """Whom each Sentinel that answers calls the master."""
        told = []
        for name in watching:
            with (
                suppress(redis.RedisError),
                redis.Redis(name, watch, socket_timeout=2, decode_responses=True) as client,
            ):
                told.append(str(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "naru")[0]))
        return told

    # By default a master waits for 5 s whether another replica comes.
    servers = [container(name, "--repl-diskless-sync-delay", "0") for name in names]
    sentinels = [container(name, "sentinel") for name in watching]
    with ExitStack() as running:
        for one in (*servers, *sentinels):
            running.callback(one.stop)
            one.start()
        until(lambda: [role(name) for name in names] == ["master", "slave"], seconds=120, what="a master and a replica")

        def known() -> list[tuple[int, int]]:
            told = []
            for name in watching:
                with suppress(redis.RedisError), redis.Redis(name, watch, socket_timeout=2) as client:
                    one = client.sentinel_master("naru")
                    told.append((int(one["num-other-sentinels"]), int(one["num-slaves"])))
            return told

        until(lambda: known() == [(2, 1)] * 3, seconds=120, what="the Sentinels know each other and the replica")
        set_on(names[0], "first")
        until(lambda: get_of(names[1]) == "first", seconds=60, what="the replica has it")
        servers[0].kill()
        until(lambda: role(names[1]) == "master", seconds=120, what="a successor")
        set_on(names[1], "second")
        until(lambda: named() == [names[1]] * 3, seconds=60, what="every Sentinel has heard of it")

        for one in sentinels:
            one.kill()
            kept = one.folder / "data/sentinel.conf"
            before, found = re.subn("(sentinel auth-pass naru) .*", r"\1 of-before", kept.read_text())
            kept.write_text(before)
            assert found == 1
        servers[0].start()
        until(
            lambda: "waits for 2 of the Sentinels" in servers[0].told(), seconds=60, what="it does not decide by itself"
        )
        sentinels[0].start()
        until(lambda: named()[:1] == [names[1]], seconds=60, what="one Sentinel")
        assert role(names[0]) == ""
        assert servers[0].is_alive
        sentinels[1].start()
        until(lambda: role(names[0]) == "slave", seconds=120, what="the old master as a replica")
        assert (role(names[1]), get_of(names[0])) == ("master", "second")

        def patience(milliseconds: int) -> None:
            for name in watching[:2]:
                with redis.Redis(name, watch) as client:
                    client.sentinel_set("naru", "down-after-milliseconds", milliseconds)

        patience(600_000)  # no election before it was seen that who lost the data waits for one
        servers[1].kill()
        shutil.rmtree(servers[1].folder / "data")
        (servers[1].folder / "data").mkdir()
        servers[1].start()
        until(lambda: "is empty, and waits" in servers[1].told(), seconds=60, what="it waits for another master")
        patience(3000)
        until(lambda: role(names[0]) == "master", seconds=120, what="who has the data")
        until(lambda: role(names[1]) == "slave", seconds=120, what="who had lost them")

        assert [get_of(name) for name in names] == ["second", "second"]
