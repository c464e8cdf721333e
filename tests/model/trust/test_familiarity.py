"""Familiarity: against scipy's Gaussians, at its quantiles, and its file against damage."""

import numpy as np
import pytest
import torch
from safetensors.torch import save
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from lulc.errors import ModelError
from lulc.io.product.bands import UNFAMILIAR
from lulc.model.bundle import load_bundle, write_bundle
from lulc.model.trust.familiarity import FAMILIARITY, Familiarity, quantiles
from lulc.training.familiarity import FamiliarityFit, with_levels

pytestmark = pytest.mark.torch


def logits_of(seed, count, spread=1.0):
    """Logits (count, 3) around three corners, one for each class."""
    random = np.random.default_rng(seed)
    corner = random.integers(3, size=count)
    centre = np.eye(3)[corner] * 6
    mixing = np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 0.7]])
    return torch.from_numpy((centre + spread * random.normal(size=(count, 3)) @ mixing).astype(np.float32))


@pytest.fixture(scope="module")
def fitted():
    fit = FamiliarityFit(classes=3)
    for seed in range(3):
        fit.feed(logits_of(seed, 4000))
    fit.hold_out(logits_of(9, 8000))
    return fit.result()


def of(familiarity, logits):
    return familiarity(logits.T[None, :, :, None])[0, 0, :, 0].numpy()


def test_log_density_is_that_of_scipy(fitted):
    train = torch.cat([logits_of(seed, 4000) for seed in range(3)]).numpy().astype(np.float64)
    given, points = train.argmax(axis=1), logits_of(5, 50).numpy().astype(np.float64)
    ridge = 1e-4 * train.var(axis=0).mean() * np.eye(3)
    parts = [
        np.log((given == code).mean())
        + multivariate_normal(train[given == code].mean(0), np.cov(train[given == code].T, bias=True) + ridge).logpdf(
            points
        )
        for code in range(3)
    ]
    expected = logsumexp(parts, axis=0) + 1.5 * np.log(2 * np.pi)  # the constant is left out
    np.testing.assert_allclose(fitted.log_density(torch.from_numpy(points).float()), expected, atol=1e-3)


def test_one_in_twenty_of_what_is_like_the_training_is_flagged(fitted):
    found = of(fitted, logits_of(77, 40_000))
    assert abs((found < UNFAMILIAR).mean() - UNFAMILIAR) < 0.006
    assert abs(np.median(found) - 0.5) < 0.02


def test_what_the_training_lacks_is_flagged(fitted):
    assert (of(fitted, torch.full((5, 3), 20.0)) == 0).all()
    assert (of(fitted, logits_of(3, 5000, spread=6.0)) < UNFAMILIAR).mean() > 0.5


def test_chips_weigh_as_they_are_told():
    """A place of many pixels does not outvote a small one."""
    fit = FamiliarityFit(classes=3)
    fit.feed(logits_of(1, 9000))
    fit.hold_out(torch.full((5000, 3), 9.0), weight=1 / 5000)
    fit.hold_out(logits_of(2, 100), weight=1 / 100)
    assert abs((of(fit.result(), logits_of(2, 100)) < 0.5).mean() - 0) < 0.1  # half the weight is the far place


def test_too_few_pixels_give_no_statistics():
    fit = FamiliarityFit(classes=3)
    fit.feed(logits_of(0, 30))
    fit.hold_out(logits_of(1, 30))
    assert fit.result() is None
    assert FamiliarityFit(classes=3).result() is None


def test_levels_of_several_folds(fitted):
    first, second = (np.arange(5.0), np.ones(5)), (np.arange(5.0, 9.0), np.ones(4))
    levels = with_levels(fitted, [first, second]).levels
    np.testing.assert_array_equal(levels, quantiles(np.arange(9.0), np.ones(9)))
    assert (levels.diff() >= 0).all()


def test_the_file_of_a_bundle(fitted, bundle, tmp_path):
    loaded = load_bundle(bundle)
    card = loaded.card.model_dump(exclude={"weights_sha256", "weights_bytes", "familiarity_sha256"})
    known = Familiarity(torch.zeros(1, 9), torch.eye(9)[None], torch.zeros(1), fitted.levels)
    write_bundle(tmp_path / "m", loaded.network, known, **card)
    np.testing.assert_array_equal(load_bundle(tmp_path / "m").statistics.levels, fitted.levels)
    (tmp_path / "m" / FAMILIARITY).write_bytes(fitted.to_bytes())
    with pytest.raises(ModelError, match=r"not the file that card\.json describes"):
        load_bundle(tmp_path / "m")
    (tmp_path / "m" / FAMILIARITY).unlink()
    with pytest.raises(ModelError, match="cannot read familiarity"):
        load_bundle(tmp_path / "m")
    write_bundle(tmp_path / "m", loaded.network, **card)
    assert load_bundle(tmp_path / "m").statistics is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        save({"mean": torch.zeros(1, 3)}),
        save(
            {
                "mean": torch.zeros(2, 3),
                "whitening": torch.zeros(2, 3, 3),
                "log_weight": torch.zeros(2),
                "levels": torch.zeros(9),
            }
        ),
        save(
            {
                "mean": torch.full((1, 3), torch.nan),
                "whitening": torch.zeros(1, 3, 3),
                "log_weight": torch.zeros(1),
                "levels": torch.zeros(251),
            }
        ),
        save(
            {
                "mean": torch.zeros(1, 4),
                "whitening": torch.zeros(1, 4, 4),
                "log_weight": torch.zeros(1),
                "levels": torch.zeros(251),
            }
        ),
    ],
    ids=["empty", "noise", "one tensor", "few levels", "NaN", "other classes"],
)
def test_damage_is_refused(content):
    with pytest.raises(ModelError, match="familiarity"):
        Familiarity.from_bytes(content, 3, "m")


def test_the_shipped_model_knows_its_training():
    bundle = load_bundle()
    familiarity = bundle.statistics
    assert familiarity.mean.shape[1] == len(bundle.card.classes)
    assert bundle.card.metrics["familiarity"]["flagged by familiarity alone"]["clear"] < 0.05
    assert of(familiarity, familiarity.mean).min() > UNFAMILIAR  # the middle of each class is known


def test_who_does_not_ask_gets_the_classes_alone():
    """Robustness, explanations and the like take all planes for classes."""
    bundle = load_bundle()
    assert bundle.planes == 9
    assert bundle.with_familiarity().planes == 10
    assert bundle.with_familiarity().with_clouds().planes == 13
