import dataclasses
import json
import os

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from lulc.errors import InputError, StorageError, UsageError
from lulc.grid import Grid, Shape
from lulc.io.labels.points import (
    Design,
    DrawnStratum,
    Points,
    design_path,
    drawn_digest,
    pixels_at,
    read_points,
    write_points,
)
from lulc.legend import Legend

GRID = Grid(CRS.from_epsg(32633), Affine(10.0, 0.0, 350_000.0, 0.0, -10.0, 5_070_000.0), Shape(100, 200))
LEGEND = Legend.from_table(
    {
        "name": "two",
        "classes": [
            {"code": 1, "name": 'Wälder; "dicht", 森', "color": "#008800"},
            {"code": 2, "name": "water", "color": "#0000ff"},
        ],
    }
)
SUFFIXES = ("gpkg", "geojson", "csv")


def drawn(labels=("", "water", "1", "")):
    """Four points as drawn, the last in the far corner."""
    number, stratum = np.arange(1, 5), np.array([1, 2, 1, 2])
    row, col = np.array([0, 7, 50, 99]), np.array([0, 3, 100, 199])
    lon, lat = GRID.longitudes_latitudes(col + 0.5, row + 0.5).T
    strata = (DrawnStratum(1, LEGEND.names[0], 15_000, 150.0, 2), DrawnStratum(2, "water", 5000, 50.0, 2))
    design = Design("map.tif", "f" * 64, 3, LEGEND, strata, drawn_digest(number, stratum, row, col))
    return Points(number, tuple(labels), lon, lat, stratum, row, col, np.full(4, 0.01), design)


def same(first, second):
    for field in dataclasses.fields(Points):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray) and one.dtype.kind == "f":
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-8, err_msg=field.name)
        else:
            assert np.array_equal(one, two) if isinstance(one, np.ndarray) else one == two, field.name
    return True


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestThereAndBack:
    def test_all_of_it(self, tmp_path, suffix):
        write_points(tmp_path / f"p.{suffix}", drawn(), GRID)
        assert same(read_points(tmp_path / f"p.{suffix}"), drawn())

    def test_columns_are_in_the_order_that_people_read(self, tmp_path, suffix):
        path = tmp_path / f"p.{suffix}"
        write_points(path, drawn(), GRID)
        if suffix == "csv":
            names = path.read_text("utf-8").splitlines()[0].split(",")
        elif suffix == "geojson":
            names = list(json.loads(path.read_text("utf-8"))["features"][0]["properties"])
        else:
            names = list(pyogrio.read_info(path, layer="points")["fields"])
        wanted = ["id", "stratum", "map_class", "reference", "x", "y", "lon", "lat", "row", "col", "hectares"]
        assert names == wanted

    def test_what_is_there_stays(self, tmp_path, suffix):
        path = tmp_path / f"p.{suffix}"
        path.write_text("old")
        with pytest.raises(StorageError, match="exists"):
            write_points(path, drawn(), GRID)
        assert path.read_text() == "old"
        write_points(path, drawn(), GRID, overwrite=True)
        assert same(read_points(path), drawn())

    def test_nothing_is_left_beside(self, tmp_path, suffix):
        write_points(tmp_path / f"p.{suffix}", drawn(), GRID)
        beside = set() if suffix == "gpkg" else {"p.design.json"}
        assert {path.name for path in tmp_path.iterdir()} == {f"p.{suffix}", *beside}

    def test_a_failure_leaves_nothing(self, tmp_path, suffix):
        points = drawn()
        broken = dataclasses.replace(points, reference=points.reference[:2])
        with pytest.raises((ValueError, StorageError)):
            write_points(tmp_path / f"p.{suffix}", broken, GRID)
        assert list(tmp_path.iterdir()) == []

    def test_labels_in_another_column(self, tmp_path, suffix):
        write_points(tmp_path / f"p.{suffix}", drawn(), GRID)
        labels = read_points(tmp_path / f"p.{suffix}", label="map_class").reference
        assert labels == (LEGEND.names[0], "water") * 2
        with pytest.raises(InputError, match=r"no column 'label'; its columns are: .*reference"):
            read_points(tmp_path / f"p.{suffix}", label="label")

    def test_what_is_none_of_them(self, tmp_path, suffix):
        path = tmp_path / f"p.{suffix}"
        for content in (b"\xff\xfe\x00\x01", b"", b'{"type": "Polygon"}', b"<OGRVRTDataSource></OGRVRTDataSource>"):
            path.write_bytes(content)
            with pytest.raises(InputError, match=f"p.{suffix}"):
                read_points(path)


