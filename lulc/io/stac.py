"""STAC Items as scenes: a local `.json` file or its http(s) address, with assets that are local files or URLs.

Bands are found by the names in `eo:bands` (STAC 1.0) or `bands` (1.1), then by the asset's key: so the layouts of Earth
Search (`blue`, `nir08`, `scl`, ...) and of Planetary Computer (`B02`, `B8A`, `SCL`, ...) are both read.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from lulc.bands import sensor
from lulc.errors import InputError, LulcError
from lulc.io.quality import quality_name
from lulc.io.raster import RasterSource, sniff
from lulc.io.source import Origin
from lulc.io.stac_radiometry import item_radiometry
from lulc.io.web import read_json, web_address

if TYPE_CHECKING:
    from pystac import Asset, Item

_DRIVERS = {"image/tiff": ("GTiff", "GeoTIFF"), "image/jp2": ("JP2OpenJPEG", "JPEG 2000")}
_SUFFIXES = {
    ".tif": _DRIVERS["image/tiff"],
    ".tiff": _DRIVERS["image/tiff"],
    ".jp2": _DRIVERS["image/jp2"],
}
_NO_ITEMS = {*_SUFFIXES, ".img", ".nc", ".npy", ".vrt", ".zarr", ".zip", ".jpg", ".jpeg", ".png"}
_BBOX_SIZES = (4, 6)
_UNKNOWN_SIZE = 1e9
_LEVELS = ("L2A", "L1C")


@dataclass(frozen=True)
class BandAsset:
    """One band of an item.

    Attributes:
        name: `B02`, ..., `SCL`.
        key: Key of the asset.
        href: Where it lies: a URL, or a local path.
        resolution: Pixel size in metres as stated, very large when not.
    """

    name: str
    key: str
    href: str
    resolution: float


def is_item(path: Path) -> bool:
    """True for what may be a STAC Item: a `.json` or `.geojson` file, and a URL unless it names a raster or an archive."""
    if web_address(path):
        return path.suffix.lower() not in _NO_ITEMS
    return path.suffix.lower() in {".json", ".geojson"} and path.is_file()


def read_item(location: str) -> "Item":
    """A STAC Item from a URL or a local file.

    Raises:
        InputError: Not there, or not a STAC Item.
        StorageError: The server does not answer.
    """
    document = read_json(location)
    if document.get("type") != "Feature" or "assets" not in document:
        kind = document.get("type", "of no type")
        raise InputError(
            f"{web_address(location) or location} is no STAC Item but {kind}",
            "give an Item; lulc fetch reads a catalogue or an API",
        )
    return parse_item(document, web_address(location) or str(Path(location).absolute()))


def parse_item(document: dict[str, Any], href: str) -> "Item":
    """A STAC Item from its JSON, brought to the current version of the format.

    Raises:
        InputError: It misses what every Item has.
    """
    from pystac import Item, STACError, STACTypeError

    try:
        item = Item.from_dict(document, href=href)
    except (STACError, STACTypeError, LookupError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{href} is no valid STAC Item: {reason}", "check it with stac-validator") from error
    strange = _strange(item)
    if strange:
        raise InputError(f"{href} is no valid STAC Item: {strange}", "check it with stac-validator")
    return item


def _strange(item: "Item") -> str:
    """What of an item is not of the type that the specification states, of what is used here; empty when all is."""
    names = [
        item.id,
        "" if item.collection_id is None else item.collection_id,
        *(asset.href for asset in item.assets.values()),
    ]
    if not item.id or not all(isinstance(name, str) for name in names):
        return "an id, collection or href is no text"
    box = item.bbox
    if box is not None and not (isinstance(box, list) and len(box) in _BBOX_SIZES and all(_is_number(x) for x in box)):
        return "its bbox is not of 4 or 6 numbers"
    try:
        if item.geometry is not None and not np.isfinite(shapely.get_coordinates(shape(item.geometry))).all():
            return "its geometry is not of finite numbers"
    except (ShapelyError, LookupError, ValueError, TypeError, AttributeError):
        return "its geometry is none of GeoJSON"
    return ""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and isfinite(value)


def open_item(location: Path | str, names: Sequence[str] | None = None) -> list[RasterSource]:
    """One source per band of an item, each at its best resolution, and SCL last.

    Args:
        location: A local file or a URL.
        names: Bands to open; None for all.

    Raises:
        InputError: No STAC Item, without bands, or an asset that is no raster.
        StorageError: A server does not answer.
    """
    text = web_address(location) or str(location)
    return item_sources(read_item(text), Path(text), names)


def item_sources(item: "Item", path: Path, names: Sequence[str] | None = None) -> list[RasterSource]:
    """As `open_item`, for an item that was read already; `path` is what messages call it."""
    assets = band_assets(item)
    if not any(quality_name(name) is None for name in assets):
        places = {urlsplit(asset.href).scheme for asset in item.assets.values()} - {"", "http", "https", "file"}
        raise InputError(
            f"{item.id} has no Sentinel-2 bands that can be read; its assets: {', '.join(item.assets) or 'none'}"
            + (f", some at {'://, '.join(sorted(places))}://" if places else ""),
            "assets must be GeoTIFF or JPEG 2000, local or http(s), and named by eo:bands, bands or key",
        )
    missing = [name for name in names or () if name not in assets]
    if missing:
        raise InputError(f"{item.id} has no {', '.join(missing)}; it has {', '.join(assets)}", "choose other bands")
    wanted = [assets[name] for name in names] if names is not None else list(assets.values())
    stated = item_identity(item)
    opened: list[RasterSource] = []
    try:
        opened.extend(_source(item, asset, path, stated) for asset in wanted)
    except BaseException:
        for source in opened:
            source.close()
        raise
    return opened


def band_assets(item: "Item") -> dict[str, BandAsset]:
    """Assets that hold one band each, by band name in the sensor's order, SCL last; the finest where there are several."""
    found: dict[str, BandAsset] = {}
    for key, asset in item.assets.items():
        name, href = _band_name(key, asset), _absolute(asset.href, item)
        if name is None or href is None or _kind(asset) is None:
            continue
        entry = BandAsset(name, key, href, _resolution(asset))
        if name not in found or entry.resolution < found[name].resolution:
            found[name] = entry
    order = [*(band.name for band in sensor().bands), "SCL"]
    return {name: found[name] for name in order if name in found}


