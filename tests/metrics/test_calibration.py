import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from lulc.metrics.calibration import BINS, Reliability


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=0))
    return shares / shares.sum(axis=0)


def drawn(n=60_000, classes=4, seed=0, sharpen=1.0):
    """Probabilities and classes drawn from them; `sharpen` makes the stated ones surer than the true ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (classes, n))
    truth = (softmax(logits).cumsum(axis=0) < rng.random(n)).sum(axis=0)
    return softmax(sharpen * logits).astype(np.float32), (np.minimum(truth, classes - 1) + 1).astype(np.uint8)


def fed(probabilities, codes, **options):
    collector = Reliability(len(probabilities), **options)
    collector.feed(probabilities, codes)
    return collector.result()


def exact_ece(confidence, hits):
    """Equal-mass ECE by sorting."""
    order = np.argsort(confidence, kind="stable")
    parts = zip(np.array_split(confidence[order], BINS), np.array_split(hits[order], BINS), strict=True)
    return sum(len(p) * abs(p.mean() - h.mean()) for p, h in parts) / len(confidence)


class TestScores:
    @pytest.mark.parametrize("sharpen", [1.0, 2.5, 0.4])
    def test_ece_is_that_of_sorted_pixels(self, sharpen):
        probabilities, codes = drawn(sharpen=sharpen)
        hits = probabilities.argmax(axis=0) == codes - 1
        assert fed(probabilities, codes).ece == pytest.approx(exact_ece(probabilities.max(axis=0), hits), abs=5e-4)

    def test_honest_probabilities_have_hardly_any_error(self):
        found = fed(*drawn())
        assert found.ece < 0.01
        assert found.classwise_ece < 0.01
        assert found.confidence == pytest.approx(found.overall, abs=0.01)

    @pytest.mark.parametrize(("sharpen", "surer"), [(2.5, True), (0.4, False)])
    def test_dishonest_ones_have_one(self, sharpen, surer):
        found = fed(*drawn(sharpen=sharpen))
        assert found.ece > 0.1
        assert (found.confidence > found.overall) is surer

    def test_classwise(self):
        probabilities, codes = drawn(sharpen=2.0)
        expected = [exact_ece(share, codes == code) for code, share in enumerate(probabilities, 1)]
        found = fed(probabilities, codes)
        np.testing.assert_allclose(found.class_ece, expected, atol=1e-3)
        assert found.classwise_ece == pytest.approx(np.mean(expected), abs=1e-3)

    def test_brier_and_likelihood_are_those_of_scikit_learn(self):
        probabilities, codes = drawn(5000)
        found = fed(probabilities, codes)
        shares = probabilities.T.astype(float)
        shares /= shares.sum(axis=1, keepdims=True)
        assert found.nll == pytest.approx(log_loss(codes, shares), rel=1e-6)
        assert found.brier == pytest.approx(brier_score_loss(codes, shares, labels=[1, 2, 3, 4], scale_by_half=False))

    def test_floor(self):
        found = fed(np.float32([[0, 1], [1, 0]]), np.uint8([1, 1]), floor=0.002)
        assert found.nll == pytest.approx(-np.log(0.002) / 2)
        assert found.brier == pytest.approx(1.0)

    def test_a_class_that_the_reference_lacks(self):
        probabilities, codes = drawn()
        codes[codes == 2] = 255
        found = fed(probabilities, codes)
        assert np.isnan(found.class_ece[1])
        assert found.classwise_ece == pytest.approx(np.nanmean(found.class_ece))


class TestStream:
    def test_pieces_make_the_whole(self):
        probabilities, codes = drawn()
        whole, parts = fed(probabilities, codes), Reliability(4)
        for start in range(0, codes.size, 777):
            parts.feed(probabilities[:, start : start + 777], codes[start : start + 777])
        found = parts.result()
        for name in ("pixels", "ece", "classwise_ece", "brier", "nll"):
            assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-9)

    def test_any_shape(self):
        probabilities, codes = drawn(6000)
        assert fed(probabilities.reshape(4, 60, 100), codes.reshape(60, 100)).ece == fed(probabilities, codes).ece

    def test_more_than_one_piece_at_a_time(self):
        probabilities, codes = drawn(300_000)
        assert fed(probabilities, codes).pixels == 300_000

    def test_unlabelled_and_no_data_are_left_out(self):
        probabilities, codes = drawn(1000)
        probabilities[:, :100] = np.nan
        codes[50:200] = 255
        assert fed(probabilities, codes).pixels == 800

    def test_nothing(self):
        assert Reliability(3).result() is None
        assert fed(np.full((2, 4), np.nan, np.float32), np.uint8([1, 2, 1, 2])) is None

    def test_ties_are_settled_by_who_knows(self):
        shares, codes, chosen = np.full((2, 4), 0.5, np.float32), np.uint8([2] * 4), np.uint8([2] * 4)
        collector = Reliability(2)
        collector.feed(shares, codes, chosen)
        assert collector.result().overall == 1
        assert fed(shares, codes).overall == 0

    def test_shapes_must_fit(self):
        with pytest.raises(ValueError, match="do not fit"):
            Reliability(3).feed(np.zeros((2, 4), np.float32), np.ones(4, np.uint8))

    @pytest.mark.parametrize("bad", [0, 4])
    def test_a_code_that_is_no_class(self, bad):
        with pytest.raises(ValueError, match="codes run"):
            Reliability(3).feed(np.full((3, 1), 1 / 3, np.float32), np.uint8([bad]))


class TestCurve:
    def test_bins_hold_about_the_same(self):
        found = fed(*drawn(150_000))
        assert len(found.bin_pixels) == BINS
        assert found.bin_pixels.sum() == found.pixels == 150_000
        assert found.bin_pixels.max() < 1.2 * found.bin_pixels.min()
        assert (np.diff(found.bin_confidence) > 0).all()

    def test_pixels_of_one_probability_cannot_be_parted(self):
        """Stored activations saturate: most pixels say exactly 1."""
        shares = np.zeros((2, 1000), np.float32)
        shares[0], shares[0, :100] = 1, np.linspace(0.5, 0.99, 100)
        shares[1] = 1 - shares[0]
        found = fed(shares, np.ones(1000, np.uint8))
        assert len(found.bin_pixels) <= 3
        assert found.bin_confidence[-1] == 1
        assert found.bin_pixels[-1] >= 900
