"""A second Ctrl-C ends the process, also while a library waits for a server and lets no Python run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_GRACE_S = 1.0
_EXIT_CODE = 130


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside it, a second SIGINT ends the process with code 130 unless it has left within a second.

    Python's own handlers wait until the main thread is back from C; the byte that a signal leaves in a pipe is read by
    another thread. No-op outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    left = threading.Event()
    former = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(receiver, left), name="lulc-interrupt", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(former)
        os.close(sender)
        watcher.join()
        os.close(receiver)


def _watch(receiver: int, left: threading.Event) -> None:
    heard = 0
    while heard <= 1:
        numbers = os.read(receiver, 1)
        if not numbers:
            return
        heard += numbers[0] == signal.SIGINT
    if not left.wait(_GRACE_S):
        os.write(2, b"lulc: stopped at once\n")
        os._exit(_EXIT_CODE)
