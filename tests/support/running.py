"""A real `lulc serve` process, requests to it over real sockets, and what it takes of the machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

LULC = Path(sys.executable).with_name("lulc")
_START_S, _END_S, _ANSWER_S = 90, 15, 60
_LONGEST_TEXT = 1000
BOUNDARY = "next-part"


@dataclass
class Answer:
    """Status, headers and body; status 0 when the connection ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float = 0.0
    sent: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        return str(self.json["error"]["problem"])


@dataclass
class Served:
    """A server that runs; `pid` of its process, `work` the folder in which it makes its own."""

    process: subprocess.Popen[str]
    port: int
    work: Path
    log: Path
    elsewhere: Path
    seen: set[int] = field(default_factory=set)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        (own,) = self.work.glob("lulc-serve-*")
        return own

    def left_over(self) -> list[str]:
        """Files in the server's own folder beside its lock, and whatever lies outside where it does not belong."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "lock"]
        return [str(path) for path in (*files, *self.elsewhere.rglob("*"))]

    def processes(self) -> set[int]:
        """The server and its children; all of them ever seen are remembered."""
        now = {self.pid} | children_of(self.pid)
        self.seen |= now
        return now

    def memory_bytes(self) -> int:
        """Main memory of all of them; what they share counts once."""
        return sum(map(memory_bytes, self.processes()))

    def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        return self.send(request_head(target, method, self.host, headers=headers))

    def post(self, target: str, body: bytes = b"", content_type: str = "", **headers: str) -> Answer:
        about = {"Content-Length": str(len(body)), **({"Content-Type": content_type} if content_type else {})}
        return self.send(request_head(target, "POST", self.host, headers=about | headers), [body])

    def send(self, head: bytes, body: Iterable[bytes] = (), seconds: float = _ANSWER_S) -> Answer:
        return exchange(self.port, head, body, seconds)

    def classify(self, content: bytes, name: str = "image.tif", **fields: str) -> Answer:
        return self.post("/classify", form(content, name, fields), f"multipart/form-data; boundary={BOUNDARY}")

    def events(self, job: str) -> list[dict[str, Any]]:
        """All states of a job, until the stream ends."""
        text = self.get(f"/jobs/{job}/events").body.decode()
        return [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]

    def wait(self, job: str, states: tuple[str, ...] = ("done", "failed", "cancelled")) -> dict[str, Any]:
        """The state of a job, once it is one of these."""
        until = time.monotonic() + _ANSWER_S
        while (state := self.get(f"/jobs/{job}").json)["state"] not in states:
            assert time.monotonic() < until, state
            time.sleep(0.05)
        return dict(state)

    def remove(self, job: str) -> None:
        """End a job, and forget it."""
        while self.get(f"/jobs/{job}", "DELETE").status == 204:
            pass

    def clear(self) -> None:
        """Remove all jobs, whose folders bear their ids."""
        for path in self.folder.iterdir():
            self.remove(path.name)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.processes()
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        return self.process.wait(_END_S)


@contextmanager
def serving(work: Path, *options: str) -> Iterator[Served]:
    """A server with a folder of its own, on a free port."""
    work.mkdir(parents=True, exist_ok=True)
    log, elsewhere = work.parent / f"{work.name}.log", work.parent / f"{work.name}-elsewhere"
    elsewhere.mkdir(exist_ok=True)
    with log.open("w") as errors:
        process = subprocess.Popen(
            [LULC, "serve", "--port", "0", "--work-dir", work, *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=elsewhere,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    watchdog = threading.Timer(_START_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        found = re.match(r"http://[^:]+:(\d+)/", line)
        assert found, line + log.read_text()
        served = Served(process, int(found[1]), work, log, elsewhere)
        served.processes()
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def request_head(target: str, method: str, host: str, *, headers: dict[str, str]) -> bytes:
    """Request line and headers, as they are given: `_` in a name stands for `-`; nothing is checked or quoted."""
    lines = {"Host": host, "Connection": "close", **{name.replace("_", "-"): text for name, text in headers.items()}}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("utf-8", "surrogateescape")


def in_buffers_bytes() -> int:
    """What the sockets of this machine may hold at most on the way, sent and not yet read, and one piece of 1 MB."""
    most = (Path("/proc/sys/net/ipv4", name).read_text().split()[2] for name in ("tcp_rmem", "tcp_wmem"))
    return sum(int(number) for number in most) + (1 << 20)


def exchange(port: int, head: bytes, body: Iterable[bytes] = (), seconds: float = _ANSWER_S) -> Answer:
    """Send until all is sent or the server wants no more, then hear what it says."""
    started, sent = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
            for piece in body:
                connection.sendall(piece)
                sent += len(piece)
        answer = heard(connection)
    answer.seconds, answer.sent = time.monotonic() - started, sent
    return answer


def heard(connection: socket.socket) -> Answer:
    """What comes until the other side closes."""
    raw = bytearray()
    with suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            raw += piece
    head, _, body = bytes(raw).partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_unchunked(body))
    return Answer(int(first.split()[1]), headers, body)


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A body whose length is not said before."""
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def form(content: bytes, name: str, fields: dict[str, str] | None = None) -> bytes:
    """A form with one file; its name is put there as it is."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field_name}"\r\n\r\n{text}\r\n'.encode()
        for field_name, text in (fields or {}).items()
    ]
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    return b"".join([*parts, start.encode("utf-8", "surrogateescape"), content, f"\r\n--{BOUNDARY}--\r\n".encode()])


def refused(answer: Answer, *statuses: int) -> str:
    """The problem of an answer that has one of these statuses, and says so as it should."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json["error"]) == {"problem", "remedy"}
    check_text(*answer.json["error"].values())
    assert answer.status not in {429, 503} or int(answer.headers["retry-after"]) > 0
    return answer.problem


