"""The minimum mapping unit, and the legend of transitions."""

import numpy as np
import pytest
from scipy import ndimage

from lulc.errors import UsageError
from lulc.io.product.areas import PixelAreas
from lulc.legend import LandClass, Legend, load_legend
from lulc.tasks.change.legend import classes_of, transition_code, transition_legend
from lulc.tasks.change.mmu import halo_px, large_patches


def rows_of(height, hectares=0.01):
    return np.full(height, hectares)


def areas_of(row_ha, width):
    return PixelAreas(row_ha, np.ones(width))


def by_flooding(changed, row_ha, minimum):
    """The same, pixel by pixel."""
    left, kept = {tuple(place) for place in np.argwhere(changed)}, np.zeros_like(changed)
    while left:
        patch, front = set(), [left.pop()]
        while front:
            row, col = front.pop()
            patch.add((row, col))
            near = {(row + down, col + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            front += near
        if sum(row_ha[row] for row, _ in patch) >= minimum - 1e-9:
            kept[tuple(np.array([*patch]).T)] = True
    return kept


def test_patches_below_the_minimum_go():
    changed = np.zeros((30, 30), np.bool_)
    changed[2:7, 2:12] = True  # 50 px
    changed[15:22, 3:10] = True  # 49 px
    changed[np.arange(20, 30), np.arange(20, 30)] = True  # askew, 10 px in one piece
    kept = large_patches(changed, areas_of(rows_of(30), 30), 0.5)
    assert kept.sum() == 50
    assert kept[2:7, 2:12].all()
    assert large_patches(changed, areas_of(rows_of(30), 30), 0.1)[25, 25]
    assert large_patches(changed, areas_of(rows_of(30), 30), 0) is changed


def test_rows_of_different_area():
    changed = np.zeros((4, 40), np.bool_)
    changed[0, :10] = changed[3, :10] = True
    kept = large_patches(changed, areas_of(np.array([0.01, 0.01, 0.01, 0.009]), 40), 0.1)
    assert kept[0, :10].all()
    assert not kept[3].any()


def test_cut_columns_count_with_their_part():
    changed = np.zeros((30, 20), np.bool_)
    changed[:10, 18:] = changed[15:25, :2] = True
    areas = PixelAreas(rows_of(30), np.append(np.ones(19), 0.25))
    kept = large_patches(changed, areas, 0.2)
    assert kept[15:25, :2].all()
    assert not kept[:10].any()
    np.testing.assert_array_equal(large_patches(changed, areas, 0.125), changed)


@pytest.mark.parametrize("minimum", [0.02, 0.07, 0.3])
@pytest.mark.parametrize("side", [11, 16, 40])
def test_windows_with_a_halo_decide_as_the_whole_does(minimum, side):
    rng = np.random.default_rng(side)
    changed = rng.random((90, 110)) < 0.34  # near where patches of all sizes occur
    row_ha = 0.01 * (1 + 0.2 * np.linspace(0, 1, 90))
    whole = large_patches(changed, areas_of(row_ha, 110), minimum)
    np.testing.assert_array_equal(whole, by_flooding(changed, row_ha, minimum))
    assert 0 < whole.sum() < changed.sum()
    halo, found = halo_px(minimum, row_ha), np.zeros_like(whole)
    for row in range(0, 90, side):
        for col in range(0, 110, side):
            top, left = max(0, row - halo), max(0, col - halo)
            part = changed[top : row + side + halo, left : col + side + halo]
            kept = large_patches(part, areas_of(row_ha[top : top + len(part)], part.shape[1]), minimum)
            found[row : row + side, col : col + side] = kept[row - top :, col - left :][:side, :side]
    np.testing.assert_array_equal(found, whole)


def test_halo():
    assert halo_px(0.5, rows_of(5)) == 50
    assert halo_px(0, rows_of(5)) == 0
    assert halo_px(0.5, np.array([0.02, 0.01])) == 50


class TestLegend:
    def test_codes_names_and_colours(self):
        classes = load_legend("dynamic-world")
        legend = transition_legend(classes)
        assert len(legend) == 81
        assert legend.classes[transition_code(2, 7, 9) - 1].name == "trees to built"
        assert legend.classes[transition_code(1, 1, 9) - 1].name == "water"
        codes = np.arange(1, 82, dtype=np.uint8)
        before, after = classes_of(codes, 9)
        np.testing.assert_array_equal(transition_code(before.astype(int), after, 9), codes)

    def test_changes_stand_out(self):
        """What stays is pale; every change differs from it by more than a quarter of the scale in some channel."""
        legend = transition_legend(load_legend("dynamic-world"))
        stays = np.array([entry.rgb for entry in legend if " to " not in entry.name])
        moved = np.array([entry.rgb for entry in legend if " to " in entry.name])
        assert stays.min() > 150
        assert np.abs(stays[:, None] - moved[None]).max(axis=2).min() > 64

    @pytest.mark.parametrize(("count", "words"), [(1, "1 class; .*two classes or more"), (16, "--to corine-1")])
    def test_too_few_or_too_many(self, count, words):
        classes = tuple(LandClass(number, f"class {number}", "#123456") for number in range(1, count + 1))
        with pytest.raises(UsageError, match=words):
            transition_legend(Legend("some", "Some", classes))

    def test_the_largest(self):
        classes = tuple(LandClass(number, f"class {number}", "#808080") for number in range(1, 16))
        assert len(transition_legend(Legend("some", "Some", classes))) == 225


def by_labels(changed, areas, minimum):
    """The same by scipy's labels."""
    labels, patches = ndimage.label(changed, np.ones((3, 3)))
    rows, columns = np.nonzero(changed)
    hectares = np.bincount(labels[rows, columns], areas.at(rows, columns), minlength=patches + 1)
    return changed & (hectares >= minimum * (1 - 1e-9))[labels]


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.6, 0.95, 1])
def test_patches_of_any_form_are_those_of_scipy(density):
    rng = np.random.default_rng(round(100 * density))
    for _ in range(100):
        height, width = rng.integers(1, 40, 2)
        changed = rng.random((height, width)) < density
        areas = PixelAreas(rng.choice([0.01, 0.013], height), np.append(np.ones(width - 1), rng.choice([1, 0.4])))
        minimum = rng.choice([0.01, 0.02, 0.05, 0.5, 2])
        np.testing.assert_array_equal(large_patches(changed, areas, minimum), by_labels(changed, areas, minimum))


def test_a_line_that_winds_is_one_patch():
    """Teeth that join below, a spiral, and both mirrored: the first runs of a patch learn last that they are one."""
    comb = np.zeros((60, 61), np.bool_)
    comb[:, ::2], comb[-1] = True, True
    spiral = np.zeros((61, 61), np.bool_)
    for turn in range(0, 29, 2):
        spiral[turn, max(turn - 2, 0) : 61 - turn] = spiral[turn : 61 - turn, 60 - turn] = True
        spiral[60 - turn, turn : 61 - turn] = spiral[turn + 2 : 61 - turn, turn] = True
    for shape in (comb, spiral):
        for changed in (shape, shape[::-1], shape[:, ::-1], shape.T):
            areas = areas_of(rows_of(len(changed)), changed.shape[1])
            whole = changed.sum() * 0.01
            assert by_labels(changed, areas, whole).sum() == changed.sum()
            np.testing.assert_array_equal(large_patches(changed, areas, whole), changed)
            assert not large_patches(changed, areas, whole + 0.005).any()
