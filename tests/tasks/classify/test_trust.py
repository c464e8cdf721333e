"""Bands of trust: what they hold, in every storage, on any cut, over dates, and beside clouds."""

import numpy as np
import pytest
import rasterio

from lulc.errors import InputError, ModelError, UsageError
from lulc.model.bundle import load_bundle
from lulc.model.trust.calibration import read_calibration
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.trust_samples import calibration_for, write_knowing

pytestmark = pytest.mark.torch


def options(bundle, **fields):
    return ClassifyOptions(model=bundle, **({"precision": "fp32", "device": "cpu", "window": 272} | fields))


def read(path):
    """Bands by name."""
    with rasterio.open(path) as product:
        return dict(zip(product.descriptions, product.read(), strict=True))


@pytest.fixture(scope="module")
def knowing(bundle, tmp_path_factory):
    """The textured bundle with statistics of a training."""
    return write_knowing(bundle, tmp_path_factory.mktemp("knowing") / "model")


def activations_of(bands, names):
    return np.stack([bands[name] for name in names])


@pytest.mark.parametrize("stored", ["uint8", "float32"])
def test_confidence_and_margin_are_those_of_the_stored_activations(scene_file, knowing, tmp_path, stored):
    classify([scene_file(300, 280)], tmp_path / "map.tif", options(knowing, trust=True, activations=stored))
    bands, names = read(tmp_path / "map.tif"), load_bundle(knowing).card.classes.names
    ordered = np.sort(activations_of(bands, names), axis=0)
    np.testing.assert_array_equal(bands["confidence"], ordered[-1])
    np.testing.assert_array_equal(bands["margin"], ordered[-1] - ordered[-2])
    assert list(bands)[-3:] == ["confidence", "margin", "familiarity"]
    assert np.ptp(bands["familiarity"]) > 0


def test_trust_changes_nothing_else(scene_file, knowing, tmp_path):
    scene = scene_file(300, 280)
    classify([scene], tmp_path / "plain.tif", options(knowing))
    classify([scene], tmp_path / "map.tif", options(knowing, trust=True))
    classify([scene], tmp_path / "bare.tif", options(knowing, trust=True, activations="none"))
    plain, trusted, bare = (read(tmp_path / name) for name in ("plain.tif", "map.tif", "bare.tif"))
    for name, band in plain.items():
        np.testing.assert_array_equal(trusted[name], band)
    assert list(bare) == ["class", "confidence", "margin", "familiarity"]
    for name, band in bare.items():
        np.testing.assert_array_equal(trusted[name], band)


def test_familiarity_does_not_depend_on_windows(scene_file, knowing, tmp_path):
    scene = scene_file(600, 530)
    found = []
    for window in (272, 400):
        classify([scene], tmp_path / f"{window}.tif", options(knowing, window=window, trust=True))
        found.append(read(tmp_path / f"{window}.tif")["familiarity"].astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1  # a rounding step


def test_nodata_is_nodata_in_every_band(scene_file, knowing, tmp_path):
    scene = scene_file(300, 280)
    with rasterio.open(scene, "r+") as file:
        pixels = file.read()
        pixels[:, 40:90, 100:200] = file.nodata
        file.write(pixels)
    classify([scene], tmp_path / "map.tif", options(knowing, trust=True))
    for band in read(tmp_path / "map.tif").values():
        assert (band[40:90, 100:200] == 255).all()
        assert (band[:40] != 255).all()


def test_a_model_without_statistics_says_so(scene_file, bundle, tmp_path):
    scene = scene_file(300, 280)
    job = plan_classification([scene], options(bundle, trust=True))
    assert any("no statistics of its training" in note for note in job.notes)
    classify([scene], tmp_path / "map.tif", options(bundle, trust=True))
    assert list(read(tmp_path / "map.tif"))[-2:] == ["confidence", "margin"]


def test_over_dates_familiarity_is_the_mean(scene_file, knowing, tmp_path):
    scenes = [scene_file(300, 280, name=f"{day}.tif", seed=day) for day in (1, 2)]
    for number, scene in enumerate(scenes):
        classify([scene], tmp_path / f"one{number}.tif", options(knowing, trust=True, activations="float32"))
    classify(
        scenes, tmp_path / "both.tif", options(knowing, trust=True, activations="float32", dates=True, clouds="none")
    )
    single = [read(tmp_path / f"one{number}.tif")["familiarity"] for number in range(2)]
    both = read(tmp_path / "both.tif")
    np.testing.assert_allclose(both["familiarity"], np.mean(single, axis=0), atol=1e-4)
    assert list(both)[-4:] == ["confidence", "margin", "familiarity", "looks"]


def test_sets_are_the_classes_that_reach_their_thresholds(scene_file, knowing, tmp_path):
    names = load_bundle(knowing).card.classes.names
    thresholds = [(37 * number) % 120 for number in range(len(names))]
    path = calibration_for(knowing, thresholds, tmp_path / "c.json")
    classify([scene_file(300, 280)], tmp_path / "map.tif", options(knowing, calibration=path, sets=0.9))
    bands = read(tmp_path / "map.tif")
    steps = activations_of(bands, names)
    expected = (steps >= np.array(thresholds)[:, None, None]) | (steps == steps.max(axis=0))
    np.testing.assert_array_equal(bands["set size"], expected.sum(axis=0))
    bits = [band for name, band in bands.items() if name.startswith("set ") and name != "set size"]
    for number in range(len(names)):
        np.testing.assert_array_equal(bits[number // 7] >> (number % 7) & 1, expected[number])


def test_a_calibration_changes_the_temperature_and_no_class(scene_file, knowing, tmp_path):
    scene = scene_file(300, 280)
    path = calibration_for(knowing, [0] * len(load_bundle(knowing).card.classes), tmp_path / "c.json")
    classify([scene], tmp_path / "plain.tif", options(knowing))
    classify([scene], tmp_path / "map.tif", options(knowing, calibration=path))
    plain, found = read(tmp_path / "plain.tif"), read(tmp_path / "map.tif")
    np.testing.assert_array_equal(plain["class"], found["class"])
    top = [np.stack(list(bands.values())[1:]).max(axis=0).mean() for bands in (plain, found)]
    assert top[1] < top[0]
    with rasterio.open(tmp_path / "map.tif") as product:
        assert float(product.tags()["LULC_TEMPERATURE"]) == pytest.approx(2 * load_bundle(knowing).card.temperature)
        assert product.tags()["LULC_CALIBRATION_SHA256"]


def test_a_calibration_of_another_model_is_refused(scene_file, knowing, tmp_path):
    count = len(load_bundle(knowing).card.classes)
    other = calibration_for(knowing, [0] * count, tmp_path / "other.json", model_sha256="0" * 64)
    with pytest.raises(ModelError, match="was fitted for m"):
        plan_classification([scene_file(300, 280)], options(knowing, calibration=other))
    good = calibration_for(knowing, [0] * count, tmp_path / "good.json")
    with pytest.raises(UsageError, match=r"--sets 0.905 has no thresholds"):
        plan_classification([scene_file(300, 280)], options(knowing, calibration=good, sets=0.905))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "x"}', '{"model": 3}'])
def test_a_file_that_is_no_calibration(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json"):
        read_calibration(tmp_path / "c.json")


def test_sets_need_a_calibration():
    with pytest.raises(ValueError, match="--sets needs --calibration"):
        ClassifyOptions(sets=0.9)
