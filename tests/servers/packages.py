"""Debian's and Ubuntu's packages unpacked into a cache folder: no root, no service, nothing of the system's changed.

apt resolves what the machine lacks, with a state and a cache of its own; `dpkg -x` unpacks. A tree is made once per
distribution, release and processor, appears by a rename, and is made again when its programs no longer start.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Raise it when WANTED or the way of unpacking changes: older trees are then left alone and a new one is made.
LAYOUT = 3
# Several names: the first that the distribution knows counts. Ubuntu 22.04 carries the version in the name.
WANTED: tuple[tuple[str, ...], ...] = (
    ("mariadb-server-core", "mariadb-server-core-10.6"),
    ("mariadb-client-core", "mariadb-client-core-10.6"),
    ("libmariadb3",),
    ("libmariadb-dev",),
    ("redis-server",),
    ("redis-tools",),
    ("mariadb-backup",),
    ("nginx",),
    # Debian and Ubuntu each ship one major version, and its number is part of the names.
    tuple(f"postgresql-{major}" for major in (19, 18, 17, 16, 15, 14)),
    tuple(f"postgresql-client-{major}" for major in (19, 18, 17, 16, 15, 14)),
)
PROGRAMS = (
    "mariadbd", "mariadb-install-db", "mariadb", "mariadb-backup", "mbstream", "redis-server", "nginx",
    "postgres", "initdb", "psql", "pg_basebackup", "pg_receivewal",
)  # fmt: skip
STARTED = ("mariadbd", "mariadb-backup", "redis-server", "postgres")
POSTGRESQL = "usr/lib/postgresql"
APT_SECONDS = 600


class ServerMissing(RuntimeError):
    """A server program is neither installed nor could it be fetched; the message says what to do."""


@dataclass(frozen=True)
class Wanted:
    """Packages that are unpacked together into a tree of their own: what the tree is called and when it is whole."""

    name: str
    packages: tuple[tuple[str, ...], ...]
    version_of: tuple[tuple[str, ...], ...]  # commands that succeed when the programs start
    alone: bool = False  # without what they depend on: they start without it


TESTS = Wanted("packages", WANTED, tuple((name, "--version") for name in STARTED))
BENCHMARKS = Wanted("benchmarks", (("influxdb",),), (("influxd", "version"),))
# A library, which mariadbd loads, and the scripts by which a node gives another one its data.
CLUSTER = Wanted(
    "cluster", (("galera-4",), ("mariadb-server",), ("rsync",), ("socat",), ("lsof",)), (("rsync", "--version"),)
)
# Debian's depend on the libraries of their pages, 220 MB of scripts.
MONITORING = Wanted(
    "monitoring",
    (("prometheus",), ("prometheus-alertmanager",)),
    tuple((name, "--version") for name in ("prometheus", "promtool", "amtool")),
    alone=True,
)
# What servers tell of themselves is asked by these.
EXPORTERS = Wanted(
    "exporters",
    (("prometheus-mysqld-exporter",), ("prometheus-redis-exporter",), ("prometheus-postgres-exporter",)),
    tuple((f"prometheus-{kind}-exporter", "--version") for kind in ("mysqld", "redis", "postgres")),
    alone=True,
)
# What sends log files to a search server, and what turns them.
LOGS = Wanted(
    "logs",
    (("rsyslog",), ("rsyslog-elasticsearch",), ("logrotate",), ("libpopt0",)),
    (("rsyslogd", "-v"), ("logrotate", "--version")),
)
# What moves an address and what stands before a cluster, and the client that their check asks with.
FAILOVER = Wanted("failover", (("keepalived",), ("haproxy",)), (("keepalived", "--version"), ("haproxy", "-v")))
# Erlang's own script expects to be installed, so the server is told where it lies (`tests.servers.rabbitmq`).
BROKER = Wanted("broker", (("rabbitmq-server",),), ())
GALERA = Path("usr/lib/galera/libgalera_smm.so")


@dataclass(frozen=True)
class Tree:
    """An unpacked set of packages: where it lies, and how its programs find their libraries."""

    root: Path

    def program(self, name: str) -> Path | None:
        for folder in (*postgresql_folders(self.root), self.root / "usr/sbin", self.root / "usr/bin"):
            path = folder / name
            if path.exists():
                return path
        return None

    def library_folders(self) -> list[Path]:
        triplet = f"{platform.machine()}-linux-gnu"
        folders = (self.root / "usr/lib" / triplet, self.root / "lib" / triplet, self.root / "usr/lib")
        return [folder for folder in folders if folder.is_dir()]

    def environment(self) -> dict[str, str]:
        """The caller's environment with the tree's libraries in front."""
        known = os.environ.get("LD_LIBRARY_PATH")
        folders = [str(folder) for folder in self.library_folders()] + ([known] if known else [])
        return os.environ | {"LD_LIBRARY_PATH": ":".join(folders)}


def postgresql_folders(root: Path = Path("/")) -> list[Path]:
    """Where Debian keeps PostgreSQL's programs, the newest version first; those with clients alone are left out."""
    versions = [path for path in (root / POSTGRESQL).glob("*") if path.name.isdigit()]
    folders = [path / "bin" for path in sorted(versions, key=lambda path: int(path.name), reverse=True)]
    wanted = ("postgres", "initdb", "psql", "pg_basebackup", "pg_receivewal")
    return [folder for folder in folders if all((folder / name).exists() for name in wanted)]


