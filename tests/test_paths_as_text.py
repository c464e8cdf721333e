"""Every public function takes paths as text: one or several, there or not."""

import inspect
import os

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

import lulc
from lulc.config import parse_config
from lulc.errors import LulcError
from lulc.io.files.http import web_address
from lulc.io.files.paths import as_path, as_paths
from lulc.patches.learn.settings import PatchSettings
from lulc.tasks.dataset.options import PrepareOptions
from lulc.tasks.fetch.options import FetchOptions
from lulc.training.settings import TrainSettings
from tests.support.evaluation_samples import FINE, product, shares
from tests.support.training_sets import make_set

pytestmark = [pytest.mark.torch, pytest.mark.whole]

BANDS = ("B02", "B03", "B04", "B08")
FETCH = FetchOptions(area="1,2,3,4", dates="2020-01-01/2020-01-02")
PREPARE = PrepareOptions(legend="worldcover", chip=32, block=320, gap=0, min_labelled=0)


def patch_settings():
    return parse_config(PatchSettings, {"name": "none", "data": "none", "network": {"name": "cnn6"}}, "test")


def train_settings():
    return parse_config(TrainSettings, {"name": "none", "data": "none"}, "test")


MISSING = {
    "classify": lambda: lulc.classify("none.tif", "out.tif", quicklook="out.png"),
    "classify_files": lambda: list(
        lulc.classify_files("none.png", lulc.Classifier(lulc.load_patch_model("eurosat-rgb")))
    ),
    "classify_grid": lambda: lulc.classify_grid("none.tif", "out.tif"),
    "estimate_areas": lambda: lulc.estimate_areas("none.tif", "none.csv"),
    "evaluate_map": lambda: lulc.evaluate_map("none.tif", "none.tif"),
    "evaluate_model": lambda: lulc.evaluate_model("dw9-s2-10m", "none"),
    "evaluate_patches": lambda: lulc.evaluate_patches("eurosat-rgb", "none"),
    "explain_patch": lambda: lulc.explain_patch("none.png", "out"),
    "explain_scene": lambda: lulc.explain_scene("none.tif", "out"),
    "fetch": lambda: lulc.fetch("none.json", "out", FETCH),
    "load_bundle": lambda: lulc.load_bundle("none"),
    "load_legend": lambda: lulc.load_legend("none.toml"),
    "load_patch_model": lambda: lulc.load_patch_model("none"),
    "map_change": lambda: lulc.map_change("none.tif", "never.tif", "out.tif", reference="none.csv", folder="out"),
    "map_polygons": lambda: lulc.map_polygons("none.tif", "out.gpkg"),
    "measure_robustness": lambda: lulc.measure_robustness("dw9-s2-10m", "none.tif"),
    "open_scene": lambda: lulc.open_scene("none.tif"),
    "open_training_set": lambda: lulc.open_training_set("none"),
    "prepare": lambda: lulc.prepare("none.tif", "none.tif", "out", PREPARE),
    "read_image": lambda: lulc.read_image("none.png"),
    "sample_map": lambda: lulc.sample_map("none.tif", "out.csv"),
    "stack": lambda: lulc.stack("none.tif", "out.tif"),
    "train": lambda: lulc.train(train_settings(), "out", tensorboard="events"),
    "train_patches": lambda: lulc.train_patches(patch_settings(), "out", tensorboard="events"),
}


def test_every_public_function_is_tried():
    assert {name for name in lulc.__all__ if inspect.isfunction(getattr(lulc, name))} == MISSING.keys()


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there_is_refused_and_nothing_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LulcError):
        MISSING[name]()
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 300_000, 0, -10, 4_900_020)}
    rows, columns = np.mgrid[:96, :128]
    with rasterio.open(folder / "scene.tif", "w", height=96, width=128, count=4, dtype="uint16", **place) as scene:
        scene.write(np.stack([500 + rows, 600 + columns, 700 + rows, 2000 + columns]).astype(np.uint16))
        scene.descriptions = BANDS
    with rasterio.open(folder / "labels.tif", "w", height=96, width=128, count=1, dtype="uint8", **place) as labels:
        labels.write(np.where(rows // 16 % 2, 10, 40).astype(np.uint8), 1)
    product(folder / "map.tif", shares())
    product(folder / "later.tif", shares(seed=1))
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "patch.png")
    make_set(folder / "set", sides=(32, 32), val=1)
    return folder


def test_a_scene_in_one_text_or_several(folder, bundle, tmp_path):
    scene = str(folder / "scene.tif")
    chosen = lulc.ClassifyOptions(model=str(bundle))
    lulc.classify(scene, str(tmp_path / "one.tif"), chosen, quicklook=str(tmp_path / "one.png"))
    lulc.classify([scene], str(tmp_path / "several.tif"), chosen)
    assert (tmp_path / "one.png").exists()
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "several.tif").read_bytes()
    lulc.stack(scene, str(tmp_path / "stack.tif"))
    with lulc.open_scene(str(tmp_path / "stack.tif")) as stacked:
        assert stacked.names == BANDS


def test_maps_and_points(folder, tmp_path):
    first, second = str(folder / "map.tif"), str(folder / "later.tif")
    assert lulc.evaluate_map(first, second).legend.names == FINE.names
    lulc.sample_map(first, str(tmp_path / "points.csv"))
    assert (tmp_path / "points.csv").exists()
    lulc.map_polygons(first, str(tmp_path / "polygons.gpkg"))
    assert (tmp_path / "polygons.gpkg").exists()
    lulc.map_change(first, second, str(tmp_path / "change.tif"), folder=str(tmp_path / "report"), named=("a", "b"))
    assert (tmp_path / "report" / "report.md").exists()


def test_sets_and_patches(folder, tmp_path):
    report = lulc.prepare(str(folder / "scene.tif"), str(folder / "labels.tif"), str(tmp_path / "set"), PREPARE)
    assert sum(report.chips.values()) == 12
    assert len(lulc.open_training_set(str(tmp_path / "set")).chips) == 12
    assert lulc.read_image(str(folder / "patch.png")).values.shape == (3, 64, 64)
    classifier = lulc.Classifier(lulc.load_patch_model("eurosat-rgb"))
    (answer,) = lulc.classify_files(str(folder / "patch.png"), classifier)
    assert answer.name == str(folder / "patch.png")


class Own(os.PathLike):
    def __fspath__(self):
        return "folder/own.tif"


def test_one_mechanism():
    assert as_path("a.tif").name == "a.tif"
    assert as_paths("a.tif") == (as_path("a.tif"),)
    assert as_paths(("a.tif", as_path("b.tif"))) == (as_path("a.tif"), as_path("b.tif"))
    assert as_paths(Own()) == (as_path("folder/own.tif"),)
    assert as_paths([]) == ()
    address = "https://example.org//a?b=//c"
    assert web_address(as_path(address)) == web_address(as_path(as_path(address))) == address
    for wrong in (3, None):
        with pytest.raises(TypeError):
            as_path(wrong)
