"""TLS: the certificate is checked, and the proof is bound to it."""

import datetime
import ipaddress
import socket
import ssl
import threading

import pytest

from terminals import session_events, wire
from terminals.connection import Address, CannotConnect, Connection
from terminals.uplink import Uplink
from tests.unit.terminals.server import FakeServer
from tests.unit.terminals.test_session import SECRET, WHO, MemorySpool

x509 = pytest.importorskip("cryptography.x509")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: (certificate file, key file, DER)."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "naru test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(1),
                                now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem", built.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def serve(certificate):
    """Starts a TLS server around a fake one; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0], certificate[1])
    listeners = []

    def start(fake):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            while True:
                try:
                    raw, _peer = listener.accept()
                except OSError:
                    return
                with raw:
                    try:
                        talk(context.wrap_socket(raw, server_side=True))
                    except OSError:
                        continue

        def talk(connection):
            with connection:
                connection.sendall(fake.challenge())
                while data := connection.recv(65536):
                    answer = fake.receive(data)
                    if answer:
                        connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def run_uplink(address, spool):
    """The events of an uplink until everything is committed, or it gives up."""
    events, done = [], threading.Event()

    def on_event(event):
        events.append(event)
        if isinstance(event, session_events.Ended) or spool.committed == spool.durable:
            done.set()

    uplink = Uplink(address, WHO, spool, on_event)
    uplink.start()
    assert done.wait(300)
    uplink.stop()
    return events


def test_batches_go_through_tls_and_the_proof_is_bound_to_the_certificate(certificate, serve):
    fake = FakeServer(SECRET, binding=wire.certificate_binding(certificate[2]))
    spool = MemorySpool(200, rows=500)

    run_uplink(Address("127.0.0.1", serve(fake), tls=True, ca_file=str(certificate[0])), spool)

    assert fake.held == spool.payloads


def test_a_proof_for_another_certificate_is_refused(certificate, serve):
    fake = FakeServer(SECRET, binding="00" * 32)

    events = run_uplink(Address("127.0.0.1", serve(fake), tls=True, ca_file=str(certificate[0])), MemorySpool(1))

    assert [event.code for event in events] == ["not_authorised"]


def test_a_certificate_nobody_vouches_for_is_not_trusted(serve):
    port = serve(FakeServer(SECRET))

    with pytest.raises(CannotConnect, match="not trusted"):
        Connection(Address("127.0.0.1", port, tls=True))


def test_a_certificate_of_another_host_is_not_trusted(certificate, serve):
    port = serve(FakeServer(SECRET))

    with pytest.raises(CannotConnect, match="not trusted"):
        Connection(Address("localhost", port, tls=True, ca_file=str(certificate[0])))
