"""How the digital numbers of a STAC Item's assets become reflectance.

From processing baseline 04.00 on, products of Sentinel-2 carry DN = reflectance * 10000 + 1000. Catalogues differ in what
they serve and in what they say of it:

* Earth Search v1 has taken the 1000 out of most of its files and says so in `earthsearch:boa_offset_applied`; its
  `raster:bands` list an offset of -0.1 all the same. The flag itself is wrong for part of 2022 to 2025
  (github.com/Element84/earth-search, issues 9, 24, 66 and 71), so pixels are looked at too (`lulc/io/plausibility.py`).
* Planetary Computer serves the products as they are and states the baseline alone (`s2:processing_baseline`).
* Others state `scale` and `offset` of each asset, in `raster:bands` (STAC 1.0) or `bands` (1.1).
"""

import re
from collections.abc import Mapping
from typing import Any

from lulc.bands import Radiometry, sensor

_BASELINE = re.compile(r"^N?(\d\d)\.?(\d\d)$")
_IN_PRODUCT = re.compile(r"_N(\d{4})_R\d{3}_")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_OFFSET_FROM = (4, 0)


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
    flag = next((name for name in _FLAGS if isinstance(properties.get(name), bool)), None)
    if flag is not None and properties[flag]:
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


def processing_baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """Processing baseline as two numbers, such as (5, 10); None when the item does not say."""
    for name in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        match = _BASELINE.match(str(properties.get(name, "")).strip())
        if match:
            return int(match[1]), int(match[2])
    match = _IN_PRODUCT.search(str(properties.get("s2:product_uri", "")))
    return (int(match[1][:2]), int(match[1][2:])) if match else None


def _quantification(band: Mapping[str, Any]) -> float:
    scale = band.get("scale", band.get("raster:scale"))
    if isinstance(scale, int | float) and 0 < scale < 1:
        return round(1 / scale, 6)
    return sensor().quantification


def _offset(band: Mapping[str, Any], quantification: float) -> float | None:
    """Offset in digital numbers, where the asset states one in reflectance (a scale of 1 states none)."""
    scale = band.get("scale", band.get("raster:scale", 1))
    offset = band.get("offset", band.get("raster:offset"))
    if not isinstance(offset, int | float) or not isinstance(scale, int | float) or not 0 < scale < 1:
        return None
    return round(offset * quantification, 3)
