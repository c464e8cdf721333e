"""STAC Items as scenes: a local `.json` file or its http(s) address, with assets that are local files or URLs.

Bands are found by the names in `eo:bands` (STAC 1.0) or `bands` (1.1), then by the asset's key: so the layouts of Earth
Search (`blue`, `nir08`, `scl`, ...) and of Planetary Computer (`B02`, `B8A`, `SCL`, ...) are both read.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from lulc.bands import sensor
from lulc.errors import InputError, LulcError, StorageError, raised_as
from lulc.io.files.http import IN_FLIGHT, asset_refusal, read_json, web_address, web_path, without_query
from lulc.io.scene.quality import quality_name
from lulc.io.scene.raster import RasterSource, sniff
from lulc.io.scene.source import Origin, closed_on_error, kept
from lulc.io.scene.stac_radiometry import (
    item_radiometry,
    not_understood,
    raster_band,
    stated_nodata,
    states_scale,
)
from lulc.threads import in_order

if TYPE_CHECKING:
    from pystac import Asset, Item

_log = logging.getLogger(__name__)

_DRIVERS = {"image/tiff": ("GTiff", "GeoTIFF"), "image/jp2": ("JP2OpenJPEG", "JPEG 2000")}
_SUFFIXES = {
    ".tif": _DRIVERS["image/tiff"],
    ".tiff": _DRIVERS["image/tiff"],
    ".jp2": _DRIVERS["image/jp2"],
}
_NO_ITEMS = {*_SUFFIXES, ".img", ".nc", ".npy", ".vrt", ".zarr", ".zip", ".jpg", ".jpeg", ".png"}
_BBOX_SIZES = (4, 6)
UNKNOWN_SIZE = 1e9
_SHOWN = 200
_LEVELS = ("L2A", "L1C")
_MALFORMED = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError)
"""What JSON of other types than the specification states ends in."""


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
    address = web_address(path)
    if address:
        return Path(urlsplit(address).path).suffix.lower() not in _NO_ITEMS
    return path.suffix.lower() in {".json", ".geojson"} and _is_file(path)


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
            f"{without_query(web_address(location) or location)} is no STAC Item but {kind}",
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
        strange = _strange(item)
    except (STACError, STACTypeError, RecursionError, *_MALFORMED) as error:
        strange = " ".join(str(error).split())[:160] or type(error).__name__
    if strange:
        raise InputError(f"{without_query(href)} is no valid STAC Item: {strange}", "check it with stac-validator")
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
    for asset in item.assets.values():
        urlsplit(asset.href)  # ValueError for what only looks like an address
    box = item.bbox
    if box is not None and not (isinstance(box, list) and len(box) in _BBOX_SIZES and all(_is_number(x) for x in box)):
        return "its bbox is not of 4 or 6 numbers"
    try:
        if item.geometry is not None and not np.isfinite(shapely.get_coordinates(shape(item.geometry))).all():
            return "its geometry is not of finite numbers"
    except (ShapelyError, *_MALFORMED):
        return "its geometry is none of GeoJSON"
    return ""


def _is_number(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:  # JSON has no largest integer
        return False


def open_item(location: Path | str) -> list[RasterSource]:
    """One source per band of an item, each at its best resolution, and SCL last.

    Args:
        location: A local file or a URL.

    Raises:
        InputError: No STAC Item, without bands, or an asset that is no raster.
        StorageError: A server does not answer.
    """
    text = web_address(location) or str(location)
    return item_sources(read_item(text), web_path(without_query(text)))


def item_sources(item: "Item", path: Path, names: Sequence[str] | None = None) -> list[RasterSource]:
    """As `open_item`, for an item that was read already; `path` is what messages call it."""
    assets = band_assets(item)
    if not any(quality_name(name) is None for name in assets):
        schemes = {urlsplit(asset.href).scheme for asset in item.assets.values()} - {"", "http", "https", "file"}
        raise InputError(
            f"{item.id} has no Sentinel-2 bands that can be read; its assets: {', '.join(item.assets) or 'none'}"
            + (f", some at {'://, '.join(sorted(schemes))}://" if schemes else ""),
            "assets must be GeoTIFF or JPEG 2000, local or http(s), and named by eo:bands, bands or key",
        )
    missing = [name for name in names or () if name not in assets]
    if missing:
        raise InputError(f"{item.id} has no {', '.join(missing)}; it has {', '.join(assets)}", "choose other bands")
    wanted = [assets[name] for name in names] if names is not None else list(assets.values())
    stated = item_identity(item)
    for statement in _not_understood(item, wanted):
        _log.warning("%s: %s is not understood, so it does not count for the offset", item.id, statement)
    opened: list[RasterSource] = []
    with closed_on_error(opened):
        return list(in_order(lambda asset: kept(_source(item, asset, path, stated), opened), wanted, IN_FLIGHT))


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


def item_platform(item: "Item") -> str:
    """Satellite, instruments and collection of an item, as it names them; empty when not said."""
    said = [item.properties.get(name) for name in ("platform", "constellation", "instruments")]
    texts = [text for each in (*said, item.collection_id) for text in (each if isinstance(each, list) else [each])]
    return "; ".join(text for text in texts if isinstance(text, str))


def cloud_cover(item: "Item") -> float | None:
    """Cloud cover of the whole item, percent; None when not said."""
    cloud = item.properties.get("eo:cloud_cover")
    return float(cloud) if _is_number(cloud) else None


def local_assets(item: "Item") -> list[Path]:
    """Files on this machine that an item's assets are, those that hold no bands too."""
    hrefs = (_absolute(asset.href, item) for asset in item.assets.values())
    paths = (Path(href) for href in hrefs if href and web_address(href) is None)
    return [path for path in paths if _is_file(path)]


