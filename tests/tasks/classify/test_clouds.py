"""Clouds that the land-cover model itself tells: flagged in a band, left out of a map, left out of dates."""

import hashlib

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from lulc.errors import InputError, ModelError
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene
from lulc.model.bundle import load_bundle
from lulc.model.device import choose_placement
from lulc.model.predictor import Predictor
from lulc.model.spectral_unet import SpectralUnet
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.describe.info import describe
from lulc.tasks.mosaic.mosaic import mosaic
from tests.support.date_scenes import SHAPE, write_date
from tests.support.stopped_runs import stopped_after

FADE = {"halo": 24, "blend": 24, "window": 176}
HALO = 96


def options(bundle, **fields):
    return ClassifyOptions(**({"model": bundle, "precision": "fp32", "device": "cpu", "window": 272} | fields))


def read(path):
    with rasterio.open(path) as product:
        return product.read()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mapped(scenes, bundle, out, **fields):
    """Bands of a map, and the report of its run."""
    scenes = scenes if isinstance(scenes, list) else [scenes]
    report = classify(scenes, out, options(bundle, overwrite=True, **fields))
    return read(out), report


def seen(bundle, path):
    """Probabilities (K, height, width) and positions in `SKY` of one pass over a whole scene, mirrored around it."""
    with open_scene([path]) as scene:
        model = load_bundle(bundle).with_clouds()
        names = model.card.features.bands
        raw, valid = scene.read(names, scene.grid.window)
        height, width = valid.shape
        padding = ((HALO, HALO + -height % 4), (HALO, HALO + -width % 4))
        predictor = Predictor(model, scene.radiometry, names, choose_placement("cpu", "fp32"))
        mirrored = np.pad(raw, ((0, 0), *padding), mode="symmetric"), np.pad(valid, padding, mode="symmetric")
        answer = predictor.predict(mirrored[0][None], mirrored[1][None])[0].numpy()
    inner = answer[:, HALO : HALO + height, HALO : HALO + width]
    return inner[:9], inner[9:].argmax(0)


@pytest.fixture
def scene(tmp_path):
    """A scene with a corner that has no data."""
    path = write_date(tmp_path / "scene.tif", 1, offset=-1000)
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[:, :170, :180] = 0  # more than a window of a cross-fade keeps
        raster.write(pixels)
    return path


@pytest.mark.parametrize("fade", [{}, FADE])
@pytest.mark.parametrize("stored", ["uint8", "float32", "none"])
def test_a_band_flags_clouds_and_all_else_is_as_without_it(scene, cloud_bundle, tmp_path, stored, fade):
    without, _ = mapped(scene, cloud_bundle, tmp_path / "without.tif", clouds="none", activations=stored, **fade)
    flagged, report = mapped(scene, cloud_bundle, tmp_path / "map.tif", activations=stored, **fade)
    assert len(without) == (1 if stored == "none" else 10)
    assert flagged.dtype == without.dtype
    np.testing.assert_array_equal(flagged[:-1], without)
    valid = without[0] != 255
    assert sorted(np.unique(flagged[-1])) == [0, 1, 2, 255]
    np.testing.assert_array_equal(flagged[-1] != 255, valid)
    sky = seen(cloud_bundle, scene)[1]
    differ = (flagged[-1] != sky)[valid].mean()
    assert differ < 0.01 if fade else differ == 0
    assert report.clouds == {
        "cloud": pytest.approx((flagged[-1] == 1).sum() / valid.sum()),
        "shadow": pytest.approx((flagged[-1] == 2).sum() / valid.sum()),
    }


@pytest.mark.parametrize("fade", [{}, FADE])
@pytest.mark.parametrize("stored", ["uint8", "float32", "none"])
def test_what_the_network_does_not_call_clear_is_left_out(scene, cloud_bundle, tmp_path, stored, fade):
    flagged, _ = mapped(scene, cloud_bundle, tmp_path / "map.tif", activations=stored, **fade)
    left, report = mapped(scene, cloud_bundle, tmp_path / "left.tif", clouds="network", activations=stored, **fade)
    expected = np.where(flagged[-1] == 0, flagged[:-1], 255)
    np.testing.assert_array_equal(left, expected)
    assert report.clouds == {}
    assert report.valid_share == (flagged[-1] == 0).mean()


