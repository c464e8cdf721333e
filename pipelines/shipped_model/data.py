"""Read the sources of the shipped model: images, the teacher's probabilities, and to which place they belong.

The folder layout and the traps of each source (band order, scale, borders) are written down in the README of the data
folder; the constants here are those facts. What was found wrong in labels by looking at contact sheets is masked here.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

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

BORDER = 4
"""Labels this close to the edge of a patch that its teacher saw alone lacked context and are not used, pixels."""

EUROSAT_BAND_INDEXES = (2, 3, 4, 5, 6, 7, 8, 11, 12)
"""1-based positions of `BANDS` in a EuroSAT GeoTIFF (its order puts B8A last)."""

AUSTRALIA_TRAIN_ROWS = slice(0, 320)
AUSTRALIA_VAL_ROWS = slice(352, 520)

NO_CROPS = ("australia_nsw_riverina", "botswana_savanna")
"""Places where the teacher calls rangeland crops, as the data's README warns: their crops are nobody's."""

GREEN_PASTURE = ("ben_20170617T113321_36_85", "ben_20170617T113321_4_55", "ben_20180421T114349_47_56")
"""Irish pasture that the teacher calls crops; where it is dense and green, the label is dropped."""

SNOWY = (
    "canada_hudson_bay",
    "canada_athabasca_shield",
    "canada_ellesmere_polar",
    "greenland_ice",
    "russia_lena_tundra_snow",
    "russia_vladimir_snow_forest",
    "ben_20180510T94033_19_86",
)
"""Places with snow. Elsewhere the teacher's snow is bright roofs, quarries, beaches and cloud, and is dropped."""

_WATER, _CROPS, _SNOW = CLASSES.index("water"), CLASSES.index("crops"), CLASSES.index("snow_and_ice")
_RED, _NIR = BANDS.index("B04"), BANDS.index("B08")
_DENSE_GREEN = 0.75
_WHOLE = 0.5
"""Least part of an image that chips must cover to be put together again."""


@dataclass(frozen=True)
class Patch:
    """A labelled image of one place and date.

    Attributes:
        place: Group that is one vote in the tables, and on one side of the split.
        name: Of the image within the place.
        level: `L1C` (top of atmosphere) or `L2A` (surface).
        image: uint16 (9, height, width), reflectance x 10000, bands as in `BANDS`; all zero where no data.
        percent: uint8 (9, height, width), the teacher's probabilities; 255 where they are not to be used.
        cover: EuroSAT class, or empty.
    """

    place: str
    name: str
    level: str
    image: NDArray[np.uint16]
    percent: NDArray[np.uint8]
    cover: str = ""

    def __post_init__(self) -> None:
        if self.image.shape != self.percent.shape or len(self.image) != len(BANDS):
            raise ValueError(f"{self.place}: image {self.image.shape} and label {self.percent.shape} do not match")

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Bool (height, width), True where the pixel has data and a label."""
        return (self.image != 0).any(axis=0) & (self.percent[0] != LABEL_NODATA)


@dataclass(frozen=True)
class Points:
    """Surveyed points: what one pixel shows, and what somebody on the ground called it.

    Attributes:
        reflectance: float32 (n, 9), bands as in `BANDS`, at the top of the atmosphere.
        codes: int64 (n,), numbers of `CLASSES`.
    """

    reflectance: NDArray[np.float32]
    codes: NDArray[np.int64]


SURVEY = "lucas"
"""Place of mosaics of survey points."""

SURVEYED = {
    "Artificial land": "built",
    "Bare land": "bare",
    "Cropland": "crops",
    "Grassland": "grass",
    "Shrubland": "shrub_and_scrub",
    "Water": "water",
    "Wetland": "flooded_vegetation",
    "Woodland": "trees",
}
"""The class of each class of the LUCAS survey."""

_POINT_BLOCK_DEGREES, _ONE_IN = 1.0, 5


def survey_points(data: Path, split: str) -> Points:
    """LUCAS points of `split` ('train' or 'val'); every fifth square of one degree is for validation."""
    with np.load(data / "segmentation" / "lucas_points.npz") as archive:
        names = [str(name) for name in archive["class_names"]]
        lon, lat = (np.floor(archive[axis] / _POINT_BLOCK_DEGREES).astype(int) for axis in ("lon", "lat"))
        chosen = ((lon + 3 * lat) % _ONE_IN == 0) == (split == "val")
        codes = np.array([CLASSES.index(SURVEYED[name]) for name in names])[archive["cls"][chosen]]
        return Points(archive["median_2018"][chosen].astype(np.float32) / 10000, codes)


def training_patches(data: Path, *, doubted_crops: bool = False) -> list[Patch]:
    """All that is trained on; no place of `validation_patches` is among it.

    Args:
        data: Folder of the sources.
        doubted_crops: Keep the crops of `NO_CROPS` and `GREEN_PASTURE`.
    """
    segmentation = data / "segmentation"
    found = [
        *_lone_chips(segmentation / "stgallen_l2a_train.npz", "stgallen"),
        *_lone_chips(segmentation / "stgallen_l2a_more.npz", "stgallen"),
        *eurosat(data, "train"),
        _labelled_scene(data, "aquileia_20190416", "aquileia_20190416_l2a_12band.tif"),
        _labelled_scene(data, "australia_20181201", "australia_20181201_l2a_12band.tif", AUSTRALIA_TRAIN_ROWS),
        *placed_chips(segmentation / "world_train.npz"),
        *placed_chips(segmentation / "world2_train.npz"),
        *point_mosaics(survey_points(data, "train")),
    ]
    return [corrected(patch, doubted_crops=doubted_crops) for patch in found]


_TILES, _TILE = 8, 8
_SURVEYED_PERCENT = 76
"""Certainty of a survey's class, percent; the rest is spread evenly, as a teacher as humble as ours would."""


