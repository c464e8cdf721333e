"""Labelled points of a change map, refused before anything is published.

What the points say of themselves (design, labels, classes) is looked at before the work. Whether they are of the very
map that is made shows when it is whole: its classes and grid must have the fingerprint that was noted at the draw.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lulc.errors import InputError
from lulc.io.labels.points import read_points
from lulc.io.product.reader import open_product
from lulc.legend import Legend
from lulc.tasks.accuracy.area_report import AreaReport
from lulc.tasks.accuracy.estimate import estimate_areas
from lulc.tasks.accuracy.options import EstimateOptions
from lulc.tasks.accuracy.sample import count_classes
from lulc.tasks.change.legend import transition_legend


def estimate_from_reference(path: Path, classes: Legend, output: Path) -> AreaReport:
    """Adjusted areas of the change map that points were drawn from, by what was noted when they were drawn.

    Args:
        path: Labelled points.
        classes: Classes of the comparison, K; the points are of their transitions.
        output: The change map to be.

    Raises:
        InputError: The file does not say how its points were drawn, they are of other classes or not those drawn, or
            labels are missing or unknown.
    """
    design = read_points(path, label=EstimateOptions().attribute).design
    if design is None:
        raise InputError(
            f"{path} does not say how its points were drawn, so no area can be adjusted", "draw points with lulc sample"
        )
    if design.legend.names != transition_legend(classes).names:
        raise InputError(
            f"{path} was drawn from {design.map_name}, a map with other classes than the transitions of {classes.name}",
            "give points that lulc sample drew from this change map",
        )
    return dataclasses.replace(estimate_areas(None, path), subject=str(output))


def check_drawn_from(estimate: AreaReport, whole: Path, check: Callable[[], None]) -> None:
    """Refuse points of another change map.

    Args:
        estimate: What the points say.
        whole: The change map, under whatever name.
        check: Called after each part of it; may raise to stop.

    Raises:
        InputError: The points were drawn from a map with other pixels or another grid.
    """
    assert estimate.design is not None
    with open_product(whole) as product:
        found = count_classes(product, progress=lambda _done, _all: check()).fingerprint
    if found != estimate.design.fingerprint:
        raise InputError(
            f"{estimate.reference} was drawn from {estimate.design.map_name}, whose pixels are not those of {estimate.subject}",
            "give points of this very change map, or run without --reference and draw them from it",
        )
