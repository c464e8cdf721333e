"""Products on other grids, against a warp by GDAL and a computation by hand."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from lulc.grid import Window
from lulc.io.product.bands import CLOUDS
from lulc.io.product.on_grid import ProductOnGrid
from tests.support.product_samples import LEGEND, UTM, grid_of, pixels, write

HEIGHT, WIDTH = 300, 420
NEXT_ZONE = Affine(10.0, 0.0, -180_500.0, 0.0, -10.0, 4_933_500.0)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    path = tmp_path_factory.mktemp("products") / "map.tif"
    data = pixels(HEIGHT, WIDTH, seed=4)
    write(path, data)
    return path, data


def on(path, target, **options):
    return ProductOnGrid(path, LEGEND, grid_of(HEIGHT, WIDTH), target, **options)


def test_shared_pixels_are_copied(product):
    path, data = product
    shifted = Affine(10.0, 0.0, UTM.c - 70, 0.0, -10.0, UTM.f + 50)
    moved = on(path, grid_of(400, 500, shifted))
    window = Window(0, 0, 400, 500)
    codes, shares = moved.classes(window), moved.activations(window)
    inner = slice(5, 5 + HEIGHT), slice(7, 7 + WIDTH)
    np.testing.assert_array_equal(codes[inner], data[0])
    valid = data[0] != 255
    np.testing.assert_array_equal(shares[(slice(None), *inner)][:, valid], data[1:, valid] * np.float32(0.004))
    assert np.isnan(shares[(slice(None), *inner)][:, ~valid]).all()
    codes[inner] = 255
    assert (codes == 255).all()


@pytest.mark.whole
def test_other_zones_agree_with_gdal(product):
    path, _ = product
    target = grid_of(700, 700, NEXT_ZONE, "EPSG:32632")
    moved = on(path, target)
    covered = moved.covered
    assert 200 < covered.height < 400
    codes, shares = moved.classes(covered), moved.activations(covered)
    with rasterio.open(path) as source:
        options = {"crs": target.crs, "transform": NEXT_ZONE, "height": 700, "width": 700, "tolerance": 1e-9}
        with WarpedVRT(source, resampling=Resampling.nearest, **options) as near:
            expected = near.read(1)[covered.slices()]
        with WarpedVRT(source, resampling=Resampling.bilinear, XSCALE=1, YSCALE=1, **options) as smooth:
            bilinear = smooth.read()[(slice(1, None), *covered.slices())]
    assert (codes == expected).mean() > 0.9999
    both = (codes != 255) & (bilinear[0] != 255)
    assert both.mean() > 0.7
    assert np.abs(shares[:, both] / np.float32(0.004) - bilinear[:, both]).max() <= 0.51
    np.testing.assert_allclose(shares[:, codes != 255].sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(shares[0]), codes == 255)


def test_what_a_pixel_gets_does_not_depend_on_the_window(product):
    path, _ = product
    moved = on(path, grid_of(700, 700, NEXT_ZONE, "EPSG:32632"))
    whole = moved.covered
    codes, shares = moved.classes(whole), moved.activations(whole)
    for row in range(whole.row, whole.row_end, 97):
        for col in range(whole.col, whole.col_end, 131):
            part = Window(row, col, 97, 131).intersection(whole)
            place = part.slices(whole)
            np.testing.assert_array_equal(moved.classes(part), codes[place])
            np.testing.assert_array_equal(moved.activations(part), shares[(slice(None), *place)])


def test_apart_there_is_nothing(product):
    path, _ = product
    far = on(path, grid_of(50, 50, Affine(10.0, 0.0, 700_000.0, 0.0, -10.0, 4_000_000.0), "EPSG:32632"))
    assert far.covered.shape.size == 0
    assert (far.classes(Window(0, 0, 50, 50)) == 255).all()
    assert np.isnan(far.activations(Window(0, 0, 50, 50))).all()


def test_a_window_beside_the_product_has_no_data(product):
    moved = on(product[0], grid_of(400, 500, Affine(10.0, 0.0, UTM.c - 70, 0.0, -10.0, UTM.f + 50)))
    assert (moved.classes(Window(360, 440, 20, 30)) == 255).all()


def test_the_sky_is_read_where_the_class_is(tmp_path):
    data = pixels(HEIGHT, WIDTH, seed=4)
    sky = np.where(data[:1] == 255, 255, data[:1] % 3)
    write(tmp_path / "map.tif", np.concatenate([data, sky]), activations="uint8", extra=[CLOUDS])
    shifted = grid_of(400, 500, Affine(10.0, 0.0, UTM.c - 70, 0.0, -10.0, UTM.f + 50))
    for target in (shifted, grid_of(700, 700, NEXT_ZONE, "EPSG:32632")):
        seen = on(tmp_path / "map.tif", target, flags_clouds=True).at(target.window)
        valid = seen.classes != 255
        assert valid.sum() > 80_000
        np.testing.assert_array_equal(seen.sky, np.where(valid, seen.classes % 3, 255))
        np.testing.assert_array_equal(seen.clear, valid & (seen.classes % 3 == 0))
        unread = on(tmp_path / "map.tif", target).at(target.window)
        assert unread.sky is None
        np.testing.assert_array_equal(unread.clear, valid)
