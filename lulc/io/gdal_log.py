"""GDAL errors that rasterio only writes to its log become errors.

GDAL reports some failures (a damaged block among them) and goes on; rasterio logs these records at INFO, where nobody
looks, and hands out an array of zeros. While `gdal_errors()` is active, the calling thread collects them.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("rasterio._err", "rasterio._env", "rasterio._io", "rasterio._base", "rasterio._warp")
_SIGN = "GDAL signalled an error"


class _Collector(logging.Filter):
    """Keeps GDAL's errors for the thread that asked; lets through what the user's own settings let through."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        collected: list[str] | None = getattr(self.here, "collected", None)
        if collected is not None:
            message = record.getMessage()
            if record.levelno >= logging.ERROR or message.startswith(_SIGN):
                collected.append(message.partition("msg=")[2].strip("\"'`") or message)
                return False
        parent = logging.getLogger("rasterio").getEffectiveLevel()
        return record.levelno >= parent


_COLLECTOR = _Collector()
_INSTALLED = threading.Event()


@contextmanager
def gdal_errors() -> Iterator[list[str]]:
    """Messages that GDAL signals in this thread while the block runs."""
    _install()
    before = getattr(_COLLECTOR.here, "collected", None)
    collected: list[str] = []
    _COLLECTOR.here.collected = collected
    try:
        yield collected
    finally:
        _COLLECTOR.here.collected = before


def _install() -> None:
    if _INSTALLED.is_set():
        return
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(min(logging.INFO, logger.level or logging.INFO))
        logger.addFilter(_COLLECTOR)
    _INSTALLED.set()
