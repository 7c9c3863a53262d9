"""What a terminal keeps on its machine is for its own user alone: keys, spool, journal, position.

On Windows, where modes mean little, a folder in the user's profile is private by inheritance.
"""

import os
from pathlib import Path

UMASK = 0o077
FOLDER_MODE = 0o700
FILE_MODE = 0o600


def begin() -> None:
    """From here on this process makes files and folders for its own user only."""
    os.umask(UMASK)


def make(folder: Path) -> None:
    """Make `folder` where it is missing, its parents too, and close it if others could enter it."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    if os.name == "posix" and folder.stat().st_mode & UMASK:
        folder.chmod(FOLDER_MODE)