def item_level(item: "Item") -> str:
    """`L2A` or `L1C` from the item's properties or its collection; empty when not said."""
    properties = item.properties
    texts = (properties.get("processing:level"), properties.get("s2:product_type"), item.collection_id, item.id)
    for text in texts:
        plain = str(text or "").upper().replace("-", "").replace("_", "")
        for level in _LEVELS:
            if level in plain or level[1:] == plain[-2:]:
                return level
    return ""


def item_date(item: "Item") -> str:
    """Acquisition time, ISO 8601; empty when not said."""
    properties = item.properties
    return str(properties.get("datetime") or properties.get("start_datetime") or "")


def item_identity(item: "Item") -> str:
    """SHA-256 over the item's id, properties and addresses; signatures in addresses change daily and do not count."""
    places = {key: urlunsplit((*urlsplit(asset.href)[:3], "", "")) for key, asset in item.assets.items()}
    text = json.dumps([item.id, item.collection_id, item.properties, places], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(item: "Item", asset: BandAsset, path: Path, stated: str) -> RasterSource:
    address = web_address(asset.href)
    local = None if address else Path(asset.href)
    if local and not local.is_file():
        raise InputError(f"{item.id}, asset {asset.key}: no such file: {local}", "check the item's href")
    known = sniff(local) if local else _kind(item.assets[asset.key])
    if known is None:
        raise InputError(f"{item.id}, asset {asset.key}: {local} is no GeoTIFF or JPEG 2000", "check the item's href")
    quality = quality_name(asset.name) is not None
    origin = Origin(
        path,
        "STAC Item",
        item_level(item),
        item_date(item),
        None if quality else item_radiometry(item.properties, _raster_band(item.assets[asset.key])),
        nodata=0,
        files=(local,) if local else (),
        stated=stated,
    )
    shown = Path(asset.href)
    location = f"/vsicurl/{address}" if address else str(local)
    try:
        source = RasterSource(shown, *known, location=location, labels=(asset.name,), origin=origin)
    except LulcError as error:
        problem = error.problem.replace(str(shown), asset.href)
        raise type(error)(f"{item.id}, asset {asset.key}: {problem}", error.remedy) from error
    if not source.counts:  # reflectance already, with NaN for no data
        source.origin = replace(origin, radiometry=None, nodata=None)
    return source


def _band_name(key: str, asset: "Asset") -> str | None:
    """Band that an asset holds alone, or None; a composite such as `visual` lists several bands."""
    listed: Any = next((asset.extra_fields[name] for name in ("eo:bands", "bands") if asset.extra_fields.get(name)), [])
    if not isinstance(listed, list) or len(listed) > 1:
        return None
    stated = str(listed[0].get("name", "")) if listed and isinstance(listed[0], Mapping) else ""
    names = (sensor().canonical(stated), quality_name(stated), sensor().canonical(key), quality_name(key))
    return next((name for name in names if name), None)


def _kind(asset: "Asset") -> tuple[str, str] | None:
    """GDAL driver and kind by media type, then by suffix; None for what is no raster that lulc reads."""
    media = str(asset.media_type or "").partition(";")[0].strip().lower()
    return _DRIVERS.get(media) or _SUFFIXES.get(Path(urlsplit(asset.href).path).suffix.lower())


def _raster_band(asset: "Asset") -> Mapping[str, Any]:
    for name in ("raster:bands", "bands"):
        listed = asset.extra_fields.get(name)
        if isinstance(listed, list) and len(listed) == 1 and isinstance(listed[0], Mapping):
            own = {
                key: asset.extra_fields[key] for key in ("raster:scale", "raster:offset") if key in asset.extra_fields
            }
            return own | dict(listed[0])
    return asset.extra_fields


def _resolution(asset: "Asset") -> float:
    fields = asset.extra_fields
    band = _raster_band(asset)
    stated = [fields.get("gsd"), band.get("raster:spatial_resolution"), band.get("spatial_resolution")]
    transform = fields.get("proj:transform")
    if isinstance(transform, list) and transform:
        stated.insert(0, transform[0])
    return next((float(value) for value in stated if _is_number(value) and value > 0), _UNKNOWN_SIZE)


def _absolute(href: str, item: "Item") -> str | None:
    """Where an asset lies: a URL or a local path; None for other places, and for a remote item that points into this machine."""
    base = item.get_self_href() or ""
    if web_address(base):
        href = urljoin(base, href)
    scheme = urlsplit(href).scheme
    if scheme in {"http", "https"}:
        return href
    if (len(scheme) > 1 and scheme != "file") or web_address(base) or href.startswith("/vsi"):
        return None
    local = Path(unquote(urlsplit(href).path)) if scheme == "file" else Path(href)
    return str(local if local.is_absolute() else Path(base).parent / local)
