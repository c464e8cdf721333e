"""Spectral bands and sensors: names, wavelengths and how digital numbers become reflectance."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lulc.resources import read_toml


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band.

    Attributes:
        name: Canonical name, such as `B8A`.
        wavelength_nm: Central wavelength in nanometres.
        gsd_m: Ground sampling distance in metres.
        aliases: Other exact spellings met in files.
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
        bands: Its bands.
        quantification: Divisor that turns shifted digital numbers into reflectance.
        baseline_offset: What current processing baselines add to DN (-1000 for Sentinel-2 from 04.00).
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
        """Lower-case spelling to canonical band name."""
        return {spelling.lower(): band.name for band in self.bands for spelling in (band.name, *band.aliases)}

    def canonical(self, text: str | None) -> str | None:
        """Canonical name of the band that a description stands for, or None.

        Exact spellings only, save for two forms met in real files: GDAL's `B4, central wavelength 665 nm` and
        product file names such as `T31TDH_20180101T105441_B04_10m`.
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
    """How one scene's digital numbers become reflectance: (DN + offset) / quantification.

    Attributes:
        quantification: 10000 for Sentinel-2 products, 1 for a scene already in reflectance.
        offset: -1000 for Sentinel-2 from processing baseline 04.00, else 0.
        source: Where the two came from, for the product's tags: `metadata`, `option` or `default`.
    """

    quantification: float = 10_000.0
    offset: float = 0.0
    source: str = "default"

    def reflectance(self, digital_numbers: Any) -> Any:  # noqa: ANN401 - any array library
        """Reflectance, unitless, of floating-point digital numbers; shape and type are kept."""
        return (digital_numbers + self.offset) / self.quantification


@cache
def sensor(name: str = "sentinel-2") -> Sensor:
    """Sensor by the name of its file in configs/sensors.

    Raises:
        ConfigError: No such sensor.
    """
    table = read_toml("sensors", name)
    bands = tuple(Band(**{**entry, "aliases": tuple(entry.get("aliases", ()))}) for entry in table.pop("bands"))
    return Sensor(bands=bands, **table)
