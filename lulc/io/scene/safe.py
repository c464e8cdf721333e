"""Sentinel-2 SAFE products, as a folder or a zip of it: bands and offsets from the product's own metadata.

Layout and meaning: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD. From processing baseline 04.00 on,
reflectance = (DN + offset) / quantification with one offset per band.
"""

import logging
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element  # for the annotation only; parsing is defusedxml's

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError, raised_as
from lulc.io.files.tries import head_of
from lulc.io.scene.raster import RasterSource, driver_of
from lulc.io.scene.source import Origin
from lulc.resources import read_regular

_BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
_log = logging.getLogger(__name__)

_METADATA = re.compile(r"(^|/)(MTD_MSI(L1C|L2A)|S2[A-D]_(OPER|USER)_MTD_SAFL(1C|2A)_[^/]*)\.xml$")
"""Of the product; the second form until December 2016."""

_BAND_FILE = re.compile(r"(?:^|/)IMG_DATA/(?:R\d\dm/)?[^/]*_(B\d[\dA])(?:_(\d\d)m)?\.jp2$")
_SCL_FILE = re.compile(r"/IMG_DATA/R20m/[^/]*_SCL_20m\.jp2$")
_GRANULE = re.compile(r"(?:^|/)GRANULE/([^/]+)/IMG_DATA/")
_MOST_METADATA = 16 << 20
_OFFSETS_FROM = "04.00"
_MOST_MEMBERS = 10_000
_LEVELS_BELOW = 4
"""Folders of a product above a band file: GRANULE/NAME/IMG_DATA/R10m."""

_COMPANION = re.compile(r"(^|/)(\._[^/]*|__MACOSX/.*)$")
"""What macOS puts beside every file on other systems' disks and into archives."""


@dataclass(frozen=True)
class SafeMetadata:
    """What the product says of itself."""

    level: str
    acquired: str
    baseline: str
    quantification: float
    offsets: dict[str, float]