def point_mosaics(points: Points, seed: int = 0) -> list[Patch]:
    """Survey points as images of even tiles, so that one training loop takes both chips and points.

    Rare classes are drawn more often, by the square root of their number.
    """
    random = np.random.default_rng(seed)
    odds = np.bincount(points.codes, minlength=len(CLASSES))[points.codes] ** -0.5
    count = len(points.codes) // _TILES**2
    drawn = random.choice(len(points.codes), (count, _TILES, _TILES), p=odds / odds.sum())
    rest = (100 - _SURVEYED_PERCENT) // (len(CLASSES) - 1)
    found = []
    for number, tiles in enumerate(drawn):
        even = (points.reflectance[tiles] * 10000).round().astype(np.uint16)
        percent = np.where(np.arange(len(CLASSES)) == points.codes[tiles][..., None], _SURVEYED_PERCENT, rest)
        planes = [part.astype(kind).transpose(2, 0, 1) for part, kind in ((even, np.uint16), (percent, np.uint8))]
        image, label = (part.repeat(_TILE, axis=1).repeat(_TILE, axis=2) for part in planes)
        found.append(Patch(SURVEY, f"points_{number:04d}", "L1C", image, label))
    return found


def validation_patches(data: Path) -> list[Patch]:
    """All that is validated on, with the teacher's labels as they are."""
    return [
        *_lone_chips(data / "segmentation" / "stgallen_l2a_val.npz", "stgallen_val"),
        *eurosat(data, "val"),
        _labelled_scene(data, "aber_s2_20210527", "aber_s2_20210527_10band.tif"),
        _labelled_scene(data, "australia_20181201", "australia_20181201_l2a_12band.tif", AUSTRALIA_VAL_ROWS),
        *placed_chips(data / "segmentation" / "world2_val.npz"),
    ]


class Placed(Protocol):
    """What belongs to a place."""

    @property
    def place(self) -> str:
        """Its place."""


Of = TypeVar("Of", bound=Placed)


def by_place(patches: Iterable[Of]) -> dict[str, list[Of]]:
    """The patches, or other images, of each place."""
    places: dict[str, list[Of]] = {}
    for patch in patches:
        places.setdefault(patch.place, []).append(patch)
    return places


def corrected(patch: Patch, *, doubted_crops: bool = False) -> Patch:
    """A patch without labels that were seen to be wrong, or with those of them that are crops."""
    percent = patch.percent.copy()
    known = percent[0] != LABEL_NODATA
    if patch.place in NO_CROPS and not doubted_crops:
        percent[_CROPS, known] = 0
        known &= percent.sum(axis=0, dtype=np.uint16) > 0
    winner = percent.argmax(axis=0)
    wrong = ~known
    if patch.place in GREEN_PASTURE and not doubted_crops:
        red, infrared = (patch.image[band].astype(np.float32) for band in (_RED, _NIR))
        wrong |= (winner == _CROPS) & (infrared - red > _DENSE_GREEN * (infrared + red))
    if patch.place not in SNOWY:
        wrong |= winner == _SNOW
    percent[:, wrong] = LABEL_NODATA
    return Patch(patch.place, patch.name, patch.level, patch.image, percent, patch.cover)


def _lone_chips(path: Path, place: str) -> Iterator[Patch]:
    """Chips of which the teacher saw no surroundings."""
    with np.load(path) as archive:
        _check(path, archive)
        for number, (image, percent) in enumerate(zip(archive["image"], archive["label"], strict=True)):
            yield Patch(place, f"{path.stem}_{number:04d}", "L2A", image, _without_border(percent))


