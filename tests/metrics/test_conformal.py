"""Prediction sets: thresholds as mapie finds them, and coverage of pixels that were not fitted."""

import numpy as np
import pytest

from lulc.metrics.conformal import ALWAYS, in_sets, set_thresholds

STEPS = 250


def pixels(seed, count, classes=4):
    """Activations uint8 (count, classes) that sum to 250, and labels drawn by them, so that they are calibrated."""
    random = np.random.default_rng(seed)
    likely = random.dirichlet(np.full(classes, 0.5), count)
    codes = (likely.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    steps = np.floor(likely * STEPS).astype(np.uint8)
    steps[np.arange(count), likely.argmax(axis=1)] += (STEPS - steps.sum(axis=1, dtype=int)).astype(np.uint8)
    return steps, codes


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_each_class_is_covered(coverage):
    thresholds = set_thresholds(*pixels(0, 20_000), coverage)
    steps, codes = pixels(1, 20_000)
    inside = in_sets(steps, thresholds)[np.arange(len(codes)), codes]
    for code in range(4):
        assert inside[codes == code].mean() > coverage - 0.015


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_thresholds_are_those_of_mapie(coverage):
    """Class by class: mapie's LAC sets of the pixels of one class hold that class from the same activation on."""
    mapie = pytest.importorskip("mapie.classification")
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """A fitted classifier that answers with its input."""

        def fit(self, x, y):
            self.classes_ = np.arange(x.shape[1])
            return self

        def predict_proba(self, x):
            return x

        def predict(self, x):
            return x.argmax(axis=1)

    steps, codes = pixels(3, 3000)
    likely = steps / STEPS
    thresholds = set_thresholds(steps, codes, coverage)
    for code in range(4):
        model = Given().fit(likely, codes)
        sets = mapie.SplitConformalClassifier(model, confidence_level=coverage, conformity_score="lac", prefit=True)
        sets.conformalize(likely[codes == code], codes[codes == code])
        _, found = sets.predict_set(likely)
        held = found[:, code, 0]
        assert steps[held, code].min() == thresholds[code]
        assert (steps[~held, code] < thresholds[code]).all()


def test_a_class_of_few_pixels_is_in_every_set():
    steps, codes = pixels(0, 2000)
    kept = (codes != 2) | (np.cumsum(codes == 2) <= 8)  # 8 pixels cannot bound one in ten
    assert set_thresholds(steps[kept], codes[kept], 0.9)[2] == ALWAYS
    assert in_sets(steps, set_thresholds(steps[kept], codes[kept], 0.9))[:, 2].all()
    nine = (codes != 2) | (np.cumsum(codes == 2) <= 9)
    assert set_thresholds(steps[nine], codes[nine], 0.9)[2] == steps[nine][codes[nine] == 2, 2].min()


def test_a_set_is_never_empty():
    steps = np.array([[100, 100, 50]], np.uint8)
    assert in_sets(steps, np.full(3, 250, np.uint8)).tolist() == [[True, True, False]]
