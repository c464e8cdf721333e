"""Threads: results in the order of items, work that has the same thread each time, and one call that can be abandoned."""

import os
import resource
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 2
"""Default number of threads of `in_order`."""

_POLL_S = 0.1

MOST_THREADS = 8
"""Most threads of a process that decode. A chunk of a scene has about twice as many blocks that the one before did not have."""

_threads: list[ThreadPoolExecutor] = []
_growing = threading.Lock()
os.register_at_fork(after_in_child=_threads.clear)


def usable_cores() -> int:
    """Number of cores this process may use; a limit set by Slurm or a container counts."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_files() -> int:
    """Number of files this process may hold open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], readers: int = READERS
) -> Generator[Result, None, None]:
    """Apply a function to items in threads, at most `readers` items ahead, and yield results in the order of the items.

    Args:
        function: Called in a thread; what it raises is raised here, in order.
        items: What it is applied to.
        readers: Number of threads.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="lulc-read") as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > readers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def abandoned_when(check_stop: Callable[[], None], function: Callable[[], Result]) -> Result:
    """Result of a function that waits for something outside. The wait is abandoned as soon as `check_stop` raises.

    Args:
        check_stop: Called ten times a second; raises to abandon the wait.
        function: Runs in a daemon thread. It must leave nothing half done when the process ends meanwhile.

    Raises:
        Exception: What `check_stop` or the function raises.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=work, name="lulc-wait", daemon=True).start()
    while not future.done():
        check_stop()
        wait([future], timeout=_POLL_S)
    return future.result()


class PlacedThreads:
    """Threads that read a scene; those of all scenes of a process are the same few.

    What lies at one place is always read by the same thread: its handle has the blocks that two windows share in GDAL's cache, so
    every block is decoded once for any number of threads.

    Args:
        count: Number of threads, at most `MOST_THREADS`. With 1 the calling thread reads.

    Attributes:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, min(count, MOST_THREADS))
        self._thread_of: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def run(self, places: Sequence[Hashable], tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Results of tasks, in order. When it returns or raises, none of them is running.

        Args:
            places: For each task, what it reads: tasks of equal places run in the same thread, also in later calls.
            tasks: What to run.

        Raises:
            Exception: What the first task that fails raises, in order. Tasks after it may not have run.
        """
        if self.count == 1 or len(tasks) == 1:
            return [task() for task in tasks]
        numbers = self._assigned(places)
        futures = [_thread(number).submit(task) for number, task in zip(numbers, tasks, strict=True)]
        try:
            return [future.result() for future in futures]
        finally:
            _end(futures)

    def _assigned(self, places: Sequence[Hashable]) -> list[int]:
        """The thread of each place; a new place gets the one with least to do."""
        with self._lock:
            load = Counter(dict.fromkeys(range(self.count), 0))
            load.update(self._thread_of[place] for place in places if place in self._thread_of)
            for place in places:
                if place not in self._thread_of:
                    number = min(range(self.count), key=load.__getitem__)
                    self._thread_of[place] = number
                    load[number] += 1
            return [self._thread_of[place] for place in places]


def _thread(number: int) -> ThreadPoolExecutor:
    """The thread of a number, which this process starts when it is first wanted."""
    with _growing:
        while len(_threads) <= number:
            _threads.append(ThreadPoolExecutor(1, f"lulc-decode-{len(_threads)}"))
        return _threads[number]


def _end(futures: Sequence[Future[Result]]) -> None:
    """Cancel what has not begun, and wait for the rest."""
    for future in futures:
        future.cancel()
    wait(futures)