def _without_border(percent: NDArray[np.uint8]) -> NDArray[np.uint8]:
    inner = np.full_like(percent, LABEL_NODATA)
    middle = (slice(None), slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    inner[middle] = percent[middle]
    return inner


def _check(path: Path, archive: Any) -> None:  # noqa: ANN401 - numpy's
    if tuple(archive["bands"]) != BANDS or tuple(archive["classes"]) != CLASSES:
        raise ValueError(f"{path}: bands or classes are not in the expected order")


def eurosat(data: Path, split: str) -> Iterator[Patch]:
    """The EuroSAT MS patches of `split` ('train' or 'val')."""
    with np.load(data / "segmentation" / "eurosat_l1c_labels.npz") as archive:
        chosen = archive["split"] == split
        names, labels = archive["name"][chosen], archive["label"][chosen]
    with zipfile.ZipFile(data / "eurosat_ms.zip") as patches:
        members = {Path(member).name: member for member in patches.namelist()}
        for name, percent in zip(names, labels, strict=True):
            cover, _, file = str(name).partition("/")
            image = _read_patch(patches.read(members[file]))
            yield Patch(f"eurosat_{split}", Path(file).stem, "L1C", image, _without_border(percent), cover)


def _read_patch(content: bytes) -> NDArray[np.uint16]:
    with MemoryFile(content) as memory, memory.open(driver="GTiff") as source:
        return source.read(EUROSAT_BAND_INDEXES)


def _labelled_scene(data: Path, scene: str, file: str, rows: slice = slice(None)) -> Patch:
    image = read_scene(data / "scenes" / file)
    with rasterio.open(data / "segmentation" / "scene_labels" / f"{scene}_dw_percent.tif", driver="GTiff") as source:
        percent = source.read()
    place = scene.split("_", maxsplit=1)[0] + ("_val" if rows == AUSTRALIA_VAL_ROWS else "")
    return Patch(place, scene, "L2A", image[:, rows], percent[:, rows])


def read_scene(path: Path) -> NDArray[np.uint16]:
    """Read the bands of a scene as reflectance x 10000, (9, height, width); the scale is taken from its tags."""
    with rasterio.open(path, driver="GTiff") as source:
        missing = [band for band in BANDS if band not in source.descriptions]
        if missing:
            raise ValueError(f"{path}: has no {', '.join(missing)} (has {source.descriptions})")
        pixels = source.read([source.descriptions.index(band) + 1 for band in BANDS])
        factor = 10000 // int(source.tags()["REFLECTANCE_SCALE"])
    return np.minimum(pixels.astype(np.uint32) * factor, 65535).astype(np.uint16)


def placed_chips(path: Path) -> Iterator[Patch]:
    """Chips whose labels were made on whole images; those of one image are put together again."""
    with np.load(path) as archive:
        _check(path, archive)
        chips = {name: archive[name] for name in archive.files}
    count = len(chips["image"])
    dates = chips.get("date", np.full(count, ""))
    images: dict[tuple[str, ...], list[int]] = {}
    for number in range(count):
        key = tuple(str(chips[name][number]) for name in ("place", "level", "source"))
        images.setdefault((*key, str(dates[number])), []).append(number)
    for number, ((place, level, *_), members) in enumerate(images.items()):
        for part, (image, percent) in enumerate(_together(chips, members)):
            yield Patch(place, f"{path.stem}_{number:03d}_{part:02d}", level, image, percent)


def _together(chips: dict[str, Any], members: list[int]) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
    """Image and label of each chip, or of all as one when they say where they lie and cover most of it."""
    image, label = chips["image"], chips["label"]
    if "row" in chips:
        corners = np.array([(chips["row"][number], chips["col"][number]) for number in members])
        corners -= corners.min(axis=0)
        side = image.shape[-1]
        height, width = corners.max(axis=0) + side
        whole = np.zeros((len(BANDS), height, width), np.uint16)
        percent = np.full((len(CLASSES), height, width), LABEL_NODATA, np.uint8)
        for (row, col), number in zip(corners, members, strict=True):
            whole[:, row : row + side, col : col + side] = image[number]
            percent[:, row : row + side, col : col + side] = label[number]
        if len(members) > 1 and (percent[0] != LABEL_NODATA).mean() >= _WHOLE:
            yield whole, percent
            return
    for number in members:
        yield image[number], label[number]


def read_aberystwyth_map(data: Path) -> NDArray[np.uint8]:
    """The independent map of Aberystwyth (height, width): 1 forest, 2 grass, 3 urban, 4 water (a classifier's output)."""
    with rasterio.open(data / "scenes" / "aber_s2_20210527_labels_4cls.tif", driver="GTiff") as source:
        return source.read(1)
