"""The work folder beside the output: finished, compressed tiles, kept so that an interrupted run can resume.

    OUT.parts/0003.lulc/        such a folder of a shard, which keeps its chunks until a merge takes them over
    OUT.lulc/lock               held (flock) by the one process that may write OUT, on whatever machine; says which
    OUT.lulc/job.json           identity of the chunks: the caller's fingerprint and the layout
    OUT.lulc/chunk-000012.tiles the tiles of a finished chunk, with their SHA-256; whole or absent
    OUT.lulc/overviews.tiles    overview tiles of this process; made anew by the next
    OUT.lulc/product.tif        the file being assembled

A chunk of another job, or a damaged one, is discarded and computed again. It is never used.
"""

import hashlib
import json
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lulc.errors import StorageError
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.work_folder import remove_file, remove_own, take_folder
from lulc.io.files.atomic import link_or_copy, sync_folder, write_whole
from lulc.io.files.storage import storage_errors

_MAGIC = b"LULC-TILES-1\n"
_DIGEST = hashlib.sha256().digest_size
_OPEN_FILES = 64


@dataclass(frozen=True)
class EncodedTile:
    """One compressed tile.

    Attributes:
        level: 0 for full resolution.
        row: Tile row.
        col: Tile column.
        checksum: CRC-32 of the pixels inside the level, band after band, before compression.
        parts: Compressed bytes of each band.
    """

    level: int
    row: int
    col: int
    checksum: int
    parts: tuple[bytes, ...]


