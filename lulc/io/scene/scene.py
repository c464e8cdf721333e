"""Scene: any input as named bands on one grid, with its radiometry and its valid mask, read by window."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Grid, Shape, Window, map_points
from lulc.indices import INDICES
from lulc.io.files.fingerprint import Unchanged, file_fingerprint, input_files
from lulc.io.files.georeference import check_georeference
from lulc.io.files.paths import AnyPaths, as_paths
from lulc.io.scene.band_names import SourceBand, bands_by_name, labels_of
from lulc.io.scene.gathering import gather
from lulc.io.scene.inputs import open_sources
from lulc.io.scene.plausibility import Doubts, doubts_of, renamed, without_metadata
from lulc.io.scene.quality import quality_bands
from lulc.io.scene.radiometry import RadiometryOverride
from lulc.io.scene.source import Raster, Source, closed_on_error
from lulc.options import SceneOptions
from lulc.threads import PlacedThreads, open_files, usable_cores

if TYPE_CHECKING:
    import xarray as xr

_log = logging.getLogger(__name__)

_SHARE_OF_FILES = 0.25
"""Of the files that a process may hold open, what the threads of scenes may take."""


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """What a scene says of itself.

    Attributes:
        name: File name, or the names of several inputs.
        paths: What the user gave.
        kind: `GeoTIFF`, `JPEG 2000`, `SAFE L2A baseline 05.09`, `NetCDF`, ...
        level: Product level, such as `L1C`; empty when not said.
        acquired: Acquisition date or time, or FROM/TO of several; empty when not said.
        nodata: Value that means no data; None when not said.
        unnamed: Labels of bands that were not recognised, and are ignored.
    """

    name: str
    paths: tuple[Path, ...]
    kind: str
    level: str
    acquired: str
    nodata: float | None
    unnamed: tuple[str, ...]


class Scene:
    """Named bands on one grid; made by `open_scene`.

    Attributes:
        info: What it says of itself.
        grid: Where its pixels lie.
        names: Bands and indices it offers, in the order of the input.
        radiometry: How its digital numbers become reflectance.
        dtype: Type of the raw values.
        block_shape: Largest block that is decoded at once.
        quality: Quality bands by name (`SCL`, `QA60`), codes on the scene's grid.
        unchanged: Its files as they were when it was opened.
    """

    def __init__(
        self, sources: list[Source], bands: Sequence[str] | None, radiometry: RadiometryOverride, name: str = ""
    ) -> None:
        for source in sources:
            check_georeference(source.grid, source.origin.path)
        self.grid = max((source.grid for source in sources), key=lambda grid: grid.shape.size)
        self._given = sources
        self._sources = [_fitted(source, self.grid, sources) for source in sources]
        labels = labels_of(self._sources, bands)
        self._renamed = renamed(self._sources, bands)
        self._bands, unnamed = bands_by_name(self._sources, labels, named=bands is not None)
        self.quality = quality_bands(sources, labels, self.grid)
        self.names = tuple(self._bands)
        spectral = {number for name, (number, _) in self._bands.items() if name not in INDICES}
        self.radiometry = radiometry.of([self._sources[number] for number in sorted(spectral)])
        common = np.result_type(*{self._sources[number].dtype for number, _ in self._bands.values()})
        self.dtype = np.dtype(np.float32) if common.kind == "f" else common
        self.block_shape = Shape(
            max(source.block_shape.height for source in self._sources),
            max(source.block_shape.width for source in self._sources),
        )
        self.info = _info(self._sources, unnamed, name)
        self.unchanged = Unchanged(self.files())
        self.use_threads()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release files."""
        for source in (*self._sources, *self._given):
            source.close()

    def use_threads(self, count: int | None = None, beside: int = 1) -> None:
        """Read a window in at most `count` threads, and in fewer where the files that they hold open would be too many.

        Args:
            count: None for the cores that lulc may use; more than `MOST_THREADS` are not used.
            beside: Scenes that are open at the same time, this one included.
        """
        files = int(_SHARE_OF_FILES * open_files()) // (beside * len(self._given))
        self._threads = PlacedThreads(max(1, min(count or usable_cores(), files)))

    def read(self, names: Sequence[str], window: Window) -> Raster:
        """Raw values and valid mask; safe to call from several threads.

        Args:
            names: Bands and indices of this scene.
            window: Inside the scene.

        Returns:
            Raw values (len(names), height, width) in `dtype`, and bool (height, width), True where every one of them
            has data: not nodata, not NaN, not masked. Where nothing says what means no data, 0 in all spectral bands of
            the scene does. What lies in invalid pixels is not defined.

        Raises:
            StorageError: The input cannot be read there.
        """
        raw, valid = self._gather([self._bands[name] for name in names], window)
        return Raster(raw, valid & ~self._blank(names, Raster(raw, valid), window))

    def _blank(self, names: Sequence[str], read: Raster, window: Window) -> NDArray[np.bool_]:
        """True where all spectral bands hold a 0 that may mean no data, of the pixels that are valid so far.

        The answer is the same whichever bands are asked for: where these are 0, the others are looked at.
        """
        zeros = self._zeros
        blank = read.valid & bool(zeros)
        for plane, name in zip(read.data, names, strict=True):
            if name in zeros:
                blank &= plane == zeros[name]
        for name in zeros.keys() - set(names):
            if not blank.any():
                break
            blank &= self._gather([self._bands[name]], window).data[0] == zeros[name]
        return blank

    @cached_property
    def _zeros(self) -> dict[str, float]:
        """The spectral bands in which a 0 may mean no data, and what that 0 has become."""
        found = {}
        for name, (number, band) in self._bands.items():
            zeros = self._sources[number].zeros
            if name not in INDICES and zeros is not None:
                found[name] = zeros[band]
        return found

    def _gather(self, bands: Sequence[SourceBand], window: Window) -> Raster:
        """Planes of any sources in one array, read in the threads of the scene."""
        return gather(self._sources, bands, window, self.dtype, self._threads)

    def to_xarray(self, names: Sequence[str] | None = None, chunks: int = 1024) -> "xr.DataArray":
        """The scene as a lazy array.

        Args:
            names: Bands and indices; None for all.
            chunks: Side of the dask chunks, pixels.

        Returns:
            float32 (band, y, x): reflectance of bands and values of indices, NaN where there is no data; coordinates
            `band`, `y`, `x` (pixel centres), `spatial_ref`, and the lazy mask `valid` (y, x).
        """
        from lulc.io.scene.lazy import lazy_array

        return lazy_array(self, tuple(names or self.names), chunks).assign_attrs(source=self.info.name)

    def reflectance(self, names: Sequence[str], window: Window) -> NDArray[np.float32]:
        """Reflectance of bands and values of indices, float32 (len(names), height, width), NaN where not valid."""
        raw, valid = self.read(names, window)
        values = raw.astype(np.float32)
        spectral = [position for position, name in enumerate(names) if name not in INDICES]
        values[spectral] = self.radiometry.reflectance(values[spectral])
        values[:, ~valid] = np.nan
        return values

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is implausible about names and pixels, of which a few small samples are read."""
        return (
            *self._renamed,
            *without_metadata(self._given, self.radiometry),
            *self._doubts.refusal,
            *self._doubts.warnings,
        )

    def check_reflectance(self) -> None:
        """Look at a few samples before work begins.

        Raises:
            InputError: Pixels without data, which nothing marks as such, pass for reflectance.
        """
        if self._doubts.fatal:
            problem, remedy = self._doubts.fatal
            raise InputError(f"{self.info.name}: {problem}", remedy)

    def tell_empty(
        self, remedy: str = "check its nodata value and its bands", *, refuse: bool, subject: str = ""
    ) -> None:
        """Warn that no pixel has data.

        Args:
            remedy: What to look at.
            subject: What has no pixel; by default this scene.
            refuse: Refuse instead.

        Raises:
            InputError: `refuse` is set.
        """
        refusal = InputError(f"{subject or self.info.name} has no valid pixel", remedy)
        if refuse:
            raise refusal
        _log.warning("%s", refusal)

    @cached_property
    def _doubts(self) -> Doubts:
        return doubts_of(self)

    def files(self) -> list[Path]:
        """Files on this machine that it is read from, and what lies beside them."""
        paths = (*self.info.paths, *(file for source in self._given for file in source.origin.files))
        return [file for path in dict.fromkeys(paths) for file in input_files(path)]

    def fingerprint(self, *, times: bool = True) -> str:
        """SHA-256 over name, size, time and samples of the files, and over how their numbers are understood.

        Args:
            times: Count in when files were written. With it no changed file goes unnoticed; without it the same
                content gives the same fingerprint wherever and whenever it was made.
        """
        digest = hashlib.sha256()
        for file in self.files():
            called = self.info.name if [file] == list(self.info.paths) else file.name
            digest.update(file_fingerprint(file, called, times=times))
        for stated in dict.fromkeys(source.origin.stated for source in self._given):
            digest.update(stated.encode())
        meaning = [list(self._bands.items()), self.radiometry.quantification, self.radiometry.offset]
        meaning += [[source.origin.nodata, *_stated_place(source.grid)] for source in self._given]
        digest.update(json.dumps(meaning).encode())
        return digest.hexdigest()


def open_scene(
    paths: AnyPaths,
    *,
    bands: Sequence[str] | None = None,
    offset: float | None = None,
    quantification: float | None = None,
    date: str | None = None,
    name: str | None = None,
) -> Scene:
    """Open one scene from a file, a folder, or several files that are stacked.

    Args:
        paths: One, or several that are stacked: GeoTIFF, COG, JPEG 2000, .img, NetCDF, Zarr, SAFE folder or zip, a folder
            of band files.
        bands: Names of the bands in the order of the input, when the files do not say; `-` skips one.
        offset: Added to digital numbers; None takes it from the metadata, else 0.
        quantification: Digital numbers per unit reflectance; None takes it from the metadata, else 10000, or 1 for
            floating-point files.
        date: Date to take of a cube that holds several, or the beginning of its text, such as `2021-05-27`.
        name: Overrides the file name in messages and tags.

    Raises:
        InputError: Not readable, not of a known kind, without band names, or parts that do not fit each other.
        LimitError: A header that asks for more than lulc reads.
    """
    sources = open_sources(list(as_paths(paths)), date)
    with closed_on_error(sources):
        return Scene(sources, bands, RadiometryOverride(offset, quantification), name or "")


def open_scene_as(paths: AnyPaths, options: SceneOptions, name: str | None = None) -> Scene:
    """Open one scene as the options of a command say; see `open_scene`."""
    return open_scene(
        paths,
        bands=options.bands,
        offset=options.offset,
        quantification=options.quantification,
        date=options.date,
        name=name,
    )


def _stated_place(grid: Grid) -> tuple[Any, ...]:
    """Where a grid lies, as JSON values: a file beside the raster may say it."""
    crs = grid.gcps_crs if grid.gcps else grid.crs
    return crs.to_wkt() if crs else None, list(grid.transform)[:6], grid.control_points()


def _fitted(source: Source, grid: Grid, sources: list[Source]) -> Source:
    """The source on the scene's grid: as it is, or resampled when it covers the same ground more coarsely."""
    if source.grid.same_as(grid):
        return source
    first = next(other for other in sources if other.grid is grid)
    names = _both(first, source)
    if source.grid.crs != grid.crs:
        raise InputError(f"{names} have different CRS", "bring them to one grid first, such as with gdalwarp")
    if not _same_ground(source.grid, grid):
        raise InputError(f"{names} do not cover the same ground", "bring them to one grid first, such as with gdalwarp")
    return source.on_grid(grid)


