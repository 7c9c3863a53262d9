"""Signatures of manifests as OpenSSH makes and checks them (`ssh-keygen -Y`): with a key in a file, an agent, a token
of hardware or on another machine. Naru never has the private key; it asks whoever has it, or waits for a person."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from marketdata.backups.container import Tampered
from marketdata.storage.backups import BackupError, BackupUnavailable
from marketdata.storage.programs import Programs

NAMESPACE = "naru-backup"
SUFFIX = ".sig"
WAIT_S = 120.0
MOST = 64 << 10
HEAD = b"-----BEGIN SSH SIGNATURE-----"


class Unsigned(BackupError):
    """A copy has no signature, or none by anybody who is trusted."""


def sign(content: bytes, command: Sequence[str]) -> bytes:
    """The signature that a command prints for what it is given on its standard input. BackupUnavailable if it makes
    none within WAIT_S."""
    try:
        done = subprocess.run(list(command), input=content, capture_output=True, timeout=WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupUnavailable(
            _("BACKUP_SIGN_COMMAND ({program}) made no signature: {reason}"),
            program=command[0],
            reason=type(error).__name__,
        ) from error
    if done.returncode or not done.stdout.startswith(HEAD) or len(done.stdout) > MOST:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BackupUnavailable(
            _("BACKUP_SIGN_COMMAND ({program}) made no signature: {reason}"),
            program=command[0],
            reason=" | ".join(said[-3:])[:300] or f"status {done.returncode}",
        )
    return done.stdout


def with_key(key: Path) -> list[str]:
    """The command that signs with a key on this machine, or the one of an agent or a token that its public half names.
    ProgramMissing without OpenSSH."""
    return [_program(), "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)]


def verify(content: bytes, signature: bytes, signers: Path) -> str:
    """Who signed `content`, by OpenSSH's list of allowed signers. Unsigned if it is nobody of the list, Tampered if the
    signature is another content's, BackupError if the list cannot be read."""
    if not signers.is_file():
        raise BackupError(_("{file} is not there: BACKUP_SIGNERS_FILE lists who may sign"), file=signers)
    with tempfile.NamedTemporaryFile(prefix="naru-sig-") as file:
        file.write(signature)
        file.flush()
        found = _ask("find-principals", "-f", str(signers), "-s", file.name)
        names = found.stdout.decode(errors="replace").split()
        if found.returncode or not names:
            raise Unsigned(_("the signature is by nobody of {signers}, or is none"), signers=signers)
        who = names[0].split(",")[0]
        checked = _ask("verify", "-f", str(signers), "-I", who, "-n", NAMESPACE, "-s", file.name, content=content)
    if checked.returncode:
        words = (checked.stderr or checked.stdout).decode(errors="replace").strip().splitlines()
        raise Tampered(_("the signature does not fit: {reason}"), reason=(words or ["?"])[0][:200])
    return who


def _ask(what: str, *given: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [_program(), "-Y", what, *given], input=content, capture_output=True, timeout=WAIT_S, check=False
    )


def _program() -> str:
    return str(Programs().find("ssh-keygen", package="openssh-client"))