def test_the_file_says_how_clouds_were_told(scene, cloud_bundle, tmp_path):
    tags = {}
    for clouds in ("auto", "network", "none"):
        mapped(scene, cloud_bundle, tmp_path / f"{clouds}.tif", clouds=clouds)
        with open_product(tmp_path / f"{clouds}.tif") as product:
            tags[clouds] = product.tags.get("LULC_CLOUDS")
            assert product.extra_bands == ({"clouds": (11, "sky")} if clouds == "auto" else {})
            assert product.has_activations
    assert tags == {"auto": "network, flagged in the band clouds", "network": "network", "none": None}
    assert "shadow" in (tmp_path / "auto.tif.aux.xml").read_text()
    assert describe([tmp_path / "auto.tif"]).problems == ()


@pytest.mark.parametrize("clouds", ["auto", "network"])
def test_no_byte_depends_on_the_window(tmp_path, cloud_bundle, clouds):
    scene = write_date(tmp_path / "scene.tif", 2, shape=(400, 330))
    small, _ = mapped(scene, cloud_bundle, tmp_path / "small.tif", clouds=clouds, window=272)
    large, _ = mapped(scene, cloud_bundle, tmp_path / "large.tif", clouds=clouds, window=1024)
    np.testing.assert_array_equal(small, large)


def test_many_clouds_are_one_warning(scene, cloud_bundle, tmp_path, caplog):
    _, report = mapped(scene, cloud_bundle, tmp_path / "map.tif")
    said = [line.getMessage() for line in caplog.records]
    shares = f"cloud {report.clouds['cloud']:.1%} and shadow {report.clouds['shadow']:.1%}"
    assert said == [f"map.tif: {shares} of the map; --clouds network leaves them out"]


def test_few_clouds_are_none(scene_file, cloud_bundle, tmp_path, caplog):
    plain = np.broadcast_to(np.array([500, 800, 900, 3000], np.uint16)[:, None, None], (4, 120, 130)).copy()
    plain[:, 40:48, 40:48] = 8000
    _, report = mapped(scene_file(120, 130, pixels=plain), cloud_bundle, tmp_path / "map.tif")
    assert 0 < report.clouds["cloud"] <= 0.0101
    assert report.clouds["shadow"] == 0
    assert not caplog.records


def test_a_model_without_the_head_maps_as_ever_and_is_refused_where_it_is_needed(scene, bundle, tmp_path):
    for clouds in ("auto", "none"):
        bands, report = mapped(scene, bundle, tmp_path / f"{clouds}.tif", clouds=clouds)
        assert (len(bands), report.clouds) == (10, {})
    assert sha256(tmp_path / "auto.tif") == sha256(tmp_path / "none.tif")
    for dates in (False, True):
        with pytest.raises(ModelError, match="textured has no cloud head, which --clouds network needs; leave"):
            classify([scene], tmp_path / "refused.tif", options(bundle, clouds="network", dates=dates))
    assert not (tmp_path / "refused.tif").exists()


def test_the_head_runs_where_it_is_needed_alone(scene, cloud_bundle, tmp_path, monkeypatch):
    masked = write_date(tmp_path / "masked.tif", 2, clouds=np.zeros(SHAPE, bool))
    monkeypatch.setattr(SpectralUnet, "with_clouds", None)
    mapped(scene, cloud_bundle, tmp_path / "map.tif", clouds="none")
    mapped(masked, cloud_bundle, tmp_path / "map.tif", clouds="scl")
    mapped([masked], cloud_bundle, tmp_path / "map.tif", dates=True)
    with pytest.raises(TypeError):
        mapped(scene, cloud_bundle, tmp_path / "map.tif")


def test_a_sky_that_is_not_finite_is_refused(scene, cloud_bundle, tmp_path, monkeypatch):
    with_clouds = SpectralUnet.with_clouds

    def overflowing(self, image, margin=0):
        logits = with_clouds(self, image, margin)
        logits[:, 9:] = float("nan")
        return logits

    monkeypatch.setattr(SpectralUnet, "with_clouds", overflowing)
    with pytest.raises(ModelError, match="not finite"):
        classify([scene], tmp_path / "map.tif", options(cloud_bundle))


def test_memory_of_the_sky_is_planned(scene, cloud_bundle, monkeypatch):
    monkeypatch.setattr("lulc.tasks.classify.memory.resident_bytes", lambda: 0)
    without, flagged, left = (
        plan_classification([scene], options(cloud_bundle, clouds=clouds)) for clouds in ("none", "auto", "network")
    )
    assert flagged.product_bytes > without.product_bytes == left.product_bytes
    assert flagged.peak_bytes > left.peak_bytes
    assert left.peak_bytes - without.peak_bytes >= left.plan.largest_window.size * 3 * 4


