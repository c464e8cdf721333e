"""One run of a command: how far it is, and whether a signal has asked it to stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lulc.errors import Interrupted

Progress = Callable[[int, int], None]
"""Called with (pixels done, pixels in all) as a run advances."""

StepProgress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, loss) after each step of a training."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_ECHO_S = 5.0
"""A scheduler's signal may come twice at once: to all processes of a job, and passed on by the job's script."""

_CONTINUE = "finished parts are kept; run the same command again to continue"


def silent(_done: int, _total: int, _loss: float = 0.0) -> None:
    """Report no progress."""


class Run:
    """Progress of a run, and its stop flag, which is looked at between two pieces of work.

    Args:
        progress: Called by `tick`.
        remedy: What the user can do after an interruption, and what was kept.
    """

    def __init__(self, progress: Progress = silent, remedy: str = _CONTINUE) -> None:
        self.signal: signal.Signals | None = None
        self._progress, self._remedy = progress, remedy

    def tick(self, done: int, total: int) -> None:
        """Report progress, at a moment when what is finished has been stored.

        Raises:
            Interrupted: A signal has arrived since the start.
        """
        self._progress(done, total)
        self.check()

    def check(self) -> None:
        """Stop here if a signal has arrived since the start.

        Raises:
            Interrupted: One has.
        """
        if self.signal is not None:
            raise Interrupted(f"stopped by {self.signal.name}", self._remedy)


@contextmanager
def running(progress: Progress = silent, remedy: str = _CONTINUE) -> Iterator[Run]:
    """A run that SIGINT, SIGTERM and SIGUSR1 ask to stop; the second signal acts as usual.

    Outside the main thread signals are left alone. A SIGTERM or SIGUSR1 that repeats the first within some seconds is the
    same request passed on twice, and is ignored.

    Args:
        progress: Called as the run advances.
        remedy: As for `Run`.
    """
    run = Run(progress, remedy)
    if threading.current_thread() is not threading.main_thread():
        yield run
        return

    heard: dict[int, float] = {}

    def remember(number: int, _frame: FrameType | None) -> None:
        if number not in heard:
            heard[number] = time.monotonic()
            run.signal = signal.Signals(number)
        elif number == signal.SIGINT or time.monotonic() - heard[number] > _ECHO_S:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)

    previous = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield run
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
