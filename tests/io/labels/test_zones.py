"""Zones as files hold them: their names, what is repaired, and one line for each that is refused."""

import numpy as np
import pytest
import shapely

from lulc.errors import InputError
from lulc.io.labels.zones import read_zones
from tests.support.zone_samples import DRIVERS, write_zones

SQUARES = [shapely.box(x, 0, x + 10, 10) for x in (0, 20, 40)]
BOW_TIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


@pytest.mark.parametrize("suffix", DRIVERS)
def test_every_kind_of_file(tmp_path, suffix):
    zones = read_zones(write_zones(tmp_path / f"zones{suffix}", SQUARES, crs="EPSG:4326"))
    assert sorted(zones.names) == ["zone 1", "zone 2", "zone 3"]  # FlatGeobuf has an order of its own
    assert zones.crs.to_epsg() == 4326
    assert shapely.area(zones.shapes).tolist() == [100, 100, 100]


def test_the_first_column_of_text_names_zones_and_the_report_says_so(tmp_path):
    zones = read_zones(write_zones(tmp_path / "z.gpkg", SQUARES, id=[1, 2, 3], name=["a", "b", "c"]))
    assert (zones.names, zones.named_by) == (("a", "b", "c"), "the field name")
    assert zones.notes == ("zones are named by the field name; --zone-field chooses another column",)
    assert read_zones(tmp_path / "z.gpkg", "id").names == ("1", "2", "3")
    assert read_zones(tmp_path / "z.gpkg", "id").notes == ()


def test_without_text_the_number_of_the_feature_names_it(tmp_path):
    zones = read_zones(write_zones(tmp_path / "z.gpkg", SQUARES, id=[7, 8, 9]))
    assert (zones.names, zones.named_by) == (("1", "2", "3"), "the number of the feature")


def test_features_of_one_name_are_one_zone(tmp_path):
    overlapping = [SQUARES[0], SQUARES[1], shapely.box(5, 0, 15, 10)]
    zones = read_zones(write_zones(tmp_path / "z.gpkg", overlapping, name=["a", "b", "a"]), "name")
    assert zones.names == ("a", "b")
    assert shapely.area(zones.shapes).tolist() == [150, 100]
    assert zones.notes == ("3 features make 2 zones: features of one name are one zone",)


def test_names_are_one_line_and_none_is_lost(tmp_path):
    path = write_zones(tmp_path / "z.gpkg", SQUARES, name=["a\nb", "", None])
    assert read_zones(path).names == ("a b", "feature 2", "feature 3")
    numbers = write_zones(tmp_path / "n.gpkg", SQUARES, code=[1.0, 2.5, np.nan])
    assert read_zones(numbers, "code").names == ("1", "2.5", "feature 3")


def test_self_crossing_polygons_are_repaired_and_empty_ones_left_out(tmp_path):
    zones = read_zones(write_zones(tmp_path / "z.gpkg", [BOW_TIE, None, SQUARES[1]], name=["x", "y", "z"]), "name")
    assert zones.names == ("x", "z")
    assert shapely.area(zones.shapes).tolist() == [50, 100]
    assert zones.notes == (
        "z.gpkg: self-crossing features were repaired: 1",
        "z.gpkg: features without an area are left out: 2",
    )


def refused(path, field=None):
    with pytest.raises(InputError) as caught:
        read_zones(path, field)
    return str(caught.value).replace(str(path.parent), "")


def test_refusals_name_the_file_and_a_remedy(tmp_path):
    good = write_zones(tmp_path / "z.gpkg", SQUARES, district=["a", "b", "c"])
    assert refused(good, "distrikt") == "/z.gpkg has no field 'distrikt'; did you mean 'district'?"
    bare = write_zones(tmp_path / "bare.gpkg", SQUARES, crs=None)
    assert refused(bare) == "/bare.gpkg has no CRS; set one, such as with ogr2ogr -a_srs EPSG:4326"
    points = write_zones(tmp_path / "p.gpkg", [shapely.Point(0, 0)])
    assert refused(points) == "/p.gpkg holds Point; give polygons"
    empty = write_zones(tmp_path / "e.gpkg", [shapely.Polygon(), None], name=["a", "b"])
    assert refused(empty) == "/e.gpkg holds no polygons; give a file of polygons with an area"
    assert "is not there; give a file of polygons" in refused(tmp_path / "absent.gpkg")
    assert "ends in none of" in refused(tmp_path / "zones.csv")
