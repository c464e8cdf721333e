"""Spectral bands and sensors: band names, wavelengths, and the conversion of digital numbers to reflectance."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lulc.errors import InputError
from lulc.resources import read_toml


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band.

    Attributes:
        name: Canonical name, such as `B8A`.
        wavelength_nm: Central wavelength in nanometres.
        gsd_m: Ground sampling distance in metres.
        aliases: Other spellings found in files; compared without letter case.
    """

    name: str
    wavelength_nm: float
    gsd_m: float
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sensor:
    """A set of bands with one radiometric convention: reflectance = (DN + offset) / quantification.

    Attributes:
        name: Full name of the instrument.
        bands: Bands in the order of the sensor file.
        quantification: Digital numbers per unit reflectance, applied after the offset.
        baseline_offset: Offset added to DN under current processing baselines (-1000 for Sentinel-2 from 04.00).
        nodata_dn: Digital number that means "no data".
        saturated_dn: Digital number that means "saturated".
    """

    name: str
    bands: tuple[Band, ...]
    quantification: float
    baseline_offset: float
    nodata_dn: int
    saturated_dn: int

    def spellings(self) -> Mapping[str, str]:
        """Map each lower-case spelling, aliases included, to its canonical band name."""
        return {spelling.lower(): band.name for band in self.bands for spelling in (band.name, *band.aliases)}

    def canonical(self, text: str | None) -> str | None:
        """Canonical band name for a band description in a file; None when it names no band or several.

        Only exact spellings match, save for two forms met in real files: GDAL's `B4, central wavelength 665 nm` and
        product file names such as `T31TDH_20180101T105441_B04_10m`.

        Args:
            text: Description, alias or file name; None or empty gives None.
        """
        if not text:
            return None
        spellings = self.spellings()
        plain = text.strip().lower()
        if plain in spellings:
            return spellings[plain]
        leading, comma, rest = plain.partition(",")
        if comma and rest.strip().startswith("central wavelength"):
            return spellings.get(leading.strip())
        tokens = [token for token in re.split(r"[^a-z0-9]+", plain) if re.fullmatch(r"b\d{1,2}a?", token)]
        return spellings.get(tokens[0]) if len(tokens) == 1 else None

    def has(self, names: Iterable[str]) -> bool:
        """True when every name is a canonical band of this sensor."""
        return set(names) <= {band.name for band in self.bands}


@dataclass(frozen=True, slots=True)
class Radiometry:
    """Conversion of one scene's digital numbers to reflectance: (DN + offset) / quantification.

    Attributes:
        quantification: Digital numbers per unit reflectance: 10000 for Sentinel-2 products, 1 for a scene already in
            reflectance.
        offset: Added to digital numbers: -1000 for Sentinel-2 from processing baseline 04.00, else 0.
        source: Origin of both values, for the product's tags: `metadata`, `option` or `default`.
    """

    quantification: float = 10_000.0
    offset: float = 0.0
    source: str = "default"

    def reflectance(self, digital_numbers: Any) -> Any:  # noqa: ANN401 - any array library
        """Convert digital numbers to reflectance (unitless, 0..1 for most land).

        Args:
            digital_numbers: Floating-point array of any shape and array library.

        Returns:
            Array of the same shape and dtype.
        """
        return (digital_numbers + self.offset) / self.quantification


@cache
def sensor(name: str = "sentinel-2") -> Sensor:
    """Load a sensor by the name of its file in configs/sensors.

    Raises:
        ConfigError: No such sensor.
    """
    table = read_toml("sensors", name)
    bands = tuple(Band(**{**entry, "aliases": tuple(entry.get("aliases", ()))}) for entry in table.pop("bands"))
    return Sensor(bands=bands, **table)


def check_bands(name: str, wanted: Iterable[str], held: Sequence[str], remedy: str) -> None:
    """Refuse a scene or patch that lacks a band or an index.

    Args:
        name: What to call it.
        wanted: Bands and indices that are needed.
        held: Those that it has.
        remedy: What the user can do.

    Raises:
        InputError: It lacks one.
    """
    missing = [band for band in dict.fromkeys(wanted) if band not in held]
    if missing:
        raise InputError(f"{name} lacks {', '.join(missing)}: it has {', '.join(held)}", remedy)
