"""The map that is cleaned: its pixels, with classes merged and activations smoothed, window by window."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk
from lulc.errors import InputError
from lulc.grid import Grid, Window
from lulc.io.files.fingerprint import Unchanged
from lulc.io.product.areas import PixelAreas, edge_of
from lulc.io.product.bands import ExtraBand
from lulc.io.product.extra import lasting_bands_of, lasting_tags_of
from lulc.io.product.reader import open_product
from lulc.io.product.rounding import ACTIVATION_STEPS, largest, largest_remainder, product_bytes
from lulc.legend import NODATA_CODE, Legend
from lulc.options import Stored
from lulc.tasks.clean.legend import clean_crosswalk
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.clean.smooth import Smoothing, smooth

_SLAB_ROWS = 128
"""Rows whose smoothed probabilities are held at once, float32."""


@dataclass(frozen=True)
class MapToClean:
    """A map, and what becomes of each pixel by itself or by its surroundings.

    Its file is opened for each read, so several threads may read.

    Attributes:
        path: Its file.
        grid: Its pixels.
        tags: Its provenance.
        has_activations: False when it has a class band only.
        bytewise: True when its activations are bytes.
        extra: Its bands behind the activations.
        crosswalk: From its classes to those of the cleaned map.
        smoothing: How activations are smoothed; None for not at all.
        unchanged: Its file as it was when it was opened.
    """

    path: Path
    grid: Grid
    tags: dict[str, str]
    has_activations: bool
    bytewise: bool
    extra: tuple[ExtraBand, ...]
    crosswalk: Crosswalk
    smoothing: Smoothing | None
    unchanged: Unchanged = field(default_factory=Unchanged)

    @property
    def legend(self) -> Legend:
        """Classes of the cleaned map."""
        return self.crosswalk.target

    @cached_property
    def areas(self) -> PixelAreas:
        """Ground of its pixels."""
        return PixelAreas.of(self.grid, edge_of(self.tags, self.path))

    @property
    def stored(self) -> Stored:
        """How activations of the cleaned map are stored."""
        if not self.has_activations:
            return "none"
        return "uint8" if self.bytewise or self.smoothing else "float32"

    @property
    def moves(self) -> bool:
        """True where classes come from activations that are summed or smoothed, and no longer from the class band."""
        return self.has_activations and not (self.crosswalk.is_identity and self.smoothing is None)

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Classes before the minimum mapping unit: uint8 (height, width), 255 without data.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return self.bands(window)[0].astype(np.uint8, copy=False) if self.moves else self.given(window)

    def given(self, window: Window) -> NDArray[np.uint8]:
        """Classes of the map, renamed as the crosswalk says: uint8 (height, width), 255 without data."""
        with open_product(self.path) as product:
            return self.crosswalk.relabel(product.classes(window))

    def bands(self, window: Window) -> NDArray[Any]:
        """Classes before the minimum mapping unit, and activations: (1 + K, height, width) as `stored`, 255 without data.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        if not self.has_activations:
            return self.given(window)[None]
        around = window.grown(self.smoothing.halo if self.smoothing else 0)
        inside = around.intersection(self.grid.window)
        with open_product(self.path) as product:
            stored = product.stored(inside)
        merged = stored if self.crosswalk.is_identity else merge_activations(stored, self.crosswalk)
        return merged if self.smoothing is None else _smoothed(merged, inside, window, self.smoothing)

    def extra_bands(self, window: Window, classes: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """The bands behind the activations, (height, width) each, 255 where there is no class."""
        bands = []
        if self.extra:
            with open_product(self.path) as product:
                bands = [product.band(band.name, window) for band in self.extra]
        if self.stored == "uint8" and not self.bytewise:  # activations have become bytes, and so do they
            scales = [ACTIVATION_STEPS if band.kind == "share" else 1 for band in self.extra]
            bands = [np.rint(plane * scale).astype(np.uint8) for plane, scale in zip(bands, scales, strict=True)]
        for plane in bands:
            plane[classes == NODATA_CODE] = NODATA_CODE
        return bands


def open_map(path: Path, options: CleanOptions) -> MapToClean:
    """Read the header of a map, and what is asked for.

    Raises:
        InputError: It is no map of one date, or lacks the activations that are needed.
        LulcError: A legend, a crosswalk or a merge is refused.
    """
    if not path.exists():
        raise InputError(f"there is no {path}", "check the path")
    unchanged = Unchanged((path,))
    with open_product(path) as product:
        if product.tags.get("LULC_KIND") == "change-map":
            raise InputError(f"{path} is a map of change", "clean maps of one date; lulc change has its own --mmu")
        crosswalk = clean_crosswalk(product.legend, options.to, options.crosswalk, options.merge)
        _check_activations(path, product.has_activations, options)
        return MapToClean(
            path,
            product.grid,
            lasting_tags_of(product),
            product.has_activations,
            product.bytewise,
            lasting_bands_of(product),
            crosswalk,
            options.smoothing,
            unchanged,
        )


def _check_activations(path: Path, has_activations: bool, options: CleanOptions) -> None:  # noqa: FBT001
    if has_activations:
        return
    remedy = "classify the scene again without --activations none"
    if options.smooth:
        raise InputError(f"{path} has no activations to smooth", remedy)
    if options.mmu and options.mmu_by == "activation":
        raise InputError(
            f"{path} has no activations, by which patches choose their class", f"give --mmu-by majority, or {remedy}"
        )


def merge_activations(stored: NDArray[Any], crosswalk: Crosswalk) -> NDArray[Any]:
    """Sum activations through a crosswalk. The class is the argmax of the sums; in a tie the one that the map gives.

    Args:
        stored: Classes and activations, uint8 or float32 (1 + K, height, width), 255 without data.
        crosswalk: From its classes to others.

    Returns:
        The same of the other legend, of the same type. Bytes still sum to 250.
    """
    given = crosswalk.relabel(stored[0].astype(np.uint8))
    if stored.dtype == np.uint8 and not crosswalk.ignored:
        sums = np.zeros((1 + len(crosswalk.target), *given.shape), np.uint8)
        for code, plane in zip(crosswalk.codes, stored[1:], strict=True):
            sums[code] += np.where(plane == NODATA_CODE, np.uint8(0), plane)
        sums[0] = _winner(sums[1:], given)
        sums[:, stored[0] == NODATA_CODE] = NODATA_CODE
        return sums
    scale = np.float32(1 / ACTIVATION_STEPS if stored.dtype == np.uint8 else 1)
    shares = np.where(stored[1:] == NODATA_CODE, np.float32(np.nan), stored[1:] * scale)
    summed = np.asarray(crosswalk.sum_activations(shares))
    valid = ~np.isnan(summed[0])
    summed[:, ~valid] = 0
    winner = _winner(summed, given)
    bands = product_bytes(summed, valid) if stored.dtype == np.uint8 else np.concatenate([winner[None], summed])
    bands[0] = winner
    bands[:, ~valid] = NODATA_CODE
    return bands


def _winner(planes: NDArray[Any], given: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Code of the largest plane at each pixel; in a tie the given one, else the first."""
    number, most = largest(planes)
    known = np.where(given == NODATA_CODE, 1, given)
    own = np.take_along_axis(planes, known[None].astype(np.intp) - 1, axis=0)[0]
    codes: NDArray[np.uint8] = np.where((own == most) & (given != NODATA_CODE), given, number + np.uint8(1))
    return codes


def _smoothed(bands: NDArray[Any], inside: Window, window: Window, smoothing: Smoothing) -> NDArray[np.uint8]:
    """Classes and smoothed activations of a window, uint8 (1 + K, height, width), from those of what lies around it."""
    halo = smoothing.halo
    around = window.grown(halo)
    steps = np.full((len(bands) - 1, around.height, around.width), NODATA_CODE, np.uint8)
    valid = bands[0] != NODATA_CODE
    known = bands[1:] if bands.dtype == np.uint8 else largest_remainder(np.where(valid, bands[1:], 0))
    steps[:, *inside.slices(around)] = np.where(valid, known, np.uint8(NODATA_CODE))
    smoothed = np.empty((len(bands), window.height, window.width), np.uint8)
    for row in range(0, window.height, _SLAB_ROWS):
        rows = slice(row, min(row + _SLAB_ROWS, window.height))
        around_rows = steps[:, row : rows.stop + 2 * halo]
        middle = around_rows[0, halo : halo + rows.stop - row, halo : halo + window.width]
        smoothed[:, rows] = product_bytes(smooth(around_rows, smoothing), middle != NODATA_CODE)
    return smoothed
