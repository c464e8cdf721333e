"""Estimating a map's accuracy, and the area of each class, from labelled points.

An estimate with an interval needs a probability sample: points drawn by `lulc sample`, all of them, where they were
drawn, from that very map. All of this is checked. Other points are compared too, but get no intervals.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, did_you_mean
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.points import Design, Points, drawn_digest, pixels_at, read_points
from lulc.io.product.maps import ClassMap, open_map
from lulc.legend import NODATA_CODE, Legend
from lulc.metrics.area_estimate import AreaEstimates, Estimate, LabelledPoints, Strata, estimate_from_points
from lulc.run import Progress, silent
from lulc.tasks.accuracy.area_report import AreaReport
from lulc.tasks.accuracy.options import EstimateOptions
from lulc.tasks.accuracy.sample import Population, count_classes

_NOT_LABELLED = 0
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Case:
    """Labelled points beside the population that they stand for.

    Attributes:
        strata: That population.
        stratum: int64 (n,) stratum of each point.
        mapped: int64 (n,) class in the map under test.
        hectares: float64 (n,) area of each point's pixel.
        counted: Hectares of each class in the map under test.
    """

    strata: Strata
    stratum: NDArray[np.int64]
    mapped: NDArray[np.int64]
    hectares: NDArray[np.float64]
    counted: tuple[float, ...]


def estimate_areas(
    map_path: AnyPath | None,
    points_path: AnyPath,
    options: EstimateOptions | None = None,
    *,
    progress: Progress = silent,
) -> AreaReport:
    """Estimate accuracy and areas of a map.

    Args:
        map_path: The map under test. None takes the classes and areas that were noted when the points were drawn.
        points_path: Labelled points, .gpkg, .geojson or .csv.
        options: How.
        progress: Called with the pixels done and in all.

    Raises:
        InputError: The points are not those that were drawn, or not from this map; a label is missing or is no class.
        StorageError: Reading failed.
    """
    points_path = as_path(points_path)
    map_path = None if map_path is None else as_path(map_path)
    chosen = options or EstimateOptions()
    points = read_points(points_path, label=chosen.attribute)
    design = points.design
    notes: list[str] = []
    if design is not None:
        notes += _check_drawn(points_path, points, design, allow_missing=chosen.allow_missing)
    if map_path is not None:
        with open_map(map_path, chosen.legend, chosen.nodata) as product:
            population = count_classes(product, progress=progress)
            case = _case(product, population, points, points_path, other_map=chosen.other_map)
        legend = population.legend
    elif design is not None:
        case, legend = _drawn_case(points, design, [entry.hectares for entry in design.strata]), design.legend
    else:
        raise InputError(f"{points_path} does not say how its points were drawn", "give the map as well")
    codes = label_codes(points_path, points, legend)
    labelled = codes != _NOT_LABELLED
    notes += _check_labels(points_path, points, labelled, allow_missing=chosen.allow_missing)
    sample = LabelledPoints(case.stratum[labelled], case.mapped[labelled], codes[labelled], case.hectares[labelled])
    estimates = estimate_from_points(sample, case.strata, len(legend))
    return AreaReport(
        subject=str(map_path) if map_path else design.map_name if design else "",
        reference=str(points_path),
        legend=legend,
        design=design,
        strata_are_classes=case.strata.are_classes,
        labelled=Counter(sample.strata.tolist()),
        estimates=estimates if design else _without_intervals(estimates),
        counted=case.counted,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, eq=False)
class PlacedSample:
    """A labelled sample of one map, and where its points lie.

    Attributes:
        points: The points; their strata are the classes of the map.
        rows: int64 (n,) rows of their pixels.
        columns: int64 (n,) columns.
        estimates: What they say of the whole map.
    """

    points: LabelledPoints
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    estimates: AreaEstimates


def placed_sample(product: ClassMap, path: Path) -> PlacedSample:
    """A labelled sample that `lulc sample` drew from a map, whole and as it was drawn.

    Args:
        product: The very map.
        path: .gpkg, .geojson or .csv.

    Raises:
        InputError: The points are not those that were drawn, or not from this map; a label is missing or is no class.
        StorageError: Reading failed.
    """
    points = read_points(path, label=EstimateOptions().attribute)
    design = points.design
    if design is None or points.row is None or points.col is None:
        raise InputError(f"{path} does not say how its points were drawn", "draw points with lulc sample")
    _check_drawn(path, points, design, allow_missing=False)
    population = count_classes(product)
    if design.fingerprint != population.fingerprint:
        raise InputError(f"{path} was drawn from {design.map_name}, not from {product.path}", "give the map it is from")
    codes = label_codes(path, points, population.legend)
    missing = points.number[codes == _NOT_LABELLED].tolist()
    if missing:
        problem = f"{len(missing)} of {len(codes)} points of {path} have no label: {_some(missing)}"
        raise InputError(problem, "label them in the column reference")
    case = _drawn_case(points, design, population.hectares.tolist())
    sample = LabelledPoints(case.stratum, case.mapped, codes, case.hectares)
    estimates = estimate_from_points(sample, case.strata, len(population.legend))
    return PlacedSample(sample, points.row, points.col, estimates)


def _case(product: ClassMap, population: Population, points: Points, path: Path, *, other_map: bool) -> _Case:
    design = points.design
    if design is not None and design.fingerprint == population.fingerprint:
        return _drawn_case(points, design, population.hectares.tolist())
    if design is not None and not other_map:
        raise InputError(f"{path} was drawn from {design.map_name}, not from {product.path}", "give the map it is from")
    if design is not None and design.legend.names != population.legend.names:
        raise InputError(f"{path} was drawn from a map with other classes", f"it has those of {design.legend.name}")
    mapped, hectares = _classes_at(product, population, points, path)
    counted = tuple(population.hectares.tolist())
    if design is not None:
        return dataclasses.replace(_drawn_case(points, design, counted, are_classes=False), mapped=mapped)
    codes = tuple(range(1, len(counted) + 1))
    strata = Strata(codes, tuple(population.pixels.tolist()), counted)
    return _Case(strata, mapped, mapped, hectares, counted)


def _drawn_case(points: Points, design: Design, counted: Sequence[float], *, are_classes: bool = True) -> _Case:
    assert points.stratum is not None
    assert points.hectares is not None
    strata = Strata(
        tuple(entry.code for entry in design.strata),
        tuple(entry.pixels for entry in design.strata),
        tuple(entry.hectares for entry in design.strata),
        are_classes=are_classes,
    )
    return _Case(strata, points.stratum, points.stratum, points.hectares, tuple(counted))


def _classes_at(
    product: ClassMap, population: Population, points: Points, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class and pixel area of the map at the points."""
    row, col, inside = pixels_at(population.grid, points.lon, points.lat)
    codes = np.full(len(row), NODATA_CODE, np.int64)
    for window in population.rows:
        here = inside & (row >= window.row) & (row < window.row_end)
        if here.any():
            codes[here] = product.classes(window)[row[here] - window.row, col[here]]
    lost = points.number[codes == NODATA_CODE].tolist()
    if lost:
        problem = f"{len(lost)} points of {path} lie where {product.path} has no data: {_some(lost)}"
        raise InputError(problem, "give a map that covers all points")
    return codes, population.areas.at(row, col)


