"""The one folder for a dealing-room PC: `make terminals` packs it. The same commit gives the same bytes each time."""

import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = ROOT / "docker/terminals"
# The earliest a zip can say. A file's own time would make two packages of the same commit differ.
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
_FILE: Final = 0o100644 << 16


def version() -> str:
    """Naru's, read from its source: the package needs nothing that is installed."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "marketdata/__init__.py").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def contents() -> Iterator[tuple[str, Path]]:
    """Each file's name in the package, and where it comes from."""
    for file in (ROOT / "terminals").rglob("*"):
        if file.suffix in (".py", ".mo"):
            yield file.relative_to(ROOT).as_posix(), file
    for file in [*ROOT.glob("requirements/terminals-*.txt"), ROOT / "requirements/constraints.txt"]:
        yield f"requirements/{file.name}", file
    for file in HERE.iterdir():
        if file.suffix in (".toml", ".xml", ".service"):
            yield f"examples/{file.name}", file
        elif file.suffix == ".txt":
            yield file.name, file
    for file in (ROOT / "docs/terminals").glob("*.md"):
        yield f"docs/terminals/{file.name}", file
    yield "docs/protocol.md", ROOT / "docs/protocol.md"
    yield "LICENSE", ROOT / "LICENSE"


def write(folder: Path) -> Path:
    """Pack it into `folder`; OSError if that cannot be written."""
    name = f"naru-terminals-{version()}"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{name}.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for place, file in sorted(contents()):
            entry = zipfile.ZipInfo(f"{name}/{place}", _WHEN)
            entry.create_system, entry.external_attr, entry.compress_type = 3, _FILE, zipfile.ZIP_DEFLATED
            data = file.read_bytes()
            # Notepad of older Windows shows a text without CR as one line.
            package.writestr(
                entry, data.replace(b"\n", b"\r\n") if file.suffix == ".txt" and file.parent == HERE else data
            )
    return made


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))}\n")
