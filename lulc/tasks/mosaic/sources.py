"""Which map each pixel of a mosaic is from: counted, and written as a table beside it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lulc.io.files.staging import staged
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE
from lulc.tasks.mosaic.plan import SOURCES_A_BAND, MosaicPlan

_COLUMNS = ("number", "map", "pixels", "acquired", "crs", "model", "input", "input_sha256")


@dataclass(frozen=True, slots=True)
class SourceMapShare:
    """A map of a mosaic.

    Attributes:
        number: In the bands `source` and `source 250s`.
        path: Its file.
        acquired: When its scene was taken; empty when it does not say.
        pixels: Pixels of the mosaic in which it counts most.
    """

    number: int
    path: str
    acquired: str
    pixels: int


def source_shares(plan: MosaicPlan, whole: Path) -> tuple[SourceMapShare, ...]:
    """Pixels of each map, counted in the bands of a mosaic's whole file."""
    counts = np.zeros(len(plan.maps) + 1, np.int64)
    with open_product(whole) as product:
        for window in plan.chunks():
            valid = product.classes(window) != NODATA_CODE
            number = product.band("source", window)[valid].astype(np.int64)
            if len(plan.maps) > SOURCES_A_BAND:
                number += SOURCES_A_BAND * product.band("source 250s", window)[valid].astype(np.int64)
            counts += np.bincount(number, minlength=counts.size)
    return tuple(
        SourceMapShare(number, str(one.path), one.acquired, int(counts[number]))
        for number, one in enumerate(plan.maps, start=1)
    )


def write_sources(path: Path, plan: MosaicPlan, shares: Sequence[SourceMapShare]) -> None:
    """Write one line per map, in place of what has the name.

    Raises:
        StorageError: It cannot be written.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for share, one in zip(shares, plan.maps, strict=True):
        crs = one.grid.crs.to_string() if one.grid.crs else ""
        said = [one.tags.get(name, "") for name in ("LULC_MODEL", "LULC_INPUT", "LULC_INPUT_SHA256")]
        rows.writerow([share.number, one.path.name, share.pixels, share.acquired, crs, *said])
    with staged(path, overwrite=True) as temporary:
        temporary.write_text(table.getvalue(), encoding="utf-8")


def source_names(table: Path) -> dict[int, str]:
    """Number to file name of the maps of a mosaic, from the list beside it; empty when there is none."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return {int(row["number"]): row["map"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError):
        return {}


def sources_path(output: Path) -> Path:
    """Where the list of a mosaic's maps lies: `out.tif.sources.csv`."""
    return output.with_name(f"{output.name}.sources.csv")
