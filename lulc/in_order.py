"""Work done in threads: ahead, with its results in order, or alone, so that it can be left to itself."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 2
"""Threads unless it is said otherwise."""

_LOOK_S = 0.1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], readers: int = READERS) -> Iterator[Result]:
    """Results of a function in the order of its items, computed in threads at most `readers` items ahead."""
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


def abandoned_when(look: Callable[[], None], function: Callable[[], Result]) -> Result:
    """Result of a function that waits for something outside; it is left to itself as soon as `look` raises.

    Args:
        look: Called ten times a second; raises to give up.
        function: Must leave nothing half done behind when the process ends meanwhile.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=work, name="lulc-wait", daemon=True).start()
    while not future.done():
        look()
        wait([future], timeout=_LOOK_S)
    return future.result()
