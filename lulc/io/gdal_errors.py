"""GDAL errors that rasterio only logs become failures: a read error is never zeros."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = logging.getLogger("rasterio._env")
_SIGNALLED = "GDAL signalled an error"


class _Catcher(logging.Filter):
    """Keeps the errors of each thread; lets through what the logger would have let through without it."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0
        self._lock = threading.Lock()
        self._level = logging.NOTSET
        self._own = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        caught: list[str] | None = getattr(self._own, "caught", None)
        if caught is not None and _SIGNALLED in str(record.msg):
            caught.append(record.getMessage())
        return record.levelno >= (self._level or logging.WARNING)

    def begin(self) -> list[str]:
        with self._lock:
            if self._users == 0:
                self._level = _LOGGER.level
                _LOGGER.setLevel(logging.INFO)
                _LOGGER.addFilter(self)
            self._users += 1
        self._own.caught = []
        caught: list[str] = self._own.caught
        return caught

    def end(self) -> None:
        self._own.caught = None
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _LOGGER.removeFilter(self)
                _LOGGER.setLevel(self._level)


_CATCHER = _Catcher()


class LoggedGdalError(Exception):
    """GDAL reported an error and rasterio went on."""


@contextmanager
def raise_logged_errors() -> Iterator[None]:
    """Raise `LoggedGdalError` at the end of the block if GDAL reported an error in this thread."""
    caught = _CATCHER.begin()
    try:
        yield
    finally:
        _CATCHER.end()
    if caught:
        raise LoggedGdalError(caught[0])