def check_text(*texts: str) -> None:
    """One line each, short, and nothing of the machine in it."""
    for text in texts:
        assert text.isprintable(), text
        assert len(text) < _LONGEST_TEXT, text
        hidden = (f"{tempfile.gettempdir()}/", "lulc-serve-", "/vsimem", "site-packages", "Traceback", "lulc failed")
        assert not [word for word in hidden if word in text], text


def crowd(served: Served, content: bytes, count: int) -> list[Answer]:
    """Answers to so many uploads of the same file at once, sent by another process."""
    done = subprocess.run(
        [sys.executable, __file__, str(served.port), str(count)], input=content, capture_output=True, check=True
    )
    return [Answer(said[0], said[1], said[2].encode(), said[3]) for said in json.loads(done.stdout)]


def all_at_once(tasks: Iterable[Callable[[], Answer]]) -> list[Answer]:
    """Answers to requests that begin at the same moment, in their order."""
    tasks = list(tasks)
    gate, answers = threading.Barrier(len(tasks)), dict[int, Answer]()

    def run(index: int, task: Callable[[], Answer]) -> None:
        gate.wait()
        answers[index] = task()

    threads = [threading.Thread(target=run, args=numbered) for numbered in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[index] for index in range(len(tasks))]


class Watch:
    """While it lasts: the most memory of a server and its children, the longest that its page took to answer."""

    def __init__(self, served: Served, *, page: bool = True) -> None:
        self._served, self._page, self._over = served, page, threading.Event()
        self.idle_bytes = self.most_bytes = served.memory_bytes()
        self.slowest_s, self.asked = 0.0, 0
        self._thread = threading.Thread(target=self._look)

    @property
    def grown_bytes(self) -> int:
        return self.most_bytes - self.idle_bytes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.most_bytes = max(self.most_bytes, self._served.memory_bytes())
            if self._page:
                page = self._served.get("/about")
                self.slowest_s = max(self.slowest_s, page.seconds if page.status == 200 else float("inf"))
                self.asked += 1


def children_of(pid: int) -> set[int]:
    """Processes below one, and below these."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {pid}


def memory_bytes(pid: int) -> int:
    """Main memory of a process, of shared pages its part; 0 when there is none."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def alive(pids: Iterable[int]) -> set[int]:
    """Those that are still there and no zombies."""
    return {pid for pid in pids if memory_bytes(pid)}


def gone(pids: Iterable[int], seconds: float = 10) -> bool:
    """True when all of them have ended, or do so soon."""
    pids, until = set(pids), time.monotonic() + seconds
    while alive(pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _unchunked(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        yield body[:length]
        body = body[length + 2 :]


if __name__ == "__main__":  # a part of `crowd`
    target_port, body = int(sys.argv[1]), form(sys.stdin.buffer.read(), "crowd.tif")
    about = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body))}
    request = request_head("/classify", "POST", f"127.0.0.1:{target_port}", headers=about)
    heard_all = all_at_once([lambda: exchange(target_port, request, [body])] * int(sys.argv[2]))
    json.dump([(one.status, one.headers, one.body.decode(), one.seconds) for one in heard_all], sys.stdout)
