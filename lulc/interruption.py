"""Stopping at a good moment when a signal asks for it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lulc.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_ECHO_S = 5.0
"""A scheduler's signal may come twice at once: to all processes of a job, and passed on by the job's script."""


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
    """Turn SIGINT, SIGTERM and SIGUSR1 into a flag; the second one acts as usual. No-op outside the main thread.

    A SIGTERM or SIGUSR1 that repeats the first within some seconds is the same request passed on twice, and is ignored.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    heard: dict[int, float] = {}

    def remember(number: int, _frame: FrameType | None) -> None:
        if number not in heard:
            heard[number] = time.monotonic()
            flag.signal = signal.Signals(number)
        elif number == signal.SIGINT or time.monotonic() - heard[number] > _ECHO_S:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)

    previous = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
