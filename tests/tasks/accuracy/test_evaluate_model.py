"""A model tried on a split: the report equals what its predictions say."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from lulc.errors import ConfigError, InputError
from lulc.features import FeatureSpec
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, open_training_set, write_pair, write_set_lists
from lulc.legend import load_legend
from lulc.model.bundle import load_bundle
from lulc.tasks.accuracy.evaluate_model import evaluate_model
from lulc.tasks.accuracy.options import TrialOptions
from lulc.tasks.describe.info import describe
from lulc.training.validation import predictions

BANDS = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """Six chips of noise in the legend of the test model, two sizes, a corner without data."""
    folder = tmp_path_factory.mktemp("sets") / "noise"
    folder.mkdir()
    rng, legend = np.random.default_rng(0), load_legend("dynamic-world")
    spec = FeatureSpec(bands=BANDS, mean=(0.1,) * 4, std=(0.1,) * 4)
    card = SetCard(name="noise", features=spec, planes=BANDS, legend=legend.to_table(), files="npy")
    listed = []
    for number in range(6):
        side = 48 if number % 2 else 64
        image = rng.uniform(0.0, 0.4, (4, side, side)).astype(np.float32)
        label = np.kron(rng.integers(1, 10, (side // 16, side // 16)), np.ones((16, 16))).astype(np.uint8)[None]
        image[:, :4, :4], label[:, :4, :4] = np.nan, 255
        write_pair(folder, card, f"c{number}", image, label)
        split = "test" if number < 4 else "train"
        listed.append(Chip(f"c{number}", split, "n", 0, 0, side, side, number, "", 1.0, label_pixels(label, 9)))
    write_set_lists(folder, card, listed)
    return folder


def test_the_report_is_what_the_predictions_say(bundle, chips):
    report = evaluate_model(bundle, chips, TrialOptions(split="test"))
    found = list(predictions(load_bundle(bundle), open_training_set(chips), "test", "cpu"))
    assert sum(len(batch.chips) for batch in found) == 4
    truth = np.concatenate([batch.codes.ravel() for batch in found])
    said = np.concatenate([batch.probabilities.argmax(1).ravel() + 1 for batch in found])
    known = truth != 255
    assert report.matrix.total == known.sum() == 2 * (64**2 + 48**2) - 4 * 16
    assert report.matrix.overall == pytest.approx(accuracy_score(truth[known], said[known]))
    expected = f1_score(truth[known], said[known], labels=range(1, 10), average=None, zero_division=np.nan)
    np.testing.assert_allclose(report.matrix.f1, expected)
    assert report.intervals.blocks == 4
    assert report.calibration.pixels == known.sum()


def test_probabilities_sum_to_one_and_temperature_sharpens(bundle, chips):
    loaded = load_bundle(bundle)
    sharp = loaded.card.model_copy(update={"temperature": 0.5})
    (batch, *_) = predictions(type(loaded)(sharp, loaded.network), open_training_set(chips), "test", "cpu")
    torch.testing.assert_close(torch.from_numpy(batch.probabilities).sum(1), torch.ones(*batch.codes.shape))
    assert batch.probabilities.max(1).mean() > batch.uncalibrated.max(1).mean()
    assert (batch.probabilities.argmax(1) == batch.uncalibrated.argmax(1)).all()


def test_what_does_not_fit_is_refused(bundle, chips):
    with pytest.raises(InputError, match="'val'"):
        evaluate_model(bundle, chips, TrialOptions(split="val"))
    with pytest.raises(InputError, match="lacks B05"):
        evaluate_model("dw9-s2-10m", chips, TrialOptions(split="test"))
    with pytest.raises(ConfigError, match="crosswalk"):
        evaluate_model(bundle, chips, TrialOptions(split="test", to="corine-3"))


def test_a_split_that_the_model_may_know_and_soft_labels_are_said(bundle, chips, tmp_path):
    assert "has seen this split" in evaluate_model(bundle, chips, TrialOptions(split="train")).notes[0]
    data = open_training_set(chips)
    soft = data.card.model_copy(update={"labels": "shares"})
    for chip in data.split("test"):
        codes = data.label(chip)[0]
        shares = np.stack([np.where(codes == code, 210, 5) for code in range(1, 10)]).astype(np.uint8)
        shares[:, codes == 255] = 255
        write_pair(tmp_path, soft, chip.name, data.image(chip), shares)
    write_set_lists(tmp_path, soft, data.split("test"))
    hard, said = (evaluate_model(bundle, path, TrialOptions(split="test")) for path in (chips, tmp_path))
    np.testing.assert_array_equal(said.matrix.counts, hard.matrix.counts)
    assert said.notes[-1].startswith("the labels are shares of Dynamic World")


def test_a_split_without_a_class_in_both_is_refused(bundle, chips, tmp_path):
    data = open_training_set(chips)
    (chip,) = data.split("test")[:1]
    write_pair(tmp_path, data.card, chip.name, data.image(chip), np.full((1, chip.height, chip.width), 255, np.uint8))
    write_set_lists(tmp_path, data.card, [chip])
    with pytest.raises(InputError, match="no pixel of the split 'test' has a class in both"):
        evaluate_model(bundle, tmp_path, TrialOptions(split="test"))


def test_info_describes_a_set(chips):
    told = describe([chips])
    assert told.kind == "training set"
    assert told.facts["test_chips"] == 4
    assert sum(row["test_px"] for row in told.table) == 2 * (64**2 + 48**2) - 4 * 16
    assert "there are no val chips" in told.problems
    (chips / "images" / "c0.npy").rename(chips / "images" / "gone.npy")
    assert any("images/c0.npy" in problem for problem in describe([chips]).problems)
    (chips / "images" / "gone.npy").rename(chips / "images" / "c0.npy")
