"""The dialect's official clients that do not fit into the environment, unmodified: the older one for Python, and both
majors for Node. `python -m tests.clients` installs them into the cache, by the hashes that are checked in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.packages import ServerMissing, cache_folder, locked

HERE = Path(__file__).parent
NODE = ("node3", "node4")
PYTHON = "trade_api"
_SECONDS = 300


def need(name: str) -> dict[str, str]:
    """What a process needs in its environment to use a client: `node3`, `node4` or `trade_api`. Installs it the first
    time. ServerMissing says why it cannot be had."""
    folder = _folder(name)
    if not folder.exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        with locked(cache_folder() / f"client-{name}.lock"):
            if not folder.exists():
                _install(name, folder)
    return {"PYTHONPATH": str(folder)} if name == PYTHON else {"NODE_PATH": str(folder / "node_modules")}


def _folder(name: str) -> Path:
    lock = HERE / (f"{name}.lock" if name == PYTHON else f"{name}/package-lock.json")
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return cache_folder() / f"client-{name}-{digest}"


def _install(name: str, folder: Path) -> None:
    work = folder.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    if name == PYTHON:
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--require-hashes", "--target", str(work), "-r", str(HERE / f"{name}.lock"),
        ]  # fmt: skip
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise ServerMissing("npm is not installed: apt-get install npm, or Node 20 from elsewhere")
        shutil.copytree(HERE / name, work)
        command = [npm, "ci", "--prefix", str(work), "--ignore-scripts", "--no-audit", "--no-fund"]
    for left in (1, 0):  # a registry may fail for a moment
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, env=dict(os.environ), check=False
        )
        if done.returncode == 0:
            break
        if not left:
            raise ServerMissing(f"{name} cannot be installed: {done.stderr.strip()[-500:]}")
    work.rename(folder)