def _both(first: Source, second: Source) -> str:
    """What messages call two sources: their paths, or their bands in one path."""
    if first.origin.path != second.origin.path:
        return f"{first.origin.path} and {second.origin.path}"
    one, other = (", ".join(label or "a band without name" for label in each.labels) for each in (first, second))
    return f"{first.origin.path}: {one} and {other}"


def _same_ground(coarse: Grid, fine: Grid) -> bool:
    """True when the corners of both lie within a pixel of the coarser one (odd sizes leave half a pixel over)."""
    across, down = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    corners = map_points(fine.transform, across * fine.shape.width, down * fine.shape.height)
    cols, rows = map_points(~coarse.transform, *corners)
    off = np.abs([cols - across * coarse.shape.width, rows - down * coarse.shape.height])
    return bool(off.max() < 1)


def _info(sources: list[Source], unnamed: tuple[str, ...], name: str) -> SceneInfo:
    paths = tuple(dict.fromkeys(source.origin.path for source in sources))
    first = sources[0].origin
    return SceneInfo(
        name=name or " + ".join(path.name for path in paths),
        paths=paths,
        kind=" + ".join(dict.fromkeys(source.origin.kind for source in sources)),
        level=first.level,
        acquired=first.acquired,
        nodata=first.nodata,
        unnamed=unnamed,
    )
