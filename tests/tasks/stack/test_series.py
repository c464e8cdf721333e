"""A real series: two dates of one place in Australia, clouds drawn on one, filled from the other."""

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack

BANDS = ("B02", "B03", "B04", "B08", "B11")
FIRST, SECOND = "australia_20190105_l2a_10band.tif", "australia_20181201_l2a_12band.tif"


def drawn_clouds(shape):
    """SCL with clouds (9) of natural outline over about a fifth of the scene, their shadows (3) beside them, else bare."""
    field = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=shape), 18)
    clouds = field > np.quantile(field, 0.82)
    shadows = np.roll(clouds, (14, 9), axis=(0, 1)) & ~clouds
    return np.where(clouds, 9, np.where(shadows, 3, 5)).astype(np.uint16)


@pytest.fixture(scope="module")
def series(data, tmp_path_factory):
    """Paths of both dates, the first with an SCL band and with bright cloud pixels; and reflectance of both as they were."""
    folder = tmp_path_factory.mktemp("series")
    truth, paths = {}, []
    for name in (FIRST, SECOND):
        with rasterio.open(data / "scenes" / name) as raster:
            pixels = raster.read([raster.descriptions.index(band) + 1 for band in BANDS])
            valid = (raster.read() != 0).all(axis=0)
            profile, tags = raster.profile, raster.tags()
        truth[name] = np.where(valid, pixels / 1e4, np.nan)
        scl = drawn_clouds(valid.shape) if name == FIRST else np.full(valid.shape, 5, np.uint16)
        pixels[:, scl == 9] = 8500
        pixels[:, scl == 3] //= 3
        paths.append(folder / name)
        with rasterio.open(paths[-1], "w", **(profile | {"count": len(BANDS) + 1})) as out:
            out.write(np.concatenate([pixels * valid, scl[None]]).astype(np.uint16))
            out.descriptions = (*BANDS, "SCL")
            out.update_tags(**tags)
    return paths, truth


def read(path):
    with rasterio.open(path) as raster:
        return dict(zip(raster.descriptions, raster.read(), strict=True))


def steps(plane, source):
    """Mean absolute step between neighbours across fill borders, and between neighbours of one source up to 3 px beside.

    Pairs of one row and of one column count alike.
    """
    across, beside = [], []
    for axis in (0, 1):
        one, two = (np.moveaxis(array, axis, 0) for array in (plane, source))
        step = np.abs(np.diff(one, axis=0))
        border = (two[1:] != two[:-1]) & (two[1:] > 0) & (two[:-1] > 0)
        near = ndimage.binary_dilation(border, np.ones((7, 1))) & ~border & (two[1:] == two[:-1])
        across.append(step[border & np.isfinite(step)])
        beside.append(step[near & np.isfinite(step)])
    return float(np.concatenate(across).mean()), float(np.concatenate(beside).mean())


def test_valid_pixels_and_borders(series, tmp_path):
    """Filled pixels are those of the other date, to the last bit; a border shows the difference of the dates, no more.

    The step across a border is that of the ground (as beside it) and that between the dates, which is measured where
    both dates see the same pixels. Anything wrong in the filling (offset, scale, a shifted grid) would come on top.
    """
    (first, second), truth = series
    alone = stack([first], tmp_path / "alone.tif", StackOptions(clouds="scl", dilate=2, select=BANDS))
    report = stack([first], tmp_path / "filled.tif", StackOptions(clouds="scl", dilate=2, select=BANDS, fill=(second,)))
    before, after = alone.valid_pixels / alone.pixels, report.valid_pixels / report.pixels
    filled = read(tmp_path / "filled.tif")
    source = filled["source"]
    from_second = source == 2
    for position, band in enumerate(BANDS):
        np.testing.assert_allclose(filled[band][from_second], truth[SECOND][position][from_second], atol=1e-6)
        across, beside = steps(filled[band], source)
        border = ndimage.binary_dilation(from_second, np.ones((3, 3))) & (source > 0)
        dates = np.nanmean(np.abs(truth[FIRST][position] - truth[SECOND][position])[border])
        assert across < 1.1 * (beside + dates), f"{band}: across {across}, beside {beside}, between the dates {dates}"
    assert 0.6 < before < 0.75
    assert after > 0.98


def test_without_a_difference_of_dates_there_is_no_border(series, data, tmp_path):
    """The same date fills its own clouds: the picture is the one without clouds, and borders are as steep as the ground."""
    (first, _), truth = series
    clean = data / "scenes" / FIRST
    stack(
        [first],
        tmp_path / "out.tif",
        StackOptions(clouds="scl", dilate=2, select=BANDS, fill=(_with_scl(clean, tmp_path),)),
    )
    filled = read(tmp_path / "out.tif")
    for position, band in enumerate(BANDS):
        seen = filled["source"] > 0
        np.testing.assert_allclose(filled[band][seen], truth[FIRST][position][seen], atol=1e-6)
        across, beside = steps(filled[band], filled["source"])
        assert across < 1.1 * beside


def test_a_wrong_offset_would_be_seen(series, tmp_path):
    """The measure of the first test is not blind: an offset that does not belong there makes a step many times larger."""
    (first, second), _ = series
    options = StackOptions(clouds="scl", dilate=2, select=BANDS, fill=(second,), fill_offset=-1000)
    stack([first], tmp_path / "out.tif", options)
    filled = read(tmp_path / "out.tif")
    across, beside = steps(filled["B04"], filled["source"])
    assert across > 4 * beside


def _with_scl(path, folder):
    """The scene with a band SCL that shows no clouds."""
    with rasterio.open(path) as raster:
        pixels, profile, tags, names = raster.read(), raster.profile, raster.tags(), raster.descriptions
    out = folder / "clear.tif"
    with rasterio.open(out, "w", **(profile | {"count": len(pixels) + 1})) as other:
        other.write(np.concatenate([pixels, np.full_like(pixels[:1], 5)]))
        other.descriptions = (*names, "SCL")
        other.update_tags(**tags)
    return out
