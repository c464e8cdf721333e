"""Run reading, inference and writing at the same time, some chunks each, in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Data = TypeVar("Data")
Result = TypeVar("Result")


@dataclass
class StageTimes:
    """Wall seconds of each stage, and CPU seconds of its own thread.

    Attributes:
        start_up_s: Wall seconds from the creation of this object until the run began.
        start_up_cpu_s: CPU seconds that the process had spent by then, imports included.
        began: Creation of this object, by `time.perf_counter`, seconds.
        wall_s: Wall seconds by stage.
        cpu_s: CPU seconds by stage.
        waited_s: Seconds that the inference waited, by stage.
    """

    start_up_s: float = 0.0
    start_up_cpu_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    waited_s: dict[str, float] = field(default_factory=dict)

    def ready(self) -> None:
        """Record the end of start-up: imports, model and plan are done."""
        self.start_up_s = time.perf_counter() - self.began
        self.start_up_cpu_s = time.process_time()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the wall and CPU seconds of the enclosed block to a stage."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - wall, time.thread_time() - cpu)

    def add(self, stage: str, wall_s: float, cpu_s: float) -> None:
        """Add wall and CPU seconds to a stage."""
        self.wall_s[stage] = self.wall_s.get(stage, 0.0) + wall_s
        self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + cpu_s

    @contextmanager
    def wait(self, stage: str) -> Iterator[None]:
        """Add the seconds of the enclosed block to the time that the inference waited for a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.waited_s[stage] = self.waited_s.get(stage, 0.0) + time.perf_counter() - start

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage: wall seconds worked, CPU seconds of its thread, seconds the inference waited for it."""
        return {
            stage: {
                "wall_s": round(wall, 3),
                "cpu_s": round(self.cpu_s[stage], 3),
                "waited_s": round(self.waited_s.get(stage, 0.0), 3),
            }
            for stage, wall in self.wall_s.items()
            if stage != "total"
        }

    @property
    def bound(self) -> str:
        """Name of the stage that bounded the run."""
        candidates = {"infer": self.wall_s.get("infer", 0.0), **self.waited_s}
        return max(candidates, key=lambda stage: candidates[stage])


@dataclass(frozen=True)
class Stages(Generic[Item, Data, Result]):
    """A pipeline over items: while some are inferred, the next is read and the last one written.

    Reading and writing have one thread each, so reads and writes stay in order. An error in any stage is raised in the
    calling thread, in order.

    Attributes:
        read: Reads an item.
        infer: Begins the inference of an item, and gives what waits for its result.
        write: Writes a result.
        times: Collects the times of the stages.
        in_flight: Items that have begun while an earlier one is waited for.
    """

    read: Callable[[Item], Data]
    infer: Callable[[Item, Data], Callable[[], Result]]
    write: Callable[[Item, Result], None]
    times: StageTimes
    in_flight: int = 0

    def run(self, items: Iterable[Item]) -> Iterator[Item]:
        """Process items in order; each is yielded once its writing has been handed over.

        Raises:
            Exception: What a stage raises, in the order of the items.
        """
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
            written: Future[None] | None = None
            try:
                for item, pending in self._begun(self._read_ahead(reader, items)):
                    with self.times.measure("infer"):
                        result = pending()
                    if written is not None:
                        with self.times.wait("write"):
                            written.result()
                    written = writer.submit(self._timed_write, item, result)
                    yield item
            finally:
                if written is not None:
                    written.result()

    def _begun(self, read: Iterable[tuple[Item, Future[Data]]]) -> Iterator[tuple[Item, Callable[[], Result]]]:
        """Items whose inference has begun, each given once enough of those behind it have begun too."""
        flying: deque[tuple[Item, Callable[[], Result]]] = deque()
        for item, pending in read:
            with self.times.wait("read"):
                data = pending.result()
            with self.times.measure("infer"):
                flying.append((item, self.infer(item, data)))
            del data  # its inference holds it as long as it needs it
            if len(flying) > self.in_flight:
                yield flying.popleft()
        yield from flying

    def _read_ahead(self, reader: ThreadPoolExecutor, items: Iterable[Item]) -> Iterator[tuple[Item, Future[Data]]]:
        waiting: tuple[Item, Future[Data]] | None = None
        for item in items:
            following = item, reader.submit(self._timed_read, item)
            if waiting is not None:
                yield waiting
            waiting = following
        if waiting is not None:
            yield waiting

    def _timed_read(self, item: Item) -> Data:
        with self.times.measure("read"):
            return self.read(item)

    def _timed_write(self, item: Item, result: Result) -> None:
        with self.times.measure("write"):
            self.write(item, result)
