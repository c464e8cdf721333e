"""GDAL errors that rasterio only logs become failures: a read error is never zeros."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rasterio.env import env_ctx_if_needed

_log = logging.getLogger(__name__)
_LOGGERS = [logging.getLogger(name) for name in ("rasterio._env", "rasterio._err")]
_SIGNALLED = "GDAL signalled an error"
_TRIED_AGAIN = "Retrying again in"
"""How GDAL tells of an HTTP request that it is about to repeat; what comes of it is told separately."""

_OF_THE_HEADER = ("TIFFReadDirectory", "TIFFFetchNormalTag")
"""Warnings of libtiff about a tag that it corrects or passes over, as many programs write it: pixels are whole."""

_LOST = "IO error during reading"
"""How libtiff tells of a tag that lies beyond the end of the file, or where the disk fails."""


class _Catcher(logging.Filter):
    """Keeps the errors of each thread; lets through what the logger would have let through without it."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0
        self._lock = threading.Lock()
        self._levels = [logging.NOTSET for _ in _LOGGERS]
        self._own = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        caught: list[str] | None = getattr(self._own, "caught", None)
        if _TRIED_AGAIN in record.getMessage():
            return False
        if caught is not None and _is_warning_of_header(record) and not self._counts(record):
            _tell_once(record.getMessage())
            return False
        if caught is not None and (self._counts(record) or record.levelno >= self._own.severity):
            caught.append(record.getMessage())
            return False
        return record.levelno >= logging.WARNING

    def _counts(self, record: logging.LogRecord) -> bool:
        """True for what counts at any severity."""
        return _SIGNALLED in str(record.msg) or (self._own.lost_tags and _LOST in record.getMessage())

    @contextmanager
    def catching(self, severity: int, *, lost_tags: bool) -> Iterator[list[str]]:
        """The errors that GDAL reports in this thread during the block."""
        with self._lock:
            if self._users == 0:
                self._levels = [logger.level for logger in _LOGGERS]
                for logger in _LOGGERS:
                    logger.setLevel(logging.INFO)
                    logger.addFilter(self)
            self._users += 1
        self._own.caught, self._own.severity, self._own.lost_tags = [], severity, lost_tags
        try:
            yield self._own.caught
        finally:
            self._own.caught = None
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for logger, level in zip(_LOGGERS, self._levels, strict=True):
                        logger.removeFilter(self)
                        logger.setLevel(level)


def _is_warning_of_header(record: logging.LogRecord) -> bool:
    return record.levelno == logging.WARNING and any(name in record.getMessage() for name in _OF_THE_HEADER)


@cache
def _tell_once(message: str) -> None:
    """For those who ask for more: every thread opens the file anew, and GDAL repeats itself."""
    _log.info("%s", message)


_CATCHER = _Catcher()


class LoggedGdalError(Exception):
    """GDAL reported an error and rasterio went on."""


@contextmanager
def raise_logged_errors(severity: int = logging.ERROR, *, lost_tags: bool = False) -> Iterator[None]:
    """Raise `LoggedGdalError` at the end of the block if GDAL reported an error in this thread.

    rasterio hears GDAL only inside an `Env` of this thread, so there is one during the block.

    Args:
        severity: Messages from this level on count too; some codecs only warn of damaged blocks.
        lost_tags: A tag that could not be read counts too.
    """
    with _CATCHER.catching(severity, lost_tags=lost_tags) as caught, env_ctx_if_needed():
        yield
    if caught:
        raise LoggedGdalError(caught[0])
