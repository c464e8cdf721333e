"""Work done ahead in threads, and its results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 2
"""Threads unless it is said otherwise."""


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
