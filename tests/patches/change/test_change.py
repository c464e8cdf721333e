"""Two dates of one place: a model that knows brightness, made-up scenes whose cells change, and a real wildfire."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner
from PIL import Image
from rasterio.transform import from_origin

from lulc.cli.main import cli
from lulc.errors import InputError, StorageError, UsageError
from lulc.features import FeatureSpec
from lulc.grid import Grid, Shape, Window
from lulc.patches.card import write_patch_model
from lulc.patches.change.change import ChangeOptions, common_windows, compare_dates, probability_of_change
from lulc.patches.change.raster import BANDS
from lulc.patches.change.report import CellChange, PatchChange
from lulc.patches.classifier import Classifier
from lulc.patches.networks import PatchArchitecture, build_patch_network

SIDE = 16
CLASSES = ("dark", "grey", "bright")
LEVELS = np.array([0.1, 0.3, 0.5])
UTM = "EPSG:32632"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle for one band of reflectance; its weights do not matter, see `brightness`."""
    folder = tmp_path_factory.mktemp("model")
    architecture = PatchArchitecture(name="cnn6", in_channels=1, classes=len(CLASSES), side=SIDE)
    write_patch_model(
        folder,
        build_patch_network(architecture).eval(),
        name="brightness",
        version="1",
        summary="tells brightness apart",
        features=FeatureSpec(bands=("B08",), mean=(0.0,), std=(1.0,)),
        legend={
            "name": "brightness",
            "classes": [{"code": k, "name": name, "color": f"#{k}{k}0000"} for k, name in enumerate(CLASSES, 1)],
        },
        architecture=architecture,
        patch_side=SIDE,
    )
    return folder


def answer_by(monkeypatch, levels):
    """Let the model answer by the distance of a patch's mean reflectance from a level for each class."""

    def logits(_self, inputs):
        level = inputs.flatten(1).mean(dim=1, keepdim=True)
        return -60 * (level - torch.tensor(levels, dtype=torch.float32)).abs()

    monkeypatch.setattr(Classifier, "logits", logits)


@pytest.fixture(autouse=True)
def brightness(monkeypatch):
    answer_by(monkeypatch, LEVELS)


def write(path, reflectance, *, crs=UTM, west=500_000, north=5_000_000, size=10.0, names=("B08",)):
    pixels = np.rint(np.atleast_3d(reflectance.T).T * 10_000).astype(np.uint16)
    profile = {
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": "uint16",
        "nodata": 0,
    }
    place = {} if crs is None else {"crs": crs, "transform": from_origin(west, north, size, size)}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as target:
        target.write(pixels)
        target.descriptions = names
    return path


def ground(classes, side=SIDE):
    """Reflectance of cells of classes 0..2; -1 has no data."""
    levels = np.append(LEVELS, 0)[np.asarray(classes)]
    return np.kron(levels, np.ones((side, side)))


BEFORE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, -1, 1]])
AFTER = np.array([[0, 2, 1, 1], [2, 0, 1, 0], [2, 2, 1, -1]])


@pytest.fixture
def scenes(tmp_path):
    return write(tmp_path / "before.tif", ground(BEFORE)), write(tmp_path / "after.tif", ground(AFTER))


def pam(path):
    """What GDAL's side-car says of each band."""
    return ET.parse(f"{path}.aux.xml").getroot()  # noqa: S314 - our own file


def options(model, **more):
    return ChangeOptions(model=model, device="cpu", **more)


def test_probability_of_change_is_that_of_two_independent_draws():
    rng = np.random.default_rng(0)
    before, after = (rng.dirichlet(np.full(4, 0.7)).astype(np.float32) for _ in range(2))
    drawn = [rng.choice(4, 200_000, p=shares / shares.sum()) for shares in (before.astype(float), after.astype(float))]
    expected = sum(before[i] * after[k] for i in range(4) for k in range(4) if i != k)
    found = float(probability_of_change(before, after))
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx((drawn[0] != drawn[1]).mean(), abs=0.005)
    sure, other = np.float32([1, 0, 0]), np.float32([0, 1, 0])
    assert probability_of_change(np.stack([sure, sure]), np.stack([sure, other])).tolist() == [0, 1]


