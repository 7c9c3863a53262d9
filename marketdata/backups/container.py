"""A backup as files: `NAME.tar.zst` and beside it `NAME.json`, which says all that restoring it needs. Appears whole or
not at all."""

from __future__ import annotations

import datetime
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import zstandard
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.backups import streams
from marketdata.backups.plan import Known
from marketdata.storage.backups import BackupError, Progress

SUFFIX, MANIFEST, PART = ".tar.zst", ".json", ".part"
HOLE = 4096
FORMAT = 1


class Tampered(BackupError):
    """An archive is not what was stored: changed, cut off, or not there."""


@dataclass(kw_only=True)
class Manifest:
    """What is known of a backup without any database. Times in ISO 8601; `report` is what its verification found."""

    name: str
    kind: str
    vendor: str
    started_at: str
    base: str = ""
    position: str = ""
    ended_at: str = ""
    verified_at: str = ""
    state: str = "stored"
    bytes: int = 0
    raw_bytes: int = 0
    sha256: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    taken: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def known(self, folder: Path) -> Known:
        return Known(
            name=self.name,
            kind=self.kind,
            state=self.state,
            started_at=datetime.datetime.fromisoformat(self.started_at),
            base=self.base,
            position=self.position,
            has_archive=path_of(folder, self.name).is_file(),
        )


def path_of(folder: Path, name: str) -> Path:
    """Where the archive of a backup lies."""
    return folder / f"{name}{SUFFIX}"


def names(folder: Path) -> list[str]:
    """The backups in a folder, oldest first."""
    return sorted(path.name.removesuffix(MANIFEST) for path in folder.glob(f"naru-*{MANIFEST}"))


def read(folder: Path, name: str) -> Manifest:
    """The manifest of a backup; BackupError if there is none, Tampered if it cannot be read."""
    path = folder / f"{name}{MANIFEST}"
    if PurePosixPath(name).name != name or not path.is_file():
        there = ", ".join(names(folder)[-5:]) or gettext_lazy("none")
        raise BackupError(
            gettext_lazy("{name}: there is no such backup in {folder}. The latest: {there}"),
            name=name,
            folder=folder,
            there=there,
        )
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise BackupError(f"{path} has format {values['format']}; this version reads {FORMAT}")
        known = {one.name for one in fields(Manifest)}
        manifest = Manifest(**{key: value for key, value in values.items() if key in known})
        datetime.datetime.fromisoformat(manifest.started_at)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Tampered(gettext_lazy("{path} cannot be read: {error}"), path=path, error=error) from error
    if manifest.name != name:
        raise Tampered(gettext_lazy("{path} is the manifest of another backup, {name}"), path=path, name=manifest.name)
    return manifest


