"""Write the product file: a class band and one activation band per class, published whole or not at all.

uint8: classes 1..K, activations 0..250 (x 0.004), 255 nodata in every band. float32: the same classes as numbers,
activations 0..1, 255 nodata. `lulc.io.cog.assembly` describes the layout of the file, `lulc.io.cog.store` what is kept
for a resume.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import Interrupted, StorageError, UsageError
from lulc.grid import Grid, Shape, Window
from lulc.io.cog.assembly import CogLayout, GeoTag, write_cog
from lulc.io.cog.creation_options import encoding_of
from lulc.io.cog.geotags import BandInfo, geo_tags
from lulc.io.cog.overviews import OverviewBuilder, PixelTile, halve
from lulc.io.cog.readback import read_back
from lulc.io.cog.store import EncodedTile, TileStore
from lulc.io.cog.tiles import empty_checksum, encode_tile, split_chunk
from lulc.io.cog.work_folder import work_folder
from lulc.io.files.atomic import publish
from lulc.io.files.fingerprint import ChangedInputError, Unchanged
from lulc.io.files.outputs import check_target
from lulc.io.files.storage import free_bytes, megabytes, storage_errors
from lulc.io.product.bands import ExtraBand, band_infos
from lulc.io.product.parts import warn_of_unused
from lulc.io.product.sidecars import check_sidecars, write_sidecars
from lulc.legend import NODATA_CODE, Legend
from lulc.options import Stored
from lulc.threads import usable_cores

_RESUMABLE = (Interrupted, KeyboardInterrupt, ChangedInputError)
"""Errors after which the same command resumes from the finished chunks."""

_MOST_THREADS = 8
_USUAL_RATIO = {"uint8": 3.5, "float32": 1.25}


@dataclass(frozen=True)
class PublishReport:
    """A published product, and the cost of publishing it.

    Attributes:
        path: File of the product.
        bytes: Its size, bytes.
        blocks: Blocks written and read back, overviews included.
        seconds: Wall seconds of publishing: assembly, read-back, files beside it.
        cpu_s: CPU seconds of the publishing thread.
    """

    path: Path
    bytes: int
    blocks: int
    seconds: float
    cpu_s: float


def product_layout(
    shape: Shape,
    legend: Legend,
    activations: Stored,
    creation_options: Mapping[str, str] | None = None,
    extra: Sequence[ExtraBand] = (),
) -> CogLayout:
    """Layout of a product.

    Raises:
        UsageError: A creation option or its value is not known, or BIGTIFF=NO is given for a product that may pass 4
            GB.
    """
    layout = CogLayout(
        shape=shape,
        bands=len(band_infos(legend, activations, extra)),
        dtype="float32" if activations == "float32" else "uint8",
        **asdict(encoding_of(creation_options or {})),
    )
    if not (layout.big or layout.fits_classic):
        raise UsageError(
            f"a classic TIFF ends at 4 GB, this product may take {megabytes(layout.uncompressed_bytes)}",
            "leave BIGTIFF=NO out",
        )
    return layout


def estimate_bytes(layout: CogLayout) -> int:
    """Estimated disk space to make a product, bytes: its stored tiles and the assembled file."""
    ratio = 1.0 if layout.compression == "none" else _USUAL_RATIO[layout.dtype]
    pixels = layout.bands * sum(shape.size for shape in layout.shapes) * np.dtype(layout.dtype).itemsize
    return int(2 * pixels / ratio)


class ProductWriter(AbstractContextManager["ProductWriter"]):
    """Takes finished chunks in any order and publishes one file, whole or not at all.

    It is a context manager: leaving it publishes. An interruption keeps the finished chunks for a resume, any other
    error discards them, unless the inputs were changed meanwhile. Chunks are compressed in a few threads inside `put` and kept in `OUT.lulc/` until then.

    Args:
        path: File of the product.
        grid: Georeference and size.
        legend: Classes of the product.
        activations: `uint8`, `float32` or `none`.
        extra: Bands behind the activations.
        tags: Provenance tags; names start with `LULC_`.
        fingerprint: Hash of everything that decides the pixels; chunks stored under another one are not resumed.
        creation_options: `COMPRESS`, `LEVEL`, `BLOCKSIZE`, `BIGTIFF`, as for GDAL.
        overwrite: Replace an existing product once the new one is whole. Also replace a style of its name, and remove a
            mask and overviews of an earlier file.
        resume: Take over the finished chunks of an interrupted run of the same job.
        parts: Work folders of shards, whose chunks are taken over if they belong to the same job.
        inputs: What the chunks are made of; once it has changed, none is stored and nothing is published.
        threads: Compression threads; None for the cores that lulc may use, at most 8.

    Attributes:
        layout: Geometry and encoding of the file.
        finished: Indices of chunks stored by an interrupted run or a part.
        keep_after_failure: True keeps the finished chunks after any error, not only after an interruption.

    Raises:
        UsageError: A creation option is not known or does not fit.
        StorageError: The output exists, is being written by another process, or cannot be written.
    """

    def __init__(  # noqa: PLR0913 - a product is made of all this
        self,
        path: Path,
        grid: Grid,
        legend: Legend,
        *,
        activations: Stored = "uint8",
        extra: Sequence[ExtraBand] = (),
        tags: Mapping[str, str] | None = None,
        fingerprint: str = "",
        creation_options: Mapping[str, str] | None = None,
        overwrite: bool = False,
        resume: bool = True,
        parts: Iterable[Path] = (),
        inputs: Unchanged | None = None,
        threads: int | None = None,
    ) -> None:
        self.path, self._legend, self._overwrite = Path(path), legend, overwrite
        self._extra = tuple(extra)
        self.layout = product_layout(grid.shape, legend, activations, creation_options, extra)
        self._geo_tags = _product_tags(grid, band_infos(legend, activations, extra), self.layout, tags or {})
        self._check_target()
        self._threads = threads or min(_MOST_THREADS, usable_cores())
        self._overviews = OverviewBuilder(self.layout)
        self.keep_after_failure = False
        self._published: PublishReport | None = None
        self._assembled: _Assembled | None = None
        if resume:
            warn_of_unused(work_folder(self.path), fingerprint)
        self._store = TileStore(work_folder(self.path), self.layout, fingerprint, resume=resume, inputs=inputs)
        self._pool = ThreadPoolExecutor(self._threads, "compress")
        try:
            for part in parts:
                self._store.take_over(part)
            self.finished = self._store.finished
            self._to_halve = sorted(self.finished)
            self._check_space()
        except BaseException:
            self.abandon()
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self.abandon(keep=self.keep_after_failure or isinstance(error, _RESUMABLE))
            return
        try:
            self.publish()
        except BaseException as failure:
            self.abandon(keep=self.keep_after_failure or isinstance(failure, _RESUMABLE))
            raise

    def put(self, chunk: int, window: Window, data_byx: NDArray[Any]) -> None:
        """Store a finished chunk; once it returns the chunk survives a kill.

        Args:
            chunk: Index of the chunk, from 0.
            window: Window of the chunk; it covers whole blocks, except at the scene's end.
            data_byx: (bands, height, width) of the product's dtype: class codes, activations, extra bands; 255 nodata.

        Raises:
            StorageError: The disk is full or writing failed.
        """
        if chunk in self._store.finished:
            raise ValueError(f"chunk {chunk} is stored already")
        self._halve_resumed()
        encoded, halved = self._finish(split_chunk(self.layout, window, data_byx))
        self._store.put(chunk, encoded)
        self._build_overviews(halved)

    def put_encoded(self, chunk: int, tiles: Sequence[EncodedTile]) -> None:
        """Store a finished chunk that another process has compressed; once it returns the chunk survives a kill.

        Args:
            chunk: Index of the chunk, from 0.
            tiles: All its tiles, from `encode_tile` with this layout.

        Raises:
            StorageError: The disk is full or writing failed.
        """
        if chunk in self._store.finished:
            raise ValueError(f"chunk {chunk} is stored already")
        self._store.put(chunk, tiles)
        self._to_halve.append(chunk)
        self._halve_resumed()

    def holds_data(self) -> bool:
        """True when any stored pixel is valid."""
        chunks = (self._store.tiles_of(chunk) for chunk in self._store.finished)
        return any(
            self._store.checksum(0, *tile) != empty_checksum(self.layout, *tile) for tiles in chunks for tile in tiles
        )

    @contextmanager
    def assembled(self) -> Iterator[Path]:
        """The whole file before it gets its name, read back. Files that belong beside the product are written inside.

        Raises:
            StorageError: Writing failed, or the file reads back differently. The target is unchanged.
        """
        self._assembled = self._assemble()
        yield self._assembled.path

    def publish(self) -> PublishReport:
        """Assemble the file unless that is done, give it its name, and remove the work folder.

        Raises:
            StorageError: As `assembled`.
        """
        whole = self._assembled or self._assemble()
        self._store.inputs.check()
        write_sidecars(self.path, self._legend, self._store.folder, self._code_tables())
        with storage_errors(self.path):
            publish(whole.path, self.path)
            self._pool.shutdown()
            self._store.discard()
        seconds, cpu_s = time.perf_counter() - whole.began, time.thread_time() - whole.began_cpu
        self._published = PublishReport(self.path, whole.bytes, whole.blocks, seconds, cpu_s)
        return self._published

    @property
    def published(self) -> PublishReport:
        """What was published; only after publishing."""
        assert self._published is not None
        return self._published

    def abandon(self, *, keep: bool = True) -> None:
        """End without publishing a product.

        Args:
            keep: True leaves finished chunks for a resume; False leaves nothing behind.
        """
        self._pool.shutdown(cancel_futures=True)
        if keep and self._store.finished:
            self._store.close()
        else:
            self._store.discard()

    def _assemble(self) -> "_Assembled":
        """Assemble the file in the work folder and read it back."""
        began, began_cpu = time.perf_counter(), time.thread_time()
        self._halve_resumed()
        self._store.flush()
        made = self._store.folder / "product.tif"
        size = write_cog(made, self.layout, self._geo_tags, self._store.sizes, self._store.read)
        blocks = read_back(made, self.layout, self._store.checksum, self._threads)
        self._check_target()
        self._store.inputs.check()
        return _Assembled(made, size, blocks, began, began_cpu)

    def _code_tables(self) -> dict[int, tuple[tuple[int, str], ...]]:
        first = self.layout.bands - len(self._extra) + 1
        return {number: band.names for number, band in enumerate(self._extra, first) if band.names}

    def _check_target(self) -> None:
        check_target(self.path, overwrite=self._overwrite)
        if not self._overwrite:
            check_sidecars(self.path, self._legend)

    def _check_space(self) -> None:
        stored = sum(int(size.sum()) for size in self._store.sizes)
        needed, free = estimate_bytes(self.layout) - stored, free_bytes(self.path.parent)
        if free < needed:
            raise StorageError(
                f"the disk of {self.path} has {megabytes(free)} free, the product needs about {megabytes(needed)}",
                "free some space or choose another disk",
            )

    def _finish(self, tiles: Iterable[PixelTile]) -> tuple[list[EncodedTile], list[PixelTile]]:
        """Compress and halve tiles, several at a time."""
        pairs = list(self._pool.map(lambda tile: (encode_tile(self.layout, tile), self._halved(tile)), tiles))
        return [encoded for encoded, _ in pairs], [halved for _, halved in pairs]

    def _build_overviews(self, halved: Iterable[PixelTile]) -> None:
        """Add halved tiles, and finish every overview tile that they complete, level after level."""
        complete = self._place(halved)
        while complete:
            encoded, halved = self._finish(complete)
            self._store.put_overviews(encoded)
            complete = self._place(halved)

    def _place(self, halved: Iterable[PixelTile]) -> list[PixelTile]:
        last = self.layout.levels[-1]
        placed = [
            self._overviews.place(part.level, part.row, part.col, part.data_byx) for part in halved if part.level < last
        ]
        return [tile for tile in placed if tile is not None]

    def _halve_resumed(self) -> None:
        """Build the overviews of chunks that another process finished."""
        while self._to_halve:
            tiles = self._store.tiles_of(self._to_halve.pop(0))
            self._build_overviews(self._pool.map(lambda tile: self._halved(self._stored(*tile)), tiles))

    def _halved(self, tile: PixelTile) -> PixelTile:
        return PixelTile(tile.level, tile.row, tile.col, halve(tile.data_byx, [band.kind for band in self._extra]))

    def _stored(self, row: int, col: int) -> PixelTile:
        decode, read = self.layout.codec.decode, self._store.read
        return PixelTile(0, row, col, np.stack([decode(read(0, band, row, col)) for band in range(self.layout.bands)]))


@dataclass(frozen=True)
class _Assembled:
    """A whole product that has no name yet, and the start of its assembly."""

    path: Path
    bytes: int
    blocks: int
    began: float
    began_cpu: float


def _product_tags(
    grid: Grid, bands: Sequence[BandInfo], layout: CogLayout, tags: Mapping[str, str]
) -> dict[int, GeoTag]:
    strange = [name for name in tags if not name.startswith("LULC_")]
    if strange:
        raise ValueError(f"tags of a product start with LULC_: {strange}")
    return geo_tags(grid, bands, dtype=layout.dtype, nodata=NODATA_CODE, tags=tags)
