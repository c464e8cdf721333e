"""Two dates of one place as one GeoTIFF: classes, how sure they are, and where they differ.

Bands, uint8, 255 where either date has no data:

1. `class before`, 2. `class after`: codes of the legend, with its names and colours in `OUT.tif.aux.xml` (of a file with
   several bands GDAL takes the colour table of the first alone; the others have theirs in the attribute table);
3. `confidence before`, 4. `confidence after`, 5. `probability of change`: x 0.004, as activations of a product are;
6. `changed`: 1 where the classes differ and that is probable enough, else 0.
"""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from lulc.grid import Grid
from lulc.io.files.durable import write_whole
from lulc.io.files.staging import staged
from lulc.io.product.bands import ACTIVATION_SCALE
from lulc.io.product.style import aux_path, aux_xml
from lulc.legend import NODATA_CODE, LandClass, Legend

BANDS = (
    "class before",
    "class after",
    "confidence before",
    "confidence after",
    "probability of change",
    "changed",
)
"""Descriptions of the bands, in order."""

_SHARES = {3, 4, 5}
_CODES = {1: "class code", 2: "class code", 6: "0 no, 1 yes"}
_CHANGED = Legend("changed", "Changed", (LandClass(1, "changed", "#c4281b"),))
_BLOCK = 256


@dataclass(frozen=True, slots=True, eq=False)
class ChangePlanes:
    """What is known of every cell.

    Attributes:
        before: Class codes, uint8 (rows, columns), 255 where either date has no data.
        after: The same of the later date.
        sure_before: Largest probability before, float32 (rows, columns).
        sure_after: The same of the later date.
        probability: That the two dates have different classes, float32 (rows, columns).
        changed: bool (rows, columns).
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    sure_before: NDArray[np.float32]
    sure_after: NDArray[np.float32]
    probability: NDArray[np.float32]
    changed: NDArray[np.bool_]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where both dates have data: bool (rows, columns)."""
        has_data: NDArray[np.bool_] = self.before != NODATA_CODE
        return has_data

    def stored(self) -> NDArray[np.uint8]:
        """The bands of the file: uint8 (6, rows, columns)."""
        shares = [_steps(plane) for plane in (self.sure_before, self.sure_after, self.probability)]
        planes = np.stack([self.before, self.after, *shares, self.changed.astype(np.uint8)])
        planes[:, ~self.valid] = NODATA_CODE
        return planes


def write_change_raster(
    path: Path, planes: ChangePlanes, grid: Grid, legend: Legend, tags: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """Write the raster and the colours of its classes, published whole or not at all.

    Args:
        path: GeoTIFF to write.
        planes: What is known of every cell.
        grid: One pixel per cell.
        legend: The classes.
        tags: Provenance, stored with the file.
        overwrite: Replace an existing file.

    Raises:
        StorageError: It exists and may not be replaced, or cannot be written.
    """
    content = _encoded(planes.stored(), grid, tags)  # in memory: a full disk is then an error of Python's own
    with staged(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
    write_whole(aux_path(path), _colors(legend))


def _encoded(stored: NDArray[np.uint8], grid: Grid, tags: Mapping[str, str]) -> bytes:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": len(BANDS),
        "height": grid.shape.height,
        "width": grid.shape.width,
        "nodata": NODATA_CODE,
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "interleave": "band",
        "compress": "deflate",
    }
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # pictures of one place lie nowhere
        with memory.open(**profile) as target:
            target.write(stored)
            target.update_tags(**dict(sorted(tags.items())))
            if grid.point:
                target.update_tags(AREA_OR_POINT="Point")
            target.descriptions = BANDS
            numbers = range(1, len(BANDS) + 1)
            target.scales = [ACTIVATION_SCALE if number in _SHARES else 1.0 for number in numbers]
            target.units = [_CODES.get(number, "probability") for number in numbers]
        return bytes(memory.read())


def _steps(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A share in steps of 0.004, uint8 0..250."""
    steps: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) / ACTIVATION_SCALE).astype(np.uint8)
    return steps


def _colors(legend: Legend) -> bytes:
    """GDAL's side-car with colours and names of both class bands, and of `changed`."""
    root = ET.fromstring(aux_xml(legend))  # noqa: S314 - our own text
    second = copy.deepcopy(root[0])
    second.set("band", "2")
    changed = ET.fromstring(aux_xml(_CHANGED))[0]  # noqa: S314
    changed.set("band", str(len(BANDS)))
    root.extend([second, changed])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode").encode() + b"\n"
