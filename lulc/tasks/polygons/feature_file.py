"""A file of features that is written in batches of one size, however the features come."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from lulc.tasks.polygons.features import Features

BATCH = 1 << 15
"""Features of a batch."""


class FeatureFile(ABC):
    """A file of features; a context manager, at whose end it is closed, whole or not."""

    def __init__(self) -> None:
        self._held: list[Features] = []
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, features: Features) -> None:
        """Take some; full batches are written."""
        self._held.append(features)
        while sum(map(len, self._held)) >= BATCH:
            whole = Features.joined(self._held)
            self._held = [whole.part(BATCH, len(whole))]
            self._write(whole.part(0, BATCH))

    def finish(self, nothing: Features) -> None:
        """Write what is left; `nothing` has the columns of a file without features."""
        if any(map(len, self._held)) or not self._begun:
            self._write(Features.joined([*self._held, nothing]))
        self.complete()

    def _write(self, batch: Features) -> None:
        self.append(batch, first=not self._begun)
        self._begun = True

    @abstractmethod
    def append(self, batch: Features, *, first: bool) -> None:
        """Write a batch; the first one makes the file."""

    @abstractmethod
    def complete(self) -> None:
        """Write what belongs to the whole file, after the last batch."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""
