"""A terminal's options in a TOML file, for a service that nobody types for. The command line goes before the file.

A value at the top is an option of the same name: `spool-mib = 512` is `--spool-mib 512`, `tls = true` is `--tls`. `key`
is the client's key itself. A table, such as `[securities]`, is for the source to read.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terminals.finding import in_words
from terminals.wire import is_open_to_others
from terminals.wire.language import gettext as _

_SECRET = re.compile(r"(^|[-_])(app)?(key|secret|password)$", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class ConfigFile:
    """`words` as they would stand on a command line, the key if it is there, and the tables of the source."""

    words: list[str] = field(default_factory=list)
    key: str | None = field(default=None, repr=False)
    tables: dict[str, Any] = field(default_factory=dict, repr=False)


def read(path: Path) -> ConfigFile:
    """Read a file. ValueError says what is wrong with it, also if it holds a secret that others of this machine may
    read, or that it cannot be read itself."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        told = _("the file of --config, {file}, cannot be read: {reason}")
        raise ValueError(told.format(file=path, reason=in_words(error))) from None
    except UnicodeDecodeError:
        raise ValueError(_("{file} is not in UTF-8: save it as UTF-8").format(file=path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_("{file} is no TOML: {reason}").format(file=path, reason=error)) from None
    if _has_secret(content) and is_open_to_others(path.stat()):
        raise ValueError(_("{file} holds a key and others may read it: chmod 600 {file}").format(file=path))
    key = content.pop("key", None)
    if key is not None and not isinstance(key, str):
        raise ValueError(_("{file}: {name} must be text").format(file=path, name="key"))
    tables = {name: value for name, value in content.items() if _is_table(value)}
    words = [word for name, value in content.items() if name not in tables for word in _words(path, name, value)]
    return ConfigFile(words, key, tables)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _words(path: Path, name: str, value: object) -> list[str]:
    option = "--" + name.replace("_", "-")
    if option == "--config":
        raise ValueError(_("{file}: a file of options names no other one").format(file=path))
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        return [option, *(str(one) for one in value)]
    if isinstance(value, str | int | float):
        return [f"{option}={value}"]
    raise ValueError(
        _("{file}: {name} must be text, a number, true or false, or a list of these").format(file=path, name=name)
    )


def _has_secret(content: object) -> bool:
    if isinstance(content, dict):
        return any(_SECRET.search(name) or _has_secret(value) for name, value in content.items())
    return isinstance(content, list) and any(_has_secret(one) for one in content)
