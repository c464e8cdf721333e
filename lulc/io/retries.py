"""A read that fails is tried again on a fresh handle before it is called a failure."""

import logging
import time
from collections.abc import Callable
from typing import Any

from lulc.errors import StorageError
from lulc.grid import Window

_log = logging.getLogger(__name__)

RETRIES = 3
_PAUSE_S = 0.05


class ReadFailedError(Exception):
    """One attempt to read failed; the message is the library's own."""


def read_patiently(attempt: Callable[[], Any], reopen: Callable[[], None], what: str) -> Any:  # noqa: ANN401
    """Run `attempt`; on failure reopen and try again, three times, with a logged warning each.

    Args:
        attempt: Raises ReadFailedError.
        reopen: Drops the handle that failed.
        what: What is read, for the message: band, file and window.

    Raises:
        StorageError: Every attempt failed.
    """
    for number in range(1, RETRIES + 2):
        try:
            return attempt()
        except ReadFailedError as error:
            if number > RETRIES:
                raise StorageError(f"cannot read {what}: {error}", "the file is damaged: fetch it again") from error
            _log.warning("reading %s failed (%s); trying again, %d of %d", what, error, number, RETRIES)
            reopen()
            time.sleep(_PAUSE_S * number)
    raise AssertionError


def describe_window(window: Window) -> str:
    """A window in words, counted from 0."""
    return f"rows {window.row} to {window.row_end - 1}, columns {window.col} to {window.col_end - 1}"