def item_date(item: "Item") -> str:
    """Acquisition time, ISO 8601; empty when not said."""
    properties = item.properties
    return str(properties.get("datetime") or properties.get("start_datetime") or "")


def item_identity(item: "Item") -> str:
    """SHA-256 over the item's id, properties and addresses; signatures in addresses change daily and do not count."""
    addresses = {
        key: urlsplit(asset.href)._replace(query="", fragment="").geturl() for key, asset in item.assets.items()
    }
    text = json.dumps([item.id, item.collection_id, item.properties, addresses], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(item: "Item", asset: BandAsset, path: Path, stated: str) -> RasterSource:
    address, where = web_address(asset.href), f"{item.id}, asset {asset.key}"
    local = None if address else Path(asset.href)
    if local and not _is_file(local):
        shown = f"{str(local)[:_SHOWN]}..." if len(str(local)) > _SHOWN else local
        raise InputError(f"{where}: no such file: {shown}", "check the item's href")
    with raised_as(StorageError, f"{where}: cannot read {local}", "check its permissions", OSError):
        known = sniff(local) if local else _kind(item.assets[asset.key])
    if known is None:
        raise InputError(f"{where}: {local} is no GeoTIFF or JPEG 2000", "check the item's href")
    quality = quality_name(asset.name) is not None
    origin = Origin(
        path,
        "STAC Item",
        item_level(item),
        item_date(item),
        None if quality else item_radiometry(item.properties, raster_band(item.assets[asset.key].extra_fields)),
        nodata=0,
        files=(local,) if local else (),
        platform=item_platform(item),
        stated=stated,
    )
    plain = without_query(asset.href)
    location = f"/vsicurl/{address}" if address else str(local)
    try:
        source = RasterSource(Path(plain), *known, location=location, labels=(asset.name,), origin=origin)
    except LulcError as error:
        refusal = asset_refusal(address) if address else None
        problem = error.problem.replace(asset.href, plain).replace(str(Path(plain)), plain)
        if refusal:
            raise type(refusal)(f"{where}: cannot read {plain}: {refusal.problem}", refusal.remedy) from error
        raise type(error)(f"{where}: {problem}", error.remedy) from error
    _understand_numbers(source, item.assets[asset.key].extra_fields)
    return source


def _understand_numbers(source: RasterSource, fields: Mapping[str, Any]) -> None:
    """What means no data, by the file or else by the asset; and whether floats are reflectance already."""
    nodata = source.declared_nodata if source.declared_nodata is not None else stated_nodata(fields)
    if not source.counts:  # with NaN for no data
        known = source.origin.radiometry if states_scale(raster_band(fields)) else None
        finite = nodata if nodata is not None and isfinite(nodata) else None
        source.origin = replace(source.origin, radiometry=known, nodata=finite)
    elif _holds(source.dtype, nodata):
        source.origin = replace(source.origin, nodata=nodata, blank=True)


def _holds(dtype: "np.dtype[Any]", nodata: float | None) -> bool:
    """True for a value other than 0 that an integer type can hold."""
    limits = np.iinfo(dtype)
    return bool(nodata) and isfinite(nodata or 0) and limits.min <= (nodata or 0) <= limits.max


def _not_understood(item: "Item", assets: Sequence[BandAsset]) -> tuple[str, ...]:
    """What the item and its spectral assets say of the offset that lulc does not understand, each once."""
    bands = (item.assets[asset.key] for asset in assets if quality_name(asset.name) is None)
    statements = (text for asset in bands for text in not_understood(item.properties, raster_band(asset.extra_fields)))
    return tuple(dict.fromkeys(statements))


def _is_file(path: Path) -> bool:
    """True for a file; False for a name that no file can have, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


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


def _resolution(asset: "Asset") -> float:
    fields = asset.extra_fields
    band = raster_band(asset.extra_fields)
    stated = [fields.get("gsd"), band.get("raster:spatial_resolution"), band.get("spatial_resolution")]
    transform = fields.get("proj:transform")
    if isinstance(transform, list) and transform:
        stated.insert(0, transform[0])
    return next((float(value) for value in stated if _is_number(value) and value > 0), UNKNOWN_SIZE)


def _absolute(href: str, item: "Item") -> str | None:
    """Where an asset lies: a URL or a local path; None for other schemes, and for a remote item that points into this machine."""
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
