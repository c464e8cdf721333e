"""A listener on this machine that counts who connects: nobody should."""

import socket
import threading
from contextlib import contextmanager


class Listener:
    """Counts connections and answers each with 404.

    Attributes:
        url: An address that leads to it.
        asked: First bytes of each connection.
    """

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x"
        self.asked = []

    def serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(200))
                connection.sendall(b"HTTP/1.0 404 no\r\n\r\n")

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def listening():
    """A listener at work."""
    listener = Listener()
    thread = threading.Thread(target=listener.serve, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        listener.close()
        thread.join(5)
