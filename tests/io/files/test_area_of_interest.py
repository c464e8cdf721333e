"""Areas: what is no area, and which pixels one touches."""

import pytest
import shapely
from affine import Affine
from pyogrio.raw import write
from rasterio.crs import CRS

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Shape, Window
from lulc.io.files.area_of_interest import read_area

GRID = Grid(CRS.from_epsg(4326), Affine(0.001, 0, 13, 0, -0.001, 46), Shape(1000, 1000))
BOX = shapely.box(13.2, 45.5, 13.3, 45.6)


def vector(path, geometry=BOX, crs="EPSG:4326", **more):
    shapes = shapely.to_wkb([geometry])
    write(path, shapes, [], [], crs=crs, geometry_type=geometry.geom_type, **more)
    return path


def test_polygons_of_a_file_are_an_area(tmp_path):
    area = read_area(str(vector(tmp_path / "a.gpkg")))
    assert not area.box
    assert area.window(GRID, None) == Window(400, 200, 100, 100)


def test_layers_are_not_guessed(tmp_path):
    for layer in ("fields", "woods"):
        vector(tmp_path / "a.gpkg", layer=layer, append=layer == "woods")
    with pytest.raises(InputError, match=r"holds the layers fields, woods; give a file of one"):
        read_area(str(tmp_path / "a.gpkg"))


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_file_without_a_crs(tmp_path):
    with pytest.raises(InputError, match="has no CRS"):
        read_area(str(vector(tmp_path / "a.fgb", crs=None)))


def test_points_are_no_area(tmp_path):
    with pytest.raises(InputError, match="holds no polygons"):
        read_area(str(vector(tmp_path / "a.gpkg", shapely.Point(13, 45))))


def test_polygons_where_their_crs_has_no_place(tmp_path):
    half = CRS.from_string("+proj=ortho +lat_0=0 +lon_0=0").to_wkt()
    with pytest.raises(InputError, match="lies where its CRS has no place"):
        read_area(str(vector(tmp_path / "a.fgb", shapely.box(7e6, 7e6, 8e6, 8e6), half)))


def test_what_an_area_does_not_reach_has_no_pixels():
    area = read_area("13.2,45.5,13.3,45.6")
    assert area.window(GRID, [13.0, 45.0, 14.0, 46.0]) == Window(400, 200, 100, 100)
    nothing = Window(0, 0, 0, 0)
    assert area.window(GRID, [20.0, 45.0, 21.0, 46.0]) == nothing
    assert area.window(Grid(None, GRID.transform, GRID.shape), None) == nothing
    hidden = CRS.from_string("+proj=ortho +lat_0=0 +lon_0=-170")
    assert area.window(Grid(hidden, Affine(1000, 0, 0, 0, -1000, 0), Shape(9, 9)), None) == nothing


@pytest.mark.parametrize("text", ["nan,1,2,3", "1,2,inf,4", "1,2,3,1e999"])
def test_a_box_of_numbers_that_are_not_finite_is_called_so(text):
    with pytest.raises(UsageError, match="not finite"):
        read_area(text)
