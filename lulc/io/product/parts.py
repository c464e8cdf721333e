"""Parts of a product: work folders beside it in which shards keep their chunks until a merge.

OUT.parts/0003.lulc/        chunks of shard 3, a work folder as described in `lulc.io.cog.store`
"""

import logging
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lulc.config import parse_json
from lulc.errors import StorageError
from lulc.grid import Window
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.store import TileStore
from lulc.io.cog.tiles import encode_tile, split_chunk
from lulc.io.cog.work_folder import FolderInUseError, discard_folder
from lulc.io.files.fingerprint import Unchanged, changed_parts
from lulc.io.files.lock import is_locked, refuse_link
from lulc.io.files.storage import storage_errors

_log = logging.getLogger(__name__)

_PART = re.compile(r"\d{4,}\.lulc")
_CHUNK = re.compile(r"chunk-(\d{6,})\.tiles")
_MOST_THREADS = 4
_PATIENCE_S = 3.0


def parts_folder(output: Path) -> Path:
    """Folder of the parts of a product: `out.tif.parts`."""
    return output.with_name(f"{output.name}.parts")


def part_folder(output: Path, shard: int) -> Path:
    """Work folder of one shard of a product: `out.tif.parts/0003.lulc`."""
    return parts_folder(output) / f"{shard:04d}.lulc"


def part_folders(output: Path) -> list[Path]:
    """Work folders of the shards that have begun, in order of their numbers."""
    folder = parts_folder(output)
    return sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name)) if folder.is_dir() else []


class PartWriter:
    """Stores the finished chunks of a shard for a later merge, as `ProductWriter` does for a whole product.

    Args:
        folder: From `part_folder`; created here, with the folder that holds the parts.
        layout: Layout of the whole product, from `product_layout`.
        fingerprint: Fingerprint of the job; chunks of another one are discarded.
        resume: Keep the finished chunks of an earlier run of this shard.
        inputs: As for `ProductWriter`.

    Raises:
        StorageError: Another process works on the shard, or writing failed.
    """

    def __init__(
        self, folder: Path, layout: CogLayout, fingerprint: str, *, resume: bool, inputs: Unchanged | None = None
    ) -> None:
        self.layout = layout
        refuse_link(folder.parent)
        with storage_errors(folder):
            folder.parent.mkdir(exist_ok=True)
        self._store = _opened(folder, layout, fingerprint, resume=resume, inputs=inputs)
        self._pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "compress")

    @property
    def finished(self) -> frozenset[int]:
        """Indices of the stored chunks."""
        return self._store.finished

    def put(self, chunk: int, window: Window, data_byx: NDArray[Any]) -> None:
        """Store a finished chunk; once it returns the chunk survives a kill.

        Args:
            chunk: Index of the chunk, from 0.
            window: Window of the chunk, as for `ProductWriter.put`.
            data_byx: (bands, height, width) of the product's dtype; 255 nodata.

        Raises:
            StorageError: The disk is full or writing failed.
        """
        tiles = split_chunk(self.layout, window, data_byx)
        self._store.put(chunk, list(self._pool.map(lambda tile: encode_tile(self.layout, tile), tiles)))

    def close(self) -> None:
        """Release the folder. A shard without a stored chunk leaves none behind."""
        self._pool.shutdown(cancel_futures=True)
        if self._store.finished:
            self._store.close()
            return
        folder = self._store.folder
        self._store.discard()
        with suppress(OSError):
            folder.parent.rmdir()


def _opened(folder: Path, layout: CogLayout, fingerprint: str, *, resume: bool, inputs: Unchanged | None) -> TileStore:
    """The store of a part. Retry briefly while a killed shard or `lulc hpc status` still holds the lock."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return TileStore(folder, layout, fingerprint, resume=resume, inputs=inputs)
        except FolderInUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass(frozen=True)
class PartState:
    """State of a part, judged by the names of its files.

    Attributes:
        fingerprint: Fingerprint of its job; empty when it has none.
        chunks: Indices of the stored chunks.
        held: True while a process holds its lock.
    """

    fingerprint: str
    chunks: frozenset[int]
    held: bool


def part_state(folder: Path) -> PartState:
    """State of a part, read without changing it; a missing part is empty."""
    try:
        fingerprint = str(parse_json((folder / "job.json").read_bytes())["fingerprint"])
        names = [_CHUNK.fullmatch(path.name) for path in folder.iterdir()]
    except (OSError, ValueError, KeyError):
        return PartState("", frozenset(), is_locked(folder / "lock"))
    return PartState(fingerprint, frozenset(int(name[1]) for name in names if name), is_locked(folder / "lock"))


def warn_of_unused(folder: Path, fingerprint: str) -> None:
    """Warn that chunks of an earlier run are computed again, and why.

    Args:
        folder: Work folder of the output.
        fingerprint: Fingerprint of this run, of `named_fingerprint`.
    """
    earlier = part_state(folder)
    if earlier.chunks and earlier.fingerprint != fingerprint:
        changed = changed_parts(earlier.fingerprint, fingerprint)
        _log.warning(
            "%d finished parts of an earlier run are not used: changed since: %s", len(earlier.chunks), changed
        )


def discard_parts(output: Path) -> None:
    """Remove the parts of a product, except those held by a process, links, and files that are not lulc's."""
    if parts_folder(output).is_symlink():
        return
    for folder in part_folders(output):
        with suppress(StorageError):
            discard_folder(folder)
    with suppress(OSError):
        parts_folder(output).rmdir()
