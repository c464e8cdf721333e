"""Main source of each pixel of a mosaic: pixels counted per map, and written as a table beside the mosaic."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.files.atomic import write_whole
from lulc.io.files.csv_text import csv_text
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE
from lulc.resources import read_regular
from lulc.tasks.mosaic.plan import SOURCES_A_BAND, MosaicPlan

_COLUMNS = ("number", "map", "pixels", "main_pixels", "acquired", "crs", "model", "input", "input_sha256")


@dataclass(frozen=True, slots=True)
class SourceMapPixels:
    """A map of a mosaic, and the pixels it supplies.

    Attributes:
        number: Number of the map in the bands `source` and `source 250s`.
        path: File of the map.
        acquired: Acquisition of its scene, a date or FROM/TO; empty when the map does not state it.
        pixels: Pixels of the mosaic where it has data.
        main_pixels: Pixels of the mosaic of which it is the main source.
    """

    number: int
    path: str
    acquired: str
    pixels: int
    main_pixels: int


def count_sources(plan: MosaicPlan, whole: Path, pixels: NDArray[np.int64]) -> tuple[SourceMapPixels, ...]:
    """Count the pixels of which each map is the main source, from the source bands of an assembled mosaic.

    Args:
        plan: The mosaic.
        whole: Its assembled file.
        pixels: Pixels of the mosaic where each map has data, (maps,).

    Raises:
        InputError: The file breaks the format of a product.
        StorageError: A block cannot be read.
    """
    counts = np.zeros(len(plan.maps) + 1, np.int64)
    with open_product(whole) as product:
        for window in plan.chunks():
            valid = product.classes(window) != NODATA_CODE
            number = product.band("source", window)[valid].astype(np.int64)
            if len(plan.maps) > SOURCES_A_BAND:
                number += SOURCES_A_BAND * product.band("source 250s", window)[valid].astype(np.int64)
            counts += np.bincount(number, minlength=counts.size)
    return tuple(
        SourceMapPixels(number, str(one.path), one.acquired, int(pixels[number - 1]), int(counts[number]))
        for number, one in enumerate(plan.maps, start=1)
    )


def write_sources(path: Path, plan: MosaicPlan, sources: Sequence[SourceMapPixels]) -> None:
    """Write the table of maps as CSV, one line per map; an existing file is replaced.

    Raises:
        StorageError: It cannot be written.
    """
    rows = []
    for source, one in zip(sources, plan.maps, strict=True):
        crs = one.grid.crs.to_string() if one.grid.crs else ""
        said = [one.tags.get(name, "") for name in ("LULC_MODEL", "LULC_INPUT", "LULC_INPUT_SHA256")]
        rows.append([source.number, one.path.name, source.pixels, source.main_pixels, source.acquired, crs, *said])
    write_whole(path, csv_text(_COLUMNS, rows).encode())


_MOST_TABLE_BYTES = 1 << 26


def source_names(table: Path) -> dict[int, str]:
    """File name of each map of a mosaic by its number, read from the table beside it; empty when there is none."""
    try:
        text = read_regular(table, _MOST_TABLE_BYTES).decode("utf-8")
        return {int(row["number"]): row["map"] for row in csv.DictReader(io.StringIO(text, newline=""))}
    except (OSError, KeyError, ValueError):
        return {}


def sources_path(output: Path) -> Path:
    """Path of the table of a mosaic's maps: `out.tif.sources.csv`."""
    return output.with_name(f"{output.name}.sources.csv")