@pytest.mark.parametrize("clouds", ["auto", "network", "scl"])
def test_an_interrupted_run_is_resumed_and_other_clouds_are_another_job(
    tmp_path, cloud_bundle, clouds, monkeypatch, caplog
):
    shape = (1050, 300)
    scene = write_date(tmp_path / "scene.tif", 1, shape=shape, clouds=np.eye(*shape, dtype=bool))
    out = tmp_path / "map.tif"
    with stopped_after(1, monkeypatch):
        classify([scene], out, options(cloud_bundle, clouds=clouds))
    planned = {one: plan_classification([scene], options(cloud_bundle, clouds=one)) for one in ("none", clouds)}
    assert planned["none"].fingerprint != planned[clouds].fingerprint
    report = classify([scene], out, options(cloud_bundle, clouds=clouds))
    assert report.resumed_chunks == 1
    whole = classify([scene], tmp_path / "whole.tif", options(cloud_bundle, clouds=clouds))
    assert sha256(out) == sha256(tmp_path / "whole.tif")
    assert report.clouds == whole.clouds


def test_masks_of_the_scene_leave_pixels_of_one_scene_out(tmp_path, bundle):
    clouds = np.zeros(SHAPE, bool)
    clouds[50:90, 100:180] = True
    scene = write_date(tmp_path / "scene.tif", 1, clouds=clouds)
    whole, _ = mapped(scene, bundle, tmp_path / "whole.tif")
    left, _ = mapped(scene, bundle, tmp_path / "left.tif", clouds="scl")
    assert (whole != 255).all()
    np.testing.assert_array_equal((left == 255).all(0), clouds)
    one, _ = mapped([scene], bundle, tmp_path / "date.tif", clouds="scl", dates=True)
    np.testing.assert_array_equal(left, one[:-1])
    grown, _ = mapped(scene, bundle, tmp_path / "grown.tif", clouds="scl", cloud_classes=("cloud-high",), dilate=2)
    with open_product(tmp_path / "grown.tif") as product:
        assert product.tags["LULC_CLOUDS"] == "SCL 9, dilated by 2 px"
    assert (grown[0] == 255).sum() > clouds.sum()
    plain = write_date(tmp_path / "plain.tif", 1)
    for clouds in ("scl", "qa60"):
        with pytest.raises(InputError, match=rf"plain\.tif has no band {clouds.upper()}"):
            classify([plain], tmp_path / "refused.tif", options(bundle, clouds=clouds))


@pytest.mark.parametrize("clouds", ["auto", "network", "scl"])
def test_seams_are_verified(tmp_path, cloud_bundle, clouds):
    scene = write_date(tmp_path / "scene.tif", 2, shape=(400, 330), clouds=np.eye(400, 330, dtype=bool))
    report = classify([scene], tmp_path / "map.tif", options(cloud_bundle, clouds=clouds), seam_windows=3)
    assert (report.seams.windows, report.seams.flips_percent) == (3, 0)
    assert report.seams.max_difference <= 1 / 250 + 1e-5


def test_a_map_without_a_clear_pixel_says_what_may_help(scene_file, cloud_bundle, tmp_path):
    white = scene_file(120, 130, pixels=np.full((4, 120, 130), 9000, np.uint16))
    with pytest.raises(InputError, match="no valid pixel; mask fewer clouds"):
        classify([white], tmp_path / "map.tif", options(cloud_bundle, clouds="network", require_data=True))


@pytest.fixture
def dates(tmp_path):
    """Three dates without a mask."""
    return [write_date(tmp_path / f"{day}.tif", day, day=day) for day in (12, 3, 25)]


@pytest.mark.parametrize("fade", [{}, FADE])
@pytest.mark.parametrize("clouds", ["auto", "network"])
def test_dates_count_where_the_network_calls_them_clear(dates, cloud_bundle, tmp_path, clouds, fade):
    product, report = mapped(
        dates, cloud_bundle, tmp_path / "map.tif", dates=True, clouds=clouds, activations="float32", **fade
    )
    total, looks = 0, 0
    for path in dates:
        probabilities, sky = seen(cloud_bundle, path)
        total = total + np.where(sky == 0, probabilities, 0)
        looks = looks + (sky == 0)
    assert sorted(np.unique(looks)) == [0, 1, 2, 3]
    assert [date.masked_by for date in report.dates] == ["network"] * 3
    assert (report.warnings, report.clouds) == ((), {})
    np.testing.assert_array_equal(product[-1] == 255, (product[:-1] == 255).all(0))
    shown = product[-1] != 255
    np.testing.assert_allclose(product[1:-1, shown].sum(0), 1, atol=1e-5)
    expected = np.where(looks > 0, looks, 255)
    if fade:
        assert (product[-1] != expected).mean() < 0.02
        return
    np.testing.assert_array_equal(product[-1], expected)
    assert np.abs(product[1:-1] - total / np.maximum(looks, 1))[:, shown].max() < 1e-5
    with open_product(tmp_path / "map.tif") as map_of_dates:
        assert map_of_dates.tags["LULC_CLOUDS_3"] == "network"
        assert list(map_of_dates.extra_bands) == ["looks"]


