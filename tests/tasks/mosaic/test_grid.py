"""The grid of a mosaic."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from lulc.errors import InputError, LimitError, UsageError
from lulc.grid import Grid, Shape
from lulc.tasks.mosaic.grid import NamedGrid, mosaic_grid
from lulc.tasks.mosaic.mosaic import mosaic


def placed(name="a.tif", west=700_000.0, north=4_900_020.0, side=10.0, shape=(300, 200), crs="EPSG:32631"):
    return NamedGrid(name, Grid(CRS.from_string(crs), Affine(side, 0, west, 0, -side, north), Shape(*shape)))


def bounds(grid):
    a, e = grid.transform.a, grid.transform.e
    return (
        grid.transform.c,
        grid.transform.f + e * grid.shape.height,
        grid.transform.c + a * grid.shape.width,
        grid.transform.f,
    )


def test_maps_that_share_pixels_keep_them():
    grid = mosaic_grid([placed(), placed("b.tif", west=701_230.0, north=4_899_000.0)])
    assert bounds(grid) == (700_000, 4_896_000, 703_230, 4_900_020)
    assert grid.crs.to_epsg() == 32631


def test_the_crs_of_most_pixels_wins_and_all_maps_fit():
    west = placed("a.tif", west=760_000.0)
    east = placed("b.tif", west=279_000.0, north=4_899_000.0, shape=(400, 400), crs="EPSG:32632")
    grid = mosaic_grid([west, east])
    assert grid.crs.to_epsg() == 32632
    assert (grid.transform.c - 279_000) % 10 == 0
    left, bottom, right, top = transform_bounds("EPSG:32631", "EPSG:32632", *bounds(west.grid))
    mine = bounds(grid)
    assert mine[0] <= left
    assert mine[1] <= bottom
    assert mine[2] >= right
    assert mine[3] >= top
    assert mosaic_grid([west, east], crs="EPSG:32631").transform.c % 10 == 0


def test_bounds_are_rounded_outwards_to_the_maps_pixels():
    grid = mosaic_grid([placed()], bounds=(700_004, 4_899_001, 700_100, 4_900_000))
    assert bounds(grid) == (700_000, 4_899_000, 700_100, 4_900_000)


def test_another_crs_needs_a_resolution():
    with pytest.raises(UsageError, match="--resolution"):
        mosaic_grid([placed()], crs="EPSG:3035")
    grid = mosaic_grid([placed()], crs="EPSG:3035", resolution=10.0)
    assert grid.transform.a == 10
    assert grid.transform.c % 10 == 0


def test_other_resolutions_name_both_files():
    with pytest.raises(InputError, match=r"a\.tif has pixels of 10 m, b\.tif of 20 m"):
        mosaic_grid([placed(), placed("b.tif", side=20.0)])
    with pytest.raises(InputError, match=r"the mosaic of 30 m"):
        mosaic_grid([placed()], resolution=30.0)


def test_maps_that_a_crs_does_not_show_are_refused():
    with pytest.raises(InputError, match=r"a\.tif cannot be projected to .*choose another --crs"):
        mosaic_grid([placed()], crs="+proj=ortho +lat_0=0 +lon_0=-170", resolution=10.0)


@pytest.mark.parametrize("wrong", [(0, 0, 0, 0), (2, 0, 1, 5), (np.nan, 0, 1, 1), (3e5, 0, 3e5 + 1e-9, 9)])
def test_empty_bounds_are_refused(wrong):
    with pytest.raises(UsageError, match="bounds"):
        mosaic_grid([placed()], bounds=wrong)


def test_maps_without_a_place_and_mosaics_too_large_are_refused():
    with pytest.raises(InputError, match=r"b\.tif has no CRS"):
        mosaic_grid([placed(), NamedGrid("b.tif", Grid(None, Affine.identity(), Shape(5, 5)))])
    with pytest.raises(LimitError, match="--bounds"):
        mosaic_grid([placed(), placed("b.tif", north=2_400_020.0, west=2_200_000.0)])
    with pytest.raises(UsageError, match="not a CRS"):
        mosaic_grid([placed()], crs="EPSG:nowhere")


def test_a_hard_link_is_the_same_map_given_twice(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "b.tif").hardlink_to(tmp_path / "a.tif")
    with pytest.raises(UsageError, match=r"b\.tif is given twice"):
        mosaic([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "m.tif")
