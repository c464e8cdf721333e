"""Level-2A of MAJA, as Theia distributes it: one folder, every band corrected for slopes (FRE) and not (SRE).

What -10000 means and how numbers become reflectance stands in `..._MTD_ALL.xml` alone, in no tag of the files. Format:
Hagolle et al., MAJA product description (labo.obs-mip.fr, "Theia Sentinel-2 L2A format").
"""

import logging
import re
from pathlib import Path

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError, raised_as
from lulc.io.scene.acquired import iso_date
from lulc.io.scene.raster import RasterSource, sniff
from lulc.io.scene.source import Origin, closed_on_error
from lulc.resources import read_regular

_METADATA = "*_MTD_ALL.xml"
_BAND_FILE = re.compile(r".*_(?P<kind>FRE|SRE)_(?P<band>B\d{1,2}A?)\.tif", re.IGNORECASE)
_MOST_METADATA = 16 << 20
_NODATA = -10_000.0
"""Of all products so far, where the metadata do not say it."""

_log = logging.getLogger(__name__)


def is_maja(path: Path) -> bool:
    """True for a folder of MAJA's Level-2A, and for a band file beside its metadata."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and not _BAND_FILE.fullmatch(path.name):
        return False
    return next(folder.glob(_METADATA), None) is not None


def open_maja(path: Path) -> list[RasterSource]:
    """One source per band: those of a folder that are corrected for slopes, where there are some; or one file.

    Raises:
        InputError: Metadata that cannot be read, or a folder without bands.
    """
    folder = path if path.is_dir() else path.parent
    origin = _origin(path, next(folder.glob(_METADATA)))
    sources: list[RasterSource] = []
    with closed_on_error(sources):
        for file in [path] if path.is_file() else _files(folder):
            match, kind = _BAND_FILE.fullmatch(file.name), sniff(file)
            if match and kind:
                sources.append(
                    RasterSource(
                        path,
                        kind[0],
                        origin.kind,
                        location=str(file.absolute()),
                        labels=(match["band"],),
                        origin=origin,
                    )
                )
        if not sources:
            raise InputError(f"{path} holds no band files (..._FRE_B2.tif)", "fetch the product again")
    return sources


def _files(folder: Path) -> list[Path]:
    """Files of FRE, else of SRE: their reflectances must not be mixed."""
    by_kind: dict[str, list[Path]] = {"FRE": [], "SRE": []}
    for entry in sorted(folder.iterdir()):
        match = _BAND_FILE.fullmatch(entry.name)
        if match and sensor().canonical(match["band"]):
            by_kind[match["kind"].upper()].append(entry)
    if by_kind["FRE"] and by_kind["SRE"]:
        _log.warning("%s: SRE is not used beside FRE, which is corrected for slopes", folder)
    return by_kind["FRE"] or by_kind["SRE"]


def _origin(path: Path, metadata: Path) -> Origin:
    problem, remedy = f"{metadata}: its metadata cannot be read", "fetch the product again"
    with raised_as(InputError, problem, remedy, ParseError, DefusedXmlException, OSError, ValueError):
        root = fromstring(read_regular(metadata, _MOST_METADATA))
        quantification = float(root.findtext(".//REFLECTANCE_QUANTIFICATION_VALUE") or sensor().quantification)
        special = {each.get("name", "").lower(): each.text for each in root.iter("SPECIAL_VALUE")}
        return Origin(
            path,
            "MAJA L2A",
            level="L2A",
            acquired=iso_date(root.findtext(".//ACQUISITION_DATE") or ""),
            radiometry=Radiometry(quantification, 0.0, "metadata"),
            nodata=float(special.get("nodata") or _NODATA),
            platform=root.findtext(".//PLATFORM") or "",
        )
