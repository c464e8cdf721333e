"""Zones on the grid of a map: bent edges, areas on the ellipsoid, and turns around the Earth."""

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer

from lulc.errors import InputError
from lulc.io.labels.zone_shapes import place_zones
from lulc.io.labels.zones import read_zones
from tests.support.product_samples import grid_of
from tests.support.zone_samples import bounds_of, moved, partition, write_zones

WHOLE = (1.0, 1.0)


def placed(path, grid, edge=WHOLE):
    return place_zones(read_zones(path), grid, edge, "map.tif")


def test_an_edge_that_bends_stays_within_a_hundredth_of_a_pixel(tmp_path):
    """One box in degrees, 1.5 degrees wide: its edges bend by hundreds of metres in UTM."""
    box = shapely.box(0.5, 43.5, 2.0, 44.5)
    grid = grid_of(14_000, 14_000, transform=Affine(10, 0, 290_000, 0, -10, 4_940_000))
    found = placed(write_zones(tmp_path / "z.gpkg", [box], crs="EPSG:4326"), grid)
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32631", always_xy=True).transform
    fine = shapely.transform(shapely.segmentize(box, 1e-4), to_utm, interleaved=False)
    pixels = shapely.transform(
        fine, lambda xy: np.column_stack([(xy[:, 0] - 290_000) / 10, (4_940_000 - xy[:, 1]) / 10])
    )
    expected = pixels.intersection(shapely.box(0, 0, 14_000, 14_000))
    assert found.shapes[0].symmetric_difference(expected).area < 0.01 * expected.length
    assert shapely.hausdorff_distance(found.shapes[0], expected) < 0.02
    assert shapely.get_num_coordinates(found.shapes[0]) < 2000


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:3035"])
def test_hectares_are_those_of_the_ellipsoid_in_any_crs(tmp_path, crs):
    box = shapely.box(300_000, 4_900_000, 340_000, 4_930_000)
    fine = shapely.segmentize(box, 50)
    (zone,) = moved([fine], "EPSG:32631", crs)
    grid = grid_of(100, 100)
    found = placed(write_zones(tmp_path / "z.gpkg", [zone], crs=crs), grid)
    (degrees,) = moved([fine], "EPSG:32631", "EPSG:4326")
    expected = abs(Geod(ellps="WGS84").geometry_area_perimeter(degrees)[0]) / 1e4
    assert found.hectares[0] == pytest.approx(expected, rel=1e-7)


def test_holes_are_no_part_of_a_zone(tmp_path):
    ring = shapely.box(300_100, 4_899_100, 300_900, 4_899_900) - shapely.box(300_300, 4_899_300, 300_500, 4_899_500)
    found = placed(write_zones(tmp_path / "z.gpkg", [ring]), grid_of(100, 100))
    assert shapely.area(found.shapes).tolist() == pytest.approx([6400 - 400])
    assert found.hectares[0] == pytest.approx(60, rel=2e-3)


def test_what_lies_beside_the_map_is_cut_off_and_told(tmp_path):
    grid = grid_of(100, 100)
    west, south, east, north = bounds_of(grid)
    half = shapely.box(west - (east - west) / 2, south, west + (east - west) / 2, north)
    outside = shapely.box(east + 100, south, east + 200, north)
    found = placed(write_zones(tmp_path / "z.gpkg", [half, outside]), grid)
    assert found.inside == pytest.approx([0.5, 0], abs=1e-4)
    assert shapely.area(found.shapes).tolist() == [5000, 0]


def test_cells_at_the_edge_of_a_scene_end_with_it(tmp_path):
    grid = grid_of(10, 10)
    found = placed(write_zones(tmp_path / "z.gpkg", [shapely.box(*bounds_of(grid))]), grid, (0.5, 0.25))
    assert found.shapes[0].bounds == (0, 0, 9.25, 9.5)


def test_a_country_that_is_much_larger_than_the_map(tmp_path):
    """UTM has no place for most of it; what is far from the map is cut off before it is projected."""
    grid = grid_of(200, 200)
    whole = shapely.box(-60, -40, 60, 85)
    found = placed(write_zones(tmp_path / "z.gpkg", [whole], crs="EPSG:4326"), grid)
    assert shapely.area(found.shapes[0]) == pytest.approx(200 * 200, rel=1e-9)
    assert found.hectares[0] == pytest.approx(1.392e10, rel=0.01)


@pytest.mark.parametrize("west", [-180.05, 179.95])
def test_a_map_across_the_antimeridian_meets_zones_of_either_side(tmp_path, west):
    grid = grid_of(100, 100, transform=Affine(0.001, 0, west, 0, -0.001, 10.1), crs="EPSG:4326")
    zones = [shapely.box(179.9, 10.0, 180.0, 10.1), shapely.box(-180.0, 10.0, -179.9, 10.1)]
    found = placed(write_zones(tmp_path / "z.gpkg", zones, crs="EPSG:4326"), grid)
    assert shapely.area(found.shapes).tolist() == pytest.approx([5000, 5000])
    assert found.inside == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_partition_in_degrees_is_one_on_the_grid(tmp_path):
    grid = grid_of(300, 400)
    zones = moved(partition(bounds_of(grid), 40), "EPSG:32631", "EPSG:4326")
    shapes = placed(write_zones(tmp_path / "z.gpkg", zones, crs="EPSG:4326"), grid).shapes
    assert shapely.area(shapes).sum() == pytest.approx(300 * 400, rel=1e-5)  # edges of the box bend between its corners
    assert shapely.area(shapely.union_all(shapes)) == pytest.approx(shapely.area(shapes).sum(), rel=1e-9)


def test_a_crs_without_a_place_is_refused(tmp_path):
    drawing = 'LOCAL_CS["plan",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    path = write_zones(tmp_path / "z.gpkg", [shapely.box(0, 0, 1, 1)], crs=drawing)
    with pytest.raises(InputError, match=r"z\.gpkg.*no place on Earth"):
        placed(path, grid_of(10, 10))
