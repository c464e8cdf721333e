"""Work in threads: results in the order of the items, or one call that can be abandoned."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 2
"""Default number of threads of `in_order`."""

_POLL_S = 0.1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], readers: int = READERS) -> Iterator[Result]:
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
