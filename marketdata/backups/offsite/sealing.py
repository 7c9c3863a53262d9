"""Files encrypted to public keys, in the format of age (https://age-encryption.org/v1): whoever has the private key can
read them with `age -d`, too, without Naru. A stream at a time, so that no size matters."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.backups import streams
from marketdata.backups.container import Tampered
from marketdata.storage.backups import BackupError, BackupUnavailable, Progress
from terminals import wire

SUFFIX = ".age"
MOST_IDENTITIES = 64 << 10
"""Bytes of a file with private keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Sizes and SHA-256 of a file, encrypted and as it was."""

    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str


class NoKey(BackupUnavailable):
    """None of the private keys given opens a file; that says nothing about the file."""


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise BackupUnavailable(
            gettext_lazy("{package} is not installed: pip install -r requirements/offsite.txt"), package="pyrage"
        ) from error
    return pyrage


def recipients(words: Sequence[str]) -> list[Any]:
    """Public keys: `age1…`, or `ssh-ed25519 …` and `ssh-rsa …`. BackupError for what is none."""
    pyrage = _pyrage()
    found = []
    for word in words:
        kind = pyrage.ssh if word.startswith("ssh-") else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(word))
        except (pyrage.RecipientError, ValueError) as error:
            raise BackupError(
                gettext_lazy("BACKUP_RECIPIENTS: {word} is no public key ({reason}); age1… or ssh-ed25519 … is one"),
                word=word[:12],
                reason=error,
            ) from error
    return found


def identities(file: Path) -> list[Any]:
    """The private keys of a file: lines AGE-SECRET-KEY-1…, or an SSH key without a passphrase. BackupError if it has
    none or others may read it."""
    pyrage = _pyrage()
    try:
        with file.open("rb") as opened:
            if wire.is_open_to_others(os.fstat(opened.fileno())):
                raise BackupError(gettext_lazy("{file} may be read by others: chmod 600 {file}"), file=file)
            content = opened.read(MOST_IDENTITIES)
    except OSError as error:
        raise BackupError(gettext_lazy("{file} cannot be read: {reason}"), file=file, reason=error.strerror) from error
    try:
        if content.startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, ValueError) as error:
        raise BackupError(gettext_lazy("{file} is no private key: {reason}"), file=file, reason=error) from error
    if not found:
        raise BackupError(gettext_lazy("{file} has no private key in it"), file=file)
    return found


def new_identity(file: Path) -> str:
    """Make a private key in a new file for its owner alone; the public key. BackupError if the file is there."""
    identity = _pyrage().x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BackupError(gettext_lazy("{file} is there already: keys are never overwritten"), file=file) from error
    with os.fdopen(descriptor, "wb") as output:
        output.write(f"# public key: {public}\n{identity}\n".encode())
        streams.sync(output)
    streams.sync_folder(file.parent)
    return public


def public_of(file: Path) -> list[str]:
    """The public keys of the private ones in a file. BackupError as `identities`."""
    return [str(one.to_public()) for one in identities(file)]


def encrypt(source: Path, target: Path, keys: Sequence[Any], *, progress: Progress) -> Sealed:
    """Encrypt a file to all of `keys`. OSError if there is no room; what `progress` raises."""
    size = source.stat().st_size
    with source.open("rb") as file, streams.create(target) as output:
        reader = streams.Told(file, lambda at: progress(_("encrypting"), at, size))
        writer = streams.Hashed(output)
        _passed(_pyrage().encrypt_io, reader, writer, list(keys))
        streams.sync(output)
    return Sealed(
        bytes=writer.bytes, sha256=writer.hash.hexdigest(), plain_bytes=reader.bytes,
        plain_sha256=reader.hash.hexdigest(),
    )  # fmt: skip


def decrypt(source: Path, target: Path, keys: Sequence[Any], *, progress: Progress) -> Sealed:
    """Decrypt a file. NoKey if none of `keys` opens it, Tampered if it was changed or cut off."""
    pyrage, size = _pyrage(), source.stat().st_size
    with source.open("rb") as file, streams.create(target) as output:
        reader = streams.Told(file, lambda at: progress(_("decrypting"), at, size))
        writer = streams.Hashed(output)
        try:
            _passed(pyrage.decrypt_io, reader, writer, list(keys))
        except pyrage.DecryptError as error:
            raise NoKey(
                gettext_lazy(
                    "{name} does not open with the private key that was given: {reason}. Name the one that belongs to"
                    " BACKUP_RECIPIENTS (--identity FILE)"
                ),
                name=source.name,
                reason=error,
            ) from error
        except _Damaged as error:
            raise Tampered(
                gettext_lazy("{name} was changed or cut off: {reason}"), name=source.name, reason=error
            ) from error
        streams.sync(output)
    return Sealed(
        bytes=reader.bytes, sha256=reader.hash.hexdigest(), plain_bytes=writer.bytes,
        plain_sha256=writer.hash.hexdigest(),
    )  # fmt: skip


class _Damaged(Exception):
    """age did not find what it had written."""


class _Ends:
    """Both ends of a stream for pyrage, which makes errors of its own of what they raise: the first is kept."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader, self._writer = reader, writer
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._kept(self._reader.read, size)
        return piece

    def write(self, piece: bytes) -> int:
        done: int = self._kept(self._writer.write, piece)
        return done

    def flush(self) -> None:
        self._writer.flush()

    def _kept(self, call: Callable[[Any], Any], given: Any) -> Any:
        try:
            return call(given)
        except BaseException as error:
            self.error = self.error or error
            raise


def _passed(work: Callable[[Any, Any, list[Any]], None], reader: Any, writer: Any, keys: list[Any]) -> None:
    """Run a stream through pyrage; what reading, writing or `progress` raised comes out as it was. _Damaged if age
    itself did not go on."""
    ends = _Ends(reader, writer)
    try:
        work(ends, ends, keys)
    except Exception as error:
        if ends.error is not None:
            raise ends.error from None
        if isinstance(error, OSError):
            raise _Damaged(str(error)) from error
        raise
