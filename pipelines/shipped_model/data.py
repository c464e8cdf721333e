"""Read the training and validation sources of the shipped model.

Everything is returned in one shape: :class:`Tiles` holds images as reflectance x 10000 and teacher labels as
percentages, both ``uint``, so that a source is small in memory and the arithmetic happens in one place
(:mod:`augment`, :mod:`evaluate`). The folder layout and the traps of each source (band order, scale, borders) are
written down in the README of the data folder; the constants here are those facts.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile

BANDS: tuple[str, ...] = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
CLASSES: tuple[str, ...] = (
    "water",
    "trees",
    "grass",
    "flooded_vegetation",
    "crops",
    "shrub_and_scrub",
    "built",
    "bare",
    "snow_and_ice",
)
LABEL_NODATA = 255
CHIP_BORDER = 8
"""Teacher labels in this many outer pixels of a chip lacked context and are ignored."""

EUROSAT_BAND_INDEXES = (2, 3, 4, 5, 6, 7, 8, 11, 12)
"""1-based positions of :data:`BANDS` in a EuroSAT GeoTIFF (its order puts B8A last)."""

AUSTRALIA_TRAIN_ROWS = slice(0, 320)
AUSTRALIA_VAL_ROWS = slice(352, 520)


@dataclass(frozen=True)
class Tiles:
    """Equally sized labelled images of one origin.

    Attributes:
        name: what the source is called in tables.
        images: ``(n, 9, h, w)`` uint16, reflectance x 10000, bands as in :data:`BANDS`; all-zero pixels are nodata.
        percent: ``(n, 9, h, w)`` uint8 teacher probabilities in percent, classes as in :data:`CLASSES`.
        level: ``(n,)`` strings, ``L1C`` (top of atmosphere) or ``L2A`` (surface).
        border: labels this close (px) to the tile edge are not to be used.
        tags: ``(n,)`` free text per tile (EuroSAT class, place).
    """

    name: str
    images: NDArray[np.uint16]
    percent: NDArray[np.uint8]
    level: NDArray[np.str_]
    border: int
    tags: NDArray[np.str_]

    def __post_init__(self) -> None:
        n, channels, height, width = self.images.shape
        if channels != len(BANDS) or self.percent.shape != (n, len(CLASSES), height, width):
            raise ValueError(f"{self.name}: image {self.images.shape} and label {self.percent.shape} do not match")

    def __len__(self) -> int:
        return len(self.images)

    def usable(self) -> NDArray[np.bool_]:
        """``(n, h, w)``, True where the pixel is valid, labelled and far enough from the tile edge."""
        mask = (self.images != 0).any(axis=1) & (self.percent[:, 0] != LABEL_NODATA)
        if self.border:
            inner = np.zeros(mask.shape[1:], bool)
            inner[self.border : -self.border, self.border : -self.border] = True
            mask &= inner
        return mask


def read_chips(path: Path, name: str) -> Tiles:
    """Read one ``*.npz`` of 64x64 chips with their labels."""
    with np.load(path) as archive:
        if tuple(archive["bands"]) != BANDS or tuple(archive["classes"]) != CLASSES:
            raise ValueError(f"{path}: bands or classes are not in the expected order")
        tags = archive["place"] if "place" in archive.files else archive["source"]
        return Tiles(name, archive["image"], archive["label"], archive["level"], CHIP_BORDER, tags)


def read_eurosat(data_dir: Path, split: str) -> Tiles:
    """Read the EuroSAT MS patches of ``split`` ('train' or 'val') with their labels; tags are EuroSAT classes."""
    with np.load(data_dir / "segmentation" / "eurosat_l1c_labels.npz") as archive:
        chosen = archive["split"] == split
        names, percent, level = archive["name"][chosen], archive["label"][chosen], archive["level"][chosen]
    with zipfile.ZipFile(data_dir / "eurosat_ms.zip") as patches:
        members = {Path(m).name: m for m in patches.namelist()}
        images = np.stack([_read_patch(patches.read(members[Path(n).name])) for n in names])
    tags = np.array([n.partition("/")[0] for n in names])
    return Tiles(f"eurosat_{split}", images, percent, level, CHIP_BORDER, tags)


def _read_patch(content: bytes) -> NDArray[np.uint16]:
    with MemoryFile(content) as memory, memory.open(driver="GTiff") as source:
        return source.read(EUROSAT_BAND_INDEXES)


def read_scene(path: Path, band_names: tuple[str, ...] = BANDS) -> NDArray[np.uint16]:
    """Read named bands of a scene as reflectance x 10000, ``(band, h, w)``; the scale is taken from its tags."""
    with rasterio.open(path, driver="GTiff") as source:
        missing = [b for b in band_names if b not in source.descriptions]
        if missing:
            raise ValueError(f"{path}: has no {', '.join(missing)} (has {source.descriptions})")
        pixels = source.read([source.descriptions.index(b) + 1 for b in band_names])
        factor = 10000 // int(source.tags()["REFLECTANCE_SCALE"])
    return np.minimum(pixels.astype(np.uint32) * factor, 65535).astype(np.uint16)


def read_labelled_scene(data_dir: Path, scene: str, file: str, rows: slice | None = None) -> Tiles:
    """Read a scene and its teacher labels as a single tile, optionally only some rows."""
    image = read_scene(data_dir / "scenes" / file)
    with rasterio.open(
        data_dir / "segmentation" / "scene_labels" / f"{scene}_dw_percent.tif", driver="GTiff"
    ) as source:
        percent = source.read()
    part = rows or slice(None)
    return Tiles(
        scene.split("_", maxsplit=1)[0],
        image[None, :, part],
        percent[None, :, part],
        np.array(["L2A"]),
        0,
        np.array([scene]),
    )


def read_aberystwyth_map(data_dir: Path) -> NDArray[np.uint8]:
    """The independent map of Aberystwyth ``(h, w)``: 1 forest, 2 grass, 3 urban, 4 water (a classifier's output)."""
    with rasterio.open(data_dir / "scenes" / "aber_s2_20210527_labels_4cls.tif", driver="GTiff") as source:
        return source.read(1)


def training_sources(data_dir: Path, *, world: bool) -> list[Tiles]:
    """All training sources; ``world`` adds the chips from outside Europe."""
    segmentation = data_dir / "segmentation"
    sources = [
        read_chips(segmentation / "stgallen_l2a_train.npz", "stgallen_train"),
        read_eurosat(data_dir, "train"),
        read_labelled_scene(data_dir, "aquileia_20190416", "aquileia_20190416_l2a_12band.tif"),
        read_labelled_scene(data_dir, "australia_20181201", "australia_20181201_l2a_12band.tif", AUSTRALIA_TRAIN_ROWS),
    ]
    if world:
        sources.append(read_chips(segmentation / "world_train.npz", "world_train"))
    return sources


def validation_sources(data_dir: Path) -> list[Tiles]:
    """The four validation sources; none shares ground with the training sources."""
    return [
        read_chips(data_dir / "segmentation" / "stgallen_l2a_val.npz", "stgallen_val"),
        read_eurosat(data_dir, "val"),
        read_labelled_scene(data_dir, "aber_s2_20210527", "aber_s2_20210527_10band.tif"),
        read_labelled_scene(data_dir, "australia_20181201", "australia_20181201_l2a_12band.tif", AUSTRALIA_VAL_ROWS),
    ]
