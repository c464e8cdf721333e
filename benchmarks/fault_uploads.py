"""Slow bodies, slow heads and cut bodies to `lulc serve`, while others ask for the page."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from fault_inputs import Inputs, Row

from tests.support.running import BOUNDARY, Served, Watch, form, heard, request_head, serving

_BODY_LIMIT_S, _HEAD_LIMIT_S, _SLACK_S = 20.0, 15.0, 5.0
"""Documented: an upload slower than 16 kB/s after 20 s, and a head after 15 s, are sent away."""

_LONGEST_S = 40.0
_SLOWEST_PAGE_S = 1.0
_SLOTS = 4
"""Uploads that are received at once; more are refused with 429."""


def slow_uploads(inputs: Inputs, trials: int, _chance: random.Random) -> Iterator[Row]:
    """A row for each way to be slow, with so many senders at once."""
    base = inputs.folder / "uploads"
    base.mkdir()
    ways: dict[str, tuple[Callable[[Served, bytes], str], float, int]] = {
        "a body of 1 byte a second": (_trickled, _BODY_LIMIT_S, _SLOTS),
        "more such bodies than are received": (_trickled, _BODY_LIMIT_S, 10 * trials),
        "a head of 1 byte a second": (_slow_head, _HEAD_LIMIT_S, 10 * trials),
        "a body cut in the middle": (_cut, _BODY_LIMIT_S, 10 * trials),
    }
    scene = form((inputs.folder / "scene.tif").read_bytes(), "scene.tif")
    with serving(base / "work", "--model", str(inputs.folder / "bundle"), "--device", "cpu") as server:
        for case, (way, limit, count) in ways.items():
            yield _row(server, base / "work", case, lambda way=way: way(server, scene), limit, count)


def _row(server: Served, work: Path, case: str, send: Callable[[], str], limit: float, count: int) -> Row:
    """All senders at once, the page watched; then what is left on the disk."""
    row, ended = Row("uploads", f"{case}, {count} at once"), list[tuple[str, float]]()
    with Watch(server) as watch:
        threads = [threading.Thread(target=lambda: ended.append(_timed(send))) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    time.sleep(0.5)
    left = sum(path.stat().st_size for path in work.rglob("*") if path.is_file() and path.name != "lock")
    for said, seconds in ended:
        held = seconds < limit + _SLACK_S and watch.slowest_s < _SLOWEST_PAGE_S and not left
        row.count(held=held, seen=said if seconds < limit + _SLACK_S else f"{said} after {seconds:.0f} s")
    row.note = f"page answered in at most {watch.slowest_s:.2f} s, senders gone after {max(s for _, s in ended):.1f} s, {left} bytes left"
    return row


def _timed(send: Callable[[], str]) -> tuple[str, float]:
    start = time.monotonic()
    said = send()
    return said, time.monotonic() - start


def _trickled(server: Served, body: bytes) -> str:
    """Send a body byte by byte; what the server says."""
    about = {"Content-Length": str(len(body)), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return _slowly(server, request_head("/classify", "POST", server.host, headers=about) + body[:200], body[200:])


def _slow_head(server: Served, _body: bytes) -> str:
    """Send a head byte by byte."""
    return _slowly(server, b"", request_head("/about", "GET", server.host, headers={"X-Long": "x" * 200}))


def _slowly(server: Served, first: bytes, rest: bytes) -> str:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        with suppress(OSError):
            connection.sendall(first)
            connection.settimeout(1)
            for place in range(len(rest)):
                connection.sendall(rest[place : place + 1])
                with suppress(TimeoutError):
                    if not connection.recv(1, socket.MSG_PEEK):
                        return "closed"
                    break
                if time.monotonic() - start > _LONGEST_S:
                    return "still open"
        connection.settimeout(_LONGEST_S)
        with suppress(OSError):
            return f"status {heard(connection).status}"
    return "closed"


def _cut(server: Served, body: bytes) -> str:
    """Send half of a body, and go."""
    about = {"Content-Length": str(len(body)), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with socket.create_connection(("127.0.0.1", server.port)) as connection, suppress(OSError):
        connection.sendall(request_head("/classify", "POST", server.host, headers=about) + body[: len(body) // 2])
    return "gone"
