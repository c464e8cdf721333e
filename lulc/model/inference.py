"""From the raw pixels of one chunk to its part of the product."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lulc.bands import Radiometry
from lulc.blend import Blender
from lulc.errors import ModelError
from lulc.grid import Window
from lulc.io.product.bands import CLEAR
from lulc.io.scene.source import Raster
from lulc.legend import NODATA_CODE
from lulc.model.predictor import Predictor
from lulc.model.quantise import product_bytes, product_floats, sky_codes
from lulc.tiling import Chunk, Tile, TilePlan, row_slabs

PartUse = Callable[[Window, torch.Tensor, NDArray[np.uint8]], None]
"""Takes a part of a tile's core and, of it, finished probabilities float32 (K, height, width) and what the network says of
the sky: uint8 (height, width), positions in `SKY`."""

_QUANTISERS: dict[str, Callable[[torch.Tensor, NDArray[np.bool_]], NDArray[Any]]] = {
    "uint8": product_bytes,
    "none": product_bytes,
    "float32": product_floats,
}


class ChunkInference:
    """Infers chunks in the order of the plan.

    Args:
        predictor: The network on its device.
        plan: Tiles and chunks of the scene.
        activations: `uint8`, `float32` or `none` (the class band alone).
        between_tiles: Called before each forward pass; may raise to stop.
        flagged: Flag clouds and shadows in a further band; else what the network does not call clear has no data.
        dates: Number of scenes that are inferred in turn.
    """

    def __init__(
        self,
        predictor: Predictor,
        plan: TilePlan,
        activations: str,
        between_tiles: Callable[[], None] = lambda: None,
        *,
        flagged: bool = False,
        dates: int = 1,
    ) -> None:
        self._predictor = predictor
        self._fade = plan.fade
        self._blenders = [Blender(plan, predictor.planes) for _ in range(dates)]
        self._flagged = flagged
        self._quantise = _QUANTISERS[activations]
        self._bands = 1 if activations == "none" else 1 + predictor.classes
        self._dtype = np.float32 if activations == "float32" else np.uint8
        self._between_tiles = between_tiles
        self._pool = ThreadPoolExecutor(predictor.workers, "infer")

    def __call__(self, chunk: Chunk, pixels: Raster) -> NDArray[np.generic]:
        """Infer the product bands of a chunk.

        Args:
            chunk: Next chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of `chunk.read`.

        Returns:
            uint8 or float32 (1 + K or 1, height, width) of `chunk.core`, and where clouds are flagged one band more, of
            positions in `SKY`; 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite.
            LimitError: The device has not enough memory for one window.
        """
        product = self.empty(chunk, extra=int(self._flagged))

        def put(window: Window, probabilities: torch.Tensor, sky: NDArray[np.uint8]) -> None:
            valid = pixels.valid[window.slices(chunk.read)]
            valid = valid if self._flagged else valid & (sky == CLEAR)
            part = product[:, *window.slices(chunk.core)]
            part[: self._bands] = self.product_of(probabilities, valid)
            np.copyto(part[self._bands :], sky, where=valid)

        self.each_part(chunk, pixels, put)
        return product

    def empty(self, chunk: Chunk, extra: int = 0) -> NDArray[np.generic]:
        """Product bands of a chunk without data, uint8 or float32 (1 + K or 1, height, width), and `extra` more bands."""
        shape = (self._bands + extra, chunk.core.height, chunk.core.width)
        return np.full(shape, NODATA_CODE, dtype=self._dtype)

    def each_part(
        self, chunk: Chunk, pixels: Raster, use: PartUse, radiometry: Radiometry | None = None, date: int = 0
    ) -> None:
        """Infer the tiles of a chunk that have data, in parts; of a plan with a cross-fade all tiles, in their order.

        Args:
            chunk: Next chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of `chunk.read`.
            use: Called with each part; without a cross-fade from several threads.
            radiometry: How these raw values become reflectance; None for that of the predictor.
            date: Number of the scene, from 0.

        Raises:
            ModelError: The network gives values of the sky that are not finite.
            LimitError: The device has not enough memory for one window.
        """
        batches, blender = self._batches(chunk, pixels.valid), self._blenders[date]

        def infer(batch: list[Tile]) -> torch.Tensor | None:
            self._between_tiles()
            logits = self._logits(batch, chunk.read, pixels, radiometry)
            if logits is None or self._fade:
                return logits
            for tile, one in zip(batch, logits, strict=True):
                self._use_parts(tile.core, one[:, *tile.core.slices(tile.read)], self._predictor.calibrated_one, use)
            return None

        for batch, logits in zip(batches, self._pool.map(infer, batches), strict=True):
            if self._fade:  # tiles that fade into each other are joined in their order
                for number, tile in enumerate(batch):
                    planes = self._faded(blender, tile, None if logits is None else logits[number])
                    self._use_parts(tile.core, planes, lambda part: part, use)

    def _faded(self, blender: Blender, tile: Tile, logits_pyx: torch.Tensor | None) -> torch.Tensor:
        """Finished probabilities of the core of the next tile, float32 (planes, height, width)."""
        if logits_pyx is None:  # nothing was shown to the network; the blender still wants the tile's margins
            planes = torch.zeros(self._predictor.planes, tile.kept.height, tile.kept.width)
        else:
            planes = self._predictor.calibrated_one(logits_pyx[:, *tile.kept.slices(tile.read)])
        return blender.feed(tile, planes)

    def _use_parts(
        self, core: Window, planes_pyx: torch.Tensor, finish: Callable[[torch.Tensor], torch.Tensor], use: PartUse
    ) -> None:
        """Hand a core on: on a CPU in slabs of rows, so that all that is done to them stays in its cache."""
        classes = self._predictor.classes
        for rows in row_slabs(core.height, core.width) if planes_pyx.device.type == "cpu" else [slice(0, core.height)]:
            planes = finish(planes_pyx[:, rows])
            probabilities, sky = planes[:classes], planes[classes:]
            self._check_finite(sky)
            window = Window(core.row + rows.start, core.col, rows.stop - rows.start, core.width)
            use(window, probabilities, sky_codes(sky))

    def product_of(self, probabilities_kyx: torch.Tensor, valid_yx: NDArray[np.bool_]) -> NDArray[np.generic]:
        """Product bands of finished pixels.

        Args:
            probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
            valid_yx: bool (height, width).

        Returns:
            uint8 or float32 (1 + K or 1, height, width); 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite.
        """
        self._check_finite(probabilities_kyx)
        with torch.inference_mode():
            bands: NDArray[np.generic] = self._quantise(probabilities_kyx, valid_yx)[: self._bands]
        return bands

    def _check_finite(self, planes_pyx: torch.Tensor) -> None:
        if not bool(torch.isfinite(planes_pyx.sum())):
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

    def _logits(
        self, batch: list[Tile], origin: Window, pixels: Raster, radiometry: Radiometry | None
    ) -> torch.Tensor | None:
        """Of some tiles, (n, planes, height, width); None where there is nothing to show the network."""
        if not _any_valid(batch[0], origin, pixels.valid):
            return None
        windows = [padded_window(pixels, origin, tile.read) for tile in batch]
        raw, valid = (_joined(arrays) for arrays in zip(*windows, strict=True))
        return self._predictor.predict_logits(raw, valid, radiometry)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays along a new first axis; a single one is not copied."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


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
