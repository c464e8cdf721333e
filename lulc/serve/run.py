"""Start and end a server: its address, its own folder, and the folders left by killed servers."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lulc.errors import ModelError, StorageError, UsageError
from lulc.io.files.lock import HeldError, take_lock
from lulc.serve.app import create_app
from lulc.serve.refusal import Refusal
from lulc.serve.server import Server
from lulc.serve.settings import Settings

_PREFIX = "lulc-serve-"
_LOCK = "lock"
_CACHE_MB = "64"
_MOST_CONNECTIONS = 512
_LAST_ANSWERS_S = 2


def serve(settings: Settings, ready: Callable[[str], None] = lambda _address: None, parent: Path | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        settings: Settings of the server.
        ready: Called with the address once the page can be opened.
        parent: Parent of the server's own folder, which is removed at the end; None is the folder for temporary files.

    Raises:
        UsageError: The address cannot be used.
        InputError: A given map or scene cannot be used.
        ModelError: A model is refused.
        StorageError: The server's own folder cannot be made.
    """
    os.environ.setdefault("GDAL_CACHEMAX", _CACHE_MB)  # the share of memory that GDAL takes otherwise is a machine's
    with _own_folder(parent) as folder:
        server = Server(settings, folder)
        with _listening(settings.host, settings.port) as connection, _ended_by_signals():
            address = _address(settings.host, connection.getsockname()[1])
            asyncio.run(_serve(server, connection, lambda: ready(address)))


async def _serve(server: Server, connection: socket.socket, ready: Callable[[], None]) -> None:
    try:
        await server.start()
        await _WebServer(server, ready).serve(sockets=[connection])
    except Refusal as refusal:
        raise ModelError(refusal.problem, refusal.remedy) from refusal
    finally:
        await server.stop()


HEAD_S = 15.0
"""Longest time for the head of a request to arrive, seconds."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with a time limit for the head of a request."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop the timer while a request is handled, else keep it running."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        super().connection_lost(exc)
        self._rest()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()
        elif self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(HEAD_S, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _WebServer(uvicorn.Server):
    """A web server that reports when it is ready, and ends event streams when it shuts down."""

    def __init__(self, server: Server, ready: Callable[[], None]) -> None:
        level = logging.getLogger().getEffectiveLevel()
        config = uvicorn.Config(
            create_app(server),
            http=ImpatientProtocol,
            log_level=max(level, logging.INFO),
            access_log=level <= logging.INFO,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
            server_header=False,
            ws="none",
            lifespan="off",  # `_serve` starts and stops the server: uvicorn would print the traceback of a refusal
        )
        super().__init__(config)
        self._jobs, self._ready = server.jobs, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then report that the server is ready."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, which would not end by themselves, then shut down as uvicorn does."""
        await self._jobs.dismiss()
        await super().shutdown(sockets)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the block normally."""

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _own_folder(parent: Path | None) -> Iterator[Path]:
    """A fresh folder that only this user may read. Folders of servers that no longer run are removed first."""
    where = Path(tempfile.gettempdir()) if parent is None else parent
    try:
        where.mkdir(parents=True, exist_ok=True)
        _remove_orphans(where)
        folder, lock = _locked_folder(where)
    except OSError as error:
        raise StorageError(
            f"no folder can be made in {where}: {error.strerror}", "choose one with --work-dir"
        ) from error
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(where: Path) -> tuple[Path, int]:
    """A fresh folder, and the handle that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
        with suppress(FileNotFoundError, HeldError):  # a server that starts took it for an orphan before it was locked
            return folder, take_lock(folder / _LOCK)


def _remove_orphans(where: Path) -> None:
    for folder in where.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not (folder / _LOCK).exists():
            continue
        with suppress(OSError, StorageError):
            lock = take_lock(folder / _LOCK)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        connection = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host} is no address: {error.strerror}", "use 127.0.0.1") from error
    with connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            connection.bind(address)
            connection.listen()  # at once: until somebody listens, Linux lets another bind to the same port
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port} of {host}: {error.strerror}", "choose another --port, 0 takes a free one"
            ) from error
        yield connection


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{shown}:{port}/"