class _Archive:
    """Members of a SAFE folder or zip, by their path inside the product."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = path.is_file()
        with raised_as(InputError, f"{path} cannot be listed", "fetch the product again", OSError, zipfile.BadZipFile):
            self.members = sorted(member for member in self._list() if not _COMPANION.search(member))

    def _list(self) -> Iterable[str]:
        if not self._zip:
            return [
                str(PurePosixPath(entry.relative_to(self.path))) for entry in self.path.rglob("*") if entry.is_file()
            ]
        if "}" in self.path.resolve().as_posix() or "{" in self.path.resolve().as_posix():
            raise InputError(f"{self.path}: GDAL opens no zip with a brace in its path", "rename it")
        with zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
        if len(names) > _MOST_MEMBERS or any(
            ".." in PurePosixPath(name).parts or name.startswith("/") for name in names
        ):
            raise InputError(f"{self.path} is not a SAFE archive", "it has too many members, or paths that leave it")
        return names

    def text(self, member: str) -> bytes:
        problem, remedy = f"{self.path}: cannot read {member}", "fetch the product again"
        with raised_as(InputError, problem, remedy, OSError, zipfile.BadZipFile, zlib.error):
            return self._bytes(member)

    def _bytes(self, member: str) -> bytes:
        if not self._zip:
            return read_regular(self.path / member, _MOST_METADATA)
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(member) if archive.getinfo(member).file_size <= _MOST_METADATA else b""

    def driver(self, member: str) -> str:
        """GDAL driver of a band file; real products hold JPEG 2000, test products may hold TIFF."""
        if self._zip:
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
                head = file.read(16)
        else:
            head = head_of(self.path / member, 16)
        known = driver_of(head)
        if known is None:
            raise InputError(f"{self.path}: {member} is not a JPEG 2000 file", "fetch the product again")
        return known[0]

    def location(self, member: str) -> str:
        """What GDAL opens."""
        return f"/vsizip/{{{self.path.resolve()}}}/{member}" if self._zip else str(self.path / member)


def is_safe(path: Path) -> bool:
    """True for a folder or zip that holds SAFE metadata, for that metadata file itself, and for a part of a product."""
    if path.is_file() and _METADATA.search(path.name):
        return True
    if path.is_dir() and _holds_metadata(path):
        return True
    if product_above(path) is not None:
        return True
    if path.is_dir() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(_METADATA.search(name) and not _COMPANION.search(name) for name in archive.namelist())


def product_above(path: Path) -> Path | None:
    """The SAFE product that a folder of it, or one of its band files, lies in: its metadata say what the pixels mean."""
    inside = path.resolve()  # also through `..` and links
    if "GRANULE" not in inside.parts or (path.is_file() and not _BAND_FILE.search(inside.as_posix())):
        return None
    above = [inside] if path.is_dir() else []
    places = [*above, *inside.parents][: _LEVELS_BELOW + 1]
    return next((place for place in places if _holds_metadata(place)), None)


def _holds_metadata(folder: Path) -> bool:
    return any(_METADATA.search(entry.name) for entry in folder.glob("*.xml"))


def open_safe(path: Path) -> list[RasterSource]:
    """One source per band, each at its best resolution, and the scene classification of Level-2A last.

    Args:
        path: A product, its metadata file, or a part of it: a granule, IMG_DATA, R20m, or one band file.

    Raises:
        InputError: Metadata missing, unsafe or without bands.
    """
    path = path.parent if path.is_file() and _METADATA.search(path.name) else path
    product = product_above(path) or path
    archive = _Archive(product)
    within = "" if product == path else path.resolve().relative_to(product.resolve()).as_posix()
    members = [member for member in archive.members if not within or f"{member}/".startswith(f"{within}/")]
    found = [member for member in archive.members if _METADATA.search(member)]
    granules = sorted({part for member in members for part in _GRANULE.findall(member)})
    if len(granules) > 1:
        raise InputError(
            f"{path} holds {len(granules)} granules: {', '.join(granules[:3])}{', ...' if len(granules) > 3 else ''}",  # noqa: PLR2004
            f"give the folder of one, such as {path}/GRANULE/{granules[0]}",
        )
    if len(found) != 1:
        raise InputError(f"{path} holds {len(found)} metadata files of products", "give one Sentinel-2 product")
    metadata = read_metadata(archive.text(found[0]), product)
    files = _best_files(members, path)
    if not files:
        raise InputError(f"{path} holds no band files under GRANULE/*/IMG_DATA", "fetch the product again")
    classes = [("SCL", member) for member in members if _SCL_FILE.search(member)][:1]
    return [
        _band_source(path, band, archive.driver(member), archive.location(member), metadata)
        for band, member in (*sorted(files.items()), *classes)
    ]


def read_metadata(xml: bytes, path: Path) -> SafeMetadata:
    """Parse MTD_MSIL1C.xml or MTD_MSIL2A.xml.

    Raises:
        InputError: Not XML, with entities or a DTD, or without what is needed.
    """
    problem, remedy = f"{path}: its metadata is not safe XML", "fetch the product again"
    with raised_as(InputError, problem, remedy, ParseError, DefusedXmlException):
        root = fromstring(xml)
    texts = {_local(element).removeprefix("L2A_"): (element.text or "").strip() for element in root.iter()}
    level = "L2A" if "Level-2A" in _local(root) else "L1C"
    quantification = texts.get("BOA_QUANTIFICATION_VALUE") or texts.get("QUANTIFICATION_VALUE")
    if quantification is None:
        raise InputError(
            f"{path}: its metadata states no quantification value",
            "copy its band files out of the product, and give them with --quantification",
        )
    acquired, baseline = texts.get("PRODUCT_START_TIME", ""), texts.get("PROCESSING_BASELINE", "")
    with raised_as(InputError, f"{path}: its metadata holds no usable numbers", remedy, ValueError, IndexError):
        return SafeMetadata(level, acquired, baseline, float(quantification), _offsets(root, path))


def _offsets(root: Element, path: Path) -> dict[str, float]:
    """Offsets by band.

    Raises:
        InputError: One is of no band, or is no number: a missing offset is not an offset of 0.
    """
    known, found = {str(number): name for number, name in enumerate(_BAND_IDS)}, {}
    for element in root.iter():
        if _local(element) not in {"BOA_ADD_OFFSET", "RADIO_ADD_OFFSET"}:
            continue
        band, text = element.get("band_id", "").strip(), (element.text or "").strip()
        remedy = "fetch the product again"
        if band not in known:
            raise InputError(f"{path}: its metadata states an offset for band_id {band[:20]!r}, which is none", remedy)
        if not text:
            raise InputError(f"{path}: its metadata states no number as the offset of {known[band]}", remedy)
        found[known[band]] = float(text)
    return found


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _best_files(members: Iterable[str], path: Path) -> dict[str, str]:
    """Band name to member path, of the finest resolution there is; a product with 10 m bands that lacks files is told."""
    best: dict[str, tuple[int, str]] = {}
    for member in members:
        match = _BAND_FILE.search(member)
        if match:
            band, resolution = match[1], int(match[2] or 0)
            best[band] = min(best.get(band, (resolution, member)), (resolution, member))
    fine = {band.name: band.gsd_m for band in sensor().bands}
    if best and min(resolution for resolution, _ in best.values()) <= min(fine.values()):
        for name, (resolution, _) in sorted(best.items()):
            if resolution > fine[name]:
                _log.warning("%s lacks %s at %g m: it is taken from %d m", path, name, fine[name], resolution)
    return {band: member for band, (_, member) in best.items()}


def _band_source(path: Path, band: str, driver: str, location: str, metadata: SafeMetadata) -> RasterSource:
    unstated = not metadata.offsets and metadata.baseline >= _OFFSETS_FROM
    source = "metadata, which state no offset" if unstated else "metadata"
    radiometry = Radiometry(metadata.quantification, metadata.offsets.get(band, 0.0), source)
    kind = f"SAFE {metadata.level} baseline {metadata.baseline}"
    origin = Origin(path, kind, metadata.level, metadata.acquired, radiometry, nodata=0)
    return RasterSource(path, driver, kind, location=location, labels=(band,), origin=origin)
