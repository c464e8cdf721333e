"""One run of a command: its progress, and whether a signal has asked it to stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lulc.errors import Interrupted

Progress = Callable[[int, int], None]
"""Called as a run advances, with the pixels done and the pixels in all."""

StepProgress = Callable[[int, int, float | None], None]
"""Called after each training step, with the steps done, the steps in all, and the loss; None until it is measured."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_ECHO_S = 5.0
"""Seconds. A scheduler's signal may arrive twice: sent to all processes of a job, and passed on by the job's script."""

_CONTINUE = "finished parts are kept; run the same command again to continue"


_active: list["Run"] = []
"""Runs of the main thread, the outermost first: what asks one to stop asks all of them."""


def silent(_done: int, _total: int, _loss: float | None = None) -> None:
    """A progress callback that reports nothing."""


class Run:
    """Progress of a run and its stop flag, which is checked between two pieces of work.

    Args:
        progress: Called by `tick` with the pixels done and in all.
        remedy: Second half of the message of an interruption: what was kept, and how to continue.
    """

    def __init__(self, progress: Progress = silent, remedy: str = _CONTINUE) -> None:
        self.signal: signal.Signals | None = None
        self._progress, self._remedy = progress, remedy

    def tick(self, done: int, total: int) -> None:
        """Report progress and check the stop flag; call it once finished work is stored.

        Raises:
            Interrupted: A signal has arrived since the start of the run.
        """
        self._progress(done, total)
        self.check()

    def check(self) -> None:
        """Raise if a signal has asked the run to stop.

        Raises:
            Interrupted: A signal has arrived since the start of the run.
        """
        if self.signal is not None:
            raise Interrupted(f"stopped by {self.signal.name}", self._remedy)


@contextmanager
def running(progress: Progress = silent, remedy: str = _CONTINUE) -> Iterator[Run]:
    """A run that SIGINT, SIGTERM or SIGUSR1 asks to stop; a second signal acts as usual.

    A run within a run asks the outer one to stop too. Outside the main thread signals are left alone. A SIGTERM or SIGUSR1 repeated within five seconds counts as the same
    request and is ignored.

    Args:
        progress: Called with the pixels done and in all.
        remedy: As for `Run`.
    """
    run = Run(progress, remedy)
    if threading.current_thread() is not threading.main_thread():
        yield run
        return

    arrived_s: dict[int, float] = {}

    def remember(number: int, _frame: FrameType | None) -> None:
        if number not in arrived_s:
            arrived_s[number] = time.monotonic()
            for each in _active:
                each.signal = signal.Signals(number)
        elif number == signal.SIGINT or time.monotonic() - arrived_s[number] > _ECHO_S:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)

    _active.append(run)
    previous = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield run
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _active.remove(run)
