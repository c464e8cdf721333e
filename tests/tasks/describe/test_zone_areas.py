"""Areas of zones against exactextract on the map's own coordinates, brute sub-pixels, and the whole map."""

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource

from lulc.errors import InputError
from lulc.io.product.areas import EDGE_TAG
from lulc.io.product.bands import CLOUDS
from lulc.io.product.maps import open_map
from lulc.tasks.describe import zone_areas
from lulc.tasks.describe.zone_areas import count_zones
from tests.support.product_samples import LEGEND, grid_of, pixels, write
from tests.support.zone_samples import bounds_of, moved, partition, write_zones

DEGREES = grid_of(300, 400, transform=Affine(0.0002, 0, 13.3, 0, -0.00015, 45.8), crs="EPSG:4326")
UTM = grid_of(300, 400)


def count(path, zones, field=None):
    with open_map(path) as source:
        return count_zones(source, zones, field)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """One map in UTM and one in degrees, with the same pixels: folder, and pixels."""
    folder, data = tmp_path_factory.mktemp("maps"), pixels(300, 400, seed=6)
    write(folder / "utm.tif", data)
    write(folder / "degrees.tif", data, grid=DEGREES)
    return folder, data


@pytest.mark.parametrize(("name", "grid"), [("utm", UTM), ("degrees", DEGREES)])
def test_zones_are_counted_as_exactextract_counts_them(maps, tmp_path, name, grid):
    folder, data = maps
    zones = partition(bounds_of(grid), 25, seed=1)
    found = count(folder / f"{name}.tif", write_zones(tmp_path / "z.gpkg", zones, crs=grid.crs.to_string()))
    codes = NumPyRasterSource(data[0], *bounds_of(grid))
    areas = NumPyRasterSource(np.repeat(grid.pixel_areas_ha()[:, None], 400, axis=1), *bounds_of(grid))
    features = JSONFeatureSource(
        [{"type": "Feature", "geometry": shapely.geometry.mapping(z), "properties": {}} for z in zones]
    )
    oracle = exact_extract(codes, features, ["values", "coverage"]), exact_extract(areas, features, ["values"])
    for n, (classes, hectares) in enumerate(zip(*oracle, strict=True)):
        here = classes["properties"]
        weights = here["coverage"] * hectares["properties"]["values"]
        expected = np.bincount(here["values"], weights, minlength=256)
        np.testing.assert_allclose(found.classes_ha[n], expected[1:10], rtol=1e-6, atol=1e-7)
        assert found.on_map_ha[n] == pytest.approx(expected.sum(), rel=1e-6)


@pytest.mark.parametrize(("name", "grid"), [("utm", UTM), ("degrees", DEGREES)])
def test_the_zones_of_a_partition_add_up_to_the_map(maps, tmp_path, name, grid):
    folder, data = maps
    zones = write_zones(tmp_path / "z.gpkg", partition(bounds_of(grid), 60, seed=2), crs=grid.crs.to_string())
    found = count(folder / f"{name}.tif", zones)
    rows = grid.pixel_areas_ha()
    expected = sum(np.bincount(row, minlength=256)[1:10] * ha for row, ha in zip(data[0], rows, strict=True))
    np.testing.assert_allclose(found.classes_ha.sum(axis=0), expected, rtol=1e-9)
    assert found.on_map_ha.sum() == pytest.approx(400 * rows.sum(), rel=1e-9)
    assert found.shared_ha == 0
    assert found.placed.hectares.sum() == pytest.approx(400 * rows.sum(), rel=5e-3)


def test_a_brute_count_of_sub_pixels_says_the_same(maps, tmp_path):
    folder, data = maps
    west, south, _, north = bounds_of(UTM)
    zone = shapely.Polygon(
        [(west + 507, south + 333), (west + 1711, south + 402), (west + 1502, south + 1907), (west + 333, south + 1204)]
    )
    found = count(folder / "utm.tif", write_zones(tmp_path / "z.gpkg", [zone]))
    finer = 20
    x = west + (np.arange(400 * finer) + 0.5) * 10 / finer
    y = north - (np.arange(300 * finer) + 0.5) * 10 / finer
    inside = shapely.contains_xy(zone, *np.meshgrid(x, y)).reshape(300, finer, 400, finer).mean(axis=(1, 3))
    expected = np.bincount(data[0].ravel(), inside.ravel() * 0.01, minlength=256)[1:10]
    np.testing.assert_allclose(found.classes_ha[0], expected, atol=2e-3)
    assert found.on_map_ha[0] == pytest.approx(zone.area / 1e4, rel=1e-7)


