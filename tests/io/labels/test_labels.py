"""Labels on the grid of a scene: nearest, by value, by colour, by polygon; what is strange is named."""

import json
import logging
import os

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from lulc.errors import InputError, LimitError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.io.labels.labels import open_labels
from lulc.io.labels.points import pixels_at
from lulc.io.product.bands import ExtraBand
from lulc.io.scene.raster import open_raster
from lulc.legend import LandClass, Legend, load_legend
from tests.support.disguised import collection
from tests.support.product_samples import LEGEND as PRODUCT_LEGEND
from tests.support.product_samples import pixels
from tests.support.product_samples import write as write_product

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


def test_a_single_plane_is_no_shares(tmp_path, values):
    np.save(tmp_path / "a.npy", values[0])
    with pytest.raises(InputError, match="1 planes, which are no shares"):
        open_labels(tmp_path / "a.npy", LEGEND, kind="shares")


def test_an_array_of_shares_without_any_is_not_labelled(tmp_path):
    shares = np.random.default_rng(0).uniform(0.1, 1, (3, 60, 80)).astype(np.float32)
    shares[:, :5] = 0
    shares[1, 7] = np.nan
    np.save(tmp_path / "a.npy", shares)
    with open_labels(tmp_path / "a.npy", LEGEND) as labels:
        found = labels.on_grid(GRID, GRID.window)
    assert (found[:5] == 255).all()
    assert (found[7] == 255).all()
    assert (found[8:] == shares[:, 8:].argmax(0) + 1).all()


@pytest.mark.parametrize("stored", [np.uint8, np.float32])
def test_netcdf_on_the_grid_of_the_scene(tmp_path, stored):
    import rioxarray  # noqa: F401 - gives arrays their .rio
    import xarray as xr

    zero_is_a_class = Legend("z", "z", (LandClass(1, "sea", "#0000ff", (0,)), LandClass(2, "land", "#00ff00", (1,))))
    values = np.random.default_rng(0).integers(0, 2, (60, 80)).astype(stored)
    axes = {"y": 4_999_995 - 10.0 * np.arange(60), "x": 500_005 + 10.0 * np.arange(80)}
    array = xr.DataArray(values, axes, ("y", "x")).rio.write_crs("EPSG:32632")
    xr.Dataset({"cover": array}).to_netcdf(tmp_path / "a.nc")
    with open_labels(tmp_path / "a.nc", zero_is_a_class) as labels:
        assert (labels.on_grid(GRID, Window(5, 6, 20, 30)) == values[5:25, 6:36] + 1).all()
        moved = Grid(UTM, from_origin(500_010, 5_000_000, 10, 10), GRID.shape)
        with pytest.raises(InputError, match="not on the grid of its scene"):
            labels.on_grid(moved, moved.window)


def test_a_product_holds_codes_whatever_others_store(tmp_path):
    """Esri stores crops as 5 and flooded vegetation as 4; in a product of lulc 4 is crops."""
    esri = load_legend("esri")
    stored = np.random.default_rng(0).choice(np.array([1, 3, 4, 8, 255], np.uint8), (1, 60, 80))
    path = write(tmp_path / "a.tif", stored, nodata=255)
    with rasterio.open(path, "r+") as product:
        product.update_tags(LULC_LEGEND=json.dumps(esri.to_table()))
    with open_labels(path, esri) as labels:
        assert (labels.on_grid(GRID, GRID.window) == stored[0]).all()
    with pytest.raises(InputError, match="other classes"):
        open_labels(path, load_legend("dynamic-world"))


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_shares_of_a_product_are_its_activations_whatever_bands_follow(tmp_path, behind):
    """A mosaic has the numbers of its maps and its confidence behind the activations."""
    extra = tuple(ExtraBand(f"confidence {number}", "share", "probability") for number in range(behind))
    data = pixels(60, 80)
    write_product(tmp_path / "a.tif", np.concatenate([data, *[data[:1]] * behind]), activations="uint8", extra=extra)
    with open_labels(tmp_path / "a.tif", PRODUCT_LEGEND, kind="shares") as labels:
        shares = labels.shares_on_grid(labels.grid, labels.grid.window)
    valid = data[0] != 255
    assert shares[:, valid] == pytest.approx(data[1:, valid] / 250, abs=1e-6)
    assert np.isnan(shares[:, ~valid]).all()


def test_a_product_without_activations_has_codes_alone(tmp_path):
    extra = tuple(ExtraBand(f"confidence {number}", "share", "probability") for number in range(2))
    data = pixels(60, 80, activations="none")
    write_product(tmp_path / "a.tif", np.concatenate([data] * 3), activations="none", extra=extra)
    with open_labels(tmp_path / "a.tif", PRODUCT_LEGEND, kind="shares") as labels:
        assert labels.kind == "codes"
        assert (labels.on_grid(labels.grid, labels.grid.window) == data[0]).all()


