"""A private RabbitMQ with Erlang's port mapper of its own: of the distribution's package, unpacked, or the system's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers import packages
from tests.servers.process import Server, free_port, spawn

ERLANG = Path("usr/lib/erlang")
PROGRAMS = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"


class RabbitMQ(Server):
    """`with RabbitMQ() as server:` ... `server.url` is a BROKER_URL. It forgets nothing when it is killed."""

    name = "rabbitmq"
    ready_s = 300.0

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self._mapper_port, self._node_port = free_port(), free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _prepare(self) -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        tree = root()
        runtime = next((tree / ERLANG).glob("erts-*/bin"))
        erl = self.folder / "bin/erl"
        erl.write_text(
            f"#!/bin/sh\nexport ROOTDIR={tree / ERLANG} BINDIR={runtime} EMU=beam PROGNAME=erl\n"
            f'exec {runtime}/erlexec "$@"\n',
            encoding="utf-8",
        )
        erl.chmod(0o755)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\nlog.console = true\nlog.console.level = warning\n"
            "disk_free_limit.absolute = 50MB\n",
            encoding="utf-8",
        )
        if self._mapper is None or self._mapper.poll() is not None:
            # In the foreground and ours: the server would leave one behind that outlives everybody.
            command = [str(runtime / "epmd"), "-port", str(self._mapper_port), "-address", "127.0.0.1"]
            self._mapper = spawn(
                command, environment=self._environment(), log=self.folder / "epmd.log", cwd=self.folder
            )

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return os.environ | {
            "HOME": str(folder),  # where nodes keep the cookie by which they know each other
            "PATH": os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)]),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"naru{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RUNNING_UNDER_SYSTEMD": "yes",  # the script becomes the node, and does not only wait for it
            # Of a machine that tests other things at the same time two cores are enough for nobody to wait.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _command(self) -> tuple[list[str], dict[str, str]]:
        programs = sorted(root().glob(PROGRAMS))
        if not programs:
            raise packages.ServerMissing("there is no rabbitmq-server: apt-get install rabbitmq-server")
        return [str(programs[-1] / "rabbitmq-server")], self._environment()

    def _answers(self) -> bool:
        import amqp

        try:
            with amqp.Connection(
                f"127.0.0.1:{self.port}", userid="guest", password="guest", connect_timeout=5, read_timeout=5
            ):
                return True
        except (OSError, amqp.AMQPError):
            return False

    def stop(self) -> None:
        super().stop()
        if self._mapper is not None and self._mapper.poll() is None:
            self._mapper.kill()
            self._mapper.wait()


def root() -> Path:
    """Where the package's files lie: the system's, if it is installed, else those unpacked."""
    if shutil.which("erl") and any(Path("/").glob(PROGRAMS)):
        return Path("/")
    return packages.fetch(packages.BROKER).root
