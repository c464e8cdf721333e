"""How the digital numbers of a scene become reflectance: options, metadata, defaults."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError
from lulc.io.scene.source import Source


@dataclass(frozen=True)
class RadiometryOverride:
    """What the user says of the radiometry of a scene, in place of its metadata.

    Attributes:
        offset: Added to digital numbers; None takes it from the metadata.
        quantification: Digital numbers per unit reflectance; None takes it from the metadata.
    """

    offset: float | None = None
    quantification: float | None = None

    def of(self, sources: list[Source]) -> Radiometry:
        """Radiometry of a scene: options first, then its metadata, then the defaults of the sensor.

        Raises:
            InputError: The sources differ, or the numbers give no reflectance.
        """
        stated = [source.origin.radiometry or _default(source) for source in sources] or [Radiometry()]
        quantification = _one("quantification", self.quantification, [entry.quantification for entry in stated])
        offset = _one("offset", self.offset, [entry.offset for entry in stated])
        if not (isfinite(quantification) and quantification > 0 and isfinite(offset)):
            raise InputError(
                f"quantification {quantification:g} and offset {offset:g} do not give reflectance",
                "give --quantification and --offset",
            )
        overridden = self.offset is not None or self.quantification is not None
        return Radiometry(quantification, offset, "option" if overridden else stated[0].source)


def _default(source: Source) -> Radiometry:
    full = 255.0 if source.dtype == np.uint8 else sensor().quantification  # 8 bits hold a stretched picture
    return Radiometry(full if source.counts else 1.0, 0.0, "default")


def _one(name: str, override: float | None, stated: list[float]) -> float:
    """The override, else the one value that all inputs state."""
    if override is not None:
        return override
    if len(set(stated)) > 1:
        values = ", ".join(f"{value:g}" for value in sorted(set(stated)))
        raise InputError(f"the inputs differ in {name}: {values}", f"give --{name} if they are one scene")
    return stated[0]
