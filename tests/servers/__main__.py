"""Private servers by hand.

python -m tests.servers ready                 make ready whatever the tests want and this machine lacks
python -m tests.servers fetch                 unpack server programs into the cache, and say where they are
python -m tests.servers up [mariadb] [postgresql] [redis] [valkey]
                                              start them, print `export` lines, end them on Ctrl-C
python -m tests.servers mysqlclient           build mysqlclient into this interpreter's environment
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from terminals.wire import options
from tests.servers import client_library, packages, rabbitmq, system
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import Server
from tests.servers.redis import Redis, Valkey

KINDS: dict[str, tuple[type[Server], str]] = {
    "mariadb": (MariaDB, "DATABASE_URL"),
    "postgresql": (PostgreSQL, "DATABASE_URL"),
    "redis": (Redis, "REDIS_URL"),
    "valkey": (Valkey, "REDIS_URL"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch")
    up = commands.add_parser("up")
    up.add_argument(
        "kinds",
        nargs="*",
        metavar="KIND",
        help="mariadb, postgresql, redis, valkey; mariadb and redis when none is named",
    )
    up.add_argument("--folder", type=Path, help="keep data below this folder; otherwise it is temporary")
    up.add_argument("--port", type=options.port, help="port of the only server named")
    commands.add_parser("mysqlclient")
    commands.add_parser("ready")
    given = parser.parse_args(arguments)
    try:
        if given.command == "fetch":
            for program in packages.PROGRAMS:
                print(program, packages.need(program)[0])
        elif given.command == "mysqlclient":
            client_library.install()
        elif given.command == "ready":
            _ready()
        else:
            kinds = given.kinds or ["mariadb", "redis"]
            unknown = [kind for kind in kinds if kind not in KINDS]
            if unknown or (given.port and len(kinds) != 1):
                parser.error(f"unknown: {', '.join(unknown)}" if unknown else "--port wants exactly one server")
            _up(kinds, given.folder, given.port)
    except packages.ServerMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _ready() -> None:
    for program in packages.PROGRAMS:
        packages.need(program)
    packages.need_galera()
    rabbitmq.root()
    for program in ("prometheus", "promtool", "amtool"):
        packages.need(program, packages.MONITORING)
    for (program,) in packages.EXPORTERS.packages:
        packages.need(program, packages.EXPORTERS)
    for program in ("keepalived", "haproxy"):
        packages.need(program, packages.FAILOVER)
    client_library.install()
    try:
        system.install_browser()
    except packages.ServerMissing as error:
        print(f"the tests that look at pages will be skipped: {error}", file=sys.stderr)


def _up(kinds: list[str], folder: Path | None, port: int | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        for kind in kinds:
            make, variable = KINDS[kind]
            server = stack.enter_context(make(folder / kind if folder else None, port=port))
            print(f"export {variable}={server.url}  # {kind}, pid {server.pid}", flush=True)
        print("# running; Ctrl-C ends them", flush=True)
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
