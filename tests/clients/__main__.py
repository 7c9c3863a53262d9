"""`python -m tests.clients` installs the clients that the tests run and the environment does not have."""

import sys
from concurrent.futures import ThreadPoolExecutor

from tests import clients
from tests.servers import ServerMissing


def main() -> int:
    with ThreadPoolExecutor() as pool:  # each waits for a registry
        for trouble in pool.map(_trouble, (clients.PYTHON, *clients.NODE)):
            if trouble:
                print(f"the tests with this client will be skipped: {trouble}", file=sys.stderr)
    return 0


def _trouble(name: str) -> str:
    try:
        clients.need(name)
    except ServerMissing as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())
