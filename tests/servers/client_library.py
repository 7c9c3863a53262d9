"""mysqlclient, which has no wheel: built here against MariaDB's headers, the system's or the unpacked ones."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.servers import packages, system

LOCK = Path(__file__).resolve().parents[2] / "requirements/mysqlclient.lock"


def install() -> None:
    """Put mysqlclient into the running interpreter's environment, unless one is there that works."""
    if works():
        return
    variables = build_variables()
    _need_compiler()
    print("building mysqlclient", file=sys.stderr, flush=True)
    # Not from pip's cache: what was built there once may point to libraries that are gone.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--force-reinstall", "--no-deps"]
    # Built with the environment's own setuptools: what pip would fetch for the build is compared with nothing.
    done = subprocess.run(
        [*command, "--no-build-isolation", "--require-hashes", "-r", str(LOCK)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not works():
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise packages.ServerMissing(f"mysqlclient could not be built:\n{said}")


def works() -> bool:
    """Whether mysqlclient is installed and finds its library; asked of a fresh process."""
    done = subprocess.run([sys.executable, "-c", "import MySQLdb"], capture_output=True, check=False)
    return done.returncode == 0


def build_variables() -> dict[str, str]:
    """What pip's environment needs; nothing when pkg-config finds the system's headers.

    DT_RPATH and not DT_RUNPATH: only the former also leads to the libraries that the client library itself wants.
    """
    if _system_has_headers():
        return {}
    tree = packages.fetch()
    include = tree.root / "usr/include/mariadb"
    folder = next((folder for folder in tree.library_folders() if (folder / "libmariadb.so").exists()), None)
    if folder is None or not include.is_dir():
        raise packages.ServerMissing(f"the packages unpacked into {tree.root} have no MariaDB headers")
    search = ":".join(str(path) for path in tree.library_folders())
    return {
        "MYSQLCLIENT_CFLAGS": f"-I{include}",
        "MYSQLCLIENT_LDFLAGS": f"-L{folder} -lmariadb -Wl,--disable-new-dtags,-rpath,{search}",
    }


def _system_has_headers() -> bool:
    if os.environ.get("MYSQLCLIENT_CFLAGS"):
        return True
    if not shutil.which("pkg-config"):
        return False
    names = ("libmariadb", "mysqlclient")
    return any(subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0 for name in names)


def _need_compiler() -> None:
    has_compiler = bool(os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc"))
    has_headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    if not (has_compiler and has_headers):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        system.install(["gcc", "libc6-dev", f"python{version}-dev"], purpose="to build mysqlclient")
