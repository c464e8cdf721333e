"""How the digital numbers of a STAC Item's assets become reflectance.

From processing baseline 04.00 on, products of Sentinel-2 carry DN = reflectance * 10000 + 1000. Catalogues differ in what
they serve and in what they say of it:

* Earth Search v1 has taken the 1000 out of most of its files and says so in `earthsearch:boa_offset_applied`; its
  `raster:bands` list an offset of -0.1 all the same. The flag itself is wrong for part of 2022 to 2025
  (github.com/Element84/earth-search, issues 9, 24, 66 and 71), so pixels are looked at too (`lulc/io/scene/plausibility.py`).
* Planetary Computer serves the products as they are and states the baseline alone (`s2:processing_baseline`).
* Others state `scale` and `offset` of each asset, in `raster:bands` (STAC 1.0) or `bands` (1.1).
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from lulc.bands import Radiometry, sensor

_BASELINE = re.compile(r"^N?(\d\d)\.?(\d\d)$")
_LOOSE = re.compile(r"^N?(\d\d?)(?:\.(\d\d?))?$")
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline")
_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_IN_PRODUCT = re.compile(r"_N(\d{4})_R\d{3}_")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_OFFSET_FROM = (4, 0)


def raster_band(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an asset's fields say of its only band: its entry of `raster:bands` or `bands`, else the fields themselves."""
    for name in ("raster:bands", "bands"):
        listed = fields.get(name)
        if isinstance(listed, list) and len(listed) == 1 and isinstance(listed[0], Mapping):
            return {key: fields[key] for key in ("raster:scale", "raster:offset") if key in fields} | dict(listed[0])
    return fields


def item_radiometry(properties: Mapping[str, Any], band: Mapping[str, Any]) -> Radiometry | None:
    """Radiometry of one asset; None when neither the item nor the asset says anything of it.

    A flag that the offset was applied decides with the baseline; without one, what the asset states; else the baseline.

    Args:
        properties: Of the item.
        band: Of the asset: its entry of `raster:bands`, or of `bands` with `raster:scale` and `raster:offset`.
    """
    quantification = _quantification(band)
    baseline = processing_baseline(properties)
    shifted = baseline is not None and baseline >= _OFFSET_FROM
    named = f"processing baseline {baseline[0]:02}.{baseline[1]:02}" if baseline else "no processing baseline"
    flag = next((name for name in _FLAGS if _truth(properties.get(name)) is not None), None)
    if flag is not None and _truth(properties[flag]):
        return Radiometry(quantification, 0.0, f"STAC: {flag} is true")
    stated = _offset(band, quantification)
    if flag is not None and baseline is not None:
        offset = sensor().baseline_offset if shifted else 0.0
        return Radiometry(quantification, offset, f"STAC: {flag} is false, {named}")
    if stated is not None:
        return Radiometry(quantification, stated, f"STAC: offset of the asset, {named}")
    if baseline is None:
        return None
    return Radiometry(quantification, sensor().baseline_offset if shifted else 0.0, f"STAC: {named}")


def states_scale(band: Mapping[str, Any]) -> bool:
    """True for an asset that states how its numbers become reflectance; a scale of 1 states nothing."""
    scale = _number(band.get("scale", band.get("raster:scale")))
    return scale is not None and 0 < scale < 1


def stated_nodata(fields: Mapping[str, Any]) -> float | None:
    """The number that means no data by what an asset or its only band says; None when neither says one."""
    band = raster_band(fields)
    said = (each.get(name) for each in (band, fields) for name in ("nodata", "raster:nodata"))
    return next((number for value in said if (number := _number(value)) is not None), None)


def processing_baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """Processing baseline as two numbers, such as (5, 10); None when the item does not say.

    `5.1`, a number or a text, is 05.10: a JSON number keeps no zero at its end.
    """
    for name in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        text = _plain(properties.get(name))
        match = _BASELINE.match(text)
        if match:
            return int(match[1]), int(match[2])
        match = _LOOSE.match(text) if name in _BASELINES else None  # a version may be that of any other program
        if match:
            return int(match[1]), int((match[2] or "").ljust(2, "0"))
    match = _IN_PRODUCT.search(str(properties.get("s2:product_uri", "")))
    return (int(match[1][:2]), int(match[1][2:])) if match else None


def not_understood(properties: Mapping[str, Any], band: Mapping[str, Any]) -> tuple[str, ...]:
    """Statements on the offset that are there but say nothing to lulc, such as `s2:processing_baseline = 'new'`."""
    doubted = [name for name in _FLAGS if _plain(properties.get(name)) and _truth(properties[name]) is None]
    doubted += [
        name
        for name in _BASELINES
        if _plain(properties.get(name)) and processing_baseline({name: properties[name]}) is None
    ]
    statements = [f"{name} = {str(properties[name])[:40]!r}" for name in doubted]
    offset = band.get("offset", band.get("raster:offset"))
    if offset not in (None, 0) and _offset(band, _quantification(band)) is None:
        scale = band.get("scale", band.get("raster:scale"))
        statements.append(f"offset {str(offset)[:40]} with scale {str(scale)[:40]}")
    return tuple(statements)


def _plain(value: object) -> str:
    """A value that may be a text or a number, as text."""
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _truth(value: object) -> bool | None:
    """True or False as catalogues write them; None for anything else."""
    return value if isinstance(value, bool) else _TRUTH.get(_plain(value).lower())


def _number(value: object) -> float | None:
    """A finite number, or a text that is one."""
    try:
        number = float(_plain(value))
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _quantification(band: Mapping[str, Any]) -> float:
    scale = _number(band.get("scale", band.get("raster:scale")))
    if scale is not None and 0 < scale < 1:
        return round(1 / scale, 6)
    return sensor().quantification


def _offset(band: Mapping[str, Any], quantification: float) -> float | None:
    """Offset in digital numbers, where the asset states one: in reflectance, or with a scale of 1 in digital numbers.

    An offset of 0 with a scale of 1 is what writers put where they know nothing, and states none.
    """
    scale = _number(band.get("scale", band.get("raster:scale", 1)))
    offset = _number(band.get("offset", band.get("raster:offset")))
    if offset is None or scale is None:
        return None
    if scale == 1 and abs(offset) >= 1:
        return offset
    return round(offset * quantification, 3) if 0 < scale < 1 else None
