"""What two maps say of their dates."""

from pathlib import Path

import pytest
from affine import Affine

from lulc.crosswalk import load_crosswalk
from lulc.grid import Grid, Shape
from lulc.legend import load_legend
from lulc.tasks.change.inputs import DatedMap, MapPair

LEGEND = load_legend("dynamic-world")
GRID = Grid(None, Affine.identity(), Shape(4, 4))


def dated(**tags):
    return DatedMap(Path("map.tif"), LEGEND, GRID, tags)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"LULC_ACQUIRED": "2021-05-27T10:50:31Z"}, "2021-05-27"),
        ({"LULC_ACQUIRED": "2021-05-27T10:50:31Z/2021-07-20T10:50:29Z"}, "2021-05-27/2021-07-20"),
        ({"LULC_INPUT_KIND": "GeoTIFF L2A 2021-05-27"}, "2021-05-27"),
        ({"LULC_INPUT_KIND": "GeoTIFF L2A"}, ""),
        ({}, ""),
    ],
)
def test_the_date_of_a_map(tags, said):
    assert dated(**tags).acquired == said


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("2022-01-01", "2021-01-01", True),
        ("2021-01-01", "2022-01-01", False),
        ("2021-05-01/2021-09-30", "2021-06-01/2021-07-01", False),
        ("2022-05-01/2022-09-30", "2021-06-01/2021-07-01", True),
        ("2022-01-01", "", False),
    ],
)
def test_dates_that_look_swapped_are_told(before, after, told):
    pair = MapPair(dated(LULC_ACQUIRED=before), dated(LULC_ACQUIRED=after), GRID, load_crosswalk(LEGEND, LEGEND))
    assert any("swapped" in note for note in pair.notes()) == told
