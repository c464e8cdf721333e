"""Starting and ending: the address, the folder of a server's own, and what is left of servers that were killed."""

import fcntl
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
from typing import Any

import uvicorn

from lulc.errors import LulcError, ModelError, StorageError, UsageError
from lulc.serve.app import create_app
from lulc.serve.connections import ImpatientProtocol
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
        settings: How.
        ready: Told the address when the page answers.
        parent: Where the server's own folder is made; None is the folder for temporary files. It is removed at the end.

    Raises:
        UsageError: The address cannot be used.
        InputError: A map that was named is none.
        LulcError: A model is refused.
    """
    os.environ.setdefault("GDAL_CACHEMAX", _CACHE_MB)  # the share of memory that GDAL takes otherwise is a machine's
    with _own_folder(parent) as folder:
        server = Server(settings, folder)
        with _listening(settings.host, settings.port) as connection:
            address = _address(settings.host, connection.getsockname()[1])
            _run(_Told(server, lambda: ready(address)), connection)


class _Told(uvicorn.Server):
    """A web server that says when it is ready, and keeps why it could not start."""

    def __init__(self, server: Server, ready: Callable[[], None]) -> None:
        self.refused: Refusal | None = None
        app = create_app(server)
        config = uvicorn.Config(
            self._keeping(app),
            http=ImpatientProtocol,
            log_level=max(logging.getLogger().getEffectiveLevel(), logging.INFO),
            access_log=logging.getLogger().isEnabledFor(logging.INFO),
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
            server_header=False,
            ws="none",
            lifespan="on",
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    def _keeping(self, app: Any) -> Any:  # noqa: ANN401 - an ASGI application
        async def kept(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
            try:
                await app(scope, receive, send)
            except Refusal as refusal:
                if scope["type"] == "lifespan":
                    self.refused = refusal
                raise

        return kept


def _run(server: _Told, connection: socket.socket) -> None:
    former = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, _ended),  # uvicorn raises it again when all is closed
        signal.SIGHUP: signal.signal(signal.SIGHUP, _end),  # the terminal was closed
    }
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[connection])
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if server.refused is not None:
        raise ModelError(server.refused.problem, server.refused.remedy)
    if not server.started:
        raise LulcError("the server did not start", "its log says why")


def _ended(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM is a way to end a server, not a failure of it."""


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


@contextmanager
def _own_folder(parent: Path | None) -> Iterator[Path]:
    """A fresh folder that only this user may look into; those of servers that are no more are removed first."""
    where = Path(tempfile.gettempdir()) if parent is None else parent
    try:
        _remove_orphans(where)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise StorageError(
            f"no folder can be made in {where}: {error.strerror}", "choose one with --work-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(where: Path) -> None:
    for folder in where.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


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
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port} of {host}: {error.strerror}", "choose another --port, 0 takes a free one"
            ) from error
        yield connection


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{shown}:{port}/"