class TestScenes:
    def test_raster(self, scenes, model, tmp_path):
        report = compare_dates(*scenes, tmp_path / "out.tif", options(model))
        assert isinstance(report, CellChange)
        with rasterio.open(tmp_path / "out.tif") as file:
            bands = file.read()
            assert file.descriptions == BANDS
            assert (file.nodata, file.dtypes[0]) == (255, "uint8")
            assert file.scales == (1, 1, 0.004, 0.004, 0.004, 1)
            assert tuple(file.transform)[:6] == (160, 0, 500_000, 0, -160, 5_000_000)
            assert file.colormap(1)[2] == (0x22, 0, 0, 255)
            tags = file.tags()
        named = {
            band.get("band"): [name.text for name in band.find("CategoryNames")] for band in pam(tmp_path / "out.tif")
        }
        assert named == {"1": [None, *CLASSES], "2": [None, *CLASSES], "6": [None, "changed"]}
        known = (BEFORE >= 0) & (AFTER >= 0)
        assert np.array_equal(bands[0], np.where(known, BEFORE + 1, 255))
        assert np.array_equal(bands[1], np.where(known, AFTER + 1, 255))
        assert np.array_equal(bands[5], np.where(known, BEFORE != AFTER, 255))
        assert np.array_equal(bands[4] == 255, ~known)
        assert bands[4][known & (BEFORE != AFTER)].min() * 0.004 > 0.99
        assert bands[4][known & (BEFORE == AFTER)].max() * 0.004 < 0.01
        assert bands[2:4][:, known].min() == bands[2:4][:, known].max() == 250
        assert (tags["LULC_KIND"], tags["LULC_INPUT"], tags["LULC_INPUT_AFTER"]) == (
            "change",
            "before.tif",
            "after.tif",
        )
        assert (tags["LULC_CELL"], tags["LULC_MIN_CONFIDENCE"]) == ("16", "0.8")

    def test_table(self, scenes, model):
        report = compare_dates(*scenes, None, options(model))
        table = {(one.before, one.after): (one.cells, one.changed, one.hectares) for one in report.transitions}
        assert table == {
            ("dark", "bright"): (2, 2, pytest.approx(2 * 2.56)),
            ("grey", "dark"): (1, 1, pytest.approx(2.56)),
            ("dark", "dark"): (2, 0, pytest.approx(2 * 2.56)),
            ("grey", "grey"): (3, 0, pytest.approx(3 * 2.56)),
            ("bright", "bright"): (2, 0, pytest.approx(2 * 2.56)),
        }
        assert (report.cells, report.differing, report.changed) == (10, 3, 3)
        lines = report.to_text().splitlines()
        assert lines[0] == "before.tif -> after.tif: 3 of 10 cells changed (30.0%)"
        assert lines[2].split() == ["dark", "->", "bright", "2", "cells", "5.1", "ha", "as", "counted"]
        assert json.loads(json.dumps(report.to_json()))["transitions"][0]["changed"] == 2

    def test_unsure_differences_do_not_count(self, model, tmp_path):
        between = np.full((2 * SIDE, 2 * SIDE), 0.205)
        between[:, :SIDE] = 0.5
        after = np.full(between.shape, 0.195)
        first, second = write(tmp_path / "a.tif", between), write(tmp_path / "b.tif", after)
        report = compare_dates(first, second, None, options(model))
        assert (report.cells, report.differing, report.changed) == (4, 4, 2)
        assert "2 more differ with a probability below 0.8" in report.to_text()
        assert compare_dates(first, second, None, options(model, min_confidence=0.4)).changed == 4

    def test_common_part_of_overlapping_scenes(self, scenes, model, tmp_path):
        """The later scene begins two cells further south and three pixels outside to the west."""
        whole = ground(AFTER)
        wider = np.concatenate([np.full((len(whole), 3), 0.5), whole], axis=1)[2 * SIDE :]
        moved = write(tmp_path / "moved.tif", wider, west=500_000 - 30 + 2, north=5_000_000 - 20 * SIDE)
        report = compare_dates(scenes[0], moved, tmp_path / "out.tif", options(model, cell=SIDE))
        assert (report.rows, report.columns, report.cells, report.changed) == (1, 4, 2, 0)
        with rasterio.open(tmp_path / "out.tif") as file:
            assert tuple(file.transform)[2:6:3] == (500_000, 5_000_000 - 20 * SIDE)
            assert file.read(2).tolist() == [[3, 3, 255, 255]]
        part = compare_dates(moved, scenes[0], None, options(model, cell=SIDE))
        assert (part.cells, part.changed) == (2, 0)

    def test_cells_at_the_edge_count_for_what_lies_inside(self, model, tmp_path):
        first = write(tmp_path / "a.tif", np.full((40, 24), 0.1))
        second = write(tmp_path / "b.tif", np.full((40, 24), 0.5))
        report = compare_dates(first, second, None, options(model))
        assert (report.rows, report.columns, report.changed) == (3, 2, 6)
        assert sum(one.hectares for one in report.transitions) == pytest.approx(0.01 * 40 * 24)

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_pictures_that_lie_nowhere(self, model, tmp_path):
        first = write(tmp_path / "a.tif", ground(BEFORE), crs=None)
        second = write(tmp_path / "b.tif", ground(AFTER), crs=None)
        report = compare_dates(first, second, tmp_path / "out.tif", options(model))
        assert report.changed == 3
        assert {one.hectares for one in report.transitions} == {None}


