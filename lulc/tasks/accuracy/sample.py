"""Drawing a stratified random sample of a map's pixels, to be labelled by eye or in the field.

The strata are the classes of the map. Inside each, every pixel has the same chance, and no pixel is drawn twice. The map
is read twice, row of blocks by row of blocks: once to count, once to find the pixels that were drawn.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import ConfigError, InputError, UsageError, did_you_mean
from lulc.grid import Grid, Window
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.points import Design, DrawnStratum, Points, check_points_target, drawn_digest, write_points
from lulc.io.product.areas import PixelAreas, edge_of
from lulc.io.product.maps import ClassMap, open_map
from lulc.legend import Legend
from lulc.metrics.sample_design import allocate, allocate_for, expected_se
from lulc.run import Progress, silent
from lulc.tasks.accuracy.options import SampleOptions

_CODES = 256
_ORDER = 0
"""Stream of random numbers that the order of labelling is from; those of the strata bear their codes, from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Pixels and areas of each class of a map.

    Attributes:
        legend: Its classes.
        grid: Its georeference.
        areas: Ground of its pixels.
        pixels: int64 (K,) pixels of each class.
        hectares: float64 (K,) their ground area.
        rows: Rows of blocks, full width, from top to bottom.
        per_row: int64 (R, K) pixels of each class in each of them.
        fingerprint: SHA-256 over grid, legend and classes: two files with the same classes have the same.
    """

    legend: Legend
    grid: Grid
    areas: PixelAreas
    pixels: NDArray[np.int64]
    hectares: NDArray[np.float64]
    rows: tuple[Window, ...]
    per_row: NDArray[np.int64]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SampleReport:
    """Result of a run of `lulc sample`.

    Attributes:
        map_path: The map.
        output: The file to be labelled.
        design: How it was drawn.
        expected_se: Standard error of the overall accuracy to expect of these points.
        legend_options: Options that say what the map's values mean, as given; empty for a map of lulc.
    """

    map_path: Path
    output: Path
    design: Design
    expected_se: float
    legend_options: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        table = self.design.to_table()
        return {
            "map": str(self.map_path),
            "output": str(self.output),
            "points": self.design.points,
            "expected_se": self.expected_se,
            "legend": self.design.legend.name,
            **{name: table[name] for name in ("seed", "fingerprint", "drawn", "strata")},
        }

    def to_text(self) -> str:
        """Aligned columns for people."""
        there = [entry for entry in self.design.strata if entry.pixels]  # few of the transitions of a change map occur
        width = max(len(entry.name) for entry in there)
        whole = sum(entry.pixels for entry in there)
        lines = [
            f"{self.output}: {self.design.points} points of {self.map_path}, stratified random, seed {self.design.seed}",
            f"expected standard error of the overall accuracy: {self.expected_se:.4f}",
            f"{'class':<{width}}  {'pixels':>13}  {'share':>7}  {'points':>6}",
        ]
        lines += [
            f"{entry.name:<{width}}  {entry.pixels:>13,}  {entry.pixels / whole:>7.2%}  {entry.points:>6}"
            for entry in there
        ]
        label = "label every point in the column `reference` (class name or code)"
        return "\n".join(
            [*lines, f"next: {label}, then: lulc evaluate {self.map_path} {self.output}{self.legend_options}"]
        )


def sample_map(
    map_path: AnyPath,
    output: AnyPath,
    options: SampleOptions | None = None,
    *,
    progress: Progress = silent,
) -> SampleReport:
    """Draw a sample of a map and write it to be labelled.

    The points are in random order, so that the first ones of each class are a random sample too.

    Args:
        map_path: A product of lulc, or a raster of classes with `options.legend`.
        output: .gpkg, .geojson or .csv.
        options: How.
        progress: Called with the pixels done and in all.

    Raises:
        UsageError: The output's suffix is none for points, or fewer points are asked for than the minima add up to.
        InputError: Not a product, without a CRS, or without a pixel of any class.
        ConfigError: An expected accuracy for a class that the legend does not have, or out of range.
        StorageError: Reading or writing failed, or the output exists.
    """
    map_path, output = as_path(map_path), as_path(output)
    chosen = options or SampleOptions()
    check_points_target(output, overwrite=chosen.overwrite)
    with open_map(map_path, chosen.legend, chosen.nodata) as product:
        expected = _expected(product.legend, chosen)
        whole = 2 * product.grid.shape.size
        population = count_classes(product, progress=lambda done, _: progress(done, whole))
        counts = _points_per_class(population, expected, chosen)
        points = _draw(
            product, population, counts, chosen.seed, progress=lambda done, all_: progress(done + all_, whole)
        )
    write_points(output, points, population.grid, overwrite=chosen.overwrite)
    assert points.design is not None
    se = expected_se(population.pixels.tolist(), counts, expected)
    return SampleReport(map_path, output, points.design, se, _legend_options(chosen))


def _legend_options(options: SampleOptions) -> str:
    given = {"--legend": options.legend, "--nodata": options.nodata}
    return "".join(f" {flag} {value}" for flag, value in given.items() if value is not None)


def count_classes(product: ClassMap, *, progress: Progress = silent) -> Population:
    """Count the pixels and the ground area of every class, and fingerprint the map, in one pass.

    Raises:
        InputError: Without a CRS, with codes that the legend does not have, or without a pixel of any class.
        StorageError: It cannot be read.
    """
    grid, legend = product.grid, product.legend
    areas = PixelAreas.of(grid, edge_of(product.tags, product.path))
    if not np.isfinite(areas.rows).all():
        raise InputError(f"{product.path} has no CRS", "points need a place on the ground: georeference the map first")
    georeference = [grid.crs.to_wkt(), *grid.transform[:6], grid.shape.height, grid.shape.width]  # type: ignore[union-attr]
    digest = hashlib.sha256(json.dumps([*georeference, *legend.names]).encode())
    rows, found, hectares = tuple(product.block_rows()), [], np.zeros(_CODES)
    for window in rows:
        codes = product.classes(window)
        digest.update(codes.tobytes())
        by_line = np.stack([np.bincount(line, minlength=_CODES) for line in codes])
        rows_ha = areas.part(window).rows
        outside_ha = rows_ha * (1 - areas.columns[-1])
        hectares += rows_ha @ by_line - np.bincount(codes[:, -1], outside_ha, minlength=_CODES)
        found.append(by_line.sum(axis=0))
        progress(window.row_end * grid.shape.width, grid.shape.size)
    per_row = np.stack(found)
    kept = slice(1, len(legend) + 1)
    pixels = per_row[:, kept].sum(axis=0)
    if not pixels.any():
        raise InputError(f"{product.path} has no pixel with a class", "give a map with data")
    return Population(legend, grid, areas, pixels, hectares[kept], rows, per_row[:, kept], digest.hexdigest())


def _expected(legend: Legend, options: SampleOptions) -> list[float]:
    for name, accuracy in options.expected_of.items():
        if name not in legend.names:
            raise ConfigError(f"legend {legend.name} has no class {name!r}", did_you_mean(name, legend.names))
        if not 0 < accuracy < 1:
            raise ConfigError(f"expected accuracy {accuracy:g} of {name!r}", "give a share above 0 and below 1")
    return [options.expected_of.get(name, options.expected) for name in legend.names]


def _points_per_class(population: Population, expected: list[float], options: SampleOptions) -> tuple[int, ...]:
    pixels = population.pixels.tolist()
    least = sum(min(count, options.min_per_class) for count in pixels)
    if options.total is None:
        return allocate_for(pixels, expected, options.target_se, options.min_per_class)
    if options.total < least:
        present = sum(count > 0 for count in pixels)
        problem = f"{options.total} points are too few for {present} classes with {options.min_per_class} each"
        raise UsageError(problem, f"ask for {least} or more, or for fewer per class")
    return allocate(pixels, options.total, options.min_per_class)


def _draw(
    product: ClassMap, population: Population, counts: tuple[int, ...], seed: int, *, progress: Progress
) -> Points:
    """Draw pixels of each class by their rank in the map, find where they lie, and put them into random order."""
    ranks = [
        np.sort(np.random.default_rng([seed, code]).choice(pixels, count, replace=False, shuffle=False))
        for code, (pixels, count) in enumerate(zip(population.pixels.tolist(), counts, strict=True), 1)
    ]
    before = np.zeros(len(counts), np.int64)
    found: list[NDArray[np.int64]] = []
    for window, here in zip(population.rows, population.per_row, strict=True):
        wanted = [
            rank[slice(*np.searchsorted(rank, [start, start + held]))] - start
            for rank, start, held in zip(ranks, before, here, strict=True)
        ]
        if any(rank.size for rank in wanted):
            found += _pixels_of(product.classes(window), window, wanted)
        before += here
        progress(window.row_end * population.grid.shape.width, population.grid.shape.size)
    stratum, row, col = np.concatenate(found, axis=1)
    by_pixel = np.lexsort((col, row))  # however the map is cut into blocks
    order = by_pixel[np.random.default_rng([seed, _ORDER]).permutation(len(stratum))]
    return _points(product, population, counts, seed, (stratum[order], row[order], col[order]))


def _pixels_of(codes: NDArray[np.uint8], window: Window, wanted: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Class code, row and column, int64 (3, n), of the wanted ranks of each class inside one window."""
    found = []
    for code, ranks in enumerate(wanted, 1):
        if ranks.size:
            row, col = np.divmod(np.flatnonzero(codes == code)[ranks], window.width)
            found.append(np.stack([np.full(ranks.size, code), row + window.row, col + window.col]))
    return found


def _points(
    product: ClassMap,
    population: Population,
    counts: tuple[int, ...],
    seed: int,
    drawn: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> Points:
    stratum, row, col = drawn
    number = np.arange(1, len(stratum) + 1)
    lon, lat = population.grid.longitudes_latitudes(col + 0.5, row + 0.5).T
    hectares = population.areas.at(row, col)
    strata = tuple(
        DrawnStratum(entry.code, entry.name, int(pixels), float(area), count)
        for entry, pixels, area, count in zip(
            population.legend, population.pixels, population.hectares, counts, strict=True
        )
    )
    design = Design(
        map_name=product.path.name,
        fingerprint=population.fingerprint,
        seed=seed,
        legend=population.legend,
        strata=strata,
        drawn=drawn_digest(number, stratum, row, col),
    )
    return Points(number, ("",) * len(stratum), lon, lat, stratum, row, col, hectares, design)
