import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.blend import Blender, fade_weights
from lulc.grid import Shape
from lulc.tiling import TilePlan


def stitched(plan, answer):
    """Blend tiles that all see `answer(tile)` into one map."""
    blender = Blender(plan, planes=2)
    out = torch.full((2, plan.shape.height, plan.shape.width), torch.nan)
    for chunk in plan.chunks():
        for tile in chunk.tiles:
            core = blender.feed(tile, answer(tile))
            out[:, *tile.core.slices()] = core[:, : tile.core.height, : tile.core.width]
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 24))
def test_weights_sum_to_one_at_every_pixel(height, width, fade):
    plan = TilePlan(Shape(height, width), 8, 128, 24, fade)
    total = stitched(plan, lambda tile: torch.ones(2, tile.kept.height, tile.kept.width))
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(200, 700), st.integers(200, 700), st.integers(0, 24))
def test_tiles_that_agree_are_joined_without_change(height, width, fade):
    plan = TilePlan(Shape(height, width), 8, 128, 24, fade)
    scene = torch.rand(2, height + 8, width + 8)
    joined = stitched(plan, lambda tile: torch.nn.functional.pad(scene, (0, 32, 0, 32))[:, *tile.kept.slices()])
    assert torch.allclose(joined, scene[:, :height, :width], atol=1e-6)


def test_a_step_between_tiles_becomes_a_cosine_ramp():
    plan = TilePlan(Shape(128, 256), 8, 128, 24, 16)
    joined = stitched(plan, lambda tile: torch.full((2, tile.kept.height, tile.kept.width), float(tile.core.col > 0)))
    ramp = joined[0, 5]
    assert (ramp[:128] == 0).all()
    assert (ramp[144:] == 1).all()
    assert (ramp[128:144].diff() > 0).all()
    assert ramp[128:144].mean() == pytest.approx(0.5, abs=1e-6)


def test_no_fade_keeps_the_core_as_it_is():
    plan = TilePlan(Shape(128, 256), 8, 128, 24)
    tile = next(plan.chunks()).tiles[0]
    probabilities = torch.rand(2, 128, 128)
    assert Blender(plan, 2).feed(tile, probabilities) is probabilities


def test_nothing_fades_in_where_the_scene_begins():
    assert fade_weights(0, 10, 14, 4)[:10].eq(1).all()
