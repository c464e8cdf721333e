"""Servers that the tests speak to."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.support.running import Served, serving


@pytest.fixture(scope="module")
def served(request, tmp_path_factory) -> Iterator[Served]:
    """A server for the tests of a module, which may name its options in `OPTIONS`."""
    work = tmp_path_factory.mktemp("served") / "work"
    with serving(work, *getattr(request.module, "OPTIONS", ())) as running:
        yield running


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """Port of another server on this machine, and what it was asked for."""
    asked: list[str] = []

    class Asked(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode("latin-1"))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()
