"""What a Redis by TLS that has a user for each purpose needs: a certificate and docker/redis/users.acl."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USERS = Path(__file__).resolve().parents[2] / "docker/redis/users.acl"
_DAY = datetime.timedelta(days=1)


class Secured:
    """The files, in a folder; servers on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authority, self.certificate, self.key = (folder / f"{name}.pem" for name in ("ca", "server", "key"))
        self.users = folder / "users.acl"
        self._certify()
        self.users.write_text(
            re.sub(r"SHA256_OF_(\w+)", lambda found: _sha256(password_of(_user(found[1]))), USERS.read_text()),
            encoding="utf-8",
        )

    def options(self, port: int) -> dict[str, str]:
        """Settings of a server or a Sentinel that listens by TLS alone."""
        return {
            "port": "0", "tls-port": str(port), "tls-replication": "yes", "tls-auth-clients": "no",
            "tls-cert-file": str(self.certificate), "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.authority),
        }  # fmt: skip

    def client(self) -> dict[str, Any]:
        """What redis-py is told to trust them."""
        return {"ssl": True, "ssl_ca_certs": str(self.authority)}

    def login(self, user: str) -> dict[str, str]:
        """User and password as redis-py takes them."""
        return {"username": user, "password": password_of(user)}

    def _certify(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        ours, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "naru tests")])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
        root = x509.CertificateBuilder(issuer, issuer, ours.public_key(), 1, now - _DAY, now + _DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        server = x509.CertificateBuilder(issuer, subject, theirs.public_key(), 2, now - _DAY, now + _DAY).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        pem, nobody = serialization.Encoding.PEM, serialization.NoEncryption()
        self.authority.write_bytes(root.sign(ours, hashes.SHA256()).public_bytes(pem))
        self.certificate.write_bytes(server.sign(ours, hashes.SHA256()).public_bytes(pem))
        self.key.touch(mode=0o600)
        self.key.write_bytes(theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, nobody))


def password_of(user: str) -> str:
    """Of a user of the tests, with what a URL has to be quoted for."""
    return f"only/for:{user}"


def login_of(user: str) -> str:
    """`user:password` as in a URL."""
    return f"{user}:{quote(password_of(user), safe='')}"


def _user(marked: str) -> str:
    return marked.lower().replace("_", "-")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
