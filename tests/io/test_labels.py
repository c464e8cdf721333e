"""Labels on the grid of a scene: nearest, by value, by colour, by polygon; what is strange is named."""

import json
import logging

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from lulc.errors import InputError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.io.labels import open_labels
from lulc.legend import LandClass, Legend, load_legend

UTM = CRS.from_epsg(32632)
GRID = Grid(UTM, from_origin(500_000, 5_000_000, 10, 10), Shape(60, 80))
LEGEND = Legend(
    "three",
    "three",
    (
        LandClass(1, "water", "#0000ff", (10,)),
        LandClass(2, "trees", "#00ff00", (20, 21)),
        LandClass(3, "bare", "#ff0000"),
    ),
    nodata_values=(0,),
    nodata_colors=("#000000",),
)


def write(path, pixels, grid=GRID, nodata=None, **profile):
    pixels = np.asarray(pixels)
    placed = {"crs": grid.crs, "transform": grid.transform} if grid else {}
    with rasterio.open(
        path,
        "w",
        **{"driver": "GTiff", **profile},
        count=len(pixels),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        nodata=nodata,
        **placed,
    ) as target:
        target.write(pixels)
    return path


@pytest.fixture
def values():
    return np.random.default_rng(1).choice(np.array([0, 3, 10, 20, 21], np.uint8), (1, 60, 80))


def codes(values):
    return np.select([values == 10, np.isin(values, (20, 21)), values == 3], [1, 2, 3], 255)


def test_values_become_codes_on_the_same_grid(tmp_path, values):
    with open_labels(write(tmp_path / "a.tif", values), LEGEND) as labels:
        assert labels.kind == "codes"
        found = labels.on_grid(GRID, Window(10, 20, 30, 40))
    assert (found == codes(values[0])[10:40, 20:60]).all()


@pytest.mark.parametrize("nodata", [None, 0])
def test_another_grid_is_reached_by_nearest_as_gdal_does(tmp_path, values, nodata):
    other = Grid(CRS.from_epsg(4326), from_origin(8.9995, 45.155, 0.00013, 0.0001), Shape(70, 90))
    path = write(tmp_path / "a.tif", values, nodata=nodata)
    expected = np.zeros((70, 90), np.uint8)
    reproject(
        values[0],
        expected,
        src_transform=GRID.transform,
        src_crs=UTM,
        dst_transform=other.transform,
        dst_crs=other.crs,
        resampling=Resampling.nearest,
        tolerance=1e-9,
        src_nodata=0,
        dst_nodata=0,
    )
    assert (expected > 0).sum() > 1000
    with open_labels(path, LEGEND) as labels:
        whole = labels.on_grid(other, other.window)
        part = labels.on_grid(other, Window(11, 13, 20, 30))
    assert (whole == codes(expected)).mean() > 0.999
    assert (part == whole[11:31, 13:43]).all()


def test_outside_of_the_labels_is_not_labelled(tmp_path, values):
    far = Grid(UTM, from_origin(500_400, 5_000_000, 10, 10), Shape(60, 80))
    with open_labels(write(tmp_path / "a.tif", values), LEGEND) as labels:
        found = labels.on_grid(far, far.window)
    assert (found[:, :40] == codes(values[0])[:, 40:]).all()
    assert (found[:, 40:] == 255).all()


def test_an_unknown_value_is_named(tmp_path, values):
    values[0, 3, 4] = 77
    with open_labels(write(tmp_path / "a.tif", values), LEGEND) as labels, pytest.raises(InputError, match="holds 77"):
        labels.on_grid(GRID, GRID.window)


@pytest.mark.parametrize("driver", ["HFA", "GTiff"])
def test_floats_and_other_formats(tmp_path, values, driver):
    path = write(tmp_path / "a.img", values.astype(np.float32), driver=driver)
    with open_labels(path, LEGEND) as labels:
        assert (labels.on_grid(GRID, GRID.window) == codes(values[0])).all()


def test_arrays(tmp_path, values):
    np.save(tmp_path / "a.npy", values[0])
    with open_labels(tmp_path / "a.npy", LEGEND) as labels:
        assert (labels.on_grid(GRID, Window(5, 5, 10, 10)) == codes(values[0])[5:15, 5:15]).all()
    with pytest.raises(InputError, match="60"), open_labels(tmp_path / "a.npy", LEGEND) as labels:
        labels.on_grid(Grid(None, GRID.transform, Shape(9, 9)), Window(0, 0, 9, 9))