class TestRefused:
    def test_other_places(self, scenes, model, tmp_path):
        square = np.full((64, 64), 0.1)
        cases = {
            "have different CRS; bring them to one grid": write(tmp_path / "crs.tif", square, crs="EPSG:32633"),
            "have pixels of different size or direction; bring": write(tmp_path / "size.tif", square, size=20),
            "do not overlap; give two images of one place": write(tmp_path / "far.tif", square, west=600_000),
        }
        for words, other in cases.items():
            with pytest.raises(InputError, match=f"before.tif and {other.name} {words}"):
                compare_dates(scenes[0], other, None, options(model, cell=SIDE))

    def test_one_line_and_the_right_code(self, scenes, model, tmp_path):
        other = write(tmp_path / "crs.tif", np.full((64, 64), 0.1), crs="EPSG:32633")
        arguments = ["patches", "change", str(scenes[0]), "--model", str(model)]
        done = CliRunner().invoke(cli, [*arguments, str(other), str(tmp_path / "out.tif")])
        assert (done.exit_code, len(done.stderr.strip().splitlines())) == (3, 1)
        assert not (tmp_path / "out.tif").exists()
        done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "none.tif")])
        assert (done.exit_code, len(done.stderr.strip().splitlines())) == (3, 1)
        assert CliRunner().invoke(cli, [*arguments, str(scenes[1]), "--min-confidence", "2"]).exit_code == 2

    def test_outputs(self, scenes, model, tmp_path):
        with pytest.raises(UsageError, match="given twice"):
            compare_dates(scenes[0], scenes[0], None, options(model))
        with pytest.raises(UsageError, match="is an input"):
            compare_dates(*scenes, scenes[1], options(model, overwrite=True))
        (tmp_path / "out.tif").write_text("mine")
        with pytest.raises(StorageError, match="exists; use --overwrite"):
            compare_dates(*scenes, tmp_path / "out.tif", options(model))
        assert (tmp_path / "out.tif").read_text() == "mine"
        compare_dates(*scenes, tmp_path / "out.tif", options(model, overwrite=True))
        with rasterio.open(tmp_path / "out.tif") as file:
            assert file.count == 6

    def test_nothing_in_common_has_data(self, model, tmp_path):
        first = write(tmp_path / "a.tif", ground([[0, -1], [0, -1]]))
        second = write(tmp_path / "b.tif", ground([[-1, 0], [-1, 0]]))
        with pytest.raises(InputError, match=r"a\.tif and b\.tif have no cell with data in both"):
            compare_dates(first, second, tmp_path / "out.tif", options(model))
        assert not (tmp_path / "out.tif").exists()


