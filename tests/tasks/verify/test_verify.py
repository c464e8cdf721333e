"""Verify: a sound map passes every check, and each kind of tampering is found by the check that it contradicts."""

import json
import shutil

import numpy as np
import pytest
import rasterio

from lulc.errors import InputError, UsageError
from lulc.io.product.extra import extra_bands_of
from lulc.io.product.reader import open_product
from lulc.model.bundle import load_bundle
from lulc.tasks.accuracy.options import SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.clean.clean import clean
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.verify.options import VerifyOptions
from lulc.tasks.verify.verify import verify_map
from tests.support import command
from tests.support.point_samples import label
from tests.support.trust_samples import calibration_for, write_knowing
from tests.support.whole_runs import write_scene

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def made(bundle, tmp_path_factory):
    """A folder with a scene, its map with bands of trust and sets, and their model."""
    folder = tmp_path_factory.mktemp("verify")
    classes = load_bundle(write_knowing(bundle, folder / "model")).card.classes
    write_scene(folder / "scene.tif", 620, 560)
    calibration = calibration_for(folder / "model", [20] * len(classes), folder / "c.json")
    options = ClassifyOptions(
        model=folder / "model",
        precision="fp32",
        device="cpu",
        window=272,
        trust=True,
        calibration=calibration,
        sets=0.9,
    )
    classify([folder / "scene.tif"], folder / "map.tif", options)
    return folder


def given(folder, **fields):
    return VerifyOptions(**({"scene": [str(folder / "scene.tif")], "model": folder / "model", "windows": 4} | fields))


def copied(made, tmp_path):
    for name in ("map.tif", "map.tif.aux.xml", "map.qml"):
        shutil.copy(made / name, tmp_path / name)
    return tmp_path / "map.tif"


def changed(path, name, change):
    """Change the pixels of a band in place, through GDAL as anybody could."""
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        number = file.descriptions.index(name) + 1
        file.write(change(file.read(number)), number)
    return path


def test_a_sound_map_passes(made):
    report = verify_map(made / "map.tif", given(made))
    assert report.contradiction is None
    assert [check.name for check in report.checks] == ["file", "pixels", "model", "scene", "network", "areas"]
    assert "0.0000% of the classes differ" in report.checks[4].found
    assert f"{620 * 560:,d} read" in report.checks[1].found


@pytest.mark.parametrize(
    "settings", [{"mmu": "30px"}, {"smooth": "bayes"}, {"merge": ("trees,grass=green",), "mmu": "30px"}]
)
def test_a_cleaned_map_holds_no_stale_bands(made, tmp_path, settings):
    clean(made / "map.tif", tmp_path / "clean.tif", CleanOptions(**settings))
    with rasterio.open(tmp_path / "clean.tif") as file:
        assert file.descriptions[-1] == "familiarity"
        assert not {"confidence", "margin", "set size", "set 1-7"} & {*file.descriptions}
        assert (file.tags()["LULC_TRUST"], "LULC_SETS" in file.tags()) == ("familiarity", False)
    assert verify_map(tmp_path / "clean.tif").contradiction is None


def test_extra_bands_of_float32_keep_their_kinds(made, tmp_path):
    """A file of float32 does not tell codes from shares by their scale."""
    options = ClassifyOptions(
        model=made / "model",
        precision="fp32",
        device="cpu",
        trust=True,
        calibration=made / "c.json",
        sets=0.9,
        activations="float32",
    )
    classify([made / "scene.tif"], tmp_path / "map.tif", options)
    assert verify_map(tmp_path / "map.tif").contradiction is None
    with open_product(tmp_path / "map.tif") as product:
        kinds = {band.name: band.kind for band in extra_bands_of(product)}
    assert [kinds[name] for name in ("confidence", "familiarity", "set size", "set 1-7")] == [
        "share",
        "share",
        "code",
        "code",
    ]


def at(rows, cols, value):
    def change(band):
        band = band.copy()
        band[rows, cols] = value(band[rows, cols]) if callable(value) else value
        return band

    return change


SPOT = slice(300, 310), slice(200, 220)


