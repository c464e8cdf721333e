"""FeatureSpec: which bands and indices a network sees, in what order, normalised how.

There is one definition for stacking, training and classifying. It works on any array library because it only uses
arithmetic; the raw integers may therefore be turned into features on the device that runs the network.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from lulc.bands import Radiometry
from lulc.indices import Array, spectral_index


class FeatureSpec(BaseModel):
    """Channels of a network: bands, then indices, each as (value - mean) / std.

    Attributes:
        sensor: Name of the sensor file in configs/sensors.
        bands: Band names in channel order.
        indices: Index names, following the bands.
        mean: Mean of each channel over the training data; reflectance for bands.
        std: Standard deviation of each channel over the training data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str = "sentinel-2"
    bands: tuple[str, ...]
    indices: tuple[str, ...] = ()
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.indices:
            spectral_index(name)
        if len(set(self.channels)) != len(self.channels) or not self.bands:
            raise ValueError(f"channels must be given once each and include a band: {self.channels}")
        if not len(self.mean) == len(self.std) == len(self.channels):
            raise ValueError(f"{len(self.channels)} channels need as many means and standard deviations")
        if min(self.std) <= 0:
            raise ValueError(f"standard deviations must be positive: {self.std}")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in order: bands, then indices."""
        return self.bands + self.indices

    def required(self, available: Sequence[str]) -> tuple[str, ...]:
        """Names to read from a scene that offers `available`: an index found by name is read, not computed."""
        needed = list(self.bands)
        for name in self.indices:
            needed += [name] if name in available else spectral_index(name).bands
        return tuple(dict.fromkeys(needed))

    def normalised(
        self, planes: Mapping[str, Array], radiometry: Radiometry, to_float: Callable[[Array], Array]
    ) -> list[Any]:
        """Channels of the network, in order, each as (value - mean) / std.

        Args:
            planes: Raw digital numbers of each band (any shape), and values of indices that the scene provides.
            radiometry: How the scene's digital numbers become reflectance.
            to_float: Turns a raw plane into floating point, where the caller chooses the precision and device.

        Returns:
            One floating-point array per channel. Not finite where an index has no value: the caller fills it
            with 0, which is the training mean.
        """
        reflectance = {
            name: radiometry.reflectance(to_float(plane)) for name, plane in planes.items() if name not in self.indices
        }
        given = {name: to_float(planes[name]) for name in self.indices if name in planes}
        values = [reflectance[name] for name in self.bands]
        values += [given[name] if name in given else spectral_index(name)(reflectance) for name in self.indices]
        return [(value - mean) / std for value, mean, std in zip(values, self.mean, self.std, strict=True)]
