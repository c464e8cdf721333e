"""Spectral indices: one table with one formula each, for numpy, dask, xarray and torch arrays.

Inputs are surface or top-of-atmosphere reflectance (0..1) as floating point, never raw unsigned integers. Where a
denominator is 0 the result is NaN, since the index is undefined there. Formulas follow the Awesome Spectral Indices
catalogue (Montero et al. 2023, doi:10.1038/s41597-023-02096-0) with Sentinel-2 bands in place of N, R, G, B, S1, S2.
Two go by another name there: the tillage index NDTI is its NDTillI (its NDTI is turbidity), BSI is its BI.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lulc.errors import ConfigError, did_you_mean

Array = Any
"""numpy.ndarray, dask.array.Array, xarray.DataArray or torch.Tensor of floating-point reflectance."""


@dataclass(frozen=True, slots=True)
class SpectralIndex:
    """A named formula over reflectance.

    Attributes:
        name: Short name, such as `NDVI`.
        title: Full name.
        bands: Band names in the order of the formula's arguments.
        formula: Function of the reflectance of those bands.
        reference: Publication of the formula.
    """

    name: str
    title: str
    bands: tuple[str, ...]
    formula: Callable[..., Array]
    reference: str

    def __call__(self, reflectance: Mapping[str, Array]) -> Array:
        """Compute the index from reflectance (0..1) by band name; shape and floating dtype of the bands are kept."""
        return self.formula(*(reflectance[band] for band in self.bands))


def _where(like: Array) -> Callable[..., Array]:
    library = type(like).__module__.partition(".")[0]
    where: Callable[..., Array] = sys.modules["dask.array" if library == "dask" else library].where
    return where


def _ratio(numerator: Array, denominator: Array) -> Array:
    where = _where(denominator)
    empty = denominator == 0
    # Division by a stand-in 1 keeps every array library silent; the quotient there is then replaced.
    return where(empty, float("nan"), numerator / where(empty, 1.0, denominator))


def normalised_difference(first: Array, second: Array) -> Array:
    """(first - second) / (first + second) of floating-point arrays of one shape; NaN where the sum is 0."""
    return _ratio(first - second, first + second)


def _evi(nir: Array, red: Array, blue: Array) -> Array:
    return _ratio(2.5 * (nir - red), nir + 6.0 * red - 7.5 * blue + 1.0)


def _savi(nir: Array, red: Array) -> Array:
    return _ratio(1.5 * (nir - red), nir + red + 0.5)


def _bsi(swir1: Array, red: Array, nir: Array, blue: Array) -> Array:
    return normalised_difference(swir1 + red, nir + blue)


_Row = tuple[str, str, tuple[str, ...], Callable[..., Array], str]

_TABLE: tuple[_Row, ...] = (
    ("NDVI", "normalised difference vegetation index", ("B08", "B04"), normalised_difference, "Rouse et al. 1974"),
    ("NDTI", "normalised difference tillage index", ("B11", "B12"), normalised_difference, "van Deventer et al. 1997"),
    ("NDBI", "normalised difference built-up index", ("B11", "B08"), normalised_difference, "Zha et al. 2003"),
    ("NDMI", "normalised difference moisture index", ("B08", "B11"), normalised_difference, "Gao 1996"),
    ("NDSI", "normalised difference snow index", ("B03", "B11"), normalised_difference, "Hall et al. 1995"),
    ("NDWI", "normalised difference water index", ("B03", "B08"), normalised_difference, "McFeeters 1996"),
    ("MNDWI", "modified normalised difference water index", ("B03", "B11"), normalised_difference, "Xu 2006"),
    ("EVI", "enhanced vegetation index", ("B08", "B04", "B02"), _evi, "Huete et al. 2002"),
    ("SAVI", "soil-adjusted vegetation index, L = 0.5", ("B08", "B04"), _savi, "Huete 1988"),
    ("BSI", "bare soil index", ("B11", "B04", "B08", "B02"), _bsi, "Rikimaru et al. 2002"),
    ("NBR", "normalised burn ratio", ("B08", "B12"), normalised_difference, "Key and Benson 2006"),
)
"""The fields of one `SpectralIndex` a line."""

INDICES: Mapping[str, SpectralIndex] = {row[0]: SpectralIndex(*row) for row in _TABLE}
"""All indices that lulc knows, by name."""


def spectral_index(name: str) -> SpectralIndex:
    """Look up an index by name, letter case ignored.

    Raises:
        ConfigError: There is no such index; the message offers the nearest name.
    """
    found = INDICES.get(name.upper())
    if found is None:
        raise ConfigError(f"no spectral index {name!r}", did_you_mean(name.upper(), INDICES))
    return found