def cache_folder() -> Path:
    """NARU_CACHE, or `naru` in the user's cache; the system's temporary folder for a user without a home.

    Root's is the system's: PostgreSQL runs as somebody else then, who may not look into root's home.
    """
    named = os.environ.get("NARU_CACHE")
    if named:
        return Path(named).absolute()
    home = Path("/var/cache") if os.geteuid() == 0 else Path("~/.cache").expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME") or home)
    try:
        (base / "naru").mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"naru-{os.getuid()}"
    return base / "naru"


def find(program: str, wanted: Wanted = TESTS) -> tuple[Path, dict[str, str]] | None:
    """A program and the environment it wants: the system's own if there is one, the unpacked one otherwise."""
    path = os.environ.get("PATH", os.defpath)
    # Before PATH: there Debian has a wrapper of psql that looks for clusters of its own.
    folders = [*map(str, postgresql_folders()), path, "/usr/local/sbin", "/usr/sbin"]
    installed = shutil.which(program, path=os.pathsep.join(folders))
    if installed:
        return Path(installed), dict(os.environ)
    tree = Tree(_tree_folder(wanted))
    private = tree.program(program)
    return (private, tree.environment()) if private else None


def need(program: str, wanted: Wanted = TESTS) -> tuple[Path, dict[str, str]]:
    """`find`, fetching the packages first if it must."""
    found = find(program, wanted)
    if found is None:
        fetch(wanted)
        found = find(program, wanted)
    if found is None:
        raise ServerMissing(f"{program} is not installed and not in the fetched packages either")
    return found


def need_galera() -> tuple[Path, Tree | None]:
    """Galera's library, and the tree that it was unpacked into with what it wants unless it is the system's own."""
    if (Path("/") / GALERA).is_file():
        return Path("/") / GALERA, None
    tree = fetch(CLUSTER)
    if not (tree.root / GALERA).is_file():
        raise ServerMissing(f"the packages unpacked into {tree.root} have no {GALERA}")
    return tree.root / GALERA, tree


def fetch(wanted: Wanted = TESTS) -> Tree:
    """Make sure that the tree is there and that its programs start; safe to call from several processes at once."""
    tree = Tree(_tree_folder(wanted))
    tree.root.parent.mkdir(parents=True, exist_ok=True)
    with locked(tree.root.parent / f"{tree.root.name}.lock"):
        if tree.root.is_dir():
            if _starts(tree, wanted):
                return tree
            shutil.rmtree(tree.root)
        work = Path(tempfile.mkdtemp(prefix="unpack-", dir=tree.root.parent))
        try:
            root = work / "root"
            root.mkdir()
            for package in _download(work, wanted):
                _run(["dpkg", "-x", str(package), str(root)], "unpack a package")
            root.chmod(0o755)  # PostgreSQL may run as another user
            root.rename(tree.root)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if not _starts(tree, wanted):
            raise ServerMissing(f"the programs unpacked into {tree.root} do not start on this machine")
    return tree


