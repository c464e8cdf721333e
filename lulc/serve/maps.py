"""The maps that the page shows: products named when the server was started, and those of its own jobs."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lulc.errors import InputError, LulcError
from lulc.io.figures.color_ramps import ramp_colors
from lulc.io.product.areas import ClassArea, class_areas
from lulc.io.product.bands import CLOUDS
from lulc.legend import NODATA_CODE, LandClass
from lulc.serve.answers import ActivationLayer, Layer, LegendEntry, MapDescription
from lulc.serve.map_tiles import TiledRaster
from lulc.serve.map_view import CLASS, MapView, PixelValues, ViewLayer, color_tile, heat_tile
from lulc.serve.refusal import Refusal
from lulc.tasks.describe.map_report import AS_COUNTED, provenance_of
from lulc.tasks.mosaic.sources import source_names, sources_path

Bounds = tuple[float, float, float, float] | None
"""West, south, east, north in WGS 84 degrees; None where a raster is not placed."""

_DECIMALS = 4
"""Of fractions and hectares; float32 holds no more."""

_MOST_FOUND = 500
_ID_LENGTH = 16


@dataclass(eq=False)
class ServedMap:
    """A product that the page shows.

    Attributes:
        id: In addresses.
        title: For people.
        path: Its file.
        base: Picture of its scene, which lies beneath it; None without.
        job: Id of the job that made it; None when it was named at start.
    """

    id: str
    title: str
    path: Path
    base: Path | None = None
    job: str | None = None

    def __post_init__(self) -> None:
        self.version = version_of(self.path)
        self.view = MapView(self.path)
        self._counting = threading.Lock()
        self._areas_within: dict[str, dict[str, Any]] = {}
        self._tiled_base: TiledRaster | None = None

    def describe(self) -> MapDescription:
        """What the page needs to show it."""
        view, shape = self.view, self.view.grid.shape
        return MapDescription(
            id=self.id,
            title=self.title,
            file=self.path.name if self.job is None else self.title,
            georeferenced=view.raster.placed,
            bounds=view.raster.bounds,
            width=shape.width,
            height=shape.height,
            pixel_m=view.grid.pixel_size_m() if view.raster.placed else None,
            min_zoom=view.raster.zooms[0],
            max_zoom=view.raster.zooms[1],
            crs=view.grid.crs.to_string() if view.grid.crs else "",
            legend=[_entry(one) for one in view.legend],
            layers=[_layer(name, layer) for name, layer in view.layers.items()],
            base=self.base is not None,
            facts=provenance_of(view.tags),
            job=self.job,
        )

    def tile(self, layer: str, zoom: int, column: int, row: int) -> bytes | None:
        """PNG of a tile; None outside.

        Raises:
            Refusal: There is no such layer.
        """
        if layer not in self.view.layers:
            raise Refusal(404, f"there is no layer {layer!r}", f"choose one of {', '.join(self.view.layers)}")
        return self.view.tile(layer, zoom, column, row)

    def base_tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """PNG of a tile of the scene in true colour; None outside, or without one."""
        raster = self._base_raster
        return color_tile(raster, zoom, column, row) if raster else None

    def areas(self, within: "ServedMap | None" = None) -> dict[str, Any]:
        """What each class covers, as counted; counted once.

        Args:
            within: Another map; pixels where it has no data are left out, so that the areas of both are of one ground.

        Raises:
            Refusal: They cannot lie on one another.
        """
        with self._counting:
            if within is None:
                return self._areas
            key = f"{within.id} {within.version}"
            if key not in self._areas_within:
                self._areas_within[key] = self._counted_within(within)
            return self._areas_within[key]

    def value(self, pixel: tuple[int, int]) -> dict[str, Any]:
        """What it holds at a row and column."""
        found = self.view.at(*pixel)
        if found is None:
            return {"inside": False}
        position = self.view.position_of(found.row, found.col)
        longitude, latitude = (round(degrees, 2 * _DECIMALS) for degrees in position) if position else (None, None)
        legend = self.view.legend.classes
        known = found.code != NODATA_CODE
        return {
            "inside": True,
            "row": found.row,
            "col": found.col,
            "lon": longitude,
            "lat": latitude,
            "class": _entry(legend[found.code - 1]).model_dump() if known else None,
            "confidence": None if found.confidence is None else round(found.confidence, _DECIMALS),
            "activations": [
                {"code": entry.code, "name": entry.name, "share": round(fraction, _DECIMALS)}
                for entry, fraction in zip(legend, found.activations, strict=False)
            ],
            "others": {name: round(fraction, _DECIMALS) for name, fraction in found.others.items()},
            "source": self._source(found),
            "flagged": found.flagged,
        }

    def close(self) -> None:
        """Release files."""
        self.view.close()
        if self._tiled_base is not None:
            self._tiled_base.close()

    @property
    def _base_raster(self) -> TiledRaster | None:
        if self._tiled_base is None and self.base is not None:
            self._tiled_base = TiledRaster(self.base)
        return self._tiled_base

    @cached_property
    def _areas(self) -> dict[str, Any]:
        counted = class_areas(self.path)
        valid = sum(one.pixels for one in counted) / self.view.grid.shape.size
        return {"classes": _classes(counted), "valid_share": valid, "note": AS_COUNTED}

    def _counted_within(self, other: "ServedMap") -> dict[str, Any]:
        """Areas where another map has data too, and the share of this map's data that lies there."""
        one, two = self.view, other.view
        if one.raster.placed != two.raster.placed or (not one.raster.placed and one.grid.shape != two.grid.shape):
            raise Refusal(400, f"{self.title} and {other.title} cannot lie on one another", "choose another map")
        counted = class_areas(self.path, other.path)
        own = sum(entry["pixels"] for entry in self._areas["classes"])
        share = sum(entry.pixels for entry in counted) / own if own else 0.0
        return {**self._areas, "classes": _classes(counted), "common_share": share}

    @cached_property
    def _sources(self) -> dict[int, str]:
        return source_names(sources_path(self.path))

    def _source(self, found: PixelValues) -> str | None:
        return None if found.source is None else self._sources.get(found.source, f"map {found.source}")


