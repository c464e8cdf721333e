"""The shipped patch model on real patches that it has never seen, and from a fresh install's point of view."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lulc.cli.main import cli
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import open_patch_set
from lulc.patches.learn.split import model_split
from lulc.resources import SHIPPED_PATCH_MODEL, pretrained_dir


def test_it_is_small_and_says_what_it_cannot_do():
    folder = pretrained_dir() / SHIPPED_PATCH_MODEL
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    card = load_patch_model().card
    assert card.bad_at
    assert card.good_at
    assert card.licence
    assert card.metrics["test"]["accuracy"] >= 0.986
    assert set(model_split(SHIPPED_PATCH_MODEL).names.values()) == {"test"}


def test_held_back_patches(data):
    patches = open_patch_set(data / "eurosat_rgb.zip")
    held = model_split(SHIPPED_PATCH_MODEL).of(patches, "test")
    assert len(held) == 4320
    some = held[::18]
    found = Classifier(load_patch_model(), "cpu").classify(some, patches.read)
    right, scores = zip(
        *((int(np.argmax(one.probabilities)) + 1 == one.item.code, one.ood_score) for one in found), strict=True
    )
    assert np.mean(right) >= 0.96
    assert np.mean(np.array(scores) > 1) <= 0.03  # 1 in 100 by design


def test_a_scene_is_shown_as_its_pictures_are(data):
    """EuroSAT has the same ground as stretched JPEG and as reflectance."""
    pictures = open_patch_set(data / "eurosat_rgb.zip")
    bands = open_patch_set(data / "eurosat_ms.zip", ["eurosat-ms"])
    names = {patch.name: patch for patch in pictures.patches}
    pairs = [(patch, names.get(patch.name.replace(".tif", ".jpg"))) for patch in bands.patches][::4]
    classifier = Classifier(load_patch_model(), "cpu")
    tif = classifier.probabilities(classifier.inputs([bands.read(one) for one, _ in pairs]))
    jpg = classifier.probabilities(classifier.inputs([pictures.read(other) for _, other in pairs]))
    assert np.mean(tif.argmax(axis=1) == jpg.argmax(axis=1)) >= 0.96
    assert np.abs(tif - jpg).mean() < 0.02


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_photo(tmp_path, arguments):
    Image.fromarray(np.full((64, 64, 3), (30, 60, 90), np.uint8)).save(tmp_path / "photo.jpg")
    found = CliRunner().invoke(cli, ["patches", "predict", str(tmp_path / "photo.jpg"), *arguments])
    assert found.exit_code == 0, found.output
    if arguments:
        assert json.loads(found.output)["class"] == "SeaLake"
