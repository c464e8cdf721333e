"""The distribution that a training leaves in the card."""

import numpy as np
import pytest
from PIL import Image

from lulc.patches.card import load_patch_model
from lulc.patches.dataset import open_patch_set
from lulc.patches.distribution import patch_statistics
from lulc.patches.learn.distribution import learnt_distribution, statistics_of
from lulc.patches.learn.samples import PatchReader
from lulc.patches.learn.split import model_split
from tests.support.patch_samples import SIDE, write_tree

COLORS = ("B04", "B03", "B02")

pytestmark = pytest.mark.torch


def reader_of(data):
    return PatchReader(data, COLORS, SIDE, 100, pictures=True)


def test_a_run_leaves_that_of_its_own_training_patches(trained, tree):
    data, split, kept = open_patch_set(tree), model_split(trained[0]), load_patch_model(trained[0]).card.distribution
    reader = reader_of(data)
    assert kept == learnt_distribution(reader, split.of(data, "train"), split.of(data, "val"))
    assert kept.held_out == 12
    values = reader.read(split.of(data, "train")).values
    np.testing.assert_allclose(kept.mean, patch_statistics(values).mean(axis=0), rtol=1e-6)
    assert kept.scores(statistics_of(reader, split.of(data, "val"))).max() == pytest.approx(1)


def test_patches_that_get_no_class_take_no_part(tmp_path):
    data = open_patch_set(write_tree(tmp_path / "tree", count=3))
    whole = statistics_of(reader_of(data), data.patches)
    clear = np.zeros((SIDE, SIDE, 4), np.uint8)
    clear[:10, :, 3] = 255
    Image.fromarray(clear).save(tmp_path / "tree" / "Lake" / "clear.png")
    data = open_patch_set(tmp_path / "tree")
    blank = [patch for patch in data.patches if patch.name == "Lake/clear.png"]
    np.testing.assert_array_equal(statistics_of(reader_of(data), data.patches), whole)
    assert learnt_distribution(reader_of(data), data.patches, blank) is None
