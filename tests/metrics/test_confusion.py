import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from lulc.metrics.confusion import ConfusionMatrix, count_pairs_by_block, defined_mean

NAMES = ("water", "trees", "grass", "built")


def matrix_of(rows, names=NAMES):
    return ConfusionMatrix(np.array(rows, np.int64), names[: len(rows)])


def codes_pair(seed=0, n=5000, classes=4, unlabelled=0.1):
    rng = np.random.default_rng(seed)
    reference = rng.integers(1, classes + 1, n).astype(np.uint8)
    mapped = np.where(rng.random(n) < 0.6, reference, rng.integers(1, classes + 1, n)).astype(np.uint8)
    mapped[rng.random(n) < unlabelled] = 255
    reference[rng.random(n) < unlabelled] = 255
    return mapped, reference


class TestCounting:
    def test_rows_are_the_map(self):
        matrix = ConfusionMatrix.from_codes(np.uint8([1, 1, 2]), np.uint8([1, 2, 2]), ("a", "b"))
        assert matrix.counts.tolist() == [[1, 1], [0, 1]]

    def test_unlabelled_in_either_is_not_counted(self):
        matrix = ConfusionMatrix.from_codes(np.uint8([1, 255, 2, 255]), np.uint8([255, 1, 2, 255]), ("a", "b"))
        assert matrix.counts.tolist() == [[0, 0], [0, 1]]

    @pytest.mark.parametrize("bad", [0, 3, 254])
    @pytest.mark.parametrize("side", [0, 1])
    def test_a_code_that_is_no_class(self, bad, side):
        pair = [np.uint8([1, 2]), np.uint8([1, 2])]
        pair[side] = np.uint8([1, bad])
        with pytest.raises(ValueError, match=f"{bad}"):
            ConfusionMatrix.from_codes(*pair, ("a", "b"))

    def test_shapes_must_agree(self):
        with pytest.raises(ValueError, match="differ in shape"):
            ConfusionMatrix.from_codes(np.uint8([1]), np.uint8([[1]]), ("a",))

    def test_nothing_to_count(self):
        nothing = np.zeros((0, 3), np.uint8)
        assert ConfusionMatrix.from_codes(nothing, nothing, NAMES).total == 0

    @pytest.mark.parametrize("counts", [[[1, 2]], [[1.5, 0], [0, 1]], [[-1, 0], [0, 1]], [[1]]])
    def test_counts_that_are_none(self, counts):
        with pytest.raises(ValueError, match="counts"):
            ConfusionMatrix(np.array(counts), ("a", "b"))

    def test_sum(self):
        mapped, reference = codes_pair()
        whole = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        parts = [ConfusionMatrix.from_codes(mapped[i::3], reference[i::3], NAMES) for i in range(3)]
        assert sum(parts, ConfusionMatrix.empty(NAMES)) == whole
        assert whole != parts[0]

    def test_other_classes_cannot_be_added(self):
        with pytest.raises(ValueError, match="cannot be added"):
            ConfusionMatrix.empty(("a",)) + ConfusionMatrix.empty(("b",))

    def test_blocks(self):
        mapped, reference = (codes.reshape(50, 100) for codes in codes_pair())
        block_of = (np.arange(100) // 32)[None]
        blocks = count_pairs_by_block(mapped, reference, 4, block_of, 4)
        for number in range(4):
            columns = slice(32 * number, 32 * (number + 1))
            alone = ConfusionMatrix.from_codes(mapped[:, columns], reference[:, columns], NAMES)
            assert (blocks[number] == alone.counts).all()


class TestAgainstScikitLearn:
    """The same pixels through scikit-learn (rows and columns are the other way round there)."""

    @pytest.fixture(params=[0, 1, 2])
    def pixels(self, request):
        mapped, reference = codes_pair(request.param)
        if request.param == 1:
            mapped[mapped == 3] = 1  # a class that the map lacks
        if request.param == 2:
            reference[reference == 2] = 255  # one that the reference lacks
        counted = (mapped != 255) & (reference != 255)
        return mapped[counted], reference[counted]

    def test_counts(self, pixels):
        mapped, reference = pixels
        ours = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        theirs = sk.confusion_matrix(reference, mapped, labels=[1, 2, 3, 4]).T
        assert (ours.counts == theirs).all()
        assert ours.overall == pytest.approx(sk.accuracy_score(reference, mapped), abs=1e-15)

    def test_scores_of_classes(self, pixels):
        mapped, reference = pixels
        ours = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            reference, mapped, labels=[1, 2, 3, 4], zero_division=np.nan
        )
        np.testing.assert_allclose(ours.users, precision, atol=1e-15)
        np.testing.assert_allclose(ours.producers, recall, atol=1e-15)
        np.testing.assert_allclose(ours.f1, f1, atol=1e-15)
        assert (ours.reference_totals == support).all()
        jaccard = sk.jaccard_score(reference, mapped, labels=[1, 2, 3, 4], average=None)
        np.testing.assert_allclose(ours.iou, jaccard, atol=1e-15)

    @pytest.mark.parametrize("score", ["users", "producers", "f1"])
    def test_macro(self, pixels, score):
        mapped, reference = pixels
        ours = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        theirs = sk.precision_recall_fscore_support(
            reference, mapped, labels=[1, 2, 3, 4], average="macro", zero_division=np.nan
        )
        place = ["users", "producers", "f1"].index(score)
        assert defined_mean(getattr(ours, score)) == pytest.approx(theirs[place], abs=1e-15)

    def test_micro(self, pixels):
        mapped, reference = pixels
        ours = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        assert ours.micro_iou == pytest.approx(sk.jaccard_score(reference, mapped, average="micro"), abs=1e-15)
        assert ours.overall == pytest.approx(sk.f1_score(reference, mapped, average="micro"), abs=1e-15)

    def test_positives_and_negatives(self, pixels):
        mapped, reference = pixels
        ours = ConfusionMatrix.from_codes(mapped, reference, NAMES)
        theirs = sk.multilabel_confusion_matrix(reference, mapped, labels=[1, 2, 3, 4])
        assert (ours.true_negatives == theirs[:, 0, 0]).all()
        assert (ours.false_positives == theirs[:, 0, 1]).all()
        assert (ours.false_negatives == theirs[:, 1, 0]).all()
        assert (ours.true_positives == theirs[:, 1, 1]).all()


