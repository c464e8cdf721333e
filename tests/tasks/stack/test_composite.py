"""Composites against whole-array numpy."""

import json
import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from pydantic import ValidationError
from scipy import ndimage

from lulc.cli.main import cli
from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.scene import open_scene
from lulc.tasks.stack import composite, on_grid
from lulc.tasks.stack.clouds import clear_scene
from lulc.tasks.stack.composite import Median
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack
from tests.support.memory import peak_bytes

BANDS = ("B03", "B04", "B08", "B11")
PLACE = Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0)
SHAPE = (300, 560)


def date_file(path, seed, *, share=0.3, date="2021-06-01", place=PLACE, shape=SHAPE, crs="EPSG:32633"):
    """A scene with SCL clouds over `share` of it and a strip of nodata. Returns reflectance, NaN where not clear."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(200, 6000, (len(BANDS), *shape)).astype(np.uint16)
    pixels[:, :, 20 * seed : 20 * seed + 10] = 0
    scl = np.where(rng.random(shape) < share, 9, 4).astype(np.uint16)
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": crs, "transform": place}
    with rasterio.open(path, "w", count=5, height=shape[0], width=shape[1], **profile) as raster:
        raster.write(np.concatenate([pixels, scl[None]]))
        raster.descriptions = (*BANDS, "SCL")
        raster.update_tags(REFLECTANCE_SCALE="10000", LEVEL="L2A", ACQUISITION_DATE=date)
    return np.where((pixels == 0).any(axis=0) | (scl == 9), np.nan, pixels / np.float32(1e4)).astype(np.float32)


@pytest.fixture
def dates(tmp_path):
    """Four dates on one grid: paths, and clear reflectance (date, band, row, column)."""
    paths = [tmp_path / f"date{number}.tif" for number in range(4)]
    shares = (0.5, 0.3, 0.7, 0.1)
    clear = [date_file(path, seed, share=share) for seed, (path, share) in enumerate(zip(paths, shares, strict=True))]
    return paths, np.stack(clear)


def written(path):
    with rasterio.open(path) as raster:
        return dict(zip(raster.descriptions, raster.read(), strict=True)), raster.tags()


def options(paths, **changes):
    return StackOptions(**({"fill": tuple(paths[1:]), "clouds": "scl", "chunk": 256} | changes))


def test_first(dates, tmp_path):
    paths, clear = dates
    stack([paths[0]], tmp_path / "out.tif", options(paths))
    found, tags = written(tmp_path / "out.tif")
    seen = ~np.isnan(clear[:, 0])
    number = np.where(seen.any(axis=0), seen.argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(found["source"], number)
    expected = np.take_along_axis(clear, np.maximum(number - 1, 0)[None, None], axis=0)[0]
    np.testing.assert_allclose([found[name] for name in BANDS], expected, rtol=1e-6)
    assert tags["LULC_CLOUDS"] == "SCL 1,3,8,9,10"


@pytest.mark.parametrize(("last", "told"), [("2021-07-20", "2021-05-27/2021-07-20"), ("", None)])
def test_a_stack_says_what_time_its_dates_span(tmp_path, last, told):
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for number, (path, date) in enumerate(zip(paths, (last, "2021-05-27"), strict=True)):
        date_file(path, number, date=date)
    stack([paths[0]], tmp_path / "out.tif", options(paths))
    assert written(tmp_path / "out.tif")[1].get("ACQUISITION_DATE") == told


def test_best_asks_the_clearest_date_first_and_says_so(dates, tmp_path):
    paths, clear = dates
    report = stack([paths[0]], tmp_path / "out.tif", options(paths, composite="best"))
    found, tags = written(tmp_path / "out.tif")
    shares = (~np.isnan(clear[:, 0])).mean(axis=(1, 2))
    order = np.argsort(-shares, kind="stable")
    assert order.tolist() == [3, 1, 0, 2]
    assert [date.number for date in report.dates] == (order + 1).tolist()
    np.testing.assert_allclose([date.clear for date in report.dates], shares[order], atol=1e-6)
    seen = ~np.isnan(clear[order, 0])
    number = np.where(seen.any(axis=0), order[seen.argmax(axis=0)] + 1, 0)
    np.testing.assert_array_equal(found["source"], number)
    expected = np.take_along_axis(clear, np.maximum(number - 1, 0)[None, None], axis=0)[0]
    np.testing.assert_allclose(found["B08"], np.where(number, expected[2], np.nan), rtol=1e-6)
    assert tags["LULC_COMPOSITE"] == "best"
    lines = report.to_text().splitlines()
    assert next(line for line in lines if "% clear" in line).split()[:3] == ["4", f"{shares[3]:.2%}", "clear"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.whole
def test_median(dates, tmp_path, count):
    paths, clear = (part[:count] for part in dates)
    report = stack(
        [paths[0]], tmp_path / "out.tif", options(paths, composite="median", select=BANDS, indices=("NDVI",))
    )
    found, _ = written(tmp_path / "out.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pixel that no date shows
        expected = np.nanmedian(clear, axis=0)
    np.testing.assert_allclose([found[name] for name in BANDS], expected, rtol=1e-6)
    ndvi = (expected[2] - expected[1]) / (expected[2] + expected[1])
    np.testing.assert_allclose(found["NDVI"], ndvi, atol=1e-6)
    used = (~np.isnan(clear[:, 0])).sum(axis=0)
    if count > 1:
        np.testing.assert_array_equal(found["source"], used)
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.tags(raster.count)["long_name"] == "number of dates the median was taken of"
    assert [share.pixels for share in report.sources] == [(used == number).sum() for number in range(1, count + 1)]
    assert report.valid_pixels == (used > 0).sum()


@pytest.mark.parametrize("select", [BANDS, ("B11",)])
def test_max_ndvi(dates, tmp_path, select):
    paths, clear = dates
    stack([paths[0]], tmp_path / "out.tif", options(paths, composite="max-ndvi", select=select))
    found, _ = written(tmp_path / "out.tif")
    ndvi = (clear[:, 2] - clear[:, 1]) / (clear[:, 2] + clear[:, 1])
    best = np.where(np.isnan(ndvi), -np.inf, ndvi).argmax(axis=0)
    seen = ~np.isnan(clear[:, 0]).all(axis=0)
    np.testing.assert_array_equal(found["source"], np.where(seen, best + 1, 0))
    expected = np.take_along_axis(clear, best[None, None], axis=0)[0]
    for name in select:
        np.testing.assert_allclose(found[name], expected[BANDS.index(name)], rtol=1e-6)


@pytest.mark.parametrize("rule", ["first", "best", "median", "max-ndvi"])
@pytest.mark.whole
def test_the_cut_changes_nothing(dates, tmp_path, rule, monkeypatch):
    paths, _ = dates
    other = tmp_path / "other.tif"
    date_file(other, 9, place=Affine(10, 0, 349_903.0, 0, -10, 5_070_104.0), shape=(330, 590))
    paths = [*paths, other]
    made = {}
    for chunk in (256, 512):
        out = tmp_path / f"{rule}{chunk}.tif"
        stack([paths[0]], out, options(paths, composite=rule, chunk=chunk, dilate=1))
        made[chunk], _ = written(out)
        monkeypatch.setattr(composite, "_MOST_VALUES", 20_000)
        monkeypatch.setattr(on_grid, "_MOST_PIXELS", 9_000)
    for name, plane in made[256].items():
        np.testing.assert_array_equal(plane, made[512][name])
    assert len(np.unique(made[256]["source"])) > 2


def test_clouds_grow_by_a_disc_in_every_scene(dates, tmp_path):
    paths, _ = dates
    report = stack([paths[3]], tmp_path / "out.tif", StackOptions(clouds="auto", dilate=2))
    with rasterio.open(paths[3]) as raster:
        scl, nodata = raster.read(5), (raster.read([1, 2, 3, 4]) == 0).any(axis=0)
    disc = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2
    expected = nodata | ndimage.binary_dilation(scl == 9, disc)
    found, tags = written(tmp_path / "out.tif")
    np.testing.assert_array_equal(np.isnan(found["B04"]), expected)
    assert tags["LULC_CLOUDS"] == "SCL 1,3,8,9,10, dilated by 2 px"
    assert report.valid_pixels == (~expected).sum()


def test_a_median_of_many_dates_is_read_in_strips(dates, monkeypatch):
    paths, _ = dates
    scenes = [open_scene([path]) for path in paths]
    seen = [clear_scene(scene, StackOptions(clouds="scl")) for scene in scenes]
    strips = []
    whole = Median(seen, BANDS)
    reduce = whole._reduce
    whole._reduce = lambda strip: strips.append(strip) or reduce(strip)
    monkeypatch.setattr(composite, "_MOST_VALUES", 4 * len(BANDS) * 560 * 100)
    whole.read(Window(0, 0, 250, 560))
    assert strips == [Window(0, 0, 100, 560), Window(100, 0, 100, 560), Window(200, 0, 50, 560)]
    for scene in scenes:
        scene.close()


def run(*arguments):
    return CliRunner().invoke(cli, ["stack", *map(str, arguments)])


class TestCommand:
    def test_everything_at_once(self, dates, tmp_path):
        paths, _ = dates
        fills = [part for path in paths[1:] for part in ("--fill", path)]
        result = run(
            paths[0], tmp_path / "out.tif", *fills, "--composite", "best", "--clouds", "scl", "--cloud-classes",
            "cloud-high,3", "--dilate", 1, "--json",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert report["composite"] == "best"
        assert report["dates"][0]["number"] == 4
        assert {date["masked_by"] for date in report["dates"]} == {"SCL 3,9, dilated by 1 px"}

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (["--clouds", "qa60"], 3, "no band QA60"),
            (["--clouds", "scl", "--cloud-classes", "fog"], 2, "no SCL class"),
            (["--cloud-classes", "3"], 2, "give --clouds scl or auto"),
            (["--dilate", "3"], 2, "--dilate grows clouds"),
            (["--clouds", "scl", "--cloud-classes", "4,9", "--require-data"], 3, "mask fewer clouds"),
            (["--composite", "mean"], 2, "mean"),
            (
                ["--clouds", "auto", "--cloud-classes", "3", "--fill", "{plain}", "--select", "B04"],
                3,
                "no band SCL, whose classes --cloud-classes names",
            ),
            (["--composite", "max-ndvi", "--select", "B04", "--fill", "{plain}"], 3, "lacks B08"),
            (["--clouds", "auto", "--fill", "{plain}", "--select", "B04"], 3, "neither a band SCL nor QA60"),
        ],
    )
    def test_refusals(self, dates, tmp_path, arguments, code, reason):
        paths, _ = dates
        plain = tmp_path / "plain.tif"
        with rasterio.open(paths[0]) as raster, rasterio.open(plain, "w", **(raster.profile | {"count": 1})) as other:
            other.write(raster.read(2), 1)
            other.descriptions = ("B04",)
        before = sorted(tmp_path.iterdir())
        result = run(paths[0], tmp_path / "out.tif", *(text.format(plain=plain) for text in arguments))
        assert result.exit_code == code, result.output
        assert reason in result.stderr
        assert "Traceback" not in result.output
        assert sorted(tmp_path.iterdir()) == before

    def test_qa60_of_the_empty_years_is_doubted(self, tmp_path):
        path = tmp_path / "gee.tif"
        date_file(path, 0, date="2023-05-01")
        with rasterio.open(path, "r+") as raster:
            raster.set_band_description(5, "QA60")
        result = run(path, tmp_path / "out.tif", "--clouds", "auto")
        assert result.exit_code == 0, result.output
        assert "QA60 holds no clouds" in result.output
        with rasterio.open(path, "r+") as raster:
            raster.update_tags(ACQUISITION_DATE="2021-05-01")
        assert "QA60 holds no clouds" not in run(path, tmp_path / "other.tif", "--clouds", "auto").output

    def test_clouds_may_be_found_by_the_network(self, dates, tmp_path, monkeypatch):
        class Network:
            def __init__(self, scene):
                self.scene = scene

            def read(self, window):
                return np.ones((window.height, window.width), bool)

        monkeypatch.setattr("lulc.tasks.stack.clouds.CloudNetwork", Network)
        with open_scene([dates[0][0]]) as scene:
            seen = clear_scene(scene, StackOptions(clouds="model"))
            assert seen.masked_by == "ukis-csmask"
            assert np.isnan(seen.reflectance(["B04"], Window(0, 0, 9, 9))).all()


@pytest.mark.parametrize("change", [{"dilate": 201, "clouds": "scl"}, {"dilate": 2}, {"cloud_classes": ("3",)}])
def test_options_out_of_range(change):
    with pytest.raises(ValidationError):
        StackOptions(**change)


def test_a_median_needs_the_bands_of_its_indices(dates, tmp_path):
    paths, _ = dates
    with pytest.raises(InputError, match="lacks B12"):
        stack([paths[0]], tmp_path / "out.tif", options(paths, composite="median", select=("B04",), indices=("NBR",)))


_SCRIPT = """
import sys
from pathlib import Path
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack
options = StackOptions(fill=(Path(sys.argv[2]),), composite=sys.argv[3], clouds="scl", dilate=5, select=("B04", "B08"))
stack([sys.argv[1]], sys.argv[4], options)
"""


@pytest.mark.slow
@pytest.mark.process
def test_memory_does_not_grow_with_the_scene(tmp_path):
    """Two dates on grids half a pixel apart, masked and grown, by median; a scene of four times the pixels."""
    peaks = []
    for side in (2048, 4096):  # a smaller scene does not yet fill what is held at once
        paths = [tmp_path / f"{side}{number}.tif" for number in range(2)]
        for number, path in enumerate(paths):
            large_date(path, side, Affine(10, 0, 350_000.0 + 5 * number, 0, -10, 5_070_000.0))
        peaks.append(peak_bytes(_SCRIPT, *paths, "median", tmp_path / f"out{side}.tif"))
        for path in tmp_path.iterdir():
            path.unlink()
    assert peaks[1] < 1.25 * peaks[0]
    assert peaks[1] < 0.7e9


def large_date(path, side, place):
    """A scene with SCL whose texture repeats every 512 px."""
    rng = np.random.default_rng(0)
    tile = rng.integers(200, 6000, (3, 512, 512)).astype(np.uint16)
    tile[2] = np.where(rng.random((512, 512)) < 0.002, 9, 4)
    tiled = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": "EPSG:32633", "transform": place, **tiled}
    with rasterio.open(path, "w", count=3, height=side, width=side, **profile) as raster:
        for row in range(0, side, 512):
            for col in range(0, side, 512):
                raster.write(tile, window=((row, row + 512), (col, col + 512)))
        raster.descriptions = ("B04", "B08", "SCL")
        raster.update_tags(REFLECTANCE_SCALE="10000")
