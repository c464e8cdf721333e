"""The planes of a cube: which variables, bands and dates of a dataset are rows and columns of pixels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from lulc.bands import sensor
from lulc.errors import InputError
from lulc.grid import Grid
from lulc.io.scene.cube.place import grid_of_plane, role_of
from lulc.io.scene.quality import quality_name
from lulc.io.scene.source import canonical_name

_BAND_DIMENSIONS = ("band", "bands", "channel")
_OWN = "source"
"""A plane of lulc's own stacks that is no band: which scene a pixel came from."""

_MEASURED = ("measurements", "reflectance")
"""Names of groups that hold reflectance where others hold masks and angles of the same names (EOPF)."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One band.

    Attributes:
        label: What the dataset calls it; None when it says nothing.
        values: (row, column), lazy.
        dataset: Where it lies.
        date: Which of several it is; empty when there is one.
    """

    label: str | None
    values: xr.DataArray
    dataset: xr.Dataset
    date: str = ""


def planes_of(groups: Mapping[str, xr.Dataset], path: Path, date: str | None = None) -> list[list[Plane]]:
    """Planes by their grid, the largest first.

    Args:
        groups: Datasets by the name of their group.
        path: For messages.
        date: Which to take where there are several, or the beginning of its text.

    Raises:
        InputError: There are none, or there are several dates and none of them was chosen.
    """
    found: list[Plane] = []
    several: list[str] = []
    for dataset in _measured(groups):
        for name, variable in dataset.data_vars.items():
            if variable.dtype.kind in "iuf":
                found += _planes_of_variable(str(name), variable, dataset, date, several)
    if not found and several:
        raise InputError(f"{path}: {several[0]}", "choose one with --date")
    if not found:
        raise InputError(
            f"{path} has no variable with rows and columns: it has {_listed(groups)}",
            "give variables of (y, x) or (band, y, x)",
        )
    if date and not any(plane.date for plane in found):
        raise InputError(f"{path} has no axis of dates", "leave --date out")
    return _by_grid([plane for plane in found if plane.label != _OWN], path)


def _measured(groups: Mapping[str, xr.Dataset]) -> Iterable[xr.Dataset]:
    """The groups that count: those of measurements, where there are some."""
    chosen = {name: data for name, data in groups.items() if set(_MEASURED) & set(name.lower().split("/"))}
    return (chosen or groups).values()


def _planes_of_variable(
    name: str, variable: xr.DataArray, dataset: xr.Dataset, date: str | None, several: list[str]
) -> Iterator[Plane]:
    """The planes of a variable; a sentence goes to `several` when it has more than one date, or not the one asked for."""
    bands = next((str(each) for each in variable.dims if _is_bands(variable, str(each))), None)
    others = [str(each) for each in variable.dims if str(each) != bands]
    rows_columns = _rows_columns(variable, others)
    if rows_columns is None:
        return
    chosen = ""
    for dimension in set(others) - set(rows_columns):
        steps = _steps(variable, dimension)
        matching = [position for position, step in enumerate(steps) if date and step.startswith(date)]
        if len(matching) == 1:
            variable, chosen = variable.isel({dimension: matching}), steps[matching[0]]
        elif len(steps) > 1 or date:
            several.append(_several(name, dimension, steps, date, len(matching)))
            return
    one = variable.squeeze([each for each in others if each not in rows_columns])
    one = one.transpose(*([bands] if bands else []), *rows_columns)
    if bands is None:
        yield Plane(_label(one, name), one, dataset, chosen)
        return
    for position, label in enumerate(_band_labels(one, bands)):
        yield Plane(label, one[position], dataset, chosen)


def _is_bands(variable: xr.DataArray, dimension: str) -> bool:
    """True for a dimension that counts bands: by its name, or because its coordinate names some."""
    if dimension.lower() in _BAND_DIMENSIONS:
        return True
    values = variable.coords[dimension].to_numpy() if dimension in variable.coords else np.empty(0)
    return values.dtype.kind in "UO" and any(canonical_name(str(value), sensor()) for value in values)


