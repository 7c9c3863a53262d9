"""Two private PostgreSQL that one may take over from, with the scripts of docker/postgresql on each: the guard before a
start and beside the server, and the way back of an old primary."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import packages
from tests.servers.keepalived import Check
from tests.servers.postgresql import PASSWORD, SETTINGS, PostgreSQL, as_nobody, hand_over
from tests.servers.process import spawn

FILES = SETTINGS.parent
GUARD, REJOIN, ROLE, EXAMPLE = "postgresql-guard", "postgresql-rejoin", "pair.sql", "pair.conf"
USER = "naru_pair"


class Pair:
    """A primary that runs, and another one that will follow it. What the scripts answer are their own words."""

    def __init__(self, primary: PostgreSQL, other: PostgreSQL) -> None:
        self.members = primary, other
        primary.sql((FILES / ROLE).read_text(encoding="utf-8"), database="postgres")
        primary.sql(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}';", database="postgres")
        for here, there in (self.members, self.members[::-1]):
            self._settle(here, there)

    def _settle(self, here: PostgreSQL, there: PostgreSQL) -> None:
        passwords = here.folder / "pair.pass"
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:{USER}:{PASSWORD}\n", encoding="ascii")
        hand_over(passwords)
        reached = [
            f"host={host} port={one.port} dbname=postgres user={USER} passfile={passwords}"
            for host, one in (("127.0.0.1", here), (there.host, there))
        ]
        self._settings(here).write_text(
            f"DATA={here.data}\nCONFIGURATION={here.data}/postgresql.conf\n"
            f"PROGRAMS={packages.need('postgres')[0].parent}\nSUPERUSER=postgres\nHERE='{reached[0]}'\n"
            f"PEERS='\n{reached[1]}\n'\nNAME=standby\nKEPT={self.kept(here)}\n",
            encoding="utf-8",
        )

    def take(self, server: PostgreSQL, program: str, text: str) -> None:
        """Give a server's scripts another program of PostgreSQL: a shell script, to which REAL is the folder of all."""
        programs, own = packages.need("postgres")[0].parent, server.folder / "programs"
        own.mkdir()
        own.chmod(0o755)
        for one in programs.iterdir():  # no links: a program looks for the others where it lies itself
            does = text if one.name == program else f'exec "$REAL/{one.name}" "$@"'
            (own / one.name).write_text(f"#!/bin/sh\nREAL={programs}\n{does}\n", encoding="utf-8")
            (own / one.name).chmod(0o755)
        settings = self._settings(server)
        settings.write_text(settings.read_text(encoding="utf-8") + f"PROGRAMS={own}\n", encoding="utf-8")

    @staticmethod
    def _settings(server: PostgreSQL) -> Path:
        return server.folder / EXAMPLE

    @staticmethod
    def kept(server: PostgreSQL) -> Path:
        """Where what only this server had is kept."""
        return server.folder / "left-behind"

    @staticmethod
    def environment(server: PostgreSQL) -> dict[str, str]:
        """What a script of this server's is told by."""
        return packages.need("postgres")[1] | {"NARU_POSTGRESQL_PAIR": str(Pair._settings(server))}

    @staticmethod
    def command(server: PostgreSQL, script: str, *arguments: str) -> list[str]:
        """A script on the host of a server, as the user that this one runs as."""
        return [*server.within, *as_nobody(), str(FILES / script), *arguments]

    @staticmethod
    def check(server: PostgreSQL) -> Check:
        """What Keepalived asks on the host of this server."""
        return Check(FILES / GUARD, Pair.environment(server))

    def run(self, server: PostgreSQL, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A script to its end."""
        return subprocess.run(
            self.command(server, script, *arguments), env=self.environment(server), cwd="/",
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    @contextmanager
    def running(self, server: PostgreSQL, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Inside, a script goes on; what it says is in `log_of`."""
        command = self.command(server, script, *arguments)
        self.log_of(server).unlink(missing_ok=True)
        process = spawn(command, environment=self.environment(server), log=self.log_of(server), cwd=Path("/"))
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @staticmethod
    def log_of(server: PostgreSQL) -> Path:
        return server.folder / "pair.log"

    def start(self, server: PostgreSQL) -> None:
        """As systemd does with override.conf; RuntimeError with the guard's words if it refuses."""
        told = self.run(server, GUARD, "start")
        if told.returncode:
            raise RuntimeError(told.stderr)
        server.start()
