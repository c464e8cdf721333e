"""Tiles of products and scenes, against the product itself and a warp by GDAL."""

import io
from concurrent.futures import ThreadPoolExecutor

import morecantile
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject

from lulc.errors import InputError, StorageError
from lulc.grid import Window, map_points
from lulc.io.product.bands import CLOUDS
from lulc.io.scene.scene import open_scene
from lulc.io.scene.true_color import write_true_color
from lulc.serve.map_tiles import TILE_SIDE, TiledRaster
from lulc.serve.map_view import MapView, color_tile, heat_tile
from tests.support.product_samples import LEGEND, UTM, grid_of, pixels, write

PYRAMID = morecantile.tms.get("WebMercatorQuad")
HEIGHT, WIDTH = 700, 900


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "map.tif"
    data = pixels(HEIGHT, WIDTH, seed=2)
    write(path, data)
    return path, data


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def rgba_of(codes):
    """What a picture of class codes must look like."""
    table = np.zeros((256, 4), np.uint8)
    for entry in LEGEND:
        table[entry.code] = (*entry.rgb, 255)
    return table[codes]


def middle_tile(view, zoom):
    west, south, east, north = view.raster.bounds
    return PYRAMID.tile((west + east) / 2, (south + north) / 2, zoom)


def codes_by_hand(tile, data):
    """Class codes under the middle of each pixel of a tile: each place is projected exactly."""
    west, south, east, north = PYRAMID.xy_bounds(tile)
    steps = (np.arange(TILE_SIDE) + 0.5) / TILE_SIDE
    xs, ys = np.meshgrid(west + steps * (east - west), north - steps * (north - south))
    eastings, northings = Transformer.from_crs(3857, 32631, always_xy=True).transform(xs, ys)
    cols, rows = map_points(~UTM, eastings, northings)
    cols, rows = np.floor(cols).astype(int), np.floor(rows).astype(int)
    inside = (rows >= 0) & (rows < HEIGHT) & (cols >= 0) & (cols < WIDTH)
    codes = np.full(rows.shape, 255, np.uint8)
    codes[inside] = data[0][rows[inside], cols[inside]]
    return codes


@pytest.mark.parametrize("zoom_from_deepest", [0, 1])
def test_class_tiles_show_the_class_under_each_pixel(product, zoom_from_deepest):
    path, data = product
    view = MapView(path)
    tile = middle_tile(view, view.raster.zooms[1] - zoom_from_deepest)
    shown = decoded(view.tile("class", tile.z, tile.x, tile.y))
    same = (shown == rgba_of(codes_by_hand(tile, data))).all(axis=2)
    assert same.mean() > 0.995  # GDAL's warp is approximate by an eighth of a pixel
    assert len(np.unique(shown.reshape(-1, 4), axis=0)) > 4


def test_tiles_at_the_edge_are_transparent_beyond_it(product):
    path, _ = product
    view = MapView(path)
    west, _, _, north = view.raster.bounds
    tile = PYRAMID.tile(west, north, view.raster.zooms[1] - 2)
    shown = decoded(view.tile("class", tile.z, tile.x, tile.y))
    assert (shown[..., 3] == 0).any()
    assert (shown[0, 0] == 0).all()


def test_small_zooms_hold_the_whole_map(product):
    path, _ = product
    view = MapView(path)
    tile = middle_tile(view, 5)
    assert 0 < (decoded(view.tile("class", tile.z, tile.x, tile.y))[..., 3] == 255).sum() < 100


@pytest.mark.parametrize("layer", ["class", "confidence", "activation-3"])
def test_there_are_no_tiles_outside(product, layer):
    view = MapView(product[0])
    assert view.tile(layer, 12, 0, 0) is None


def test_share_tiles_are_the_bytes_of_the_product(product):
    path, data = product
    view = MapView(path)
    tile = middle_tile(view, view.raster.zooms[1])
    codes = codes_by_hand(tile, np.stack([data[3]]))
    palette = np.asarray(Image.open(io.BytesIO(view.tile("activation-3", tile.z, tile.x, tile.y))))
    assert (palette == codes).mean() > 0.98
    strongest = codes_by_hand(tile, data[1:].max(axis=0)[None])
    assert (np.asarray(Image.open(io.BytesIO(view.tile("confidence", *_zxy(tile))))) == strongest).mean() > 0.98


