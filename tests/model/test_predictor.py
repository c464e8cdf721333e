import numpy as np
import pytest
import torch
from torch import nn

from lulc.bands import Radiometry
from lulc.errors import LimitError, UsageError
from lulc.features import FeatureSpec
from lulc.grid import Shape
from lulc.legend import load_legend
from lulc.model.build import Architecture
from lulc.model.bundle import Bundle, Card
from lulc.model.device import Placement, choose_device, choose_placement, choose_precision
from lulc.model.memory import forward_bytes
from lulc.model.predictor import Predictor

SPEC = FeatureSpec(bands=("B04", "B08"), indices=("NDVI",), mean=(0.1, 0.3, 0.5), std=(0.05, 0.1, 0.2))
CPU = choose_placement("cpu", "fp32")


def card(spec=SPEC, **fields):
    return Card(
        name="test",
        version="1",
        summary="",
        architecture=Architecture(network="Unet", encoder="resnet18", in_channels=len(spec.channels), classes=9),
        features=spec,
        legend=load_legend("dynamic-world").to_table(),
        weights_sha256="0" * 64,
        weights_bytes=1,
        **fields,
    )


class FirstNine(nn.Module):
    """Logits that are the channels themselves, repeated."""

    def forward(self, image):
        return image.repeat(1, 3, 1, 1)


def predictor(network=None, radiometry=None, names=("B04", "B08"), placement=CPU, batch=None, **fields):
    return Predictor(
        Bundle(card(**fields), network or FirstNine()), radiometry or Radiometry(), names, placement, batch
    )


def raw(shape=(1, 2, 8, 8), dtype=np.uint16):
    return np.random.default_rng(0).integers(1, 9000, shape).astype(dtype)


def test_features_equal_the_spec_in_plain_numpy():
    pixels, valid = raw(), np.ones((1, 8, 8), bool)
    features = predictor(radiometry=Radiometry(10_000, -1000)).features(
        torch.from_numpy(pixels), torch.from_numpy(valid)
    )
    red, nir = (pixels[0].astype(np.float64) - 1000) / 10_000
    expected = np.stack([(red - 0.1) / 0.05, (nir - 0.3) / 0.1, ((nir - red) / (nir + red) - 0.5) / 0.2])
    assert np.allclose(features[0].numpy(), expected, atol=2e-4, rtol=1e-4)


def test_an_index_of_the_scene_is_used_as_it_is():
    planes = np.stack([raw()[0, 0], raw()[0, 1], np.full((8, 8), 7)]).astype(np.float32)[None]
    features = predictor(names=("B04", "B08", "NDVI")).features(
        torch.from_numpy(planes), torch.ones(1, 8, 8, dtype=torch.bool)
    )
    assert torch.allclose(features[0, 2], torch.tensor((7 - 0.5) / 0.2))


def test_invalid_pixels_and_indices_without_value_are_the_training_mean():
    pixels = raw()
    pixels[0, :, 0, 0] = 0
    valid = np.ones((1, 8, 8), bool)
    valid[0, 3, 3] = False
    features = predictor().features(torch.from_numpy(pixels), torch.from_numpy(valid))
    assert features[0, 2, 0, 0] == 0
    assert (features[0, :, 3, 3] == 0).all()
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8, np.float32])
def test_any_raw_type_gives_probabilities(dtype):
    pixels = np.random.default_rng(0).integers(1, 200, (2, 2, 8, 8)).astype(dtype)
    probabilities = predictor().predict(pixels, np.ones((2, 8, 8), bool))
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 8, 8), atol=1e-6)


def test_temperature_divides_the_logits():
    pixels, valid = raw(), np.ones((1, 8, 8), bool)
    hot, cold = predictor(temperature=2.0).predict(pixels, valid), predictor().predict(pixels, valid)
    assert torch.allclose(hot.log() - hot.log()[:, :1], (cold.log() - cold.log()[:, :1]) / 2, atol=1e-4)


class OutOfMemoryAbove(nn.Module):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, image):
        if len(image) > self.limit:
            raise torch.OutOfMemoryError
        return image.repeat(1, 3, 1, 1)


def test_out_of_memory_halves_the_batch_and_goes_on(caplog):
    pixels, valid = raw((7, 2, 8, 8)), np.ones((7, 8, 8), bool)
    small = predictor(OutOfMemoryAbove(2), batch=4)
    assert torch.equal(small.predict(pixels, valid), predictor(batch=1).predict(pixels, valid))
    assert small.batch == 2
    assert "2 windows at a time" in caplog.text


def test_out_of_memory_for_one_window_is_a_limit():
    tiny = predictor(OutOfMemoryAbove(1), batch=2)
    tiny.network.limit = 0
    with pytest.raises(LimitError, match="smaller --window"):
        tiny.predict(raw(), np.ones((1, 8, 8), bool))


def test_neither_the_bundle_nor_the_process_is_changed():
    layers = nn.Sequential(nn.Conv2d(3, 9, 1), nn.BatchNorm2d(9)).eval()
    threads = torch.get_num_threads()
    folded = predictor(layers, placement=Placement(torch.device("cpu"), torch.bfloat16))
    assert isinstance(folded.network[1], nn.Identity)
    assert isinstance(layers[1], nn.BatchNorm2d)
    assert layers[0].weight.dtype == torch.float32
    assert torch.get_num_threads() == threads


def test_batches_do_not_change_an_answer():
    pixels, valid = raw((5, 2, 8, 8)), np.ones((5, 8, 8), bool)
    assert torch.equal(predictor(batch=5).predict(pixels, valid), predictor(batch=2).predict(pixels, valid))


def test_devices_and_precisions_that_are_not_there():
    with pytest.raises(UsageError, match="use --device cpu"):
        choose_device("cuda:99")
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        choose_precision("fp16", torch.device("cpu"))


def test_forward_bytes_counts_what_lives_at_once():
    chain = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(10)))
    layer = 4 * 32 * 32 * 4
    assert 2 * layer <= forward_bytes(chain, 4, Shape(32, 32), torch.float32) <= 4 * layer
