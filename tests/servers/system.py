"""What only the system's package manager can give: a compiler, a browser. Installed if we are root, named if not."""

import os
import shutil
import subprocess
import sys

from tests.servers import packages

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def install(names: list[str], *, purpose: str) -> None:
    """apt-get install as root; for anybody else an error that says what to install."""
    wish = f"apt-get install {' '.join(names)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise packages.ServerMissing(f"{purpose}, something is missing that only root can install: {wish}")
    print(f"{wish}  ({purpose})", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *names]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = " / ".join(done.stderr.strip().splitlines()[-5:])
            raise packages.ServerMissing(f"{wish} failed: {said}")


def browser() -> str | None:
    """The Chromium that is installed."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def install_browser() -> None:
    """Chromium, and a font with Korean in it."""
    if browser() is None:
        install(["chromium", "fonts-nanum"], purpose="to look at the pages")