def _zxy(tile):
    return tile.z, tile.x, tile.y


def test_float_activations_are_shown_alike(tmp_path):
    stored = {}
    for kind in ("uint8", "float32"):
        write(tmp_path / f"{kind}.tif", pixels(300, 300, activations=kind))
        view = MapView(tmp_path / f"{kind}.tif")
        tile = middle_tile(view, view.raster.zooms[1])
        stored[kind] = np.asarray(Image.open(io.BytesIO(view.tile("activation-2", *_zxy(tile))))).astype(int)
    assert np.abs(stored["uint8"] - stored["float32"]).max() <= 9  # the class given gets the rounding of all
    assert np.abs(stored["uint8"] - stored["float32"]).mean() < 2


def test_classes_alone_have_one_layer(tmp_path):
    write(tmp_path / "a.tif", pixels(300, 300, activations="none"))
    assert tuple(MapView(tmp_path / "a.tif").layers) == ("class",)


def test_tiles_of_clouds_are_clear_where_nothing_is_flagged(tmp_path):
    data = pixels(HEIGHT, WIDTH, seed=2)
    blocks = np.random.default_rng(2).choice(3, (HEIGHT // 20, WIDTH // 20))
    sky = np.where(data[0] == 255, 255, np.kron(blocks, np.ones((20, 20), int))).astype(np.uint8)
    write(tmp_path / "a.tif", np.concatenate([data, sky[None]]), activations="uint8", extra=[CLOUDS])
    view = MapView(tmp_path / "a.tif")
    assert list(view.layers)[-1] == "clouds"
    tile = middle_tile(view, view.raster.zooms[1] - 1)
    table = np.zeros((256, 4), np.uint8)
    table[1], table[2] = (255, 255, 255, 200), (20, 20, 45, 170)
    expected = table[codes_by_hand(tile, sky[None])]
    assert len(np.unique(expected.reshape(-1, 4), axis=0)) == 3
    assert (decoded(view.tile("clouds", *_zxy(tile))) == expected).all(axis=2).mean() > 0.995
    told = {sky[row, 450]: view.at(row, 450).flagged for row in range(10, HEIGHT, 20)}
    assert told == {0: None, 1: "cloud", 2: "shadow"}
    assert view.at(0, 0).code == 255
    assert view.at(0, 0).flagged is None


@pytest.mark.whole
def test_many_threads_get_what_one_gets(product):
    view = MapView(product[0])
    west, south, east, north = view.raster.bounds
    tiles = list(PYRAMID.tiles(west, south, east, north, zooms=[14]))
    alone = [view.tile("class", *_zxy(tile)) for tile in tiles]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda tile: view.tile("class", *_zxy(tile)), tiles * 4)) == alone * 4
    view.close()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("place", ["nowhere", "control points"])
def test_a_map_without_place_has_tiles_of_its_own_pixels(tmp_path, place):
    data = pixels(300, 520, seed=5)
    points = tuple(GroundControlPoint(row, col, 10 + col, 50 - row) for row, col in [(0, 0), (0, 9), (9, 0)])
    more = {"gcps": points, "gcps_crs": CRS.from_epsg(4326)} if place == "control points" else {}
    write(tmp_path / "a.tif", data, grid=grid_of(300, 520, Affine.identity(), None, **more))
    view = MapView(tmp_path / "a.tif")
    assert view.raster.bounds is None
    deepest = view.raster.zooms[1]
    shown = decoded(view.tile("class", deepest, 1, 1))
    expected = np.zeros((256, 256, 4), np.uint8)
    expected[:44] = rgba_of(data[0])[256:300, 256:512]
    assert (shown == expected).all()
    assert view.tile("class", deepest, 5, 0) is None
    assert view.tile("class", 0, 0, 0) is not None


