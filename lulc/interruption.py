"""Stopping at a good moment when a signal asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lulc.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopFlag:
    """Set by a signal, looked at between pieces of work."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def raise_if_set(self) -> None:
        """Raise at a moment when what is finished has been stored.

        Raises:
            Interrupted: A signal has arrived since the start.
        """
        if self.signal is not None:
            raise Interrupted(
                f"stopped by {self.signal.name}", "finished parts are kept; run the same command again to continue"
            )


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Turn SIGINT, SIGTERM and SIGUSR1 into a flag; the second one acts as usual. No-op outside the main thread."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def remember(number: int, _frame: FrameType | None) -> None:
        flag.signal = signal.Signals(number)
        signal.signal(number, previous[flag.signal])

    previous = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
