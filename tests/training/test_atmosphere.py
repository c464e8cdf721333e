"""The atmosphere: what is known of a clear day, and how low sun and haze change it."""

import pytest
import torch

from lulc.bands import sensor
from lulc.errors import ConfigError
from lulc.training.atmosphere import GAS, atmosphere, check_known, clear_atmosphere

pytestmark = pytest.mark.torch

BANDS = [band for band in sensor().bands if band.name in GAS]

# What the labels of the shipped model were made with: aerosol depth 0.15, sun zenith 40 degrees, seen from above.
PATH = [0.0666, 0.0396, 0.0221, 0.0183, 0.0158, 0.0132, 0.0106, 0.0022, 0.0012]
TRANSMITTANCE = [0.774, 0.807, 0.877, 0.890, 0.917, 0.926, 0.906, 0.960, 0.931]


def test_a_clear_day_is_as_it_was_read():
    air = clear_atmosphere(BANDS)
    torch.testing.assert_close(air.path[0], torch.tensor(PATH), rtol=0.05, atol=5e-4)
    torch.testing.assert_close(air.transmittance[0], torch.tensor(TRANSMITTANCE), rtol=0.01, atol=0.003)


def test_low_sun_and_aerosol_brighten_the_air_and_dim_the_ground():
    sun, aerosol = torch.tensor([30.0, 70.0, 30.0]), torch.tensor([0.1, 0.1, 0.4])
    usual, low, hazy = range(3)
    air = atmosphere(BANDS, sun, aerosol)
    for other in (low, hazy):
        assert (air.path[other] > air.path[usual]).all()
        assert (air.transmittance[other] < air.transmittance[usual]).all()
    assert (air.path[:, 0] > air.path[:, -1]).all()  # blue scatters most


def test_unknown_bands_are_refused():
    with pytest.raises(ConfigError, match=r"augment.atmosphere is not known for B01"):
        check_known([band for band in sensor().bands if band.name == "B01"], "augment.atmosphere")