def _check_drawn(path: Path, points: Points, design: Design, *, allow_missing: bool) -> list[str]:
    """Refuse points that are not those drawn; say how many are gone where that is allowed."""
    assert points.stratum is not None
    assert points.row is not None
    assert points.col is not None
    twice = [number for number, times in Counter(points.number.tolist()).items() if times > 1]
    strange = sorted({*points.number.tolist()} - {*range(1, design.points + 1)})
    if twice or strange:
        which = f"{_some(twice)} more than once" if twice else f"{_some(strange)}, which was not drawn"
        raise InputError(
            f"{path} holds the point {which}", "an estimate needs the points that were drawn, and no other"
        )
    missing = sorted({*range(1, design.points + 1)} - {*points.number.tolist()})
    if not missing:
        if drawn_digest(points.number, points.stratum, points.row, points.col) != design.drawn:
            problem = f"{path}: ids, strata, rows or columns of the points have changed since they were drawn"
            raise InputError(problem, "only the labels may change; take the others from the file that lulc wrote")
        return []
    drawn = {entry.code: entry.points for entry in design.strata}
    if any(times > drawn.get(code, 0) for code, times in Counter(points.stratum.tolist()).items()):
        raise InputError(f"{path} holds more points of a stratum than were drawn", "only the labels may change")
    if not allow_missing:
        problem = f"{path} lacks {len(missing)} of the {design.points} points that were drawn: {_some(missing)}"
        raise InputError(problem, "put them back, or use --allow-missing")
    return [
        f"{len(missing)} of the {design.points} points drawn are not in the file; that the others are where they were drawn cannot be checked"
    ]


def label_codes(path: Path, points: Points, legend: Legend) -> NDArray[np.int64]:
    """Class code of each label: int64 (n,), 0 where there is none. Labels are names in any case, or numbers as the map's pixels hold them.

    Raises:
        InputError: A label that the legend lacks.
    """
    known = {name.casefold(): code for code, name in enumerate(legend.names, 1)}
    numbers = {str(value): code for value, code in legend.code_of_value().items() if code != NODATA_CODE}
    known |= {number: code for number, code in numbers.items() if number not in known} | {"": _NOT_LABELLED}
    codes = np.empty(len(points.reference), np.int64)
    for index, label in enumerate(points.reference):
        if label.casefold() not in known:
            problem = f"{path}: point {points.number[index]} has the label {label!r}, which legend {legend.name} lacks"
            raise InputError(problem, did_you_mean(label, legend.names))
        codes[index] = known[label.casefold()]
    return codes


def _check_labels(path: Path, points: Points, labelled: NDArray[np.bool_], *, allow_missing: bool) -> list[str]:
    missing = points.number[~labelled].tolist()
    if not missing:
        return []
    if not labelled.any():
        raise InputError(f"no point of {path} has a label", "fill in class names or codes")
    if not allow_missing:
        problem = f"{len(missing)} of {len(labelled)} points of {path} have no label: {_some(missing)}"
        raise InputError(problem, "label them, or use --allow-missing")
    return [
        f"points without a label: {len(missing)}; the estimates take them to be like the labelled ones of their stratum"
    ]


def _without_intervals(estimates: AreaEstimates) -> AreaEstimates:
    """The same values: points that were not drawn at random have no standard error."""

    def bare(estimate: Estimate) -> Estimate:
        return Estimate(estimate.value, np.nan, np.nan, np.nan)

    return dataclasses.replace(
        estimates,
        overall=bare(estimates.overall),
        users=tuple(map(bare, estimates.users)),
        producers=tuple(map(bare, estimates.producers)),
        f1=tuple(map(bare, estimates.f1)),
        shares=tuple(map(bare, estimates.shares)),
    )


def _some(numbers: Sequence[int]) -> str:
    """The first few of many."""
    more = len(numbers) - _MOST_NAMED
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
