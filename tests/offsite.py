"""Other places for backups, with keys as their owners have them: one opens, one signs; the server has neither."""

from __future__ import annotations

import dataclasses
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from marketdata.backups.offsite import Offsite, Trust, sealing
from marketdata.backups.offsite.places import Place
from marketdata.storage.backups import ProgramMissing, Programs


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of the machine that proves and signs, and the public halves that the server has."""

    identity: Path
    signing: Path
    signers: Path
    recipient: str

    @property
    def trust(self) -> Trust:
        return Trust(signers=self.signers)


def keys(folder: Path) -> Keys:
    """New keys in a folder; skips without OpenSSH."""
    try:
        program = Programs().find("ssh-keygen", package="openssh-client")
    except ProgramMissing as error:
        pytest.skip(str(error))
    folder.mkdir(parents=True, exist_ok=True)
    recipient = sealing.new_identity(folder / "opens")
    signing, signers = folder / "signs", folder / "signers"
    subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", signing], check=True)
    public = signing.with_suffix(".pub").read_text().strip()
    signers.write_text(f'vault namespaces="naru-backup" {public}\n')
    return Keys(folder / "opens", signing, signers, recipient)


def to_folder(folder: Path, owned: Keys) -> Offsite:
    """A place in a folder that is there, for copies that only `owned` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    return Offsite(url=str(folder), recipients=(owned.recipient,), signers=owned.signers)


def signed_by(where: Offsite, owned: Keys) -> Offsite:
    """The same place, with a signer that the server can ask."""
    return dataclasses.replace(where, sign_command=sign_command(owned))


def sign_command(owned: Keys) -> tuple[str, ...]:
    """What a signer would run."""
    return ("ssh-keygen", "-Y", "sign", "-q", "-n", "naru-backup", "-f", str(owned.signing))


def contents(place: Place, folder: Path) -> dict[str, bytes]:
    """All a place has."""
    found = {}
    for name in place.names():
        place.download(name, folder / "looked-at", progress=lambda step, done=0, total=None: None)
        found[name] = (folder / "looked-at").read_bytes()
    return found
