import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.grid import Shape
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.overviews import OverviewBuilder, halve
from tests.support.product_samples import pixels


def naive(data):
    """The documented rule, one pixel at a time."""
    bands, height, width = data.shape
    halved = np.full((bands, height // 2, width // 2), 255, data.dtype)
    for row, col in np.ndindex(height // 2, width // 2):
        four = data[:, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2].reshape(bands, 4).astype(float)
        known = four[:, four[0] != 255]
        if not known.shape[1]:
            continue
        sums = known[1:].sum(axis=1)
        rank = [(np.count_nonzero(known[0] == code), sums[int(code) - 1] if len(sums) else 0) for code in known[0]]
        halved[0, row, col] = known[0][rank.index(max(rank))]
        halved[1:, row, col] = (
            sums / known.shape[1]
            if data.dtype == np.float32
            else np.diff(np.floor(np.cumsum(sums) / known.shape[1]), prepend=0)
        )
    return halved


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), activations=st.sampled_from(["uint8", "float32", "none"]), holes=st.floats(0, 1))
def test_halving_follows_the_documented_rule(seed, activations, holes):
    rng = np.random.default_rng(seed)
    data = pixels(16, 24, activations=activations, seed=seed)
    data = data[:, rng.permutation(16)][:, :, rng.permutation(24)]
    data[:, rng.random((16, 24)) < holes] = 255
    halved = halve(data)
    assert halved.dtype == data.dtype
    np.testing.assert_allclose(halved, naive(data), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_is_halved_to_nothing(dtype):
    halved = halve(np.full((5, 8, 6), 255, dtype), ["code", "share"])
    assert halved.dtype == dtype
    np.testing.assert_array_equal(halved, np.full((5, 4, 3), 255))


def test_valid_pixels_still_sum_to_250_and_stay_within_one_of_the_mean():
    data = pixels(256, 256, seed=3)
    for _ in range(4):
        smaller = halve(data)
        known = smaller[0] != 255
        assert (smaller[1:, known].sum(axis=0, dtype=int) == 250).all()
        assert (smaller[:, ~known] == 255).all()
        full = (data[0] != 255).reshape(len(known), 2, -1, 2).all(axis=(1, 3))
        means = data[1:].reshape(9, len(known), 2, -1, 2).mean(axis=(2, 4))
        assert (np.abs(smaller[1:].astype(float) - means)[:, full] < 1).all()
        assert smaller[0][known].min() >= 1
        data = smaller


def test_a_class_absent_from_all_four_pixels_stays_zero():
    data = np.zeros((10, 2, 2), np.uint8)
    data[0], data[1], data[9] = 9, [[83, 83], [84, 84]], [[167, 167], [166, 166]]
    halved = halve(data)[:, 0, 0]
    assert halved[0] == 9
    assert halved[2:9].tolist() == [0] * 7


def test_of_equally_frequent_classes_the_more_active_wins_then_the_first_met():
    data = np.zeros((3, 2, 2), np.uint8)
    data[0] = [[1, 2], [2, 1]]
    data[1], data[2] = [[130, 100], [100, 130]], [[120, 150], [150, 120]]
    assert halve(data)[0, 0, 0] == 2
    assert halve(data[:1])[0, 0, 0] == 1


def layout_of(height, width):
    return CogLayout(Shape(height, width), 1, block=16)


def build(layout, order):
    builder, emitted, most = OverviewBuilder(layout), {}, 0
    for place in order:
        queue = [(0, *place)]
        while queue:
            level, row, col = queue.pop()
            if level == layout.levels[-1]:
                continue
            tile = builder.place(level, row, col, np.full((1, 8, 8), level + 1, np.uint8))
            if tile is not None:
                assert (tile.level, tile.row, tile.col) not in emitted
                emitted[tile.level, tile.row, tile.col] = tile.data_byx
                queue.append((tile.level, tile.row, tile.col))
        most = max(most, builder.pending)
    assert builder.pending == 0
    return emitted, most


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), seed=st.integers(0, 99))
def test_every_overview_tile_comes_out_exactly_once_whatever_the_order(height, width, seed):
    layout = layout_of(height, width)
    tiles = layout.tiles(0)
    order = np.random.default_rng(seed).permutation(list(np.ndindex(tiles.height, tiles.width)))
    emitted, _ = build(layout, order.tolist())
    wanted = [
        (level, row, col)
        for level in layout.levels[1:]
        for row, col in np.ndindex(layout.tiles(level).height, layout.tiles(level).width)
    ]
    assert sorted(emitted) == wanted


@pytest.mark.parametrize("rows", [32, 128])
def test_few_tiles_are_held_however_tall_the_scene(rows):
    """Panels of 8 tiles, one after the other, as a plan of chunks feeds them."""
    layout = layout_of(rows * 16, 16 * 16)
    order = [(row, col) for panel in (0, 8) for row in range(rows) for col in range(panel, panel + 8)]
    _, most = build(layout, order)
    assert most <= 4 + 2 + 1 + 2 + rows // 16


def test_extra_bands_are_averaged_or_vote():
    data = np.full((4, 4, 2), 255, np.uint8)
    data[:, :3, :] = np.array(
        [
            [[1, 1], [2, 1], [1, 2]],
            [[250, 250], [250, 250], [100, 101]],
            [[7, 7], [9, 9], [4, 5]],
            [[10, 20], [30, 41], [0, 3]],
        ]
    )
    halved = halve(data, ["code", "share"])
    assert halved[2, :, 0].tolist() == [7, 4]  # the most frequent code, the first met among equals
    assert halved[3, :, 0].tolist() == [25, 1]  # the mean over pixels with data, rounded down as activations are
    np.testing.assert_array_equal(halved[:2], halve(data[:2]))
