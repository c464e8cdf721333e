"""Maps of others: any classified raster with a legend is read as a map, and refused in one line where it is none."""

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import ConfigError, InputError, UsageError
from lulc.grid import Window
from lulc.io.product.areas import areas_of_classes
from lulc.io.product.label_map import LabelMap
from lulc.io.product.maps import open_map
from lulc.io.product.reader import ProductReader
from lulc.tasks.accuracy.estimate import estimate_areas
from lulc.tasks.accuracy.evaluate import evaluate_map
from lulc.tasks.accuracy.options import EstimateOptions, EvaluateOptions, SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.describe.options import ReportOptions
from tests.support.evaluation_samples import labels, product, shares
from tests.support.point_samples import read_rows, write_rows

WORLDCOVER = [10, 30, 50, 80, 95]


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    found = rng.choice(WORLDCOVER, (20, 30)).repeat(10, axis=0).repeat(10, axis=1).astype(np.uint8)
    found[:15] = 0
    return found


@pytest.fixture
def worldcover(tmp_path, values):
    return labels(tmp_path / "wc.tif", values)


def test_values_become_codes_of_the_legend(worldcover, values):
    with open_map(worldcover, "worldcover") as found:
        assert isinstance(found, LabelMap)
        codes = found.classes(found.grid.window)
        meant = found.legend.code_of_value()
        np.testing.assert_array_equal(codes, np.vectorize(meant.get)(values))
        assert (codes[:15] == 255).all()
        assert (found.has_activations, found.flags_clouds, dict(found.tags)) == (False, False, {})
        areas = {entry.name: entry for entry in areas_of_classes(found)}
    assert areas["mangroves"].pixels == (values == 95).sum()
    assert areas["mangroves"].hectares == pytest.approx((values == 95).sum() * 0.01)
    assert sum(entry.share for entry in areas.values()) == pytest.approx(1)


def test_products_are_read_as_ever(tmp_path):
    product(tmp_path / "map.tif", shares())
    with open_map(tmp_path / "map.tif", "worldcover") as found:
        assert isinstance(found, ProductReader)
        assert found.legend.name == "fine"


def test_parts_of_another_grid_are_copied_where_pixels_are_shared(worldcover, values):
    with open_map(worldcover, "worldcover") as found:
        whole = found.classes(found.grid.window)
        part = found.grid.part(Window(150, 250, 100, 100))  # reaches beyond the map
        codes = found.on_grid(part, part.window)
    assert (codes[:50, :50] == whole[150:, 250:]).all()
    assert (codes[50:] == 255).all()


def test_a_value_that_means_no_data(tmp_path, values):
    path = labels(tmp_path / "odd.tif", np.where(values == 0, 201, values).astype(np.uint8))
    with open_map(path, "worldcover") as found, pytest.raises(InputError) as caught:
        areas_of_classes(found)
    assert str(caught.value) == (
        f"{path} holds 201, which legend worldcover does not know (4,500 pixels); "
        "give --nodata 201 if that is no data, or choose another --legend"
    )
    with open_map(path, "worldcover", 201) as found:
        assert sum(entry.pixels for entry in areas_of_classes(found)) == 185 * 300
    with pytest.raises(
        UsageError, match=r"--nodata 10 is the value of 'tree cover' in legend worldcover; leave it out"
    ):
        open_map(path, "worldcover", 10).__enter__()


def test_all_unknown_values_are_counted_in_the_whole_map(tmp_path, values):
    values[100:105] = 33
    values[180, 7] = 34
    path = labels(tmp_path / "odd.tif", values)
    with (
        open_map(path, "worldcover") as found,
        pytest.raises(InputError, match=r"holds 33, 34, which .* \(1,500 and 1 pixels\)"),
    ):
        found.classes(Window(100, 0, 10, 300))


def test_a_raster_of_measurements_is_refused_in_flat_memory(tmp_path):
    heights = labels(tmp_path / "dem.tif", np.random.default_rng(0).random((300, 300)).astype(np.float32))
    with (
        open_map(heights, "worldcover") as found,
        pytest.raises(InputError, match=r"and many more values, which legend"),
    ):
        areas_of_classes(found)


def test_refusals(tmp_path, worldcover, values):
    with pytest.raises(UsageError, match=r"wc\.tif was not made by lulc; give the legend of its classes with --legend"):
        open_map(worldcover).__enter__()
    with pytest.raises(ConfigError, match="worldkover"):
        open_map(worldcover, "worldkover").__enter__()
    bare = labels(tmp_path / "bare.tif", values, crs=None)
    with pytest.raises(InputError, match=r"bare\.tif has no georeference"):
        open_map(bare, "worldcover").__enter__()
    broken = tmp_path / "broken.tif"
    broken.write_bytes(worldcover.read_bytes()[:100])
    for legend in (None, "worldcover"):
        with pytest.raises(InputError, match=r"broken\.tif"):
            open_map(broken, legend).__enter__()


def test_a_map_of_others_is_reported(worldcover, values, tmp_path):
    report = report_map(worldcover, tmp_path / "out", ReportOptions(legend="worldcover"))
    assert report.confidence == (None,) * 11
    assert report.facts == {"legend": "ESA WorldCover"}
    assert report.valid_share == pytest.approx(185 / 200)
    pictured = rasterio.open(worldcover).read(1)
    assert (pictured == values).all()
    done = CliRunner().invoke(cli, ["report", str(worldcover), str(tmp_path / "no")])
    assert done.exit_code == 2
    assert "give the legend of its classes with --legend" in done.output


def test_a_map_of_others_is_evaluated(worldcover, values, tmp_path):
    other = np.where(np.random.default_rng(1).random(values.shape) < 0.1, 30, values).astype(np.uint8)
    other[values == 0] = 77
    path = labels(tmp_path / "other.tif", other)
    report = evaluate_map(path, worldcover, EvaluateOptions(legend="worldcover", nodata=77, block_px=32))
    there = values != 0
    assert report.matrix.total == there.sum()
    assert report.matrix.overall == pytest.approx((other == values)[there].mean())
    assert report.calibration is None


def test_a_map_of_others_is_sampled_and_estimated(worldcover, values, tmp_path):
    done = sample_map(worldcover, tmp_path / "p.csv", SampleOptions(legend="worldcover", total=100, min_per_class=10))
    assert done.to_text().endswith(f"lulc evaluate {worldcover} {tmp_path / 'p.csv'} --legend worldcover")
    rows = read_rows(tmp_path / "p.csv")
    for row in rows:
        row["reference"] = str(values[int(row["row"]), int(row["col"])])  # as the pixels hold them: 10 is tree cover
    write_rows(tmp_path / "p.csv", rows)
    found = estimate_areas(worldcover, tmp_path / "p.csv", EstimateOptions(legend="worldcover"))
    assert found.estimates.overall.value == 1
    assert found.hectares(0).value == pytest.approx((values == 10).sum() * 0.01)