def test_what_is_at_a_place(product):
    path, data = product
    view = MapView(path)
    row, col = 400, 500
    longitude, latitude = view.position_of(row, col)
    assert view.pixel_of(longitude, latitude) == (row, col)
    found = view.at(row, col)
    assert found.code == data[0, row, col]
    np.testing.assert_allclose(found.activations, data[1:, row, col] / 250, atol=1e-6)
    assert found.confidence == pytest.approx(data[1:, row, col].max() / 250)
    assert found.source is None
    assert view.at(0, 0).code == 255
    assert view.at(0, 0).activations == ()
    assert view.at(-1, 0) is None
    assert view.at(0, WIDTH) is None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", Affine(1000, 0, -180, 0, -1000, 90)),
        ("EPSG:32631", Affine(1e300, 0, 300_000, 0, -1e300, 4e6)),
    ],
)
def test_a_place_that_makes_no_sense_is_none(tmp_path, crs, transform):
    write(tmp_path / "a.tif", pixels(300, 300), grid=grid_of(300, 300, transform, crs))
    view = MapView(tmp_path / "a.tif")
    assert not view.raster.placed
    assert view.position_of(1, 1) is None
    assert view.tile("class", view.raster.zooms[1], 1, 1) is not None


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", Affine(1e-300, 0, 1, 0, -1e-300, 9)),
        ("EPSG:4326", Affine(float("nan"), 0, 1, 0, -1, 9)),
        ("EPSG:32631", Affine(10, 0, 1e9, 0, -10, 1e9)),
        ("EPSG:32631", Affine(0, 0, 300_000, 0, 0, 4e6)),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path, crs, transform):
    write(tmp_path / "a.tif", pixels(300, 300), grid=grid_of(300, 300, transform, crs))
    with pytest.raises(InputError, match=r"a\.tif: (its transform|none of its pixels)"):
        MapView(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("crs", "transform", "bounds"),
    [
        ("EPSG:4326", Affine(0.9, 0, -180, 0, -0.45, 90), (-180, -90, 180, 90)),
        ("EPSG:4326", Affine(0.001, 0, 179.9, 0, -0.001, 9), (179.9, 8.6, 180.3, 9)),
        ("EPSG:32660", Affine(10, 0, 829_000, 0, -10, 500_000), (179.96, 4.48, 180.0005, 4.52)),
    ],
)
def test_the_ends_of_the_world(tmp_path, crs, transform, bounds):
    write(tmp_path / "a.tif", pixels(400, 400), grid=grid_of(400, 400, transform, crs))
    view = MapView(tmp_path / "a.tif")
    assert view.raster.bounds == pytest.approx(bounds, abs=0.01)
    zoom = min(view.raster.zooms[1], 9)
    last, first = (1 << zoom) - 1, 0
    rows = [PYRAMID.tile(0, view.raster.bounds[1] * 0.4 + view.raster.bounds[3] * 0.6, zoom).y]
    assert all(view.tile("class", zoom, last, row) is not None for row in rows)
    beyond = [view.tile("class", zoom, first, row) is not None for row in rows]
    assert all(beyond) == (view.raster.bounds[2] > 180 or view.raster.bounds[0] == -180)


@pytest.mark.parametrize("place", [(181.0, 95.0), (1e9, 1e9), (-120.0, -80.0)])
def test_places_far_away_are_outside(product, place):
    view = MapView(product[0])
    assert view.at(*view.pixel_of(*place)) is None


def test_other_files_are_refused(tmp_path, data):
    with pytest.raises(InputError, match="was not made by lulc"):
        MapView(data / "scenes" / "aber_s2_20210527_10band.tif")
    (tmp_path / "a.tif").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable GeoTIFF"):
        TiledRaster(tmp_path / "a.tif")


