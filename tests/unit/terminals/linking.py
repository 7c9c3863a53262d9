"""A terminal in a test, and the fake server behind a real socket."""

import socket
import threading

from terminals.connection import Address
from terminals.link import Config, Identity
from tests.unit.terminals.server import FakeServer

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NOWHERE = Address("127.0.0.1", 1)


def config(path, address=NOWHERE, **options):
    return Config(address, Identity("t1", SECRET, "SIMULATOR"), "sim", path / "spool", **options)


def rows(count, first=0):
    return [{"symbol": "A", "time_us": first + number, "price": number, "size": 1} for number in range(count)]


class Server:
    """The fake server behind a real socket of this process. It forgets the connection after `cut_after` bytes, once."""

    def __init__(self, cut_after=None, **fake):
        self.fake, self._cut_after = FakeServer(SECRET, **{"tells_time": True, **fake}), cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._talk(connection)

    def _talk(self, connection):
        connection.sendall(self.fake.challenge())
        heard = 0
        while data := connection.recv(65536):
            heard += len(data)
            if self._cut_after is not None and heard > self._cut_after:
                self._cut_after = None
                return
            answer = self.fake.receive(data)
            if answer:
                connection.sendall(answer)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
