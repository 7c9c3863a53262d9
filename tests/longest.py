"""Which files of tests take longest, and begin first: one that begins last leaves the other processes idle. With
`--dist loadfile` a file is run by one process, whole."""

from collections.abc import Sequence
from pathlib import Path

# Half of a minute and more, as `--junitxml` told their tests' times (two processes, a busy machine); the longest first.
FILES = (
    "tests/e2e/test_runall.py",
    "tests/integration/test_prometheus.py",
    "tests/integration/test_spools.py",
    "tests/integration/test_ingest.py",
    "tests/contract/test_backups.py",
    "tests/integration/test_backups.py",
    "tests/integration/test_api_paging.py",
    "tests/integration/test_messages.py",
    "tests/integration/test_stream_served.py",
    "tests/integration/test_old_primary.py",
    "tests/integration/test_rollover.py",
    "tests/integration/test_stream_candles.py",
    "tests/integration/test_inspection.py",
    "tests/integration/test_page.py",
    "tests/integration/test_days.py",
    "tests/integration/test_admin_addresses.py",
    "tests/integration/test_strangers.py",
    "tests/integration/test_roles.py",
    "tests/integration/test_metrics.py",
    "tests/integration/test_galera.py",
    "tests/integration/test_haproxy.py",
    "tests/integration/test_ha_images.py",
    "tests/integration/test_sentinel.py",
    "tests/integration/test_clients.py",
    "tests/integration/test_admin_pages.py",
    "tests/integration/test_openid.py",
    "tests/integration/test_private_servers.py",
    "tests/integration/test_bad_input.py",
    "tests/integration/test_schema_fuzz.py",
    "tests/integration/test_permission_matrix.py",
    "tests/integration/test_sick_database.py",
)
_PLACES = {file: place for place, file in enumerate(FILES)}


def place(file: Path, root: Path) -> int:
    """Where among the files a file below `root` begins, by which they are sorted; those not named here are equal."""
    return _PLACES.get(file.relative_to(root).as_posix(), len(FILES))


def missing(root: Path) -> Sequence[str]:
    """Those named here that are not there."""
    return [file for file in FILES if not (root / file).is_file()]