@pytest.mark.parametrize("fade", [{}, FADE])
def test_one_date_is_the_map_of_the_scene(scene, cloud_bundle, tmp_path, fade):
    one, _ = mapped(scene, cloud_bundle, tmp_path / "whole.tif", clouds="network", **fade)
    date, _ = mapped([scene], cloud_bundle, tmp_path / "date.tif", clouds="network", dates=True, **fade)
    np.testing.assert_array_equal(date[:-1], one)


def test_a_band_of_a_date_goes_before_the_network(dates, cloud_bundle, tmp_path):
    clear = write_date(tmp_path / "clear.tif", 8, day=8, clouds=np.zeros(SHAPE, bool))
    product, report = mapped([*dates, clear], cloud_bundle, tmp_path / "map.tif", dates=True)
    assert [date.masked_by for date in report.dates] == ["network", "SCL 1,3,8,9,10", "network", "network"]
    expected = 1 + sum(seen(cloud_bundle, path)[1] == 0 for path in dates)
    np.testing.assert_array_equal(product[-1], expected)
    assert report.warnings == ()


def test_the_order_of_dates_and_the_window_change_no_byte(dates, cloud_bundle, tmp_path):
    one, _ = mapped(dates, cloud_bundle, tmp_path / "one.tif", dates=True)
    other, _ = mapped(dates[::-1], cloud_bundle, tmp_path / "other.tif", dates=True, window=1024)
    np.testing.assert_array_equal(one, other)


def test_a_date_that_is_all_cloud_is_told(dates, cloud_bundle, tmp_path, caplog):
    white = write_date(tmp_path / "white.tif", 2, day=2)
    with rasterio.open(white, "r+") as raster:
        raster.write(np.full((4, *SHAPE), 9000, np.uint16))
    mapped([dates[0], white], cloud_bundle, tmp_path / "map.tif", dates=True)
    assert [line.getMessage()[:36] for line in caplog.records] == ["white.tif shows no pixel of the map:"]


def test_seams_of_dates_are_verified(tmp_path, cloud_bundle):
    dates = [write_date(tmp_path / f"{day}.tif", day, day=day, shape=(400, 330)) for day in (1, 2)]
    report = classify(dates, tmp_path / "map.tif", options(cloud_bundle, dates=True), seam_windows=3)
    assert (report.seams.windows, report.seams.flips_percent) == (3, 0)


def test_a_mosaic_takes_clouds_from_the_map_that_shows_the_ground(tmp_path, cloud_bundle):
    scenes = [write_date(tmp_path / f"{number}.tif", 1, shift=(0, 150 * number)) for number in (0, 1)]
    maps = [tmp_path / "flagged.tif", tmp_path / "plain.tif"]
    for scene, out, clouds in zip(scenes, maps, ["auto", "none"], strict=True):
        mapped(scene, cloud_bundle, out, clouds=clouds)
    mosaic(maps, tmp_path / "mixed.tif")
    found, flagged, plain = map(read, (tmp_path / "mixed.tif", *maps))
    hidden = flagged[-1] > 0
    height, width = hidden.shape
    found = found[:, :height]
    assert found.shape == (13, height, width + 150)
    overlap = hidden[:, 150:]
    assert overlap.any()
    np.testing.assert_array_equal(found[:10, :, 150:width][:, overlap], plain[:10, :, : width - 150][:, overlap])
    np.testing.assert_array_equal(found[-1, :, :150], flagged[-1, :, :150])
    assert (found[-1, :, 150:] == 0).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clouds": "network", "dilate": 3}, "does not grow the clouds of the network"),
        ({"clouds": "network", "cloud_classes": ("cirrus",)}, "give --clouds scl or auto"),
        ({"dilate": 3}, "leaves nothing out of one scene"),
        ({"clouds": "fog"}, "Input should be"),
    ],
)
def test_options_that_do_not_fit_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        ClassifyOptions(**fields)
