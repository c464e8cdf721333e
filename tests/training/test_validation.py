"""Validation: what has no labels counts for nothing."""

import math

import pytest
import torch

from lulc.errors import ConfigError, UsageError
from lulc.model.build import Architecture, build_network
from lulc.training.augment import Target
from lulc.training.calibration import TemperatureFit
from lulc.training.distributed import ProcessGroup, process_group
from lulc.training.segmentation import check_crop
from lulc.training.validation import batches_of_one_size, validate

NAMES = ("a", "b")
EMPTY = torch.zeros(1, 2, 4, 4), Target(torch.full((1, 4, 4), 255))
FULL = torch.tensor([2.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4), Target(torch.zeros(1, 4, 4, dtype=torch.long))


def test_a_batch_without_labels_changes_nothing():
    alone = ProcessGroup(torch.device("cpu"))
    some = validate([FULL, EMPTY], NAMES, alone)
    assert (some.pixels, some.loss) == (16, pytest.approx(math.log(1 + math.exp(-2))))
    none = validate([EMPTY], NAMES, alone)
    assert none.pixels == 0
    assert math.isnan(none.loss)


def test_nothing_to_fit_leaves_the_temperature_alone():
    fit = TemperatureFit()
    assert fit.result() == 1.0
    fit.feed(*EMPTY)
    assert fit.result() == 1.0


def test_a_process_without_chips_has_no_batches():
    assert list(batches_of_one_size([])) == []


def test_samples_that_are_no_multiple_of_the_stride_are_refused():
    options = {"decoder_channels": [16, 16, 16]}
    network = build_network(
        Architecture(network="Unet", encoder="resnet18", in_channels=3, classes=2, encoder_depth=3, options=options)
    )
    with pytest.raises(ConfigError, match=r"samples\.crop = 60 is not a multiple of 8, the network's stride"):
        check_crop(network, 3, 60)
    assert check_crop(network, 3, 64) == 8


def test_a_torch_without_processes_cannot_be_started_by_torchrun(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_available", lambda: False)
    for name, text in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, text)
    with (
        pytest.raises(UsageError, match="cannot run several processes; start lulc without torchrun"),
        process_group("cpu"),
    ):
        pass
