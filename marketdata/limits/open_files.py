"""How many files a server may have open: as many as the system allows, for each connection is one."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

OTHER_FILES = 128  # databases, Redis, logs, metrics


def allow_most(connections: int) -> int:
    """Raise this process' soft limit to its hard limit. How many connections then have room: `connections`, or fewer
    with a warning. Whoever takes more than that runs out of files, and then answers nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or hard >= connections + OTHER_FILES:
        return connections
    log.warning("few open files allowed=%d wanted=%d: raise LimitNOFILE", hard, connections + OTHER_FILES)
    return max(hard - OTHER_FILES, 1)
