"""Optimisers by name, and what torch says of batches that do not fit."""

import pytest
import torch
from torch import nn

from lulc.errors import ConfigError, LimitError
from lulc.training.loop import _known_failures, optimiser_for
from lulc.training.settings import FitSettings


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_norms_and_biases_are_not_decayed(name, kind):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimiser = optimiser_for(network, FitSettings(optimiser=name, weight_decay=0.25, momentum=0.5))
    assert type(optimiser) is kind
    decays = [(group["weight_decay"], len(group["params"])) for group in optimiser.param_groups]
    assert decays == [(0.25, 1), (0.0, 3)]
    if name == "sgd":
        assert all((group["momentum"], group["nesterov"]) == (0.5, True) for group in optimiser.param_groups)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (torch.OutOfMemoryError(), LimitError, r"not enough memory for a step; lower fit\.batch or samples\.crop"),
        (ValueError("Expected more than 1 value per channel when training"), ConfigError, r"raise fit\.batch"),
        (ValueError("something else"), ValueError, "something else"),
    ],
)
def test_failures_of_a_step(error, kind, message):
    with pytest.raises(kind, match=message), _known_failures():
        raise error
