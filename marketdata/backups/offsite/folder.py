"""A folder as another place: of a disk or a share that is mounted here."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.backups import streams, workspace
from marketdata.backups.offsite.places import MOST_SMALL, Miscopied, NotThere, Place, PlaceUnavailable
from marketdata.storage.backups import Progress

PART = ".part"


class MountedFolder(Place):
    """Files appear by a rename once they are on the disk and were read back. The folder itself is never made: where
    it is missing, so is the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shown = folder, str(folder)

    def names(self) -> list[str]:
        with self._asked():
            return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def read(self, name: str) -> bytes:
        with self._asked(name), (self.folder / name).open("rb") as file:
            content = file.read(MOST_SMALL + 1)
        if len(content) > MOST_SMALL:
            raise Miscopied(gettext_lazy("{name} in {place} is far too large"), name=name, place=self.shown)
        return content

    def write(self, name: str, content: bytes) -> None:
        part = self._part(name)
        with self._asked():
            with streams.create(part) as file:
                file.write(content)
                streams.sync(file)
            part.replace(self.folder / name)
            streams.sync_folder(self.folder)

    def upload(self, source: Path, name: str, *, progress: Progress) -> None:
        part, size = self._part(name), source.stat().st_size
        with self._asked():
            if not self.folder.is_dir():
                raise FileNotFoundError(self.shown)
            sent = part.stat().st_size if part.is_file() else 0
            workspace.need_room(self.folder, max(size - sent, 0), _("copying"))
            wanted = self._send(source, part, progress)
            if self._read_back(part, size, progress) != wanted:
                part.unlink()
                raise Miscopied(
                    gettext_lazy("{name} came to {place} changed: is its disk sound? It is sent again"),
                    name=name,
                    place=self.shown,
                )
            part.replace(self.folder / name)
            streams.sync_folder(self.folder)

    def download(self, name: str, target: Path, *, progress: Progress) -> str:
        with self._asked(name):
            file = (self.folder / name).open("rb")
        with file, streams.create(target) as output:
            size = os.fstat(file.fileno()).st_size
            hashed = streams.Hashed(output, lambda at: progress(_("fetching"), at, size))
            shutil.copyfileobj(file, hashed, streams.PIECE)
            streams.sync(output)
        return hashed.hash.hexdigest()

    def remove(self, name: str) -> None:
        with self._asked():
            for path in (self.folder / name, self._part(name)):
                path.unlink(missing_ok=True)
            streams.sync_folder(self.folder)

    def _send(self, source: Path, part: Path, progress: Progress) -> str:
        """Write to `part` what it does not have of `source` yet; the SHA-256 of all."""
        size, done, digest = source.stat().st_size, 0, hashlib.sha256()
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with source.open("rb") as file, os.fdopen(descriptor, "r+b") as output:
            same = True
            for piece in streams.pieces(file):
                digest.update(piece)
                same = same and output.read(len(piece)) == piece
                if not same:
                    output.seek(done)
                    output.write(piece)
                done += len(piece)
                progress(_("copying elsewhere"), done, size)
            output.truncate(done)
            streams.sync(output)
        return digest.hexdigest()

    def _read_back(self, part: Path, size: int, progress: Progress) -> str:
        """The SHA-256 of what is on the disk, as far as the system can be made to ask it."""
        with part.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return streams.sha256(part, lambda at: progress(_("reading back"), at, size))

    def _part(self, name: str) -> Path:
        return self.folder / f".{name}{PART}"

    @contextmanager
    def _asked(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if name and self.folder.is_dir():
                raise NotThere(gettext_lazy("{name} is not in {place}"), name=name, place=self.shown) from error
            raise PlaceUnavailable(
                gettext_lazy("{place} is not there: mount it, or correct BACKUP_OFFSITE"), place=self.shown
            ) from error
        except OSError as error:
            raise PlaceUnavailable(
                gettext_lazy("{place} cannot be used: {reason}"), place=self.shown, reason=error.strerror or error
            ) from error
