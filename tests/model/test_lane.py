import threading

import numpy as np
import pytest
import torch

from lulc.bands import Radiometry
from lulc.errors import ModelError
from lulc.grid import Shape
from lulc.io.scene.source import Raster
from lulc.model.bundle import load_bundle
from lulc.model.device import choose_placement
from lulc.model.inference import ChunkInference
from lulc.model.lane import DeviceLane, Lane, lanes_to
from lulc.model.predictor import Predictor
from lulc.resources import SHIPPED_MODEL
from lulc.tiling import TilePlan

SHAPE = Shape(1100, 300)


@pytest.fixture(scope="module")
def predictor():
    bundle = load_bundle(SHIPPED_MODEL).with_clouds()
    placement = choose_placement("cpu", "fp32")
    return Predictor(bundle, Radiometry(10_000), bundle.card.features.required(()), placement)


@pytest.fixture(scope="module")
def pixels(predictor):
    generator = np.random.default_rng(0)
    bands = len(predictor.card.features.bands)
    raw = generator.integers(1, 6000, (bands, SHAPE.height, SHAPE.width)).astype(np.uint16)
    valid = generator.random((SHAPE.height, SHAPE.width)) > 0.1
    valid[300:460] = False
    return Raster(raw, valid)


def products(lanes, pixels, activations="uint8", *, fade=0, flagged=True, at_once=False):
    """The products of all chunks, begun one after the other or all at once."""
    plan = TilePlan.from_window(SHAPE, 4, 192, 32, fade)
    infer = ChunkInference(lanes, plan, activations, flagged=flagged)
    parts = [Raster(*(plane[..., *chunk.read.slices()] for plane in pixels)) for chunk in plan.chunks()]
    if at_once:
        begun = [infer.begin(chunk, part) for chunk, part in zip(plan.chunks(), parts, strict=True)]
        found = [finish() for finish in begun]
    else:
        found = [infer(chunk, part) for chunk, part in zip(plan.chunks(), parts, strict=True)]
    infer.close()
    return found


@pytest.mark.parametrize("activations", ["uint8", "float32", "none"])
@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("fade", [0, 16])
def test_a_device_makes_the_product_of_the_cpu(predictor, pixels, activations, flagged, fade):
    expected = products([Lane(predictor)], pixels, activations, flagged=flagged, fade=fade)
    found = products([DeviceLane(predictor)], pixels, activations, flagged=flagged, fade=fade)
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert (expected[0] == 255).any()
    assert (expected[0] != 255).any()


@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_number_of_lanes_makes_the_same_product(predictor, pixels, count):
    expected = products([Lane(predictor)], pixels)
    for lanes in ([DeviceLane(predictor) for _ in range(count)], [Lane(predictor) for _ in range(count)]):
        for found, one in zip(products(lanes, pixels, at_once=True), expected, strict=True):
            np.testing.assert_array_equal(found, one)


def test_each_lane_belongs_to_one_thread(predictor, pixels):
    seen = {}

    class Watched(DeviceLane):
        def up(self, windows):
            seen.setdefault(self, set()).add(threading.get_ident())
            return super().up(windows)

    products([Watched(predictor) for _ in range(3)], pixels, at_once=True)
    assert all(len(threads) == 1 for threads in seen.values())
    assert len({thread for threads in seen.values() for thread in threads}) == len(seen)


def test_what_comes_down_is_whole_when_buffers_are_used_again(predictor):
    lane = DeviceLane(predictor)
    for side in (8, 3, 20):
        tensors = torch.arange(side * side).reshape(side, side), torch.rand(side), torch.tensor(side)
        for array, tensor in zip(lane.down(*tensors), tensors, strict=True):
            np.testing.assert_array_equal(array, tensor)


def test_windows_go_up_in_their_order_and_dtype(predictor):
    lane = DeviceLane(predictor)
    for dtype in (np.uint16, np.int16, np.float32):
        windows = [Raster(np.full((2, 3, 4), number, dtype), np.full((3, 4), number == 1)) for number in range(3)]
        data, valid = lane.up(windows)
        assert data.numpy().dtype == dtype
        np.testing.assert_array_equal(data.numpy()[:, 0, 0, 0], [0, 1, 2])
        np.testing.assert_array_equal(valid[:, 0, 0], [False, True, False])


def test_values_that_are_not_finite_are_refused_by_every_lane(predictor, pixels, monkeypatch):
    planes = predictor.planes
    monkeypatch.setattr(
        predictor, "predict_logits", lambda raw, *_: torch.full((len(raw), planes, *raw.shape[2:]), torch.nan)
    )
    for lane in (Lane(predictor), DeviceLane(predictor)):
        with pytest.raises(ModelError, match="not finite"):
            products([lane], pixels)


@pytest.mark.parametrize("overlap", [True, False])
def test_a_cpu_has_a_lane_for_each_worker(predictor, monkeypatch, overlap):
    monkeypatch.setattr(predictor, "workers", 3)
    assert [type(lane) for lane in lanes_to([predictor], overlap=overlap)] == [Lane] * 3
