"""From the raw pixels of one chunk to its part of the product."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.bands import Radiometry
from lulc.blend import Blender
from lulc.errors import ModelError
from lulc.grid import Window
from lulc.io.product.bands import CLEAR
from lulc.io.scene.source import Raster
from lulc.legend import NODATA_CODE
from lulc.model.lane import Lane
from lulc.model.quantise import sky_codes, stored_bands
from lulc.model.trust.beside import Beside
from lulc.options import Stored
from lulc.tiling import Chunk, Tile, TilePlan

PartUse = Callable[[Window, Tensor, Lane], None]
"""Takes a part of a tile's core, its finished planes float32 (planes, height, width), and the lane they came by."""


class ChunkInference:
    """Infers chunks in the order of the plan.

    Args:
        lanes: The ways to the devices, one for each worker; all of one model.
        plan: Tiles and chunks of the scene.
        activations: `uint8`, `float32` or `none` (the class band alone).
        between_tiles: Called before each forward pass; may raise to stop.
        flagged: Flag clouds and shadows in a further band; else what the network does not call clear has no data.
        dates: Number of scenes that are inferred in turn.
        beside: Further bands, between the activations and that of the clouds.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        plan: TilePlan,
        activations: Stored,
        between_tiles: Callable[[], None] = lambda: None,
        *,
        flagged: bool = False,
        dates: int = 1,
        beside: Sequence[Beside] = (),
    ) -> None:
        self._predictor = lanes[0].predictor
        self._fade = plan.fade
        self._spare = self._predictor.spare(plan.halo - plan.fade)
        self._blenders = [Blender(plan, self._predictor.planes) for _ in range(dates)]
        self._flagged = flagged
        self._activations: Stored = activations
        self._beside = tuple(beside)
        self._own = 1 if activations == "none" else 1 + self._predictor.classes
        self._bands = self._own + sum(len(one.bands) for one in beside)
        self._dtype = np.float32 if activations == "float32" else np.uint8
        self._between_tiles = between_tiles
        self._lanes = list(lanes)
        self._local = threading.local()
        free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            free.put(lane)
        self._pool = ThreadPoolExecutor(
            len(lanes), "infer", initializer=lambda: setattr(self._local, "lane", free.get())
        )

    def close(self) -> None:
        """Drop what has begun and is not finished."""
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, chunk: Chunk, pixels: Raster) -> NDArray[np.generic]:
        """Infer the product bands of a chunk; as `begin`, then its result."""
        return self.begin(chunk, pixels)()

    def begin(self, chunk: Chunk, pixels: Raster) -> Callable[[], NDArray[np.generic]]:
        """Begin a chunk. Chunks that fade into each other are finished before the call returns.

        Args:
            chunk: Next chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of `chunk.read`.

        Returns:
            Waits for the product: uint8 or float32 (bands, height, width) of `chunk.core`: the class, activations unless they
            are not stored, the bands of `beside`, and where clouds are flagged positions in `SKY`; 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite; here or when the result is asked for.
            LimitError: The device has not enough memory for one window; likewise.
        """
        product = self.empty(chunk, extra=int(self._flagged))

        def put(window: Window, planes_pyx: Tensor, lane: Lane) -> None:
            valid = pixels.valid[window.slices(chunk.read)]
            bands, sky = self._on_host(planes_pyx, lane)
            valid = valid if self._flagged else valid & (sky == CLEAR)
            part = product[:, *window.slices(chunk.core)]
            part[: self._bands] = bands
            part[self._bands :] = sky
            if not valid.all():
                np.copyto(part, NODATA_CODE, where=~valid)

        finish = self.begin_parts(chunk, pixels, put)

        def finished() -> NDArray[np.generic]:
            finish()
            return product

        return finished

    def empty(self, chunk: Chunk, extra: int = 0) -> NDArray[np.generic]:
        """Product bands of a chunk without data, uint8 or float32 (bands, height, width), and `extra` more bands."""
        shape = (self._bands + extra, chunk.core.height, chunk.core.width)
        return np.full(shape, NODATA_CODE, dtype=self._dtype)

    def begin_parts(
        self, chunk: Chunk, pixels: Raster, use: PartUse, radiometry: Radiometry | None = None, date: int = 0
    ) -> Callable[[], None]:
        """Begin the tiles of a chunk that have data, in parts; of a plan with a cross-fade all tiles, in their order.

        Args:
            chunk: Next chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of `chunk.read`.
            use: Called with each part; without a cross-fade from several threads.
            radiometry: How these raw values become reflectance; None for that of the predictor.
            date: Number of the scene, from 0.

        Returns:
            Waits until all parts have been used; raises what `begin` raises.
        """
        batches, blender = self._batches(chunk, pixels.valid), self._blenders[date]

        def infer(batch: list[Tile]) -> Tensor | None:
            self._between_tiles()
            lane: Lane = self._local.lane
            with lane.entered():
                logits = self._logits(batch, chunk.read, pixels, radiometry, lane)
                if logits is None or self._fade:
                    return logits
                for tile, one in zip(batch, logits, strict=True):
                    core = one[:, *tile.core.slices(self._answered(tile))]
                    self._use_parts(tile.core, core, self._predictor.calibrated_one, use, lane)
                return None

        pending = [self._pool.submit(infer, batch) for batch in batches]
        if self._fade:  # tiles that fade into each other are joined in their order
            self._join(batches, pending, blender, use)
        return lambda: _wait_for(pending)

    def product_of(self, ground_pyx: Tensor, valid_yx: NDArray[np.bool_]) -> NDArray[np.generic]:
        """Product bands of finished pixels.

        Args:
            ground_pyx: Finished planes before those of the sky, float32 (ground, height, width).
            valid_yx: bool (height, width).

        Returns:
            uint8 or float32 (bands, height, width), the caller's until the next call; 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite.
        """
        bands, _ = self._on_host(ground_pyx, self._lanes[0])
        np.copyto(bands, NODATA_CODE, where=~valid_yx)
        return bands

    def sky_of(self, planes_pyx: Tensor, lane: Lane) -> NDArray[np.uint8]:
        """What the network says of the sky in finished planes: uint8 (height, width), positions in `SKY`.

        Raises:
            ModelError: Its values are not finite.
        """
        planes = planes_pyx[self._predictor.ground :]
        sky, finite = lane.down(sky_codes(planes), torch.isfinite(planes.sum()))
        self._check(finite)
        return sky

    def _on_host(self, planes_pyx: Tensor, lane: Lane) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
        """Product bands and codes of the sky of finished planes, as if every pixel had data; fetched at once."""
        classes, ground = self._predictor.classes, self._predictor.ground
        with np.errstate(invalid="ignore"), torch.inference_mode():  # what is not finite is refused below
            bands = self._stored(planes_pyx[:classes], planes_pyx[:ground])
        stored, sky, finite = lane.down(bands, sky_codes(planes_pyx[ground:]), torch.isfinite(planes_pyx.sum()))
        self._check(finite)
        return stored, sky

    def _stored(self, probabilities_kyx: Tensor, ground_pyx: Tensor) -> Tensor:
        """Class, activations unless they are not stored, and the bands beside them, of pixels that have data."""
        if not self._beside:
            return stored_bands(probabilities_kyx, self._activations)
        bands = stored_bands(probabilities_kyx, "float32" if self._activations == "float32" else "uint8")
        further = [one.of(bands[1:], ground_pyx) for one in self._beside]
        return torch.cat([bands[: self._own], *further])

    def _join(
        self, batches: list[list[Tile]], pending: list[Future[Tensor | None]], blender: Blender, use: PartUse
    ) -> None:
        """Fade tiles into each other, in the order of the plan."""
        for batch, logits in zip(batches, pending, strict=True):
            found = logits.result()
            for number, tile in enumerate(batch):
                planes = self._faded(blender, tile, None if found is None else found[number])
                self._use_parts(tile.core, planes, lambda part: part, use, self._lanes[0])

    def _faded(self, blender: Blender, tile: Tile, logits_pyx: Tensor | None) -> Tensor:
        """Finished probabilities of the core of the next tile, float32 (planes, height, width)."""
        if logits_pyx is None:  # nothing was shown to the network; the blender still wants the tile's margins
            shape = (self._predictor.planes, tile.kept.height, tile.kept.width)
            planes = torch.zeros(shape, device=self._predictor.device)
        else:
            planes = self._predictor.calibrated_one(logits_pyx[:, *tile.kept.slices(self._answered(tile))])
        return blender.feed(tile, planes)

    def _use_parts(
        self, core: Window, planes_pyx: Tensor, finish: Callable[[Tensor], Tensor], use: PartUse, lane: Lane
    ) -> None:
        """Hand a core on, as many rows at once as the lane likes."""
        for rows in lane.slabs(core.height, core.width):
            window = Window(core.row + rows.start, core.col, rows.stop - rows.start, core.width)
            use(window, finish(planes_pyx[:, rows]), lane)

    def _check(self, finite: NDArray[np.bool_]) -> None:
        if not finite:
            raise ModelError(f"{self._predictor.card.name} gives values that are not finite", "use --precision fp32")

    def _batches(self, chunk: Chunk, valid_yx: NDArray[np.bool_]) -> list[list[Tile]]:
        """Consecutive tiles of one size, at most as many as the predictor takes at once.

        A tile without data is a batch of its own.
        """
        batches: list[list[Tile]] = []
        joinable = False
        for tile in chunk.tiles:
            empty = not _any_valid(tile, chunk.read, valid_yx)
            if empty and not self._fade:
                continue
            last = batches[-1] if batches and joinable and not empty else []
            if last and len(last) < self._predictor.batch and last[0].read.shape == tile.read.shape:
                last.append(tile)
            else:
                batches.append([tile])
            joinable = not empty
        return batches

    def _answered(self, tile: Tile) -> Window:
        """The part of a tile's window that the network answers for."""
        return tile.read.grown(-self._spare)

    def _logits(
        self, batch: list[Tile], origin: Window, pixels: Raster, radiometry: Radiometry | None, lane: Lane
    ) -> Tensor | None:
        """Of some tiles, (n, planes, height, width); None where there is nothing to show the network."""
        if not _any_valid(batch[0], origin, pixels.valid):
            return None
        raw, valid = lane.up([padded_window(pixels, origin, tile.read) for tile in batch])
        return lane.predictor.predict_logits(raw, valid, radiometry, self._spare)


