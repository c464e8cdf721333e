"""Check a product: its invariants on sampled pixels, and the layout of its file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape, Window
from lulc.io.cog.check import cog_problems
from lulc.io.product.bands import CLEAR, CLOUDS
from lulc.io.product.reader import ProductReader
from lulc.legend import NODATA_CODE, Legend

_SAMPLES_A_SIDE = 4
_SAMPLE_SIDE = 256
_MOST_COUNTED = 128_000_000
"""Pixels of a map that are counted: a whole tile takes about a second."""

_SUM_TOLERANCE = 2e-3
_TIE_TOLERANCE = 1e-6


def sample_windows(shape: Shape) -> Iterator[Window]:
    """At most 16 different windows of at most 256 x 256 pixels, spread evenly from corner to corner."""
    height, width = min(_SAMPLE_SIDE, shape.height), min(_SAMPLE_SIDE, shape.width)
    rows = np.unique(np.linspace(0, shape.height - height, _SAMPLES_A_SIDE).astype(int))
    cols = np.unique(np.linspace(0, shape.width - width, _SAMPLES_A_SIDE).astype(int))
    for row in rows:
        for col in cols:
            yield Window(int(row), int(col), height, width)


def count_codes(product: ProductReader) -> NDArray[np.int64] | None:
    """Pixels of each class code 0..255, (256,); None for a map so large that counting takes seconds.

    Raises:
        StorageError: A block cannot be read.
    """
    if product.grid.shape.size > _MOST_COUNTED:
        return None
    return _counts(product, product.classes)


def flagged_shares(product: ProductReader) -> dict[str, float]:
    """Shares of the pixels with data under clouds and under shadows; empty where none are flagged, or not counted.

    Raises:
        StorageError: A block cannot be read.
    """
    if not product.flags_clouds or product.grid.shape.size > _MOST_COUNTED:
        return {}
    counts = _counts(product, product.sky)
    valid = max(int(counts[:NODATA_CODE].sum()), 1)
    return {name: round(float(counts[code]) / valid, 4) for code, name in CLOUDS.names if code != CLEAR}


def _counts(product: ProductReader, codes_of: Callable[[Window], NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Pixels of each code 0..255 of a band that is read by window: (256,)."""
    counts = np.zeros(256, np.int64)
    for window in product.block_rows():
        counts += np.bincount(codes_of(window).ravel(), minlength=counts.size)
    return counts


def class_table(legend: Legend, counts: NDArray[np.int64] | None) -> tuple[tuple[dict[str, Any], ...], float | None]:
    """Rows of classes with the share of each, and the share of pixels with data; without shares when not counted."""
    rows = tuple({"code": entry.code, "class": entry.name, "color": entry.color} for entry in legend)
    if counts is None:
        return rows, None
    valid = int(counts.sum() - counts[NODATA_CODE])
    shares = [round(float(counts[entry.code]) / max(valid, 1), 4) for entry in legend]
    table = tuple({**row, "share": share} for row, share in zip(rows, shares, strict=True))
    return table, round(valid / max(int(counts.sum()), 1), 4)


def check_samples(product: ProductReader) -> list[str]:
    """Invariants that sampled pixels break, in words.

    Raises:
        StorageError: A block cannot be read.
    """
    problems: set[str] = set()
    for window in sample_windows(product.grid.shape):
        classes = product.classes(window)
        valid = classes != NODATA_CODE
        if not np.isin(classes[valid], [entry.code for entry in product.legend]).all():
            problems.add("it holds class codes that are not in its legend")
        elif product.has_activations:
            by_activation = not product.minimum_unit
            problems |= _broken_activations(classes, valid, product.activations(window), by_activation=by_activation)
        if product.flags_clouds:
            problems |= _broken_sky(valid, product.sky(window))
    return sorted(problems)


def _broken_activations(
    classes: NDArray[np.uint8], valid: NDArray[np.bool_], activations: NDArray[np.float32], *, by_activation: bool
) -> set[str]:
    """Broken invariants of one window.

    Args:
        classes: Class codes, uint8 (height, width), 255 nodata.
        valid: bool (height, width), False for nodata.
        activations: float32 (K, height, width), NaN for nodata.
        by_activation: False for a map whose classes need not have the largest activation.
    """
    if (np.isnan(activations) == valid).any():
        return {"class and activation bands disagree on where there is no data"}
    given = activations[:, valid]
    winner = np.take_along_axis(given, classes[valid].astype(np.intp)[None] - 1, axis=0)[0]
    broken = set()
    if by_activation and (winner < given.max(axis=0) - _TIE_TOLERANCE).any():
        broken.add("a pixel's class is not the one with the largest activation")
    if (np.abs(given.sum(axis=0, dtype=np.float64) - 1) > _SUM_TOLERANCE).any():
        broken.add("a pixel's activations do not sum to 1")
    return broken


def _broken_sky(valid: NDArray[np.bool_], sky: NDArray[np.uint8]) -> set[str]:
    """Broken invariants of the band `clouds` in one window, uint8 (height, width), 255 nodata."""
    if np.isin(sky[valid], [code for code, _ in CLOUDS.names]).all() and (sky[~valid] == NODATA_CODE).all():
        return set()
    return {f"the band {CLOUDS.name} holds what lulc does not write"}


def layout_problems(path: Path) -> list[str]:
    """Problems of a product's file: not cloud-optimised, or without its side-car of class names and colours."""
    problems = [f"not a cloud-optimised GeoTIFF: {reason}" for reason in cog_problems(path)]
    if not path.with_name(f"{path.name}.aux.xml").is_file():
        problems.append(f"{path.name}.aux.xml is not beside it: viewers show no class names and colours")
    return problems
