"""Calibration: finds a temperature that was put in, sets that cover, from a raster and from points; refusals."""

import csv
import json

import numpy as np
import pytest
from pyproj import Transformer

from lulc.errors import InputError, StorageError, UsageError
from lulc.model.trust.calibration import read_calibration
from lulc.tasks.accuracy.calibrate import COVERAGES, calibrate, stored_steps
from lulc.tasks.accuracy.options import CalibrateOptions
from tests.support import command
from tests.support.evaluation_samples import FINE, PLACE, labels, product, shares

TAGS = {"LULC_MODEL": "m 1", "LULC_MODEL_SHA256": "a" * 64, "LULC_TEMPERATURE": "0.5"}


def drawn(steps, seed=1):
    """Labels drawn by the activations, which are calibrated then: uint8 (height, width), 1..K."""
    chance = np.random.default_rng(seed).random(steps.shape[1:])
    return ((steps.cumsum(axis=0) / 250 > chance).argmax(axis=0) + 1).astype(np.uint8)


def sharper(steps, factor):
    """The same pixels as a model would store them that is too sure of itself."""
    flat = steps.reshape(len(steps), -1).T.astype(np.float32) / 250
    return stored_steps(flat, 1 / factor).T.reshape(steps.shape)


def fine(folder):
    """File of the legend."""
    path = folder / "fine.toml"
    if not path.exists():
        rows = [f'[[classes]]\ncode = {entry.code}\nname = "{entry.name}"\ncolor = "{entry.color}"\n' for entry in FINE]
        path.write_text('name = "fine"\n' + "".join(rows))
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A calibrated map, one that is too sure, and their labels."""
    folder, steps = tmp_path_factory.mktemp("calibration"), shares(400, 500)
    product(folder / "map.tif", steps, tags=TAGS)
    product(folder / "sure.tif", sharper(steps, 2.0), tags=TAGS)
    labels(folder / "labels.tif", drawn(steps))
    return folder


@pytest.mark.parametrize(("name", "factor"), [("map.tif", 1.0), ("sure.tif", 2.0)])
def test_the_temperature_that_was_put_in_is_found(samples, tmp_path, name, factor):
    report = calibrate(
        samples / name, samples / "labels.tif", tmp_path / "c.json", CalibrateOptions(legend=fine(samples))
    )
    assert report.calibration.temperature == pytest.approx(0.5 * factor, rel=0.12)
    assert report.nll[1] <= report.nll[0] + 0.001


def test_coverage_holds_on_pixels_that_were_not_fitted(samples, tmp_path):
    options = CalibrateOptions(legend=fine(samples), coverage=0.8)
    report = calibrate(samples / "map.tif", samples / "labels.tif", tmp_path / "c.json", options)
    found = read_calibration(tmp_path / "c.json")
    assert found == report.calibration
    assert all(entry.coverage > 0.78 for entry in found.classes)
    assert 1 < found.set_size < 4
    assert sum(entry.pixels for entry in found.classes) == 400 * 500
    rising = np.array([entry.thresholds for entry in found.classes])
    assert (np.diff(rising, axis=1) <= 0).all()  # more coverage asks for less activation


def test_points_are_read_where_they_lie(samples, tmp_path):
    rng, truth = np.random.default_rng(0), drawn(shares(400, 500))
    rows, cols = rng.integers(400, size=600), rng.integers(500, size=600)
    x, y = PLACE * (cols + 0.5, rows + 0.5)
    lon, lat = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform(x, y)
    with (tmp_path / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lon", "lat", "reference"])
        for number in range(600):
            label = FINE.names[truth[rows[number], cols[number]] - 1] if number else ""
            writer.writerow([number + 1, lon[number], lat[number], label])
    report = calibrate(samples / "map.tif", tmp_path / "points.csv", tmp_path / "c.json")
    expected = np.bincount(truth[rows[1:], cols[1:]] - 1, minlength=4)
    assert [entry.pixels for entry in report.calibration.classes] == expected.tolist()
    assert report.calibration.temperature == pytest.approx(0.5, rel=0.3)


def test_on_the_command_line(samples, tmp_path):
    arguments = [
        "calibrate",
        samples / "map.tif",
        samples / "labels.tif",
        tmp_path / "c.json",
        "--legend",
        fine(samples),
    ]
    result = command.lulc(*arguments, "--no-temperature")
    assert "| class" in result.stdout
    assert json.loads((tmp_path / "c.json").read_text())["temperature"] == 0.5
    again = command.lulc(*arguments)
    assert (again.returncode, again.stderr.count("\n")) == (StorageError.exit_code, 1)


@pytest.mark.parametrize(
    ("tags", "match"),
    [
        ({}, "not as one model made it"),
        (TAGS | {"LULC_CLEANED": "mmu"}, "not as one model made it"),
    ],
)
def test_maps_of_no_model(samples, tmp_path, tags, match):
    product(tmp_path / "map.tif", shares(64, 64), tags=tags)
    with pytest.raises(InputError, match=match):
        calibrate(
            tmp_path / "map.tif", samples / "labels.tif", tmp_path / "c.json", CalibrateOptions(legend=fine(samples))
        )
    assert not (tmp_path / "c.json").exists()


def test_labels_that_are_not_on_the_map(samples, tmp_path):
    labels(tmp_path / "empty.tif", np.full((400, 500), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match="no pixel has a label"):
        calibrate(
            samples / "map.tif", tmp_path / "empty.tif", tmp_path / "c.json", CalibrateOptions(legend=fine(samples))
        )
    with pytest.raises(UsageError, match="is an input"):
        calibrate(samples / "map.tif", samples / "labels.tif", samples / "labels.tif", CalibrateOptions(overwrite=True))


def test_a_coverage_between_hundredths_is_refused_before_anything_is_read(samples, tmp_path):
    arguments = [samples / "map.tif", samples / "labels.tif", tmp_path / "c.json", "--legend", fine(samples)]
    refused = command.lulc("calibrate", *arguments, "--coverage", "0.905")
    assert refused.returncode == 2
    assert "--coverage: 0.905 is no coverage in hundredths" in refused.stderr
    for coverage in (0.5, 0.57, 0.99):  # 0.57 and others are no exact fractions of two
        assert CalibrateOptions(coverage=coverage).coverage in COVERAGES