def test_the_crs_of_the_zones_does_not_matter(maps, tmp_path):
    folder, _ = maps
    zones = [shapely.segmentize(zone, 100) for zone in partition(bounds_of(UTM), 10)]
    own = count(folder / "utm.tif", write_zones(tmp_path / "own.gpkg", zones))
    other = count(
        folder / "utm.tif", write_zones(tmp_path / "o.gpkg", moved(zones, "EPSG:32631", "EPSG:3035"), crs="EPSG:3035")
    )
    np.testing.assert_allclose(other.classes_ha, own.classes_ha, atol=1e-4)
    np.testing.assert_allclose(other.placed.hectares, own.placed.hectares, rtol=1e-6)


@pytest.mark.parametrize("tile", [128, 250])
def test_blocks_and_tiles_change_nothing(maps, tmp_path, monkeypatch, tile):
    """Blocks of the file change no bit; other tiles the last digits of sums alone."""
    folder, data = maps
    zones = write_zones(tmp_path / "z.gpkg", partition(bounds_of(UTM), 20, seed=3))
    found = count(folder / "utm.tif", zones)
    with rasterio.open(folder / "utm.tif") as source:
        profile, tags, names = (
            source.profile | {"blockxsize": 64, "blockysize": 32, "compress": "lzw"},
            source.tags(),
            source.descriptions,
        )
    with rasterio.open(tmp_path / "other.tif", "w", **profile) as target:
        target.write(data)
        target.update_tags(**tags)
        target.descriptions = names
    again = count(tmp_path / "other.tif", zones)
    for name in ("classes_ha", "on_map_ha", "confidence"):
        assert getattr(again, name).tobytes() == getattr(found, name).tobytes()
    monkeypatch.setattr(zone_areas, "_TILE", tile)
    cut = count(folder / "utm.tif", zones)
    np.testing.assert_allclose(cut.classes_ha, found.classes_ha, rtol=0, atol=1e-7)


def test_confidence_and_clouds_are_weighted_by_what_is_covered(tmp_path):
    data = pixels(100, 120, seed=6)
    sky = np.where(data[0] == 255, 255, np.random.default_rng(0).choice(3, (100, 120))).astype(np.uint8)
    write(tmp_path / "map.tif", np.concatenate([data, sky[None]]), activations="uint8", extra=[CLOUDS])
    west, _, _, north = bounds_of(grid_of(100, 120))
    zone = shapely.box(west + 605, north - 705, west + 1005, north - 300)
    found = count(tmp_path / "map.tif", write_zones(tmp_path / "z.gpkg", [zone]))
    weight = np.zeros((100, 120))
    weight[30:71, 60:101] = 1
    weight[70] /= 2
    weight[:, [60, 100]] /= 2
    valid = data[0] != 255
    sure = data[1:].max(axis=0) * 0.004
    assert found.mapped_ha[0] == pytest.approx((weight * valid).sum() * 0.01)
    assert found.confidence[0] == pytest.approx((weight * valid * sure).sum() / (weight * valid).sum(), rel=1e-6)
    assert found.flagged_ha[0] == pytest.approx((weight * valid * (sky > 0)).sum() * 0.01)
    assert found.mapped_share[0] == pytest.approx((weight * valid).sum() / weight.sum())


def test_overlapping_zones_count_in_full_and_are_told(maps, tmp_path):
    folder, _ = maps
    west, south, _, _ = bounds_of(UTM)
    zones = [shapely.box(west + x, south, west + x + 1000, south + 1000) for x in (1000, 1600, 2600)]
    found = count(folder / "utm.tif", write_zones(tmp_path / "z.gpkg", zones))
    assert found.on_map_ha == pytest.approx([100, 100, 100])
    assert found.shared_ha == pytest.approx(40)


def test_cells_at_the_edge_count_with_their_part(tmp_path):
    data = pixels(10, 12, activations="none")
    data[:] = 1
    tags = {EDGE_TAG: "0.5,0.25"}
    write(tmp_path / "map.tif", data)
    with rasterio.open(tmp_path / "map.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.update_tags(**tags)
    whole = shapely.box(*bounds_of(grid_of(10, 12)))
    found = count(tmp_path / "map.tif", write_zones(tmp_path / "z.gpkg", [whole]))
    assert found.classes_ha[0, 0] == pytest.approx(9.5 * 11.25 * 0.01)


def test_maps_without_a_place_and_zones_beside_the_map_are_refused(maps, tmp_path):
    folder, data = maps
    far = write_zones(tmp_path / "far.gpkg", [shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)])
    with pytest.raises(InputError, match=r"none of the 2 zones of .*far\.gpkg meets .*utm\.tif; check the CRS of both"):
        count(folder / "utm.tif", far)
    write(tmp_path / "bare.tif", data, grid=grid_of(300, 400, crs=None))
    with pytest.raises(InputError, match=r"bare\.tif has no CRS and transform"):
        count(tmp_path / "bare.tif", far)


def test_legend_and_sizes(maps, tmp_path):
    folder, _ = maps
    found = count(folder / "utm.tif", write_zones(tmp_path / "z.gpkg", partition(bounds_of(UTM), 5)))
    assert found.classes_ha.shape == (5, len(LEGEND))
    assert found.flagged_ha is None
