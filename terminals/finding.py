"""What `python -m terminals check` found out, one thing at a time, in words for the person at the PC."""

from dataclasses import dataclass
from enum import Enum

from terminals.wire.language import gettext as _


class Level(Enum):
    """How it stands: as it should be, worth a look, or in the way of sending."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """`told` says what was found, `remedy` what to do about it where that is known."""

    level: Level
    told: str
    remedy: str = ""


def in_words(error: Exception) -> str:
    """Why a file, a folder or an address could not be used, in the reader's language where the reason is a common
    one."""
    match error:
        case FileNotFoundError():
            words = _("there is no such file or folder")
        case PermissionError():
            words = _("this user may not do that there")
        case IsADirectoryError():
            words = _("that is a folder, not a file")
        case NotADirectoryError():
            words = _("a part of the path is a file, not a folder")
        case ConnectionRefusedError():
            words = _("the connection was refused")
        case TimeoutError():
            words = _("no answer")
        case OSError(strerror=str() as words):
            pass
        case _:
            words = str(error)
    return words


def of_error(error: Exception) -> str:
    """The same, with the file that it is about."""
    file = getattr(error, "filename", None)
    return f"{file}: {in_words(error)}" if isinstance(error, OSError) and file else in_words(error)
