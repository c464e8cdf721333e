"""From surface reflectance to the top of the atmosphere and back, by sun height and aerosol: a closed formula.

Top-of-atmosphere reflectance is `path + transmittance * surface`. Single scattering by molecules and aerosol gives both
(Rayleigh optical depth: Hansen and Travis 1974, doi:10.1007/BF00168069; aerosol: Henyey-Greenstein phase function), for a
nadir view at sea level. Multiple scattering between ground and sky is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lulc.bands import Band
from lulc.errors import ConfigError

GAS = {
    "B02": 0.996,
    "B03": 0.955,
    "B04": 0.972,
    "B05": 0.973,
    "B06": 0.992,
    "B07": 0.991,
    "B08": 0.961,
    "B11": 0.977,
    "B12": 0.942,
}
"""Transmittance of ozone, water vapour and other gases on the way down and up, of a mean atmosphere."""

CLEAR_SUN_ZENITH, CLEAR_AEROSOL = 40.0, 0.15
"""A usual clear day: sun zenith in degrees, aerosol optical depth at 550 nm."""

_ANGSTROM, _FORWARD, _SINGLE_SCATTERING = 1.3, 0.65, 0.95
_MOLECULES_LOST, _AEROSOL_LOST = 0.5, 0.19
"""Parts of the scattered light that do not go on towards the ground or the sensor."""


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """What an atmosphere does to surface reflectance.

    Attributes:
        path: Reflectance of the air itself: float32 (n, bands).
        transmittance: Part of the light that reaches the ground and the sensor: float32 (n, bands).
    """

    path: Tensor
    transmittance: Tensor


def check_known(bands: Sequence[Band], setting: str) -> None:
    """Refuse bands whose atmosphere is not known.

    Raises:
        ConfigError: The message names them and the setting that asks for them.
    """
    missing = [band.name for band in bands if band.name not in GAS]
    if missing:
        raise ConfigError(f"{setting} is not known for {', '.join(missing)}", "set it to 0")


def atmosphere(bands: Sequence[Band], sun_zenith: Tensor, aerosol: Tensor) -> Atmosphere:
    """The atmosphere in each band.

    Args:
        bands: Of a sensor, each with a name in `GAS`.
        sun_zenith: Degrees, below 90: float32 (n,).
        aerosol: Optical depth at 550 nm: float32 (n,).
    """
    micrometres = torch.tensor([band.wavelength_nm / 1000 for band in bands])
    gas = torch.tensor([GAS[band.name] for band in bands])
    cosine = torch.cos(torch.deg2rad(sun_zenith))[:, None]
    molecules = 0.008569 * micrometres**-4 * (1 + 0.0113 * micrometres**-2 + 0.00013 * micrometres**-4)
    particles = aerosol[:, None] * (micrometres / 0.55) ** -_ANGSTROM
    backward = (1 - _FORWARD**2) / (1 + _FORWARD**2 + 2 * _FORWARD * cosine) ** 1.5
    scattered = molecules * 0.75 * (1 + cosine**2) + _SINGLE_SCATTERING * particles * backward
    lost = (_MOLECULES_LOST * molecules + _AEROSOL_LOST * particles) * (1 / cosine + 1)
    return Atmosphere(gas * scattered / (4 * cosine), gas * torch.exp(-lost))


def clear_atmosphere(bands: Sequence[Band]) -> Atmosphere:
    """The atmosphere of a usual clear day, (1, bands)."""
    return atmosphere(bands, torch.tensor([CLEAR_SUN_ZENITH]), torch.tensor([CLEAR_AEROSOL]))