def everything(folder: Path) -> dict[str, Known]:
    """All backups of a folder by name; those whose manifest cannot be read are left out."""
    found = {}
    for name in names(folder):
        try:
            found[name] = read(folder, name).known(folder)
        except BackupError:
            continue
    return found


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest beside its archive, in place of an older one."""
    path = folder / f"{manifest.name}{MANIFEST}"
    part = path.with_name(path.name + PART)
    with streams.create(part) as file:
        file.write(json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode())
        streams.sync(file)
    part.replace(path)
    streams.sync_folder(folder)


def remove(folder: Path, name: str) -> None:
    """Archive first: a manifest without one is told, an archive without one would lie there for ever."""
    for path in (path_of(folder, name), folder / f"{name}{MANIFEST}"):
        for one in (path, path.with_name(path.name + PART)):
            one.unlink(missing_ok=True)


def pack(source: Path, folder: Path, name: str, *, level: int, progress: Progress) -> tuple[int, int, str]:
    """Pack a folder's files into NAME.tar.zst; (packed bytes, bytes before, SHA-256 of what was written). BackupError
    if one of them is neither a file nor a folder."""
    paths = sorted(source.rglob("*"))
    total = sum(path.stat().st_size for path in paths if path.is_file())
    path = path_of(folder, name)
    part = path.with_name(path.name + PART)
    done = 0
    try:
        with streams.create(part) as file:
            hashed = streams.Hashed(file)
            compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=0)
            with (
                compressor.stream_writer(cast(IO[bytes], hashed), closefd=False) as packed,
                tarfile.open(fileobj=cast(IO[bytes], packed), mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                for one in paths:
                    info = tarfile.TarInfo(one.relative_to(source).as_posix())
                    info.mode = one.stat().st_mode & 0o777
                    if one.is_dir():
                        info.type = tarfile.DIRTYPE
                        tar.addfile(info)
                    elif one.is_file() and not one.is_symlink():
                        info.size = one.stat().st_size
                        with one.open("rb") as content:
                            before = done

                            def tell(at: int, before: int = before) -> None:
                                progress(_("packing"), before + at, total)

                            tar.addfile(info, cast(IO[bytes], streams.Told(content, tell)))
                        done += info.size
                    else:
                        raise BackupError(f"{one} is neither a file nor a folder and cannot be kept")
            streams.sync(file)
        part.replace(path)
        streams.sync_folder(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    progress(_("packing"), total, total)
    return hashed.bytes, total, hashed.hash.hexdigest()


def check(folder: Path, manifest: Manifest, *, progress: Progress) -> None:
    """Tampered unless the archive has the SHA-256 that was stored."""
    path = path_of(folder, manifest.name)
    if not path.is_file():
        raise Tampered(gettext_lazy("{path} is not there"), path=path)
    size = path.stat().st_size
    if size != manifest.bytes:
        raise Tampered(
            gettext_lazy("{path} has {size:,} bytes, not {bytes:,} as stored"),
            path=path,
            size=size,
            bytes=manifest.bytes,
        )
    if streams.sha256(path, lambda at: progress(_("checking"), at, size)) != manifest.sha256:
        raise Tampered(gettext_lazy("{path} was changed since it was stored: another SHA-256"), path=path)


def unpack(folder: Path, manifest: Manifest, target: Path, *, progress: Progress) -> None:
    """Put the files of a backup into `target`, which is there. Tampered if it is not what was packed."""
    done = 0
    try:
        with (
            path_of(folder, manifest.name).open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as plain,
            tarfile.open(fileobj=io.BufferedReader(cast(io.RawIOBase, plain), streams.PIECE), mode="r|") as tar,
        ):
            for info in tar:
                relative = PurePosixPath(info.name)
                if relative.is_absolute() or ".." in relative.parts or not (info.isfile() or info.isdir()):
                    raise Tampered(f"{manifest.name}: {info.name!r} does not belong in a backup")
                place = target / relative
                if info.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    place.chmod(info.mode | 0o700)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(info)
                with place.open("wb") as output:
                    for piece in _pieces(content):
                        _write_sparse(output, piece)
                        done += len(piece)
                        progress(_("unpacking"), done, manifest.raw_bytes)
                    output.truncate(info.size)
                place.chmod(info.mode | 0o600)
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise Tampered(
            gettext_lazy("{path} cannot be unpacked: {error}"), path=path_of(folder, manifest.name), error=error
        ) from error
    if done != manifest.raw_bytes:
        raise Tampered(
            gettext_lazy("{name} holds {done:,} bytes, not {raw_bytes:,}"),
            name=manifest.name,
            done=done,
            raw_bytes=manifest.raw_bytes,
        )


def _pieces(content: IO[bytes] | None) -> Iterator[bytes]:
    while content is not None and (piece := content.read(streams.PIECE)):
        yield piece


def _write_sparse(file: IO[bytes], piece: bytes) -> None:
    """Blocks of zeros become holes again: MariaDB punches them into the files of compressed pages."""
    for at in range(0, len(piece), HOLE):
        block = piece[at : at + HOLE]
        if block.count(0) == len(block):
            file.seek(len(block), os.SEEK_CUR)
        else:
            file.write(block)