def _wait_for(pending: Sequence[Future[Tensor | None]]) -> None:
    """Wait for all in their order; an error of one is raised at once."""
    for one in pending:
        one.result()


def _any_valid(tile: Tile, origin: Window, valid_yx: NDArray[np.bool_]) -> bool:
    return bool(valid_yx[tile.kept.intersection(origin).slices(origin)].any())


def padded_window(pixels: Raster, origin: Window, read: Window) -> Raster:
    """Cut a window out of the pixels of `origin`. Outside them, pixels and valid mask are mirrored.

    Args:
        pixels: Raw planes (bands, height, width) and valid mask of `origin`.
        origin: Window of the pixels.
        read: Window to cut out; it overlaps `origin`.

    Returns:
        Raw planes (bands, height, width) and valid mask of `read`.
    """
    inside = read.intersection(origin)
    rows, columns = inside.slices(origin)
    data, valid = pixels.data[:, rows, columns], pixels.valid[rows, columns]
    if inside == read:
        return Raster(data, valid)
    margins = (
        (inside.row - read.row, read.row_end - inside.row_end),
        (inside.col - read.col, read.col_end - inside.col_end),
    )
    return Raster(np.pad(data, ((0, 0), *margins), mode="symmetric"), np.pad(valid, margins, mode="symmetric"))
