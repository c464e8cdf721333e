"""Splits: blocks stay whole, rare classes reach every split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.errors import InputError
from lulc.split import stratified_split


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 60), st.integers(1, 5), st.integers(0, 1000))
def test_a_block_goes_to_one_split_and_every_split_gets_one(blocks, classes, seed):
    rng = np.random.default_rng(seed)
    member = np.concatenate([np.arange(blocks), rng.integers(0, blocks, 3 * blocks)])
    pixels = rng.integers(0, 100, (len(member), classes))
    splits = stratified_split(member, pixels, (0.6, 0.2, 0.2), seed)
    for block in range(blocks):
        assert len(set(splits[member == block])) == 1
    assert set(splits) == {0, 1, 2}


def test_fractions_are_met_and_rare_classes_reach_every_split():
    rng = np.random.default_rng(0)
    blocks = np.arange(200)
    pixels = np.column_stack([rng.integers(500, 1500, 200), np.where(rng.random(200) < 0.06, 300, 0)])
    splits = stratified_split(blocks, pixels, (0.7, 0.15, 0.15), 0)
    for split, fraction in enumerate((0.7, 0.15, 0.15)):
        shares = pixels[splits == split].sum(0) / pixels.sum(0)
        assert shares[0] == pytest.approx(fraction, abs=0.05)
        assert shares[1] > 0


def test_a_split_of_nothing_gets_nothing():
    splits = stratified_split(np.arange(10), np.ones((10, 2), int), (0.8, 0.2, 0.0), 0)
    assert set(splits) == {0, 1}


def test_too_few_blocks_are_refused():
    with pytest.raises(InputError, match="use smaller blocks"):
        stratified_split(np.zeros(5, int), np.ones((5, 2), int), (0.7, 0.15, 0.15), 0)


def test_the_same_seed_gives_the_same_split():
    pixels = np.random.default_rng(0).integers(0, 9, (40, 3))
    one, other = (stratified_split(np.arange(40), pixels, (0.7, 0.15, 0.15), 4) for _ in range(2))
    assert (one == other).all()