class TestGeoPackage:
    def test_places_are_in_the_crs_of_the_map(self, tmp_path):
        write_points(tmp_path / "p.gpkg", drawn(), GRID)
        info, _, places, _ = pyogrio.raw.read(tmp_path / "p.gpkg", layer="points")
        assert info["crs"] == "EPSG:32633"
        assert shapely.get_coordinates(shapely.from_wkb(places))[0].tolist() == [350_005, 5_069_995]

    def test_design_is_a_table_to_look_at(self, tmp_path):
        write_points(tmp_path / "p.gpkg", drawn(), GRID)
        info, _, places, values = pyogrio.raw.read(tmp_path / "p.gpkg", layer="design")
        table = dict(zip(info["fields"], values, strict=True))
        assert places is None
        assert (table["code"].tolist(), table["pixels"].tolist()) == ([1, 2], [15_000, 5000])
        assert set(table["map"]) == {"map.tif"}

    def test_labels_that_a_table_keeps_as_numbers(self, tmp_path):
        places = shapely.to_wkb(shapely.points([350_005.0, 350_015.0], [5_069_995.0, 5_069_985.0]))
        for values, labels in ((np.array([1, 2]), ("1", "2")), (np.array([1.0, np.nan]), ("1", ""))):
            path = tmp_path / "other.gpkg"
            path.unlink(missing_ok=True)
            pyogrio.raw.write(path, places, [values], ["reference"], geometry_type="Point", crs="EPSG:32633")
            points = read_points(path)
            assert (points.reference, points.design) == (labels, None)
            assert pixels_at(GRID, points.lon, points.lat)[0].tolist() == [0, 1]

    def test_something_else_than_points(self, tmp_path):
        square = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)]))
        pyogrio.raw.write(
            tmp_path / "p.gpkg",
            square,
            [np.array(["x"], object)],
            ["reference"],
            geometry_type="Polygon",
            crs="EPSG:4326",
        )
        with pytest.raises(InputError, match="something else than points"):
            read_points(tmp_path / "p.gpkg")

    @pytest.mark.filterwarnings("ignore:'crs' was not provided")
    @pytest.mark.parametrize(
        ("given", "message"),
        [({"geometry_type": None}, "holds no points"), ({"geometry_type": "Point", "crs": None}, "has no CRS")],
    )
    def test_a_layer_without_places(self, tmp_path, given, message):
        shapes = shapely.to_wkb(np.array([shapely.Point(13, 45)])) if given["geometry_type"] else None
        pyogrio.raw.write(tmp_path / "p.gpkg", shapes, [np.array(["x"], object)], ["reference"], **given)
        with pytest.raises(InputError, match=message):
            read_points(tmp_path / "p.gpkg")

    def test_a_damaged_design(self, tmp_path):
        write_points(tmp_path / "p.gpkg", drawn(), GRID)
        pyogrio.raw.write(
            tmp_path / "p.gpkg", None, [np.array([1])], ["code"], layer="design", driver="GPKG", geometry_type=None
        )
        with pytest.raises(InputError, match=r"design of .* is damaged"):
            read_points(tmp_path / "p.gpkg")