def _classes(counted: Sequence[ClassArea]) -> list[dict[str, Any]]:
    return [
        {
            "code": one.code,
            "name": one.name,
            "pixels": one.pixels,
            "hectares": None if one.hectares is None else round(one.hectares, _DECIMALS),
            "share": round(one.share, 2 + _DECIMALS),
        }
        for one in counted
    ]


class ServedMaps:
    """Products named at start; one that was made again meanwhile is read again.

    Args:
        named: Products, and folders in which products are found. No other file is ever opened.

    Raises:
        InputError: One is not there, or is no product of lulc.
    """

    def __init__(self, named: Sequence[Path]) -> None:
        self._named, self._opened = list(named), dict[str, ServedMap]()
        self._known: dict[str, tuple[str, Path]] = {}
        self._lock = threading.Lock()
        for path in named:
            if not path.exists():
                raise InputError(f"there is no {path}", "give a product of lulc, or a folder that holds some")
            if path.is_file():
                _refuse_scene(path)
        if named and not self.listed():
            raise InputError(f"{named[0]} holds no product of lulc", "give a folder of maps")

    def listed(self) -> list[dict[str, str]]:
        """Id and title of each, in the order named."""
        self._known = {_id_of(path): (title, path) for title, path in _products(self._named)}
        shown = []
        for map_id, (title, path) in self._known.items():
            try:
                self._open(map_id, title, path)
            except LulcError:
                continue  # another kind of GeoTIFF in the folder, or one that is being replaced
            shown.append({"id": map_id, "title": title})
        return shown

    def get(self, map_id: str) -> ServedMap:
        """A map by its id.

        Raises:
            Refusal: There is none.
        """
        if map_id not in self._known:
            self.listed()
        title, path = self._known.get(map_id, ("", None))
        if path is None or not path.is_file() or _id_of(path) != map_id:  # a link may lead elsewhere by now
            raise Refusal(404, "there is no such map", "choose one of the list")
        try:
            return self._open(map_id, title, path)
        except LulcError as error:
            raise Refusal.of(error) from error

    def _open(self, map_id: str, title: str, path: Path) -> ServedMap:
        with self._lock:
            known = self._opened.get(map_id)
            if known is None or known.version != version_of(path):
                self._opened[map_id] = known = ServedMap(map_id, title, path)
            return known


def heat_png(path: Path, zoom: int, column: int, row: int) -> bytes | None:
    """PNG of a tile of a heat map; None outside."""
    with closing(TiledRaster(path)) as raster:
        return heat_tile(raster, zoom, column, row)


def overlapping(first: Bounds, second: Bounds) -> bool:
    """True when two rasters that are placed have ground in common."""
    if first is None or second is None:
        return False
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def bounds_of(path: Path) -> Bounds:
    """West, south, east, north of a raster in WGS 84 degrees; None where it is not placed."""
    with closing(TiledRaster(path)) as raster:
        return raster.bounds


def version_of(path: Path) -> str:
    """Changes when a file is replaced.

    Raises:
        InputError: It is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", "was it moved?") from error
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def ramp() -> list[str]:
    """Colours of fractions, from 0 to 1."""
    return ramp_colors(11)


def _refuse_scene(path: Path) -> None:
    try:
        MapView(path).close()
    except InputError as error:
        raise InputError(error.problem, f"{error.remedy}; scenes are shown with --base") from error


def _products(named: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Title and file of what may be shown: links that lead out of a named folder are left out."""
    for path in named:
        if path.is_file():
            yield path.name, path
            continue
        names = (file.relative_to(path) for file in sorted(path.rglob("*.tif")))
        shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        yield from ((str(name), path / name) for name in shown[:_MOST_FOUND] if _is_below(path / name, path.resolve()))


def _is_below(file: Path, folder: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder) and file.is_file()
    except (OSError, RuntimeError):  # a link that leads to itself
        return False


def _id_of(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:_ID_LENGTH]


def _layer(name: str, layer: ViewLayer) -> ActivationLayer | Layer:
    kind: Literal["class", "share", "sky"] = "class" if name == CLASS else "sky" if name == CLOUDS.name else "share"
    if layer.code is None:
        return Layer(id=name, title=layer.title, kind=kind)
    return ActivationLayer(id=name, title=layer.title, kind=kind, code=layer.code)


def _entry(one: LandClass) -> LegendEntry:
    return LegendEntry(code=one.code, name=one.name, color=one.color)