@pytest.mark.parametrize("damaged", ["{", "{}", "[]"])
def test_a_product_with_a_damaged_legend(tmp_path, values, damaged):
    path = write(tmp_path / "a.tif", values)
    with rasterio.open(path, "r+") as product:
        product.update_tags(LULC_LEGEND=damaged)
    with pytest.raises(InputError, match="damaged legend"):
        open_labels(path, LEGEND)


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("shift", [0, 40])
def test_masked_pixels_are_not_labelled(tmp_path, nodata, shift):
    """The mask hides values that the legend does not know, on the own grid and on another."""
    stored = np.full((1, 60, 80), 10, np.uint8)
    stored[0, :20] = 99
    path = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write(path, stored, nodata=nodata)
        with rasterio.open(path, "r+") as target:
            target.write_mask(stored[0] == 10)
    grid = Grid(UTM, from_origin(500_000 + shift, 5_000_000, 10, 10), Shape(60, 70))
    with open_labels(path, LEGEND) as labels:
        found = labels.on_grid(grid, grid.window)
    assert (found[:20] == 255).all()
    assert (found[20:] == 1).all()


@pytest.mark.parametrize("shift", [0, 40])
def test_a_class_without_a_share_is_no_gap(tmp_path, shift):
    """Nodata 0 is also 0 percent: only a pixel without any share is not labelled."""
    percent = np.zeros((3, 60, 80), np.uint8)
    percent[1, 10:] = 100
    grid = Grid(UTM, from_origin(500_000 + shift, 5_000_000, 10, 10), Shape(60, 70))
    with open_labels(write(tmp_path / "a.tif", percent, nodata=0), LEGEND, kind="shares") as labels:
        found = labels.on_grid(grid, grid.window)
    assert (found[:10] == 255).all()
    assert (found[10:] == 2).all()


def test_overviews_are_never_the_nearest_label(tmp_path, values):
    """Averaged codes are no codes; a coarser grid takes labels of full resolution."""
    path = write(tmp_path / "a.tif", values)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4], Resampling.average)
    coarse = Grid(UTM, from_origin(500_000, 5_000_000, 40, 40), Shape(15, 20))
    with open_labels(path, LEGEND) as labels:
        found = labels.on_grid(coarse, coarse.window)
    assert (found == codes(values[0])[2::4, 2::4]).all()


def test_a_pixel_file_elsewhere_is_refused(tmp_path, values):
    """An .img may name a spill file by path."""
    path = write(tmp_path / "long_name.img", values, driver="HFA", USE_SPILL="YES")
    (tmp_path / "other.ige").write_bytes((tmp_path / "long_name.ige").read_bytes())
    path.write_bytes(path.read_bytes().replace(b"long_name.ige\0", b"other.ige\0\0\0\0\0"))
    with pytest.raises(InputError, match=r"points to another file.*other\.ige"):
        open_labels(path, LEGEND)


def test_a_huge_block_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    side = 16_400
    shape = {"height": side, "width": side, "tiled": True, "blockxsize": side, "blockysize": side}
    place = {"crs": UTM, "transform": GRID.transform}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint8", sparse_ok=True, **shape, **place):
        pass
    with pytest.raises(LimitError, match="269 MB"):
        open_labels(path, LEGEND)


def test_labels_with_a_place_and_a_scene_without(tmp_path, values):
    scene = Grid(None, GRID.transform, Shape(10, 10))
    with (
        open_labels(write(tmp_path / "a.tif", values), LEGEND) as labels,
        pytest.raises(InputError, match="80 x 60 pixels, the scene 10 x 10, and the scene has no georeference"),
    ):
        labels.on_grid(scene, scene.window)


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


@pytest.mark.parametrize("value", [1.5, "1.5", "inf", "nan", "", "77"])
def test_numbers_that_are_no_class_are_never_rounded_to_one(tmp_path, value):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10)], [value])
    with pytest.raises(InputError, match="which is no class of three"):
        open_labels(path, LEGEND)


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.shp", "a.fgb"])
def test_a_virtual_file_is_not_followed(tmp_path, name):
    """GDAL would open whatever the file names, under any suffix."""
    polygons(tmp_path / "real.gpkg", [square(0, 0, 10)], ["water"])
    layer = f"<OGRVRTLayer name='land'><SrcDataSource>{tmp_path / 'real.gpkg'}</SrcDataSource></OGRVRTLayer>"
    (tmp_path / name).write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    with pytest.raises(InputError, match="by its first bytes"):
        open_labels(tmp_path / name, LEGEND)


