"""Real servers for tests, drills and benches: private, on loopback and free ports, gone with whoever started them.

Standard library only, so that `python3 -m tests.servers` works before anything is installed.
"""

from tests.servers.mariadb import MariaDB
from tests.servers.packages import ServerMissing
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import Server, free_port
from tests.servers.redis import Redis, Valkey

__all__ = ["MariaDB", "PostgreSQL", "Redis", "Server", "ServerMissing", "Valkey", "free_port"]
