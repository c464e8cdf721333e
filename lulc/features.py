"""FeatureSpec: which bands and indices a network sees, in what order, and how they are normalised.

Stacking, training and classifying share this one definition. It uses arithmetic only, so it works on any array library.
Raw integers may therefore be turned into features on the device that runs the network.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from pydantic import model_validator

from lulc.bands import Radiometry
from lulc.config import Table
from lulc.indices import Array, spectral_index


class FeatureSpec(Table):
    """Input channels of a network: bands, then indices, each normalised as (value - mean) / std.

    Attributes:
        sensor: Name of a sensor file in configs/sensors.
        bands: Band names in channel order.
        indices: Index names, following the bands.
        mean: Mean of each channel over the training data: reflectance (0..1) for bands, index value for indices.
        std: Standard deviation of each channel over the training data, in the same units; positive.
    """

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
        """Names to read from a scene.

        An index that the scene offers by name is read, any other one computed from its bands.

        Args:
            available: Names of the bands and indices that the scene offers.

        Returns:
            Names in reading order, each once. Those missing from `available` are included.

        Raises:
            ConfigError: An index is unknown.
        """
        needed = list(self.bands)
        for name in self.indices:
            needed += [name] if name in available else spectral_index(name).bands
        return tuple(dict.fromkeys(needed))

    def normalised(
        self, planes: Mapping[str, Array], radiometry: Radiometry, to_float: Callable[[Array], Array]
    ) -> list[Any]:
        """Compute the network's channels in order, each as (value - mean) / std.

        Args:
            planes: By name, raw digital numbers of each band (any shape, any real dtype), and values of indices that
                the scene offers.
            radiometry: Conversion of the scene's digital numbers to reflectance.
            to_float: Converts a raw plane to floating point; the caller chooses precision and device.

        Returns:
            One floating-point array per channel, of the shape of the planes. Not finite where an index has no value;
            the caller fills it with 0, the training mean.
        """
        reflectance = {
            name: radiometry.reflectance(to_float(plane)) for name, plane in planes.items() if name not in self.indices
        }
        given = {name: to_float(planes[name]) for name in self.indices if name in planes}
        values = [reflectance[name] for name in self.bands]
        values += [given[name] if name in given else spectral_index(name)(reflectance) for name in self.indices]
        return [(value - mean) / std for value, mean, std in zip(values, self.mean, self.std, strict=True)]