def _tree_folder(wanted: Wanted) -> Path:
    release = {}
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if _has_os_release() else ():
        name, _, value = line.partition("=")
        release[name] = value.strip("\"'")
    system = f"{release.get('ID', 'unknown')}-{release.get('VERSION_ID', release.get('VERSION_CODENAME', '0'))}"
    return cache_folder() / f"{wanted.name}-{system}-{platform.machine()}-{LAYOUT}"


def _has_os_release() -> bool:
    return Path("/etc/os-release").is_file()


def _starts(tree: Tree, wanted: Wanted) -> bool:
    for name, *arguments in wanted.version_of:
        program = tree.program(name)
        if program is None:
            return False
        done = subprocess.run([program, *arguments], env=tree.environment(), capture_output=True, check=False)
        if done.returncode != 0:
            return False
    return True


def _download(work: Path, wanted: Wanted) -> list[Path]:
    """Every wanted package and whatever of its dependencies this machine lacks."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise ServerMissing(
            "private servers are unpacked from Debian's or Ubuntu's packages, but here are no apt-get and dpkg; "
            "install mariadbd, mariadb-backup, redis-server, nginx, postgres and the MariaDB client headers so that"
            " they are found on PATH"
        )
    environment = _apt_environment(work)
    print("fetching", ", ".join(choices[0] for choices in wanted.packages), "into", cache_folder(), file=sys.stderr)
    _run(["apt-get", "-qq", "update"], "read the package lists", environment)
    names = [_known_name(choices, environment) for choices in wanted.packages]
    archives = work / "apt/cache/archives"
    if wanted.alone:
        _run(["apt-get", "-qq", "download", *names], "download packages", environment, cwd=archives)
        return sorted(archives.glob("*.deb"))
    options = ["--yes", "--no-install-recommends", "--download-only", "--reinstall", "-qq"]
    _run(["apt-get", *options, "install", *names], "download packages", environment)
    return sorted(archives.glob("*.deb"))


def _apt_environment(work: Path) -> dict[str, str]:
    """apt with a state and a cache of its own; the system's sources and settings are read, its hooks left out."""
    state, cache, parts = work / "apt/state", work / "apt/cache", work / "apt/parts"
    for folder in (state / "lists/partial", cache / "archives/partial", parts):
        folder.mkdir(parents=True)
    for snippet in sorted(Path("/etc/apt/apt.conf.d").glob("*")):
        if os.access(snippet, os.R_OK):
            (parts / snippet.name).symlink_to(snippet)
    (parts / "zz-naru").write_text(
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        "#clear DPkg::Pre-Invoke;\n#clear DPkg::Pre-Install-Pkgs;\n#clear DPkg::Post-Invoke;\n"
        '#clear Dir::Cache::pkgcache;\n#clear Dir::Cache::srcpkgcache;\nAPT::Keep-Downloaded-Packages "true";\n',
        encoding="utf-8",
    )
    shutil.copy("/var/lib/dpkg/status", state / "status")
    config = work / "apt/apt.conf"
    config.write_text(
        f'Dir::State "{state}";\nDir::State::status "{state / "status"}";\nDir::Cache "{cache}";\n'
        f'Dir::Etc::Parts "{parts}";\nDebug::NoLocking "1";\nAPT::Sandbox::User "root";\n'
        f'Dir::Log "{state}";\nAcquire::Retries "3";\n',
        encoding="utf-8",
    )
    return os.environ | {"APT_CONFIG": str(config), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def _known_name(choices: Sequence[str], environment: dict[str, str]) -> str:
    for name in choices:
        found = subprocess.run(
            ["apt-cache", "policy", name], env=environment, capture_output=True, text=True, check=False
        )
        if "Candidate:" in found.stdout and "Candidate: (none)" not in found.stdout:
            return name
    raise ServerMissing(f"the package lists of this machine know none of: {', '.join(choices)}")


def _run(command: list[str], purpose: str, environment: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=APT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServerMissing(f"could not {purpose}: no end after {APT_SECONDS} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise ServerMissing(f"could not {purpose} ({' '.join(command[:3])}): " + " / ".join(said))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