@pytest.mark.parametrize(("name", "driver"), [("a.shp", "ESRI Shapefile"), ("a.fgb", "FlatGeobuf")])
def test_other_vector_formats(tmp_path, name, driver):
    pyogrio.raw.write(
        tmp_path / name,
        shapely.to_wkb(np.array([square(2, 3, 5)])),
        [np.array(["trees"])],
        ["cover"],
        crs="EPSG:32632",
        geometry_type="Polygon",
        driver=driver,
    )
    with open_labels(tmp_path / name, LEGEND) as labels:
        found = labels.on_grid(GRID, GRID.window)
    assert (found[2:7, 3:8] == 2).all()
    assert (found != 255).sum() == 25


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


def test_labels_are_warped_anew_for_every_grid(tmp_path, values):
    near, far = (
        Grid(CRS.from_epsg(32632), from_origin(500_005 + m, 5_000_000, 20, 20), Shape(30, 40)) for m in (0, 99)
    )
    with open_labels(write(tmp_path / "a.tif", values), LEGEND) as labels:
        first = labels.on_grid(near, near.window)
        second = labels.on_grid(far, far.window)
        assert (labels.on_grid(near, near.window) == first).all()
    assert (first != second).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"geometry_type": "Point", "shapes": [shapely.Point(13, 45)]}, "holds Point; give polygons"),
        ({"geometry_type": "Polygon", "shapes": [shapely.box(0, 0, 1, 1)], "crs": None}, "has no CRS; set one"),
    ],
)
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_shapes_that_cannot_be_labels(tmp_path, given, message):
    shapes, kind = shapely.to_wkb(np.array(given["shapes"])), given["geometry_type"]
    known = {"crs": given.get("crs", "EPSG:32632"), "geometry_type": kind}
    pyogrio.raw.write(tmp_path / "a.fgb", shapes, [np.array(["water"])], ["cover"], driver="FlatGeobuf", **known)
    with pytest.raises(InputError, match=message):
        open_labels(tmp_path / "a.fgb", LEGEND)


