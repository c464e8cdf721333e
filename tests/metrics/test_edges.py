import numpy as np
import pytest

from lulc.metrics.edges import edge_masks


def masks(mapped, reference):
    margin = np.pad(np.uint8(reference), 1, constant_values=255)
    return edge_masks(np.uint8(mapped), margin)


def test_a_border_one_pixel_off_is_near():
    reference = np.repeat([[1, 1, 1, 2, 2, 2]], 5, axis=0)
    mapped = np.repeat([[1, 1, 1, 1, 2, 2]], 5, axis=0)
    near, inside, compared = masks(mapped, reference)
    assert near.all()
    assert compared.all()
    assert inside[1:-1].tolist() == [[False, True, False, False, True, False]] * 3


def test_two_pixels_off_is_not():
    reference = np.repeat([[1, 1, 1, 2, 2, 2]], 5, axis=0)
    mapped = np.repeat([[1, 1, 1, 1, 1, 2]], 5, axis=0)
    assert masks(mapped, reference)[0][2].tolist() == [True] * 4 + [False, True]


def test_beyond_the_scene_and_unlabelled_are_not_of_one_class():
    reference = np.ones((5, 5), np.uint8)
    reference[4, 4] = 255
    near, inside, compared = masks(np.ones((5, 5)), reference)
    assert near.sum() == compared.sum() == 24
    expected = np.zeros((5, 5), bool)
    expected[1:4, 1:4] = True
    expected[3, 3] = False
    assert (inside == expected).all()


def test_no_data_in_the_map_is_not_compared():
    mapped = np.ones((3, 3), np.uint8)
    mapped[1, 1] = 255
    for mask in masks(mapped, np.ones((3, 3))):
        assert not mask[1, 1]


def test_unlabelled_never_matches_no_data():
    near, _, compared = masks(np.full((3, 3), 255), np.full((3, 3), 255))
    assert not near.any()
    assert not compared.any()


def test_the_margin_is_asked_for():
    with pytest.raises(ValueError, match="no margin"):
        edge_masks(np.ones((3, 3), np.uint8), np.ones((3, 3), np.uint8))
