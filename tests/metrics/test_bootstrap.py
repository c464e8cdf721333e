import numpy as np
import pytest

from lulc.metrics.bootstrap import block_intervals
from lulc.metrics.confusion import ConfusionMatrix

NAMES = ("a", "b")


def overall(counts):
    return ConfusionMatrix(counts, NAMES).overall


def users(counts):
    return ConfusionMatrix(counts, NAMES).users


def blocks_of(agreement, pixels=1000):
    """Blocks whose pixels agree to given shares."""
    same = np.round(np.array(agreement) * pixels).astype(np.int64)
    zeros = np.zeros_like(same)
    return np.stack([np.stack([same, pixels - same], 1), np.stack([zeros, zeros], 1)], 1)


def test_seeded():
    blocks = blocks_of(np.random.default_rng(0).random(30))
    first, again, other = (block_intervals(blocks, overall, seed=seed) for seed in (3, 3, 4))
    assert first.low == again.low
    assert first.high == again.high
    assert first.low != other.low


def test_holds_the_value_and_counts_blocks():
    blocks = blocks_of(np.random.default_rng(0).random(30))
    found = block_intervals(blocks, overall)
    assert found.low < overall(blocks.sum(axis=0)) < found.high
    assert found.blocks == 30


def test_width_follows_blocks_and_not_pixels():
    agreement = np.random.default_rng(0).random(40)
    few, many = (block_intervals(blocks_of(agreement, pixels), overall) for pixels in (100, 100_000))
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)
    expected = 2 * 1.96 * agreement.std() / np.sqrt(40)
    assert many.high - many.low == pytest.approx(expected, rel=0.1)


def test_equal_blocks_leave_no_doubt():
    found = block_intervals(blocks_of([0.8] * 12), overall)
    assert found.low == found.high == pytest.approx(0.8)


@pytest.mark.whole
def test_covers_as_often_as_it_says():
    """Blocks drawn from a world whose agreement is 0.7: about 95 of 100 intervals hold it."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = block_intervals(blocks_of(np.clip(rng.normal(0.7, 0.1, 50), 0, 1)), overall, samples=300)
        held += bool(found.low <= 0.7 <= found.high)
    assert 0.90 <= held / 200 <= 0.985


def test_empty_blocks_say_nothing():
    blocks = blocks_of(np.random.default_rng(0).random(20))
    with_empty = np.concatenate([blocks, np.zeros((50, 2, 2), np.int64)])
    assert block_intervals(with_empty, overall).blocks == 20
    assert block_intervals(with_empty, overall).low == block_intervals(blocks, overall).low


@pytest.mark.parametrize("count", [0, 1])
def test_one_block_cannot_say(count):
    found = block_intervals(blocks_of([0.5] * count).reshape(count, 2, 2), users)
    assert np.isnan(found.low).all()
    assert found.low.shape == (2,)
    assert found.blocks == count


def test_a_class_in_one_block_of_many_has_no_interval():
    blocks = blocks_of(np.random.default_rng(0).random(20))
    blocks[0, 1] = [3, 7]
    found = block_intervals(blocks, users)
    assert np.isfinite(found.low[0])
    assert np.isnan(found.low[1])
    assert np.isnan(found.high[1])


def test_large_counts_stay_exact():
    blocks = np.full((8, 2, 2), 2**40, np.int64)
    seen = []
    block_intervals(blocks, lambda counts: seen.append(counts[0, 0]) or 0.0, samples=5)
    assert set(seen) == {8 * 2**40}