class TestUndefined:
    def test_a_class_that_the_map_lacks(self):
        matrix = matrix_of([[5, 1, 0], [0, 0, 0], [0, 2, 4]])
        assert np.isnan(matrix.users[1])
        assert matrix.producers[1] == 0
        assert matrix.f1[1] == 0
        assert matrix.iou[1] == 0

    def test_a_class_in_neither_is_in_no_mean(self):
        matrix = matrix_of([[5, 0, 1], [0, 0, 0], [1, 0, 3]])
        for scores in (matrix.users, matrix.producers, matrix.f1, matrix.iou):
            assert np.isnan(scores[1])
            assert defined_mean(scores) == pytest.approx((scores[0] + scores[2]) / 2)

    def test_no_pixels_at_all(self):
        matrix = ConfusionMatrix.empty(NAMES)
        assert np.isnan(matrix.overall)
        assert np.isnan(matrix.micro_iou)
        assert np.isnan(matrix.disagreement.quantity)
        assert np.isnan(defined_mean(matrix.f1))


class TestDisagreement:
    def test_quantity_alone(self):
        found = matrix_of([[6, 0], [2, 2]]).disagreement
        assert (found.quantity, found.allocation) == (pytest.approx(0.2), pytest.approx(0))

    def test_allocation_alone(self):
        found = matrix_of([[4, 1], [1, 4]]).disagreement
        assert (found.quantity, found.allocation, found.exchange) == (0, pytest.approx(0.2), pytest.approx(0.2))

    def test_places_passed_round_are_shift(self):
        found = matrix_of([[2, 1, 0], [0, 2, 1], [1, 0, 2]]).disagreement
        assert found.quantity == 0
        assert found.exchange == 0
        assert found.shift == pytest.approx(found.allocation)
        assert found.allocation == pytest.approx(1 / 3)

    @settings(deadline=None)
    @given(hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 1000)).filter(np.any))
    def test_the_parts_make_the_whole(self, counts):
        matrix = ConfusionMatrix(counts, NAMES)
        found = matrix.disagreement
        assert found.quantity + found.allocation == pytest.approx(1 - matrix.overall, abs=1e-12)
        assert found.exchange + found.shift == pytest.approx(found.allocation, abs=1e-12)
        assert min(found.quantity, found.allocation, found.exchange, found.shift) >= -1e-12


class TestProportions:
    OLOFSSON = ([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], [0.02, 0.015, 0.32, 0.645])
    """Olofsson et al. 2014, tables 8 and 9."""

    def test_printed_example(self):
        counts, shares = self.OLOFSSON
        found = matrix_of(counts).proportions(np.array(shares))
        printed = [
            [0.0176, 0, 0.0013, 0.0011],
            [0, 0.0110, 0.0016, 0.0024],
            [0.0019, 0, 0.2967, 0.0213],
            [0.0040, 0.0020, 0.0179, 0.6212],
        ]
        np.testing.assert_allclose(found, printed, atol=5.1e-5)
        assert np.trace(found) == pytest.approx(0.947, abs=5e-4)

    def test_rows_sum_to_the_mapped_shares(self):
        counts, shares = self.OLOFSSON
        np.testing.assert_allclose(matrix_of(counts).proportions(np.array(shares)).sum(axis=1), shares)

    def test_a_class_without_counts_is_unknown_unless_it_has_no_area(self):
        matrix = matrix_of([[5, 1], [0, 0]])
        assert np.isnan(matrix.proportions(np.array([0.7, 0.3]))[1]).all()
        assert (matrix.proportions(np.array([1.0, 0.0]))[1] == 0).all()

    @pytest.mark.parametrize("shares", [[0.5, 0.4], [1.0], [1.5, -0.5], [np.nan, 1]])
    def test_shares_that_are_none(self, shares):
        with pytest.raises(ValueError, match="shares that sum to 1"):
            matrix_of([[5, 1], [0, 3]]).proportions(np.array(shares))
