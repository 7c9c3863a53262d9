"""Files that have a secret in them, and who may read them: of terminals, and of the server."""

import os
import stat


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether others than its owner may read or change a file of this state. What is root's may be readable to a group,
    unless we are root ourselves: so containers are given their secrets. Where modes mean nothing (Windows): no."""
    if os.name != "posix":
        return False
    is_handed_down = found.st_uid == 0 != os.geteuid()
    return bool(found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IRGRP if is_handed_down else 0))