class TestText:
    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_spreadsheets_write_other_marks(self, tmp_path, mark):
        path = tmp_path / "p.csv"
        text = "\ufeff" + f"lon{mark}lat{mark}reference\r\n15.0{mark}45.5{mark}water\r\n"
        path.write_text(text, encoding="utf-8", newline="")
        points = read_points(path)
        assert (points.lon[0], points.lat[0], points.reference, points.number[0]) == (15.0, 45.5, ("water",), 1)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("lon,reference\n1,x\n", "no column 'lat'"),
            ("lon,lat,reference\n1,2,x,y\n", "more fields than its header"),
            ('lon,lat,reference\n"15,2",45,x\n', "'lon' holds '15,2' in row 1"),
            ("lon,lat,reference\n15,,x\n", "'lat' holds '' in row 1"),
            ("lon,lat,reference\n15\n", "'lat' holds None in row 1"),
        ],
    )
    def test_tables_that_cannot_be(self, tmp_path, text, message):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            read_points(tmp_path / "p.csv")

    def test_geojson_is_in_degrees(self, tmp_path):
        write_points(tmp_path / "p.geojson", drawn(), GRID)
        first = json.loads((tmp_path / "p.geojson").read_text("utf-8"))["features"][0]
        assert first["geometry"]["coordinates"] == pytest.approx([drawn().lon[0], drawn().lat[0]])
        assert pyogrio.read_info(tmp_path / "p.geojson")["crs"] == "EPSG:4326"

    def test_geojson_of_lines(self, tmp_path):
        line = {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
        }
        (tmp_path / "p.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [line]}))
        with pytest.raises(InputError, match="LineString"):
            read_points(tmp_path / "p.geojson")

    @pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"map": 1}'])
    def test_a_damaged_design(self, tmp_path, text):
        write_points(tmp_path / "p.csv", drawn(), GRID)
        design_path(tmp_path / "p.csv").write_text(text)
        with pytest.raises(InputError, match=r"design of .*p\.csv is damaged"):
            read_points(tmp_path / "p.csv")


class TestNames:
    @pytest.mark.parametrize("name", ["p.shp", "p", "p.json"])
    def test_suffixes(self, tmp_path, name):
        with pytest.raises(UsageError, match=r"\.gpkg, \.geojson, \.csv"):
            write_points(tmp_path / name, drawn(), GRID)
        (tmp_path / name).write_text("")
        with pytest.raises(InputError, match=r"\.gpkg, \.geojson, \.csv"):
            read_points(tmp_path / name)

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="no file"):
            read_points(tmp_path / "p.csv")


def test_digest_is_of_the_points_not_of_their_order():
    points = drawn()
    columns = [points.number, points.stratum, points.row, points.col]
    assert drawn_digest(*columns) == drawn_digest(*(column[::-1] for column in columns))
    columns[2] = columns[2] + np.array([0, 0, 0, 1])
    assert drawn_digest(*columns) != points.design.drawn


def test_places_outside_are_told_apart():
    lon, lat = GRID.longitudes_latitudes(np.array([0.5, -0.5, 199.5, 200.5]), np.array([0.5, 0.5, 99.5, 99.5])).T
    row, col, inside = pixels_at(GRID, lon, lat)
    assert inside.tolist() == [True, False, True, False]
    assert (row[inside].tolist(), col[inside].tolist()) == ([0, 99], [0, 199])


def test_rasterio_and_pyogrio_agree_on_places(tmp_path):
    """Two copies of PROJ are at work; both must put a point on its pixel."""
    write_points(tmp_path / "p.gpkg", drawn(), GRID)
    points = read_points(tmp_path / "p.gpkg")
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32633", points.lon, points.lat)
    np.testing.assert_allclose(x, [350_005, 350_035, 351_005, 351_995], atol=1e-3)
    np.testing.assert_allclose(y, [5_069_995, 5_069_925, 5_069_495, 5_069_005], atol=1e-3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hectares", 5461.0), ("hectares", -1), ("pixels", -1), ("pixels", None), ("code", "x"), ("points", 1e308)],
)
def test_an_edited_design_is_refused(tmp_path, key, value):
    write_points(tmp_path / "points.csv", drawn(), GRID)
    file = tmp_path / "points.design.json"
    table = json.loads(file.read_text())
    table["strata"][0][key] = value
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match="design"):
        read_points(tmp_path / "points.csv")


def test_a_file_that_is_too_large_for_points(tmp_path):
    path = tmp_path / "p.csv"
    path.touch()
    os.truncate(path, (1 << 30) + 1)
    with pytest.raises(InputError, match=r"p\.csv is larger than 1 GiB"):
        read_points(path)


def test_a_csv_that_keeps_whole_numbers_with_a_fraction_of_0(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lon,lat,reference\n1,2,3.0\n1,2,\n1,2,3.5\n")
    assert read_points(path).reference == ("3", "", "3.5")