class TestPatches:
    def test_two_patches(self, model, tmp_path):
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.1))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.5))
        arguments = ["patches", "change", str(first), str(second), "--model", str(model)]
        done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        found = json.loads(done.stdout)
        assert (found["before"]["class"], found["after"]["class"], found["changed"]) == ("dark", "bright", True)
        assert found["before"]["confidence"] > 0.99
        assert found["probability_of_change"] > 0.99
        text = CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout.splitlines()
        assert text[0].startswith("before  ")
        assert text[2] == "changed; the classes differ with probability 1.000"

    def test_same_and_unsure(self):
        same = PatchChange(("a", "b"), ("dark", "dark"), (0.9, 0.9), 0.19, 0.1)
        unsure = PatchChange(("a", "b"), ("dark", "grey"), (0.5, 0.5), 0.6, 0.8)
        assert (same.changed, unsure.changed) == (False, False)
        assert same.to_text().endswith("not changed; the classes differ with probability 0.190")
        assert "not sure enough for a change (--min-confidence 0.8)" in unsure.to_text()

    def test_patches_of_two_places(self, model, tmp_path):
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.1))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.1), west=700_000)
        with pytest.raises(InputError, match="do not overlap"):
            compare_dates(first, second, None, options(model))

    def test_a_picture_for_a_model_of_reflectance(self, model, tmp_path):
        for name, shade in (("a.png", 20), ("b.png", 200)):
            Image.new("RGB", (SIDE, SIDE), (shade, shade, shade)).save(tmp_path / name)
        with pytest.raises(InputError, match=r"a\.png"):
            compare_dates(tmp_path / "a.png", tmp_path / "b.png", None, options(model))


def test_common_windows():
    def grid(west, north, height, width):
        return Grid(rasterio.crs.CRS.from_string(UTM), from_origin(west, north, 10, 10), Shape(height, width))

    names = ("a", "b")
    first = grid(0, 1000, 50, 40)
    assert common_windows(first, first, names) == (first.window, first.window)
    second = grid(104, 902, 100, 10)
    assert common_windows(first, second, names) == (Window(10, 10, 40, 10), Window(0, 0, 40, 10))
    assert common_windows(second, first, names) == (Window(0, 0, 40, 10), Window(10, 10, 40, 10))
    inside = grid(-200, 1500, 200, 200)
    assert common_windows(first, inside, names) == (first.window, Window(50, 20, 50, 40))


def test_a_real_wildfire(data, model, tmp_path, monkeypatch):
    """Between the two Australian dates 43 % of the ground has burnt: near infrared has fallen by a quarter or more."""
    answer_by(monkeypatch, [0.08, 0.18, 0.5])
    folder = data / "scenes"
    dates = [folder / "australia_20181201_l2a_12band.tif", folder / "australia_20190105_l2a_10band.tif"]
    report = compare_dates(*dates, tmp_path / "out.tif", options(model, cell=64, step=64, min_confidence=0.7))
    with (
        rasterio.open(dates[0]) as before,
        rasterio.open(dates[1]) as after,
        rasterio.open(tmp_path / "out.tif") as out,
    ):
        infrared = [file.read(file.descriptions.index("B08") + 1).astype(float) for file in (before, after)]
        changed = out.read(6)
    burnt = (infrared[1] < 0.75 * infrared[0])[:512, :320].reshape(8, 64, 5, 64).mean(axis=(1, 3))
    assert (infrared[1] < 0.75 * infrared[0]).mean() == pytest.approx(0.43, abs=0.01)
    assert (report.rows, report.columns, report.cells) == (9, 6, 54)
    assert {(one.before, one.after) for one in report.transitions if one.changed} == {("grey", "dark")}
    assert changed[:8, :5][burnt > 0.9].all()
    assert not changed[:8, :5][burnt < 0.3].any()
