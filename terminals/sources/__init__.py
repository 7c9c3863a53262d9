"""The places prices can be read from, by the word that is typed for each. A source is imported when it is asked for,
so that nobody installs the packages of another. Adding one: a module or a package like `replay`, and a line here.
"""

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from terminals.sources.contract import SourceModule
from terminals.wire.language import gettext as _


class SourceUnavailable(Exception):
    """A package that this source needs is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Entry:
    """What is known of a source before it is imported. `requirements` names the file of its packages, if it has any."""

    module: str
    help: str
    requirements: str = ""


SOURCES: Final = {
    "replay": Entry("terminals.sources.replay", _("replay the trades of a CSV file")),
    "kis": Entry(
        "terminals.sources.kis",
        _("send what the Open API of Korea Investment & Securities has"),
        "requirements/terminals-kis.txt",
    ),
    "infomax": Entry(
        "terminals.sources.infomax",
        _("send a sheet of Infomax: open in Excel, or saved"),
        "requirements/terminals-infomax.txt",
    ),
    "simulate": Entry("terminals.sources.simulate", _("send a simulated market, nothing in it is real")),
    "bloomberg": Entry(
        "terminals.sources.bloomberg",
        _("send Bloomberg's real-time stream, from the Terminal of this PC"),
        "requirements/terminals-bloomberg.txt",
    ),
}


def load(name: str) -> SourceModule:
    """The module of a source of SOURCES. SourceUnavailable if a package that it needs is missing."""
    with explained(name):
        return cast(SourceModule, importlib.import_module(SOURCES[name].module))


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """What a source does in here may import its packages; SourceUnavailable if one of them is missing."""
    entry = SOURCES[name]
    try:
        yield
    except ModuleNotFoundError as error:
        if not entry.requirements or (error.name or "").partition(".")[0] == "terminals":
            raise
        raise SourceUnavailable(
            _("{source} needs the package {package}: python -m pip install -r {file}").format(
                source=name, package=error.name, file=entry.requirements
            )
        ) from None
