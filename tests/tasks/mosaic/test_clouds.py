"""Mosaics of maps that flag clouds and shadows."""

import json
from functools import cache

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.cli.main import cli
from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.product.bands import CLOUDS
from lulc.io.product.reader import open_product
from lulc.tasks.describe.info import describe_product
from lulc.tasks.mosaic import plan as mosaic_plan
from lulc.tasks.mosaic.mosaic import merged_chunk, mosaic
from lulc.tasks.mosaic.options import MosaicOptions
from lulc.tasks.mosaic.plan import plan_mosaic
from tests.support.product_samples import grid_of, pixels, write
from tests.support.stopped_runs import stopped_after

METHODS = ["activations", "first", "majority", "confidence"]
OTHER_GRID = {"crs": "EPSG:3035", "resolution": 10.0}


def skies(height, width, seed):
    """Blocks of clear sky, clouds and shadows."""
    blocks = np.random.default_rng(seed).choice(3, (height // 20 + 1, width // 20 + 1), p=(0.6, 0.25, 0.15))
    return np.kron(blocks, np.ones((20, 20), int))[:height, :width].astype(np.uint8)


def flagged_map(path, row=0, col=0, *, seed=0, shape=(260, 300), sky=None, activations="uint8"):
    """A map, some pixels from the corner, whose band `clouds` holds a sky; None leaves the band out."""
    data = pixels(*shape, seed=seed, activations=activations)
    transform = Affine(10.0, 0.0, 300_000.0 + 10 * col, 0.0, -10.0, 4_900_020.0 - 10 * row)
    if sky is None:
        write(path, data, grid=grid_of(*shape, transform), activations=activations)
        return path
    band = np.where(data[0] == 255, 255, sky).astype(data.dtype)
    both = np.concatenate([data, band[None]])
    write(path, both, grid=grid_of(*shape, transform), activations=activations, extra=[CLOUDS])
    return path


def bands(path):
    with rasterio.open(path) as source:
        return source.read()


def mosaic_of(maps, out, **options):
    mosaic(maps, out, MosaicOptions(**options))
    return bands(out)


@pytest.mark.parametrize("method", METHODS)
def test_a_cloud_gives_way_to_a_clear_map(tmp_path, method):
    sky = np.zeros((260, 300), np.uint8)
    sky[150:200, 150:250], sky[210:240, 200:290] = 1, 2
    cloudy = flagged_map(tmp_path / "cloudy.tif", sky=sky, seed=1)
    clear = flagged_map(tmp_path / "clear.tif", 0, 200, seed=2)
    found = mosaic_of([cloudy, clear], tmp_path / "m.tif", method=method, feather=20)[:, :260]
    maps = np.full((2, 260, 500), 255, np.uint8)
    maps[0, :, :300], maps[1, :, 200:] = bands(cloudy)[0], bands(clear)[0]
    flags = np.pad(sky, ((0, 0), (0, 200)))
    seen = (flags > 0) & (maps[1] != 255)
    hidden = (flags > 0) & ~seen
    assert min(seen.sum(), hidden.sum()) > 1000
    np.testing.assert_array_equal(found[0][seen], maps[1][seen])
    np.testing.assert_array_equal(found[0][hidden], maps[0][hidden])
    source, clouds = found[-3], found[-1]
    assert (set(source[seen]), set(source[hidden])) == ({2}, {1})
    np.testing.assert_array_equal(clouds, np.where(found[0] == 255, 255, np.where(seen, 0, flags)))
    if method in {"first", "majority"}:
        assert (found[-2][seen] == 250).all()  # the flagged map has no vote


@pytest.mark.parametrize("method", METHODS)
def test_where_all_maps_are_flagged_they_merge_as_without_the_band(tmp_path, method):
    skies_of = [np.full((260, 300), code) for code in (1, 2)]
    flagged = [flagged_map(tmp_path / f"{n}.tif", 40 * n, 50 * n, seed=n, sky=skies_of[n]) for n in range(2)]
    plain = [flagged_map(tmp_path / f"plain_{n}.tif", 40 * n, 50 * n, seed=n) for n in range(2)]
    found = mosaic_of(flagged, tmp_path / "m.tif", method=method)
    np.testing.assert_array_equal(found[:-1], mosaic_of(plain, tmp_path / "plain.tif", method=method))
    np.testing.assert_array_equal(found[-1], found[-3])  # map 1 is all cloud, map 2 all shadow


@pytest.mark.parametrize("method", METHODS)
def test_clear_maps_merge_as_without_the_band(tmp_path, method):
    nothing = np.zeros((260, 300))
    flagged = [flagged_map(tmp_path / f"{n}.tif", 40 * n, 50 * n, seed=n, sky=nothing) for n in range(2)]
    plain = [flagged_map(tmp_path / f"plain_{n}.tif", 40 * n, 50 * n, seed=n) for n in range(2)]
    expected = mosaic_of(plain, tmp_path / "plain.tif", method=method)
    for name, maps in {"both": flagged, "first": [flagged[0], plain[1]], "second": [plain[0], flagged[1]]}.items():
        found = mosaic_of(maps, tmp_path / f"{name}.tif", method=method)
        np.testing.assert_array_equal(found[:-1], expected)
        np.testing.assert_array_equal(found[-1], np.where(expected[0] == 255, 255, 0))
    with open_product(tmp_path / "plain.tif") as product:
        assert list(product.extra_bands) == ["source", "confidence"]
        assert "LULC_CLOUDS" not in product.tags


def test_a_map_without_the_band_is_clear_everywhere(tmp_path):
    cloudy = flagged_map(tmp_path / "a.tif", sky=skies(260, 300, 1), seed=1)
    without = flagged_map(tmp_path / "b.tif", 30, 40, seed=2)
    clear = flagged_map(tmp_path / "c.tif", 30, 40, seed=2, sky=np.zeros((260, 300)))
    mixed = mosaic_of([cloudy, without], tmp_path / "mixed.tif")
    np.testing.assert_array_equal(mixed, mosaic_of([cloudy, clear], tmp_path / "both.tif"))
    assert (mixed[-1] == 1).any()
    there = bands(without)[0] != 255
    assert (mixed[-1, 30:290, 40:340][there] == 0).all()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three maps that overlap, the last without the band; read only."""
    folder = tmp_path_factory.mktemp("three")
    places = [(0, 0, skies(400, 500, 1)), (90, 130, skies(400, 500, 2)), (200, 40, None)]
    return [
        flagged_map(folder / f"{n}.tif", row, col, seed=n, shape=(400, 500), sky=sky)
        for n, (row, col, sky) in enumerate(places)
    ]


@pytest.fixture(scope="module")
def merged_whole(three):
    """The mosaic of the three maps merged in one window, by its options."""

    @cache
    def bands_of(options):
        plan = plan_mosaic(three, MosaicOptions(**dict(options)))
        return merged_chunk(plan, plan.grid.window).data

    return bands_of


@settings(max_examples=40, deadline=None)
@given(
    options=st.sampled_from(
        [
            *({"method": method, "feather": 30} for method in METHODS),
            {"feather": 0},
            {"feather": 30, "activations": "float32"},
            {"feather": 30, "activations": "none"},
            {"feather": 30, **OTHER_GRID},
            {"method": "majority", **OTHER_GRID},
        ]
    ),
    corner=st.tuples(st.integers(0, 500), st.integers(0, 500)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_no_byte_depends_on_how_the_work_is_cut(three, merged_whole, options, corner, size):
    plan = plan_mosaic(three, MosaicOptions(**options))
    whole = merged_whole(tuple(options.items()))
    assert set(np.unique(whole[-1])) == {0, 1, 2, 255}
    window = Window(*corner, *size).intersection(plan.grid.window)
    np.testing.assert_array_equal(merged_chunk(plan, window).data, whole[(slice(None), *window.slices())])


def test_the_order_changes_no_mean(three, tmp_path):
    one = mosaic_of(three, tmp_path / "one.tif", feather=30, crs="EPSG:32631")
    other = mosaic_of(three[::-1], tmp_path / "other.tif", feather=30, crs="EPSG:32631")
    np.testing.assert_array_equal(one[:10], other[:10])
    np.testing.assert_array_equal(one[-1] == 0, other[-1] == 0)


@pytest.mark.parametrize("activations", ["uint8", "float32", "none"])
def test_a_mosaic_of_one_map_keeps_its_clouds(tmp_path, activations):
    one = flagged_map(tmp_path / "a.tif", sky=skies(260, 300, 3))
    found, own = mosaic_of([one], tmp_path / "m.tif", activations=activations), bands(one)
    for method in ("activations", "first", "confidence", "majority"):
        chosen = mosaic_of([one], tmp_path / f"{method}.tif", method=method, activations=activations)
        np.testing.assert_array_equal(chosen[[0, -1]], own[[0, -1]])
    assert len(found) == len(own) + 2 - (9 if activations == "none" else 0)


def test_maps_without_activations_and_of_float32_keep_their_clouds(tmp_path):
    sky = skies(260, 300, 3)
    for activations, method in (("none", "first"), ("float32", "activations")):
        one = flagged_map(tmp_path / f"{activations}.tif", sky=sky, activations=activations)
        found = mosaic_of([one], tmp_path / f"m_{activations}.tif", method=method)
        np.testing.assert_array_equal(found[[0, -1]], bands(one)[[0, -1]])


def test_a_mosaic_of_mosaics_is_that_of_their_maps(three, tmp_path):
    mosaic(three[:1], tmp_path / "one.tif")
    np.testing.assert_array_equal(
        mosaic_of([tmp_path / "one.tif", *three[1:]], tmp_path / "again.tif"), mosaic_of(three, tmp_path / "m.tif")
    )


def test_where_no_map_is_there_is_no_sky(tmp_path):
    maps = [flagged_map(tmp_path / f"{n}.tif", 0, 2000 * n, sky=skies(260, 300, n), seed=n) for n in range(2)]
    for activations in ("uint8", "float32", "none"):
        plan = plan_mosaic(maps, MosaicOptions(activations=activations))
        found = merged_chunk(plan, Window(0, 512, 256, 512)).data
        assert (found == 255).all()
        assert len(found) == len(merged_chunk(plan, Window(0, 0, 64, 64)).data) == 4 + 9 * (activations != "none")


def test_clouds_of_more_than_250_maps(tmp_path, monkeypatch):
    maps = [
        flagged_map(tmp_path / f"{n}.tif", 0, 40 * n, seed=n, shape=(64, 64), sky=skies(64, 64, n)) for n in range(5)
    ]
    one = mosaic_of(maps, tmp_path / "one.tif")
    monkeypatch.setattr(mosaic_plan, "SOURCES_A_BAND", 3)
    for module in ("mosaic.mosaic", "mosaic.sources"):
        monkeypatch.setattr(f"lulc.tasks.{module}.SOURCES_A_BAND", 3)
    paged = mosaic_of(maps, tmp_path / "paged.tif")
    with rasterio.open(tmp_path / "paged.tif") as made:
        assert made.descriptions[-4:] == ("source", "source 250s", "confidence", "clouds")
    np.testing.assert_array_equal(paged[[*range(10), -2, -1]], one[[*range(10), -2, -1]])
    valid = one[0] != 255
    np.testing.assert_array_equal((paged[-4] + 3 * paged[-3])[valid], one[-3][valid])


def test_a_stopped_run_ends_with_the_same_bytes_and_shares(tmp_path, monkeypatch):
    maps = [
        flagged_map(tmp_path / f"{n}.tif", 700 * n, 0, seed=n, shape=(1200, 400), sky=skies(1200, 400, n))
        for n in (0, 1)
    ]
    whole = mosaic(maps, tmp_path / "whole.tif")
    with stopped_after(1, monkeypatch):
        mosaic(maps, tmp_path / "m.tif")
    resumed = mosaic(maps, tmp_path / "m.tif")
    assert resumed.resumed_chunks == 1
    assert (tmp_path / "m.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert resumed.clouds == whole.clouds
    assert min(whole.clouds.values()) > 0.01


def test_the_file_says_what_its_clouds_are(three, tmp_path):
    mosaic(three, tmp_path / "m.tif")
    with open_product(tmp_path / "m.tif") as product:
        assert list(product.extra_bands) == ["source", "confidence", "clouds"]
        assert product.extra_bands["clouds"] == (13, "sky")
        assert product.tags["LULC_CLOUDS"] == "left out where another map is clear, else flagged in the band clouds"
    assert "shadow" in (tmp_path / "m.tif.aux.xml").read_text()
    assert describe_product(tmp_path / "m.tif").problems == ()
    with rasterio.open(tmp_path / "m.tif") as made:
        smaller = made.read(13, out_shape=(made.height // 2, made.width // 2))
    assert set(np.unique(smaller)) == {0, 1, 2, 255}


def test_many_clouds_are_one_warning(three, tmp_path, caplog):
    report = mosaic(three, tmp_path / "m.tif")
    stored = bands(tmp_path / "m.tif")
    valid = (stored[0] != 255).sum()
    shares = {name: (stored[-1] == code).sum() / valid for code, name in ((1, "cloud"), (2, "shadow"))}
    assert report.clouds == pytest.approx(shares)
    said = f"cloud {shares['cloud']:.1%} and shadow {shares['shadow']:.1%} of the map"
    assert [line.getMessage() for line in caplog.records] == [
        f"m.tif: {said}; no map shows it clear, so add maps of other dates"
    ]
    result = CliRunner().invoke(cli, ["mosaic", *map(str, three), str(tmp_path / "n.tif")])
    assert f"under {said.removesuffix(' of the map')}" in result.stdout.splitlines()
    told = json.loads(CliRunner().invoke(cli, ["mosaic", "--json", *map(str, three), str(tmp_path / "o.tif")]).stdout)
    assert told["clouds"] == report.clouds


def test_few_clouds_and_maps_without_the_band_are_not_warned_of(tmp_path, caplog):
    sky = np.zeros((260, 300))
    sky[200:210, 200:220] = 1
    few = mosaic([flagged_map(tmp_path / "few.tif", sky=sky)], tmp_path / "m.tif")
    assert 0 < few.clouds["cloud"] < 0.01
    assert mosaic([flagged_map(tmp_path / "plain.tif")], tmp_path / "n.tif").clouds == {}
    assert not caplog.records


@pytest.mark.parametrize("options", [{}, OTHER_GRID], ids=["copied", "projected"])
@pytest.mark.parametrize(
    "change", [lambda sky: sky[200:210].fill(3), lambda sky: sky[200:].fill(255), lambda sky: sky.fill(0)]
)
def test_a_damaged_band_is_refused(tmp_path, options, change):
    wrong = flagged_map(tmp_path / "wrong.tif", sky=np.zeros((260, 300)))
    with rasterio.open(wrong, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        sky = target.read(11)
        change(sky)
        target.write(sky, 11)
    with pytest.raises(InputError, match=r"band clouds of .*wrong\.tif holds what lulc does not write"):
        mosaic([wrong, flagged_map(tmp_path / "b.tif", 50, 50)], tmp_path / "m.tif", MosaicOptions(**options))
    assert not (tmp_path / "m.tif").exists()
