"""Spectral bands and sensors: band names, wavelengths, and the conversion of digital numbers to reflectance."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lulc.config import Table, parse_config, read_toml
from lulc.errors import InputError
from lulc.resources import config_path

_PRODUCT = re.compile(r"(\w+_)?t\d\d[a-z]{3}_(\w+_)?(?P<band>b\d[\da])(_\d\dm)?(\.(jp2|tiff?))?")
"""Names of Sentinel-2 product files: they name a tile, and the band last."""

_DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")
_BAND_PART = re.compile(r"b\d{1,2}a?")
_BEHIND = re.compile(
    r"\d\dm|\d{4}|\d{8}(t\d{6})?|raw|sr|toa|boa|rho|refl(ectance)?|cog|clip(ped)?|crop(ped)?|cut|sub(set)?|masked"
    r"|resampled|warp(ed)?|reproj(ected)?|utm\w*|epsg\w*|merged?|mosaic|median|mean|composite|tiff?|jp2"
)
_MADE_OF_BANDS = re.compile(
    r"std\w*|var|variance|p\d{1,2}|count|minus|diff\w*|delta|change|slope|trend|ratio|anomaly|zscore|norm\w*"
    r"|contrast|entropy|corr\w*|asm|idm|homogeneity|dissimilarity|texture|glcm"
    r"|msk|\w*mask|detfoo|defect\w*|qualit|quality|qa|qi|uncertainty|unc|sd|err|error|min|max|range|sum|gain"
    r"|zenith|azimuth|angles?|sza|vza|saa|vaa|irradiance|detector|footprint"
)
"""Words in the name of a file that holds something made of a band, or about it."""

_OTHER_SENSORS = re.compile(
    r"landsat\d*|l[4-9]|l[ceto]0[4-9]\w*|sr|modis|m[oy]d\d\d\w*|mcd\d\d\w*|aster|ast|vnir|goes\d*|abi|himawari\d*|ahi|hs"
    r"|viirs|v[nj]p\d\d\w*|olci|slstr|s3[ab]|sentinel3[ab]?|planet\w*|psscene|spot\d*|avhrr|cbers\w*|ga"
)
_SENTINEL_2 = re.compile(r"s2[a-d]?m?|sentinel2[a-d]?|msil?\w*|msi")
"""Words for another sensor, such as `sr` in SR_B4 of Landsat, do not count beside these."""


class Band(Table):
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


class Convention(Table):
    """What labels mean where another is seen beside them.

    Attributes:
        seen: The other, in lower case.
        means: Canonical band names by label, in lower case.
    """

    seen: str
    means: dict[str, str]


class Sensor(Table):
    """A set of bands with one radiometric convention: reflectance = (DN + offset) / quantification.

    Attributes:
        name: Full name of the instrument.
        bands: Bands in the order of the sensor file.
        quantification: Digital numbers per unit reflectance, applied after the offset.
        baseline_offset: Offset added to DN under current processing baselines (-1000 for Sentinel-2 from 04.00).
        nodata_dn: Digital number that means "no data".
        saturated_dn: Digital number that means "saturated".
        conventions: Meanings of labels beside others.
    """

    name: str
    bands: tuple[Band, ...]
    quantification: float
    baseline_offset: float
    nodata_dn: int
    saturated_dn: int
    conventions: tuple[Convention, ...] = ()

    def spellings(self) -> Mapping[str, str]:
        """Map each lower-case spelling, aliases included, to its canonical band name."""
        return {spelling.lower(): band.name for band in self.bands for spelling in (band.name, *band.aliases)}

    def canonical(self, text: str | None) -> str | None:
        """Canonical band name for what a file calls a band; None when it names no band.

        The whole text must be the name: `B8_stdDev` is no B08. Beside exact spellings that is GDAL's
        `B4, central wavelength 665 nm` and the names of product files such as `T31TDH_20180101T105441_B04_10m`.

        Args:
            text: Description or alias; None or empty gives None.
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
        product = _PRODUCT.fullmatch(plain)
        return spellings.get(product["band"]) if product else None

    def of_file(self, stem: str) -> str | None:
        """Band that the name of a file says, without its suffix; None when it says none, or something made of a band.

        One part of the name is the band, such as in `..._L2A_B02_(Raw)` or `HLS.S30.T31TCJ.2021179T105031.v2.0.B02`.
        Behind it only resolution, date and words of processing may stand.
        """
        plain = _DATE.sub(r"\1\2\3", stem.lower().replace("sentinel-2", "sentinel2"))
        parts = [part for part in re.split(r"[^a-z0-9]+", plain) if part]
        at = [number for number, part in enumerate(parts) if _BAND_PART.fullmatch(part)]
        if any(map(_MADE_OF_BANDS.fullmatch, parts)) or _of_another_sensor(parts):
            return None
        if len(at) != 1:
            return self.canonical(stem)
        before, behind = parts[: at[0]], parts[at[0] + 1 :]
        numbered = len(before) == 1 and before[0].isdigit()  # 0_B4 is the band of another image
        alone = not numbered and all(_BEHIND.fullmatch(part) for part in behind)
        return self.spellings().get(parts[at[0]]) if alone else None

    def canonical_names(self, labels: Sequence[str | None]) -> list[str | None]:
        """Canonical names of all bands of a scene: a convention that some labels show decides what others mean.

        FORCE calls band 8 BROADNIR and band 8A NIR; alone, NIR is band 8.
        """
        seen = {label.strip().lower() for label in labels if label}
        means = {label: band for shown in self.conventions if shown.seen in seen for label, band in shown.means.items()}
        return [means.get((label or "").strip().lower()) or self.canonical(label) for label in labels]

    def has(self, names: Iterable[str]) -> bool:
        """True when every name is a canonical band of this sensor."""
        return set(names) <= {band.name for band in self.bands}


def _of_another_sensor(parts: Sequence[str]) -> bool:
    """True for the name of a file that says so, as parts in lower case."""
    return any(map(_OTHER_SENSORS.fullmatch, parts)) and not any(map(_SENTINEL_2.fullmatch, parts))


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
        moved = digital_numbers + self.offset if self.offset else digital_numbers
        return moved / self.quantification


@cache
def sensor(name: str = "sentinel-2") -> Sensor:
    """Load a sensor by the name of its file in configs/sensors.

    Raises:
        ConfigError: No such sensor, or a key of its file is missing, unknown or of the wrong type.
    """
    return parse_config(Sensor, read_toml("sensors", name), str(config_path("sensors", name)))


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