class TestTrueColor:
    def test_a_scene_as_a_picture_on_its_grid(self, tmp_path, data):
        path = data / "scenes" / "aquileia_20190416_l2a_12band.tif"
        with open_scene([path]) as scene:
            assert write_true_color(scene, tmp_path / "base.tif")
            _, valid = scene.read(scene.names, scene.grid.window)
        with rasterio.open(tmp_path / "base.tif") as picture, rasterio.open(path) as source:
            assert picture.transform == source.transform
            assert picture.crs == source.crs
            assert picture.overviews(1) == [2, 4, 8]
            assert ((picture.dataset_mask() > 0) == valid).all()
            colors = picture.read()
        assert 60 < colors[:, valid].mean() < 200
        red, green, blue = (colors[band][valid].astype(float) for band in range(3))
        assert np.corrcoef(red, blue)[0, 1] > 0.5
        assert np.std(green) > 10
        assert [entry.name for entry in tmp_path.iterdir()] == ["base.tif"]

    def test_its_tiles_are_a_warp_of_it(self, tmp_path, data):
        with open_scene([data / "scenes" / "aber_s2_20210527_10band.tif"]) as scene:
            write_true_color(scene, tmp_path / "base.tif")
        raster = TiledRaster(tmp_path / "base.tif")
        west, south, east, north = raster.bounds
        tile = PYRAMID.tile((west + east) / 2, (south + north) / 2, 13)
        shown = decoded(color_tile(raster, *_zxy(tile)))
        expected = np.zeros((3, 256, 256), np.uint8)
        left, bottom, right, top = PYRAMID.xy_bounds(tile)
        with rasterio.open(tmp_path / "base.tif") as picture:
            reproject(
                rasterio.band(picture, (1, 2, 3)),
                expected,
                dst_transform=Affine((right - left) / 256, 0, left, 0, (bottom - top) / 256, top),
                dst_crs=CRS.from_epsg(3857),
                resampling=Resampling.nearest,
            )
        difference = np.abs(shown[..., :3].astype(int) - expected.transpose(1, 2, 0))
        assert (shown[..., 3] == 255).all()
        assert np.median(difference) < 8

    def test_without_colours_or_data_there_is_none(self, tmp_path, data):
        class Empty:
            names = ("B02", "B03", "B04")
            grid = grid_of(300, 300)

            def read(self, names, window: Window):
                return np.zeros((len(names), window.height, window.width), np.uint16), np.zeros(
                    (window.height, window.width), bool
                )

        assert not write_true_color(Empty(), tmp_path / "base.tif")
        Empty.names = ("B02", "B08")
        assert not write_true_color(Empty(), tmp_path / "base.tif")
        assert list(tmp_path.iterdir()) == []


def test_heat_tiles_are_transparent_where_it_is_cold(tmp_path):
    heat = np.zeros((256, 256), np.float32)
    heat[:128] = 1.0
    heat[:, 200:] = np.nan
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:3857", "nodata": float("nan")}
    with rasterio.open(
        tmp_path / "h.tif", "w", height=256, width=256, transform=Affine(10, 0, 0, 0, -10, 2560), **profile
    ) as target:
        target.write(heat, 1)
    raster = TiledRaster(tmp_path / "h.tif")
    tile = PYRAMID.tile(0.0115, 0.0115, 14)
    opacity = decoded(heat_tile(raster, *_zxy(tile)))[..., 3]
    assert {0, 229, 230} & set(np.unique(opacity).tolist())
    assert opacity.max() >= 229
    assert opacity.min() == 0
    assert heat_tile(raster, 14, 0, 0) is None


def test_a_block_that_cannot_be_read_is_an_error_and_no_picture(tmp_path):
    write(tmp_path / "map.tif", pixels(300, 400, seed=2))
    raster = TiledRaster(tmp_path / "map.tif")
    west, south, east, north = raster.bounds
    tile = PYRAMID.tile((west + east) / 2, (south + north) / 2, raster.zooms[1])
    content = (tmp_path / "map.tif").read_bytes()
    (tmp_path / "map.tif").write_bytes(content[:2000] + bytes(len(content) - 2000))
    damaged = TiledRaster(tmp_path / "map.tif")
    with pytest.raises(StorageError, match=r"cannot read map\.tif at tile"):
        damaged.read(tile.z, tile.x, tile.y, [1])
    damaged.close()
    raster.close()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_there_are_no_tiles_beside_a_picture_without_a_place(tmp_path):
    write(tmp_path / "map.tif", pixels(300, 400), grid=grid_of(300, 400, Affine.identity(), None))
    raster = TiledRaster(tmp_path / "map.tif")
    deepest = raster.zooms[1]
    assert raster.read(deepest, 0, 0, [1]) is not None
    assert raster.read(deepest, 3, 0, [1]) is None
    assert raster.read(deepest + 1, 0, 0, [1]) is None
    assert color_tile(raster, deepest, 3, 0) is None
    raster.close()
