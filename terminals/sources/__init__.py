"""The places prices can be read from. One module each; adding one is a module like `replay` and a line here."""

from types import ModuleType

from terminals.sources import replay, simulate

SOURCES: dict[str, ModuleType] = {"replay": replay, "simulate": simulate}
