import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.errors import UsageError
from lulc.grid import Shape, Window
from lulc.tiling import BLOCK, TilePlan, block_windows, panel_windows, round_up, row_slabs, spread_windows

plans = st.builds(
    lambda height, width, stride, halo, core, fade: TilePlan(
        Shape(height, width), stride, core * 128, halo * stride, min(fade, halo * stride)
    ),
    height=st.integers(1, 1700),
    width=st.integers(1, 5000),
    stride=st.sampled_from([1, 2, 8, 32]),
    halo=st.integers(0, 12),
    core=st.integers(1, 8),
    fade=st.integers(0, 64),
)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_cores_paint_every_pixel_exactly_once(plan):
    canvas = np.zeros((plan.shape.height, plan.shape.width), np.uint8)
    for chunk in plan.chunks():
        for tile in chunk.tiles:
            canvas[tile.core.slices()] += 1
    assert (canvas == 1).all()


@settings(max_examples=60, deadline=None)
@given(plans)
def test_chunks_paint_every_pixel_exactly_once_in_whole_blocks(plan):
    canvas = np.zeros((plan.shape.height, plan.shape.width), np.uint8)
    chunks = list(plan.chunks())
    for chunk in chunks:
        canvas[chunk.core.slices()] += 1
        assert chunk.core.row % BLOCK == 0
        assert chunk.core.col % BLOCK == 0
        assert chunk.core.row_end % BLOCK == 0 or chunk.core.row_end == plan.shape.height
        assert chunk.core.col_end % BLOCK == 0 or chunk.core.col_end == plan.shape.width
    assert (canvas == 1).all()
    assert [chunk.index for chunk in chunks] == list(range(plan.chunk_count))


@settings(max_examples=60, deadline=None)
@given(plans)
def test_windows_start_on_the_stride_and_keep_their_halo(plan):
    scene = Window(0, 0, plan.shape.height, plan.shape.width)
    for chunk in plan.chunks():
        for tile in chunk.tiles:
            read, core = tile.read, tile.core
            assert read.row % plan.stride == read.col % plan.stride == 0
            assert read.height % plan.stride == read.width % plan.stride == 0
            assert read.intersection(plan.canvas) == read
            assert core.row - read.row == core.col - read.col == plan.halo
            assert read.row_end - core.row_end >= plan.halo
            assert read.col_end - core.col_end >= plan.halo
            assert tile.read.intersection(scene).intersection(chunk.read) == tile.read.intersection(scene)


def test_a_sentinel_2_tile_is_padded_not_pulled_back():
    plan = TilePlan(Shape(10980, 10980), 32, 1024, 64)
    last = max(tile.read.row for chunk in plan.chunks() for tile in chunk.tiles)
    assert last == 10240 - 64
    assert plan.canvas == Window(-64, -64, 11_008 + 128, 11_008 + 128)


def test_exact_halo_of_the_shipped_model_is_cheap():
    assert TilePlan(Shape(10980, 10980), 4, 1024, 36).cost < 1.15


def test_memory_of_a_chunk_does_not_grow_with_the_scene():
    sizes = [
        max(chunk.read.shape.size for chunk in TilePlan(Shape(side, side), 8, 1024, 72).chunks())
        for side in (16384, 32768)
    ]
    assert sizes[0] == sizes[1]


def test_a_window_without_a_core_is_refused_with_the_smallest_that_works():
    with pytest.raises(UsageError, match="use --window 272"):
        TilePlan.from_window(Shape(1000, 1000), 8, 200, 72)
    assert TilePlan.from_window(Shape(1000, 1000), 8, 272, 72).core == 128


def test_a_blend_wider_than_the_halo_is_refused():
    with pytest.raises(UsageError, match="smaller --blend"):
        TilePlan(Shape(100, 100), 8, 128, 16, 24)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Shape(0, 100), 8, 128, 16), "no pixels"),
        ((Shape(100, 100), 8, 0, 16), "must be positive"),
        ((Shape(100, 100), 8, 128, -8), "not negative"),
        ((Shape(100, 100), 32, 64, 32), "multiples of the stride 32"),
        ((Shape(100, 100), 8, 128, 12), "multiples of the stride 8"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TilePlan(*given)


@pytest.mark.parametrize(("value", "step", "expected"), [(0, 8, 0), (1, 8, 8), (8, 8, 8), (10980, 32, 11_008)])
def test_round_up(value, step, expected):
    assert round_up(value, step) == expected


@given(st.integers(1, 1500), st.integers(1, 1500), st.sampled_from([256, 512]))
def test_windows_hold_each_pixel_once(height, width, side):
    for windows in (block_windows(Shape(height, width), side), panel_windows(Shape(height, width), side, 2 * side)):
        canvas = np.zeros((height, width), np.uint8)
        for window in windows:
            canvas[window.slices()] += 1
        assert (canvas == 1).all()


def test_panels_are_finished_one_after_the_other():
    windows = list(panel_windows(Shape(1000, 2000), 256, 512))
    panels = [window.col // 512 for window in windows]
    assert panels == sorted(panels)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 500), st.integers(1, 70))
def test_spread_windows_are_some_of_the_blocks(height, width, side, count):
    shape = Shape(height, width)
    found = spread_windows(shape, side, count)
    blocks = shape.blocks(side).size
    whole = blocks if count >= blocks else max(1, height // side) * max(1, width // side)
    assert len(set(found)) == len(found)
    assert min(whole, count) / 2 <= len(found) <= min(whole, count)
    assert found == sorted(found)
    assert all(window.row % side == window.col % side == 0 for window in found)
    assert all(window.intersection(shape.window) == window and window.shape.size for window in found)


def test_spread_windows_lie_all_over_the_shape():
    assert spread_windows(Shape(100, 100), 10, 4) == [
        Window(20, 20, 10, 10),
        Window(20, 70, 10, 10),
        Window(70, 20, 10, 10),
        Window(70, 70, 10, 10),
    ]
    assert spread_windows(Shape(95, 10), 10, 3) == [Window(row, 0, 10, 10) for row in (10, 40, 70)]
    assert spread_windows(Shape(12, 9), 10, 1) == [Window(0, 0, 10, 9)]  # not the thin one below
    assert spread_windows(Shape(25, 15), 10, 100) == list(block_windows(Shape(25, 15), 10))
    assert spread_windows(Shape(0, 15), 10, 100) == []


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 90_000))
def test_slabs_take_every_row_once(height, width):
    rows = [row for rows in row_slabs(height, width) for row in range(rows.start, rows.stop)]
    assert rows == list(range(height))