class TileStore:
    """Finished tiles on disk. Only one process at a time may hold the store of a folder.

    Args:
        folder: Work folder; created here, in an existing folder.
        layout: Geometry and encoding of the product.
        fingerprint: Hash of everything that decides the pixels; chunks stored under another one are discarded.
        resume: False discards all stored chunks.

    Raises:
        StorageError: Another process holds the folder, writing failed, or the folder holds foreign files.
    """

    def __init__(self, folder: Path, layout: CogLayout, fingerprint: str, *, resume: bool = True) -> None:
        self.folder = folder
        self._layout = layout
        self._index = [_LevelIndex(layout, level) for level in layout.levels]
        self._files: list[str] = []
        self._handles: OrderedDict[int, int] = OrderedDict()
        self._reading = threading.Lock()
        self._chunks: dict[int, list[tuple[int, int]]] = {}
        self._overviews: IO[bytes] | None = None
        self._overviews_file = -1
        self._lock: int | None = take_folder(folder)
        try:
            card = json.dumps({"fingerprint": fingerprint, "layout": asdict(layout)}, sort_keys=True)
            self._adopt(card.encode(), resume=resume)
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> frozenset[int]:
        """Indices of the chunks that are stored and need not be computed again."""
        return frozenset(self._chunks)

    @property
    def sizes(self) -> list[NDArray[np.int64]]:
        """Compressed bytes of each tile: per level int64 of shape (bands, tile rows, tile columns), 0 if not stored."""
        return [index.sizes for index in self._index]

    def tiles_of(self, chunk: int) -> Sequence[tuple[int, int]]:
        """Tile rows and columns of the tiles of a stored chunk."""
        return self._chunks[chunk]

    def checksum(self, level: int, row: int, col: int) -> int:
        """CRC-32 of the pixels of a tile that lie inside the level, band after band."""
        return int(self._index[level].checksums[row, col])

    def put(self, chunk: int, tiles: Sequence[EncodedTile]) -> None:
        """Store the full-resolution tiles of a chunk. Once it returns they survive a kill and a power cut.

        Raises:
            StorageError: The disk is full or writing failed; the chunk is not stored.
        """
        path = self.folder / f"chunk-{chunk:06d}.tiles"
        rows = [[tile.row, tile.col, tile.checksum, *map(len, tile.parts)] for tile in tiles]
        table = np.array(rows, dtype="<i8")
        pieces = [_MAGIC, len(tiles).to_bytes(8, "little"), table.tobytes(), *(b for tile in tiles for b in tile.parts)]
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        write_whole(path, *pieces, digest.digest())
        self._register(chunk, path.name, table)

    def put_overviews(self, tiles: Sequence[EncodedTile]) -> None:
        """Store overview tiles for this process only.

        Raises:
            StorageError: The disk is full or writing failed.
        """
        path = self.folder / "overviews.tiles"
        with storage_errors(path):
            if self._overviews is None:
                self._overviews = path.open("wb")
                self._files.append(path.name)
                self._overviews_file = len(self._files) - 1
            for tile in tiles:
                offset = self._overviews.tell()
                self._overviews.write(b"".join(tile.parts))
                sizes = np.array([len(part) for part in tile.parts])
                self._index[tile.level].set(tile.row, tile.col, self._overviews_file, offset, sizes, tile.checksum)

    def flush(self) -> None:
        """Flush the overview tiles, so that they can be read."""
        if self._overviews is not None:
            with storage_errors(self.folder / "overviews.tiles"):
                self._overviews.flush()

    def read(self, level: int, band: int, row: int, col: int) -> bytes:
        """Compressed bytes of one band of a stored tile; safe to call from several threads.

        Raises:
            StorageError: Reading failed, or another program has changed the work folder.
        """
        index = self._index[level]
        size = int(index.sizes[band, row, col])
        number = int(index.files[row, col])
        path = self.folder / self._files[number]
        with storage_errors(path), self._reading:
            part = os.pread(self._handle(number), size, int(index.offsets[band, row, col]))
        if len(part) != size:
            raise StorageError(f"{path} was cut short", "run the same command again")
        return part

    def take_over(self, part: Path) -> None:
        """Link or copy the whole chunks of another folder of the same job that are not stored here.

        That folder keeps them.

        Raises:
            StorageError: The disk is full or writing failed.
        """
        card = part / "job.json"
        if not card.is_file() or card.read_bytes() != (self.folder / "job.json").read_bytes():
            return
        with storage_errors(self.folder):
            for path in sorted(part.glob("chunk-*.tiles")):
                own = self.folder / path.name
                if not own.exists() and stat.S_ISREG(path.lstat().st_mode):
                    link_or_copy(path, own)
                    if not self._load(own):
                        own.unlink()
            sync_folder(self.folder)

    def discard(self) -> None:
        """Remove lulc's own files and the work folder, and release the lock."""
        self._close_files()
        remove_own(self.folder)
        self.close()

    def close(self) -> None:
        """Release the lock of the folder; stored chunks stay."""
        self._close_files()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close_files(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()
        if self._overviews is not None:
            with suppress(OSError):
                self._overviews.close()
            self._overviews = None

    def _adopt(self, job: bytes, *, resume: bool) -> None:
        """Register the chunks of the same job and remove all other files."""
        card = self.folder / "job.json"
        same = resume and card.is_file() and card.read_bytes() == job
        with storage_errors(self.folder):
            if not same:
                card.unlink(missing_ok=True)
            for path in sorted(self.folder.iterdir()):
                if path.name in {"lock", "job.json"}:
                    continue
                if not (same and self._load(path)):
                    remove_file(path)
        if not same:
            write_whole(card, job)

    def _load(self, path: Path) -> bool:
        """Register a stored chunk; False when the file is not a whole chunk."""
        name = re.fullmatch(r"chunk-(\d+)\.tiles", path.name)
        table = _read_table(path, self._layout) if name else None
        if name is None or table is None:
            return False
        self._register(int(name[1]), path.name, table)
        return True

    def _register(self, chunk: int, name: str, table: NDArray[np.int64]) -> None:
        self._files.append(name)
        offset = len(_MAGIC) + 8 + table.nbytes
        for row, col, checksum, *sizes in table.tolist():
            self._index[0].set(row, col, len(self._files) - 1, offset, np.array(sizes), checksum)
            offset += sum(sizes)
        self._chunks[chunk] = [(row, col) for row, col in table[:, :2].tolist()]

    def _handle(self, number: int) -> int:
        """Open file by number; the least recently used one is closed when too many are open.

        The caller holds `_reading`: otherwise another thread could reuse the descriptor of a closed file.
        """
        if number not in self._handles:
            if len(self._handles) >= _OPEN_FILES:
                os.close(self._handles.popitem(last=False)[1])
            self._handles[number] = os.open(self.folder / self._files[number], os.O_RDONLY)
        self._handles.move_to_end(number)
        return self._handles[number]


class _LevelIndex:
    """File and offset of each tile of one level."""

    def __init__(self, layout: CogLayout, level: int) -> None:
        tiles = layout.tiles(level)
        plane = (tiles.height, tiles.width)
        self.files = np.full(plane, -1, np.int32)
        self.checksums = np.zeros(plane, np.uint32)
        self.sizes = np.zeros((layout.bands, *plane), np.int64)
        self.offsets = np.zeros((layout.bands, *plane), np.int64)

    def set(self, row: int, col: int, file: int, offset: int, sizes: NDArray[np.int64], checksum: int) -> None:
        self.files[row, col] = file
        self.checksums[row, col] = checksum
        self.sizes[:, row, col] = sizes
        self.offsets[:, row, col] = offset + np.cumsum(sizes) - sizes


def _read_table(path: Path, layout: CogLayout) -> NDArray[np.int64] | None:
    """Row, column, checksum and sizes of the tiles in a chunk file; None unless it is whole and fits the layout."""
    content = path.read_bytes()
    head = len(_MAGIC) + 8
    if len(content) < head + _DIGEST or not content.startswith(_MAGIC):
        return None
    if hashlib.sha256(memoryview(content)[:-_DIGEST]).digest() != content[-_DIGEST:]:
        return None
    count, columns = int.from_bytes(content[len(_MAGIC) : head], "little"), 3 + layout.bands
    table = np.frombuffer(content, "<i8", count * columns, head).reshape(count, columns)
    tiles = layout.tiles(0)
    fits = (table[:, 0] < tiles.height).all() and (table[:, 1] < tiles.width).all()
    return table if fits else None
