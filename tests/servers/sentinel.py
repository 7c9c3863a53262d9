"""A private master with a replica, and three Sentinels that watch them: what `sentinel://` is for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import packages
from tests.servers.network import Host
from tests.servers.process import Server, Started, temporary_folder
from tests.servers.redis import SETTINGS, Redis
from tests.servers.secured import Secured, login_of, password_of
from tests.waiting import until

MASTER = "naru"
PORT, SENTINEL_PORT = 6379, 26379  # of servers with hosts of their own
PASSWORD = "only/for:tests"  # what a URL has to be quoted for


class Watched(Redis):
    """One of the two servers."""

    def __init__(
        self, folder: Path, *, master: "Watched | None", host: Host | None = None, secured: Secured | None = None
    ) -> None:
        super().__init__(folder, port=None if host is None else PORT)
        self._secured = secured
        if host is not None:
            self.host, self.within = host.address, host.within
        self._master = master

    def _prepare(self) -> None:
        super()._prepare()
        if not self._own.exists():
            replica = f"replicaof {self._master.host} {self._master.port}\n" if self._master is not None else ""
            self._own.write_text(f"include {SETTINGS}\n{replica}", encoding="utf-8")

    @property
    def _own(self) -> Path:
        """A Sentinel has the server write what it was told into the file it was started with: not into ours."""
        return self.folder / "redis.conf"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        (program, _settings, *options), environment = super()._command()
        command = [program, str(self._own), *options]
        command += ["--repl-diskless-sync-delay", "0"]
        if self._secured is None:
            return [*command, "--requirepass", PASSWORD, "--masterauth", PASSWORD], environment
        told = {
            **self._secured.options(self.port), "aclfile": str(self._secured.users), "masteruser": "naru-replica",
            "masterauth": password_of("naru-replica"),
        }  # fmt: skip
        return [*command, *(word for name, value in told.items() for word in (f"--{name}", value))], environment

    def client(self, user: str = "naru-operator") -> redis.Redis:
        """As a user of docker/redis/users.acl where it is secured, else as the only one there is."""
        secured = self._secured
        login = {"password": PASSWORD} if secured is None else {**secured.login(user), **secured.client()}
        return redis.Redis(self.host, self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0), **login)

    def ask(self, what: str) -> object:
        """An item of INFO, None while it does not answer."""
        client = self.client()
        try:
            return client.info().get(what)
        except redis.RedisError:
            return None
        finally:
            client.close()

    def _answers(self) -> bool:
        if self.ask("process_id") != self.pid:
            return False
        return self._master is None or self.ask("role") == "master" or self.ask("master_link_status") == "up"


class Sentinel(Server):
    """One that watches; it writes what it learns into a file of its own."""

    name = "sentinel"

    def __init__(
        self,
        folder: Path,
        *,
        master: Watched,
        down_after_ms: int,
        host: Host | None = None,
        secured: Secured | None = None,
    ) -> None:
        super().__init__(folder, port=None if host is None else SENTINEL_PORT)
        self._secured = secured
        if host is not None:
            self.host, self.within = host.address, host.within
        self._master, self._down_after_ms = master, down_after_ms

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    def _prepare(self) -> None:
        conf = self.folder / "sentinel.conf"
        if not conf.exists():
            secured = self._secured
            listens = {"port": str(self.port)} if secured is None else secured.options(self.port)
            user = "" if secured is None else f"sentinel auth-user {MASTER} naru-sentinel\n"
            password = PASSWORD if secured is None else password_of("naru-sentinel")
            conf.write_text(
                "".join(f"{name} {value}\n" for name, value in listens.items())
                + f"bind {self.host}\nprotected-mode no\ndir {self.folder}\n"
                f"sentinel monitor {MASTER} {self._master.host} {self._master.port} 2\n"
                f"{user}sentinel auth-pass {MASTER} {password}\n"
                f"sentinel down-after-milliseconds {MASTER} {self._down_after_ms}\n"
                f"sentinel failover-timeout {MASTER} 10000\nsentinel parallel-syncs {MASTER} 1\n",
                encoding="utf-8",
            )

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("redis-server")
        return [str(program), str(self.folder / "sentinel.conf"), "--sentinel"], environment

    def _client(self) -> redis.Redis:
        tls = {} if self._secured is None else self._secured.client()
        return redis.Redis(self.host, self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0), **tls)

    def knows(self) -> tuple[int, int]:
        """How many replicas and other Sentinels it knows of."""
        client = self._client()
        try:
            told: Any = client.sentinel_master(MASTER)
            return int(told["num-slaves"]), int(told["num-other-sentinels"])
        except redis.RedisError:
            return 0, 0
        finally:
            client.close()

    def _answers(self) -> bool:
        client = self._client()
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class Sentinels(Started):
    """`with Sentinels() as watched:` ... `watched.url` is a REDIS_URL; `watched.master` is who serves now."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        down_after_ms: int = 1_500,
        hosts: Sequence[Host | None] = (None, None),
        sentinel_hosts: Sequence[Host | None] = (None, None, None),
        is_secured: bool = False,
    ) -> None:
        self.folder = folder or temporary_folder("sentinels")
        self.secured = secured = Secured(self.folder / "secured") if is_secured else None
        first = Watched(self.folder / "first", master=None, host=hosts[0], secured=secured)
        second = Watched(self.folder / "second", master=first, host=hosts[1], secured=secured)
        self.servers = [first, second]
        self.sentinels = [
            Sentinel(
                self.folder / f"sentinel{at}", master=first, down_after_ms=down_after_ms, host=host, secured=secured
            )
            for at, host in enumerate(sentinel_hosts)
        ]

    @property
    def url(self) -> str:
        return f"sentinel://:only%2Ffor%3Atests@{self._addresses}/0?master={MASTER}"

    def url_of(self, user: str) -> str:
        """By TLS, as one of the users of docker/redis/users.acl."""
        assert self.secured is not None
        authority = quote(str(self.secured.authority), safe="/")
        return f"sentinels://{login_of(user)}@{self._addresses}/0?master={MASTER}&ssl_ca_certs={authority}"

    @property
    def _addresses(self) -> str:
        return ",".join(f"{one.host}:{one.port}" for one in self.sentinels)

    @property
    def master(self) -> Watched:
        """Who says of itself that it is the master."""
        return next(server for server in self.servers if server.ask("role") == "master")

    def start(self) -> Self:
        for server in (*self.servers, *self.sentinels):
            server.start()
        until(
            lambda: all(one.knows() == (1, 2) for one in self.sentinels), seconds=60,
            what="the Sentinels know each other and the replica",
        )  # fmt: skip
        return self

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()
