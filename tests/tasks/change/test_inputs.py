"""What two maps say of their dates."""

from pathlib import Path

import pytest
from affine import Affine

from lulc.crosswalk import load_crosswalk
from lulc.errors import ConfigError
from lulc.grid import Grid, Shape
from lulc.io.cog.work_folder import work_folder
from lulc.legend import load_legend
from lulc.tasks.change.files import _left_by
from lulc.tasks.change.inputs import DatedMap, MapPair, _crosswalk

LEGEND = load_legend("dynamic-world")
GRID = Grid(None, Affine.identity(), Shape(4, 4))


def dated(**tags):
    return DatedMap(Path("map.tif"), LEGEND, GRID, tags, bytewise=True, has_activations=True, made_here=True)


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


def test_maps_of_two_models_are_told():
    pair = MapPair(dated(LULC_MODEL_SHA256="a"), dated(LULC_MODEL_SHA256="b"), GRID, load_crosswalk(LEGEND, LEGEND))
    assert "the maps are of two models: what these see differently looks like change" in pair.notes()
    same = MapPair(dated(LULC_MODEL_SHA256="a"), dated(LULC_MODEL_SHA256="a"), GRID, load_crosswalk(LEGEND, LEGEND))
    assert not any("two models" in note for note in same.notes())


def test_a_crosswalk_to_another_legend_is_refused(tmp_path):
    (tmp_path / "walk.toml").write_text('source = "dynamic-world"\ntarget = "corine-1"\n')
    with pytest.raises(ConfigError, match=r"walk\.toml does not lead to corine-2; give another, or another --to"):
        _crosswalk(LEGEND, "corine-2", tmp_path / "walk.toml")


def test_classes_that_may_be_several_are_compared_as_one_and_told():
    crosswalk = _crosswalk(load_legend("esri"), "dynamic-world", None)
    assert "grass or shrub & scrub" in crosswalk.target.names
    pair = MapPair(dated(), dated(), GRID, crosswalk)
    assert pair.legend.names == crosswalk.target.names
    assert "grass or shrub & scrub count as one class" in pair.notes()
    assert not any("ignored" in note for note in pair.notes())


@pytest.mark.parametrize(
    ("report", "ours"),
    [
        (None, True),
        ('{"output": "%s"}', True),
        ('{"output": "other.tif"}', False),
        ('{"output": 3}', False),
        ("[]", False),
        ("{", False),
    ],
)
def test_a_report_is_taken_over_from_an_interrupted_run_of_the_same_map_alone(tmp_path, report, ours):
    output = tmp_path / "map.tif"
    assert not _left_by(output, tmp_path)
    work_folder(output).mkdir()
    if report is not None:
        (tmp_path / "report.json").write_text(report.replace("%s", str(output)))
    assert _left_by(output, tmp_path) == ours
