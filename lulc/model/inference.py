"""From the raw pixels of one chunk to its part of the product."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from lulc.blend import Blender
from lulc.errors import ModelError
from lulc.grid import Window
from lulc.io.scene.source import Raster
from lulc.legend import NODATA_CODE
from lulc.model.predictor import Predictor
from lulc.model.quantise import product_bytes, product_floats
from lulc.tiling import Chunk, Tile, TilePlan

_QUANTISERS = {"uint8": product_bytes, "none": product_bytes, "float32": product_floats}


class ChunkInference:
    """Infers chunks in the order of the plan.

    Args:
        predictor: The network on its device.
        plan: Tiles and chunks of the scene.
        activations: `uint8`, `float32` or `none` (the class band alone).
        between_tiles: Called before each forward pass; may raise to stop.
    """

    def __init__(
        self, predictor: Predictor, plan: TilePlan, activations: str, between_tiles: Callable[[], None] = lambda: None
    ) -> None:
        self._predictor = predictor
        self._fade = plan.fade
        self._blender = Blender(plan, predictor.classes)
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
            uint8 or float32 (1 + K or 1, height, width) of `chunk.core`; 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite.
            LimitError: The device has not enough memory for one window.
        """
        shape = (self._bands, chunk.core.height, chunk.core.width)
        product = np.full(shape, NODATA_CODE, dtype=self._dtype)
        batches = self._batches(chunk, pixels[1])

        def infer(batch: list[Tile]) -> torch.Tensor | None:
            self._between_tiles()
            probabilities = self._probabilities(batch, chunk.read, pixels)
            if self._fade:
                return probabilities
            self._finish(batch, probabilities, chunk, pixels[1], product)
            return None

        for batch, waiting in zip(batches, self._pool.map(infer, batches), strict=True):
            if waiting is not None:  # tiles that fade into each other are joined in their order
                self._finish(batch, waiting, chunk, pixels[1], product)
        return product

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

    def _probabilities(self, batch: list[Tile], origin: Window, pixels: Raster) -> torch.Tensor:
        if not _any_valid(batch[0], origin, pixels[1]):
            window = batch[0].read  # nothing to show the network; the blender still wants its margins
            return torch.zeros(1, self._predictor.classes, window.height, window.width)
        windows = [padded_window(pixels, origin, tile.read) for tile in batch]
        raw = np.stack([window[0] for window in windows])
        valid = np.stack([window[1] for window in windows])
        return self._predictor.predict(raw, valid)

    def _finish(
        self,
        batch: list[Tile],
        probabilities_nkyx: torch.Tensor,
        chunk: Chunk,
        valid_yx: NDArray[np.bool_],
        product: NDArray[np.generic],
    ) -> None:
        for tile, probabilities in zip(batch, probabilities_nkyx, strict=True):
            valid = valid_yx[tile.core.slices(chunk.read)]
            product[:, *tile.core.slices(chunk.core)] = self._product_of(tile, probabilities, valid)

    def _product_of(
        self, tile: Tile, probabilities_kyx: torch.Tensor, valid_yx: NDArray[np.bool_]
    ) -> NDArray[np.generic]:
        rows, columns = tile.kept.slices(tile.read)
        finished = self._blender.feed(tile, probabilities_kyx[:, rows, columns])
        finished = finished[:, : tile.core.height, : tile.core.width]
        if not bool(torch.isfinite(finished.sum())):
            raise ModelError(f"{self._predictor.card.name} gives values that are not finite", "use --precision fp32")
        with torch.inference_mode():
            bands = self._quantise(finished, torch.from_numpy(valid_yx).to(finished.device))[: self._bands]
        return bands.cpu().numpy()


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