def test_shares_are_normalised(tmp_path):
    percent = np.random.default_rng(0).integers(1, 60, (3, 60, 80)).astype(np.uint8)
    percent[:, :5] = 255
    with open_labels(write(tmp_path / "a.tif", percent, nodata=255), LEGEND, kind="shares") as labels:
        shares = labels.shares_on_grid(GRID, GRID.window)
        found = labels.on_grid(GRID, GRID.window)
    assert np.isnan(shares[:, :5]).all()
    assert shares[:, 5:].sum(0) == pytest.approx(np.ones((55, 80)))
    assert (found[:5] == 255).all()
    assert (found[5:] == percent[:, 5:].argmax(0) + 1).all()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_mask_without_place_fits_a_scene_of_its_size(tmp_path):
    classes = np.random.default_rng(0).integers(0, 3, (60, 80))
    colors = np.array([entry.rgb for entry in LEGEND], np.uint8)[classes].transpose(2, 0, 1)
    path = write(tmp_path / "a.png", colors, grid=None, driver="PNG")
    with open_labels(path, LEGEND) as labels:
        assert labels.kind == "colors"
        assert (labels.on_grid(GRID, Window(2, 3, 20, 20)) == classes[2:22, 3:23] + 1).all()
        small = Grid(UTM, GRID.transform, Shape(10, 10))
        with pytest.raises(InputError, match="no georeference"):
            labels.on_grid(small, small.window)


@pytest.mark.parametrize("wanted", ["codes", "colors"])
def test_bands_that_do_not_fit(tmp_path, wanted):
    path = write(tmp_path / "a.tif", np.ones((5, 60, 80), np.uint8))
    with pytest.raises(InputError, match="5 bands"):
        open_labels(path, LEGEND, kind=wanted)


def test_a_damaged_file_is_one_line(tmp_path, values):
    path = write(tmp_path / "a.tif", np.repeat(np.repeat(values, 20, 1), 20, 2), compress="deflate")
    path.write_bytes(path.read_bytes()[:-2000])
    grid = Grid(UTM, GRID.transform, Shape(1200, 1600))
    with pytest.raises((InputError, StorageError), match=r"a\.tif"), open_labels(path, LEGEND) as labels:
        labels.on_grid(grid, grid.window)


def test_a_file_that_points_elsewhere_is_refused(tmp_path):
    (tmp_path / "a.tif").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    with pytest.raises(InputError, match="known kind"):
        open_labels(tmp_path / "a.tif", LEGEND)


def polygons(path, shapes, column, layer="land", crs="EPSG:32632"):
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes)),
        [np.array(column)],
        ["cover"],
        layer=layer,
        crs=crs,
        geometry_type="Polygon",
        driver="GPKG" if path.suffix == ".gpkg" else "GeoJSON",
    )
    return path


def square(row, col, side):
    x, y = 500_000 + 10 * col, 5_000_000 - 10 * row
    return shapely.box(x, y - 10 * side, x + 10 * side, y)


def test_polygons_are_burnt_by_name_value_and_code(tmp_path):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10), square(20, 30, 5), square(40, 40, 8)], ["Water", "21", "3"])
    with open_labels(path, LEGEND, attribute="cover") as labels:
        whole = labels.on_grid(GRID, GRID.window)
        part = labels.on_grid(GRID, Window(18, 28, 10, 10))
    expected = np.full((60, 80), 255)
    expected[:10, :10], expected[20:25, 30:35], expected[40:48, 40:48] = 1, 2, 3
    assert (whole == expected).all()
    assert (part == expected[18:28, 28:38]).all()


def test_polygons_in_another_crs_land_on_the_same_pixels(tmp_path):
    from pyproj import Transformer

    move = Transformer.from_crs(32632, 4326, always_xy=True)
    shape = shapely.transform(shapely.segmentize(square(20, 30, 15), 10), move.transform, interleaved=False)
    path = polygons(tmp_path / "a.geojson", [shape], ["trees"], crs="EPSG:4326")
    with open_labels(path, LEGEND) as labels:
        found = labels.on_grid(GRID, GRID.window)
    assert (found[21:34, 31:44] == 2).all()
    assert (found == 2).sum() == pytest.approx(225, abs=15)


def test_overlapping_classes_are_told(tmp_path, caplog):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10), square(5, 5, 10)], ["water", "bare"])
    with caplog.at_level(logging.WARNING), open_labels(path, LEGEND) as labels:
        found = labels.on_grid(GRID, GRID.window)
    assert (found[5:10, 5:10] == 3).all()
    assert "overlap (25 pixels" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [({"attribute": "covr"}, "did you mean 'cover'"), ({"layer": "lan"}, "did you mean 'land'")],
)
def test_wrong_names_are_answered_with_the_nearest(tmp_path, options, message):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10)], ["water"])
    with pytest.raises(InputError, match=message):
        open_labels(path, LEGEND, **options)


def test_an_unknown_class_of_a_polygon(tmp_path):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10)], ["treez"])
    with pytest.raises(InputError, match=r"'treez'.*did you mean 'trees'"):
        open_labels(path, LEGEND)


@pytest.mark.parametrize("content", ["", "not json", json.dumps({"type": "FeatureCollection", "features": []})])
def test_vector_files_that_hold_nothing(tmp_path, content):
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(InputError, match=r"a\.geojson"):
        open_labels(tmp_path / "a.geojson", LEGEND)


def test_real_labels_are_read(data):
    path = data / "segmentation/scene_labels/australia_20181201_dw_percent.tif"
    with open_labels(path, load_legend("dynamic-world"), kind="shares") as labels:
        found = labels.on_grid(labels.grid, labels.grid.window)
    assert (found == 8).mean() > 0.8