def _rows_columns(variable: xr.DataArray, dimensions: list[str]) -> tuple[str, str] | None:
    """The dimensions of rows and columns: by their role, else by their order when there are just two."""
    roles = {role: name for name in dimensions if (role := role_of(variable, name))}
    if len(roles) == 2:  # noqa: PLR2004 - x and y
        return roles["y"], roles["x"]
    long = [name for name in dimensions if name in roles.values() or variable.sizes[name] > 1]
    two = dimensions if len(dimensions) == 2 else long  # noqa: PLR2004
    if len(two) != 2:  # noqa: PLR2004
        return None
    first, second = two
    return (second, first) if roles.get("x") == first or roles.get("y") == second else (first, second)


def _steps(variable: xr.DataArray, dimension: str) -> list[str]:
    """The steps along a dimension as text: dates to the second, else what its coordinate holds, else numbers from 0."""
    if dimension not in variable.coords:
        return [str(step) for step in range(variable.sizes[dimension])]
    values = variable.coords[dimension].to_numpy()
    return [np.datetime_as_string(each, "s") if values.dtype.kind == "M" else str(each) for each in values]


def _several(name: str, dimension: str, steps: list[str], date: str | None, matching: int) -> str:
    """Why a variable is no scene."""
    first, last = (step.partition("T")[0] for step in (steps[0], steps[-1]))
    has = f"{name} has {len(steps)} steps along {dimension} ({first} to {last})"
    return f"{has}, a scene is one" if date is None else f"{has}, {matching or 'none'} of them at {date}"


def _label(variable: xr.DataArray, name: str) -> str:
    """The variable's name, unless only its long name is a band's."""
    said = variable.attrs.get("long_name")
    if isinstance(said, str) and canonical_name(name, sensor()) is None and canonical_name(said, sensor()):
        return said
    return name


def _band_labels(variable: xr.DataArray, bands: str) -> list[str | None]:
    """Names along the band dimension: its coordinate, unless only `long_name` names bands (rioxarray)."""
    count = variable.sizes[bands]
    listed = np.atleast_1d(variable.attrs.get("long_name", [])).tolist()
    named = [str(value) for value in variable.coords[bands].to_numpy()] if bands in variable.coords else []
    if len(listed) == count and not any(canonical_name(label, sensor()) for label in named):
        return [str(label) for label in listed]
    return [*named] or [None] * count


def _by_grid(planes: list[Plane], path: Path) -> list[list[Plane]]:
    """The planes of the largest shape, then coarser ones that are bands which the finer ones lack; one grid a group."""
    shapes = sorted({plane.values.shape for plane in planes}, key=lambda shape: -shape[0] * shape[1])
    groups: list[list[Plane]] = []
    held: set[str] = set()
    for shape in shapes:
        lacking = [plane for plane in planes if plane.values.shape == shape and _known(plane.label) not in held]
        held |= {name for plane in lacking if (name := _known(plane.label))}
        for group in _by_place(lacking, path):
            used = [plane for plane in group if _known(plane.label)] if groups else group
            groups += [used] * bool(used)
    return groups


def _by_place(planes: list[Plane], path: Path) -> list[list[Plane]]:
    """Planes of one shape by where they lie, the place of most bands first."""
    places: list[tuple[Grid, list[Plane]]] = []
    for plane in planes:
        grid = grid_of_plane(plane.values, plane.dataset, path)
        same = next((group for other, group in places if other.same_as(grid)), None)
        if same is None:
            places.append((grid, [plane]))
        else:
            same.append(plane)
    groups = [group for _, group in places]
    return sorted(groups, key=lambda group: -sum(_known(plane.label) is not None for plane in group))


def _known(label: str | None) -> str | None:
    return canonical_name(label, sensor()) or (quality_name(label) if label else None)


def _listed(groups: Mapping[str, xr.Dataset]) -> str:
    variables: list[tuple[Any, xr.DataArray]] = [each for data in groups.values() for each in data.data_vars.items()]
    said = [f"{name}({', '.join(map(str, variable.dims))})" for name, variable in variables[:8]]
    return (", ".join(said) or "no variables") + (", ..." if len(variables) > len(said) else "")
