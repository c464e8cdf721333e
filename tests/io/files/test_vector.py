"""Vector files that lead elsewhere are refused before GDAL sees them; whole ones of every kind are read."""

import json
import os
import struct

import pytest
from pyproj import CRS

from lulc.errors import InputError
from lulc.io.files.area_of_interest import read_area
from lulc.io.files.vector import is_vector, read_vector, vector_layers
from lulc.io.labels.points import read_points
from lulc.io.labels.polygons import VectorLabels, holds_points
from lulc.legend import load_legend
from tests.support.disguised import collection, disguised, write_polygon
from tests.support.listener import listening

READERS = {
    "layers": vector_layers,
    "vector": read_vector,
    "area": lambda path: read_area(str(path)),
    "labels": lambda path: VectorLabels(path, load_legend("dynamic-world"), "class", None),
    "points": read_points,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_file_leads_to_an_address_or_another_file(tmp_path, reader):
    with listening() as listener:
        for path in disguised(tmp_path, listener.url):
            with pytest.raises(InputError):
                READERS[reader](path)
            holds_points(path)
    assert listener.asked == []
    assert not (tmp_path / "x.gpkg").exists()


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("a.gpkg", "GPKG"),
        ("a.geojson", "GeoJSON"),
        ("a.json", "GeoJSON"),
        ("a.shp", "ESRI Shapefile"),
        ("a.fgb", "FlatGeobuf"),
    ],
)
def test_whole_files_are_read(tmp_path, name, driver):
    path = write_polygon(tmp_path / name, driver)
    assert is_vector(path)
    assert list(vector_layers(path).values()) == ["Polygon"]
    meta, shapes, columns = read_vector(path)
    assert (meta["crs"], len(shapes), list(columns["class"])) == ("EPSG:4326", 1, ["water"])


@pytest.mark.parametrize(
    ("crs", "read"),
    [
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}, "EPSG:32631"),
        ({"type": "name", "properties": {"name": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}}, "OGC:CRS84"),
        ({"type": "EPSG", "properties": {"code": 3857}}, "EPSG:3857"),
        (None, "EPSG:4326"),
    ],
)
def test_a_crs_by_its_name_is_read(tmp_path, crs, read):
    path = tmp_path / "a.geojson"
    path.write_text(collection(crs=crs))
    assert CRS.from_user_input(read_vector(path)[0]["crs"]) == CRS.from_user_input(read)


def test_a_column_and_a_value_of_that_name_are_no_crs(tmp_path):
    table = json.loads(collection())
    table["features"][0]["properties"] = {"crs": "EPSG:1", "a": "crs", "b": ["crs"]}
    (tmp_path / "a.geojson").write_text(json.dumps(table))
    assert list(read_vector(tmp_path / "a.geojson")[2]["a"]) == ["crs"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.geojson")
    write_polygon(tmp_path / "b.shp", "ESRI Shapefile")
    (tmp_path / "b.dbf").unlink()
    os.mkfifo(tmp_path / "b.dbf")
    for name in ("a.geojson", "b.shp"):
        with pytest.raises(InputError, match="it is no regular file"):
            read_vector(tmp_path / name)


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_an_open_ring(path):
    content = bytearray(path.read_bytes())
    content[-8:] = struct.pack("<d", 77.0)  # y of the last corner
    path.write_bytes(content)


def with_a_place_that_is_none(path):
    path.write_text(path.read_text().replace("[ 0.0, 0.0 ]", "[ 1e999, 0.0 ]").replace("[0.0, 0.0]", "[1e999, 0.0]"))


@pytest.mark.parametrize(
    ("name", "driver", "spoil"),
    [
        ("a.fgb", "FlatGeobuf", cut_off),
        ("a.gpkg", "GPKG", cut_off),
        ("a.geojson", "GeoJSON", cut_off),
        ("a.shp", "ESRI Shapefile", with_an_open_ring),
        ("a.geojson", "GeoJSON", with_a_place_that_is_none),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, driver, spoil):
    path = write_polygon(tmp_path / name, driver)
    before = path.read_bytes()
    spoil(path)
    assert path.read_bytes() != before
    with pytest.raises(InputError, match=name):
        read_vector(path)


def test_features_without_a_geometry_are_told(tmp_path, caplog):
    path = write_polygon(tmp_path / "a.shp", "ESRI Shapefile")
    cut_off(path)
    assert read_vector(path)[1].tolist() == [None]
    assert "a.shp: 1 of 1 features have no geometry" in caplog.text