def test_features_without_a_shape_cannot_be_labels(tmp_path):
    feature = {"type": "Feature", "geometry": None, "properties": {"cover": "water"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(InputError, match="holds nothing; give polygons"):
        open_labels(tmp_path / "a.geojson", LEGEND)


def test_several_layers_or_columns_are_not_guessed(tmp_path):
    path = polygons(tmp_path / "a.gpkg", [square(0, 0, 10)], ["water"])
    pyogrio.raw.write(
        path, shapely.to_wkb([square(0, 0, 9)]), [np.array([1])] * 2, ["a", "b"], layer="sea", geometry_type="Polygon",
        crs="EPSG:32632", driver="GPKG", append=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="has the layers land, sea; choose one with --layer"):
        open_labels(path, LEGEND)
    with pytest.raises(InputError, match="has the columns a, b; say which holds the class with --attribute"):
        open_labels(path, LEGEND, layer="sea")


def test_polygons_beside_the_window_and_on_a_scene_without_a_place(tmp_path):
    with open_labels(polygons(tmp_path / "a.gpkg", [square(0, 0, 10)], ["water"]), LEGEND) as labels:
        assert (labels.on_grid(GRID, Window(30, 30, 5, 5)) == 255).all()
        with pytest.raises(InputError, match="polygons need a scene with a CRS and a transform"):
            labels.on_grid(Grid(None, GRID.transform, GRID.shape), GRID.window)
        with pytest.raises(InputError, match="they have no shares; use --label-kind codes"):
            labels.shares_on_grid(GRID, GRID.window)


class TestAcross180Degrees:
    """Longitudes are the same ground a whole turn apart: labels at 170 west lie on a scene at 190 east."""

    SIZE = Shape(60, 80)
    VALUES = np.where(np.arange(80) < 40, 10, 40).astype(np.uint8)[None, None].repeat(60, 1)
    CODES = np.where(VALUES[0] == 10, 1, 4)
    """Of tree cover and cropland in the legend worldcover."""

    def scene(self, west):
        return Grid(CRS.from_epsg(4326), from_origin(west, 65, 2e-4, 2e-4), self.SIZE)

    @pytest.mark.parametrize(("there", "here"), [(-170, 190), (190, -170), (-170, -170), (550, -170)])
    def test_rasters(self, tmp_path, there, here):
        path = write(tmp_path / "labels.tif", self.VALUES, self.scene(there))
        with open_labels(path, load_legend("worldcover")) as labels:
            found = labels.on_grid(self.scene(here), self.SIZE.window)
        np.testing.assert_array_equal(found, self.CODES)

    def test_rasters_of_all_longitudes(self, tmp_path):
        world = Grid(CRS.from_epsg(4326), from_origin(-180, 90, 1, 1), Shape(180, 360))
        values = np.where(np.arange(360) < 10, 10, 40).astype(np.uint8)[None, None].repeat(180, 1)
        with open_labels(write(tmp_path / "labels.tif", values, world), load_legend("worldcover")) as labels:
            found = labels.on_grid(self.scene(185), self.SIZE.window)
        assert (found == 1).all()

    @pytest.mark.parametrize("west", [-170.3, 189.7])
    def test_rasters_in_degrees_on_a_scene_in_metres(self, tmp_path, west):
        utm = Grid(CRS.from_epsg(32602), from_origin(541_000, 7_205_000, 10, 10), Shape(50, 50))
        values = np.full((1, 600, 800), 10, np.uint8)
        wide = Grid(CRS.from_epsg(4326), from_origin(west, 65.2, 1e-3, 1e-3), Shape(600, 800))
        with open_labels(write(tmp_path / "labels.tif", values, wide), load_legend("worldcover")) as labels:
            assert (labels.on_grid(utm, utm.window) == 1).all()

    @pytest.mark.parametrize(("there", "here"), [(-170, 190), (190, -170)])
    def test_polygons(self, tmp_path, there, here):
        halves = [shapely.box(there, 64.9, there + 0.008, 65.1), shapely.box(there + 0.008, 64.9, there + 0.1, 65.1)]
        path = tmp_path / "labels.gpkg"
        pyogrio.raw.write(
            path, shapely.to_wkb(np.array(halves)), [np.array(["tree cover", "cropland"], object)], ["class"],
            geometry_type="Polygon", crs="EPSG:4326",
        )  # fmt: skip
        with open_labels(path, load_legend("worldcover"), attribute="class") as labels:
            found = labels.on_grid(self.scene(here), self.SIZE.window)
        np.testing.assert_array_equal(found, self.CODES)

    def test_points(self):
        row, col, inside = pixels_at(self.scene(190), np.array([-169.9989, 10.0]), np.array([64.9989, 64.9989]))
        assert inside.tolist() == [True, False]
        assert (row[0], col[0]) == (5, 5)


def control_points(path, values):
    points = [
        GroundControlPoint(row, col, 600_000 + 10 * col, 5_100_000 - 10 * row)
        for row, col in ((0, 0), (0, 80), (60, 0), (60, 80))
    ]
    return write(path, values, grid=None, gcps=points, crs=UTM)


def test_labels_placed_by_control_points_are_not_laid_over_ground_elsewhere(tmp_path, values):
    path = control_points(tmp_path / "a.tif", values)
    with open_labels(path, LEGEND) as labels:
        with pytest.raises(InputError, match=r"a\.tif cannot be laid over.*gdalwarp"):
            labels.on_grid(GRID, GRID.window)
        own = open_raster(path).grid
        assert (labels.on_grid(own, own.window) == codes(values[0])).all()
    with (
        open_labels(write(tmp_path / "b.tif", values), LEGEND) as labels,
        pytest.raises(InputError, match=r"b\.tif cannot be laid over"),
    ):
        labels.on_grid(own, own.window)


def test_codes_with_an_alpha_band_are_codes_with_a_mask(tmp_path, values):
    shown = np.where(np.arange(80) < 40, 255, 0) * np.ones((60, 1))
    path = write(tmp_path / "a.tif", np.stack([values[0], shown.astype(np.uint8)]), alpha="YES")
    with open_labels(path, LEGEND) as labels:
        found = labels.on_grid(GRID, GRID.window)
    assert (found[:, :40] == codes(values[0])[:, :40]).all()
    assert (found[:, 40:] == 255).all()


def test_truth_is_no_class(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text(collection().replace('"water"', "true"))
    with pytest.raises(InputError, match="holds True"):
        open_labels(path, Legend("t", "t", (LandClass(1, "sea", "#0000ff", (1,)),)))


def test_a_pipe_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InputError, match="is no regular file"):
        open_labels(tmp_path / "a.tif", LEGEND)


def test_netcdf_from_south_to_north(tmp_path):
    import rioxarray  # noqa: F401 - gives arrays their .rio
    import xarray as xr

    legend = Legend("z", "z", (LandClass(1, "sea", "#0000ff", (0,)), LandClass(2, "land", "#00ff00", (1,))))
    values = np.random.default_rng(0).integers(0, 2, (60, 80)).astype(np.uint8)
    axes = {"y": (4_999_995 - 10.0 * np.arange(60))[::-1], "x": 500_005 + 10.0 * np.arange(80)}
    array = xr.DataArray(values[::-1], axes, ("y", "x")).rio.write_crs("EPSG:32632")
    xr.Dataset({"cover": array}).to_netcdf(tmp_path / "a.nc")
    with open_labels(tmp_path / "a.nc", legend) as labels:
        assert (labels.on_grid(GRID, Window(5, 6, 20, 30)) == values[5:25, 6:36] + 1).all()