@pytest.mark.parametrize(
    ("band", "value", "match"),
    [
        ("class", lambda codes: codes % 9 + 1, "not the one with the largest activation"),
        ("class", 17, "holds class code 17"),
        ("class", 255, "activations|no data"),
        ("confidence", lambda steps: steps // 2, "band confidence is not what the activations give"),
        ("margin", lambda steps: steps + 1, "band margin is not"),
        ("familiarity", 253, "band familiarity holds what is no share"),
        ("set size", lambda sizes: sizes + 1, "size of a set"),
        ("set 1-7", 0, "size of a set|lacks the class"),
    ],
    ids=["class", "strange code", "nodata", "confidence", "margin", "familiarity", "size", "bits"],
)
def test_changed_pixels_are_found(made, tmp_path, band, value, match):
    path = changed(copied(made, tmp_path), band, at(*SPOT, value))
    report = verify_map(path)
    assert report.contradiction is not None
    assert report.contradiction.exit_code == 3
    with pytest.raises(InputError, match=match):
        raise report.contradiction
    assert [check.name for check in report.checks] == ["file"]


def test_a_map_whose_pixels_agree_with_each_other_but_not_with_the_scene(made, tmp_path):
    """All bands moved together: only the network can tell."""
    path = copied(made, tmp_path)
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(np.roll(file.read(), 40, axis=2))
    assert verify_map(path).contradiction is None
    report = verify_map(path, given(made, windows=8))
    assert "gives other pixels for its scene" in str(report.contradiction)


def test_tags_that_name_what_is_not_there(made, tmp_path):
    path = copied(made, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"margin, familiarity, set", b"margin, certainties, set", 1))
    assert "names the band certainties" in str(verify_map(path).contradiction)


def test_a_missing_side_car(made, tmp_path):
    path = copied(made, tmp_path)
    (tmp_path / "map.tif.aux.xml").unlink()
    assert "is not beside it" in str(verify_map(path).contradiction)


def test_another_scene_and_another_model(made, bundle, tmp_path):
    write_scene(tmp_path / "other.tif", 620, 560, seed=5)
    report = verify_map(made / "map.tif", given(made, scene=[str(tmp_path / "other.tif")]))
    assert "whose content is not that of other.tif" in str(report.contradiction)
    wrong = verify_map(made / "map.tif", VerifyOptions(model="dw9-s2-10m"))
    assert "whose weights are not those of dw9-s2-10m" in str(wrong.contradiction)
    with pytest.raises(UsageError, match="which is not at hand"):
        verify_map(made / "map.tif", VerifyOptions(scene=[str(made / "scene.tif")]))


def test_the_areas_of_a_report(made, tmp_path):
    report_map(made / "map.tif", tmp_path / "report")
    found = verify_map(made / "map.tif", VerifyOptions(report=tmp_path / "report"))
    assert "states" in found.checks[-1].found
    table = json.loads((tmp_path / "report" / "report.json").read_text())
    row = next(entry for entry in table["classes"] if entry["pixels"])
    row["pixels"] -= 1
    (tmp_path / "report" / "report.json").write_text(json.dumps(table))
    assert f"pixels of {row['name']}" in str(
        verify_map(made / "map.tif", VerifyOptions(report=tmp_path / "report")).contradiction
    )


def test_a_sample_of_this_map_and_of_another(made, tmp_path):
    sample_map(made / "map.tif", tmp_path / "points.csv", SampleOptions(total=120, min_per_class=5))
    with rasterio.open(made / "map.tif") as file:
        label(tmp_path / "points.csv", file.read(1), load_bundle(made / "model").card.classes)
    report = verify_map(made / "map.tif", VerifyOptions(sample=tmp_path / "points.csv"))
    assert report.contradiction is None
    assert "overall accuracy 1.000" in report.checks[-1].found
    path = changed(copied(made, tmp_path), "class", lambda codes: codes)
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(np.roll(file.read(), 40, axis=2))
    other = verify_map(path, VerifyOptions(sample=tmp_path / "points.csv"))
    assert "was drawn from" in str(other.contradiction)


def test_on_the_command_line(made, tmp_path):
    good = command.lulc("verify", made / "map.tif")
    assert (good.returncode, "nothing contradicts it" in good.stdout) == (0, True)
    path = changed(copied(made, tmp_path), "margin", lambda steps: steps // 2)
    bad = command.lulc("verify", path)
    assert (bad.returncode, bad.stderr.count("\n")) == (3, 1)
    assert json.loads(command.lulc("verify", path, "--json").stdout)["contradiction"].startswith(str(path))
