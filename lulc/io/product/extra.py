"""The extra bands of a product as they were written, so that another product can carry them on."""

from pathlib import Path
from xml.etree.ElementTree import Element  # for the annotation only; parsing is defusedxml's

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from lulc.io.product.bands import CLOUDS, FAMILIARITY, SETS_TAG, TRUST_TAG, ExtraBand
from lulc.io.product.reader import ProductReader
from lulc.io.product.style import aux_path
from lulc.resources import read_regular

_MOST_BYTES = 4 << 20
_CODE_UNITS = (
    "sky",
    "number of dates",
    "number of the map",
    "add 250 times this to source",
    "class code",
    "number of classes",
    "bits of classes",
)
"""Units of the bands that hold codes, of products of float32: bytes tell by their scale."""


def extra_bands_of(product: ProductReader) -> tuple[ExtraBand, ...]:
    """The bands behind the activations, in their order, with the meanings of their codes as far as they are known."""
    names = _code_names(product.path)
    found = []
    for name, (number, unit) in product.extra_bands.items():
        if name == CLOUDS.name:
            found.append(CLOUDS)
            continue
        code = product.scale_of(number) == 1 if product.bytewise else unit in _CODE_UNITS
        found.append(ExtraBand(name, "code" if code else "share", unit, names.get(number, ())))
    return tuple(found)


def lasting_bands_of(product: ProductReader) -> tuple[ExtraBand, ...]:
    """Those extra bands that still hold when classes or activations change: confidence, margin and sets follow from these."""
    stale = {name for name in product.tags.get(TRUST_TAG, "").split(", ") if name != FAMILIARITY.name}
    return tuple(band for band in extra_bands_of(product) if band.name not in stale)


def lasting_tags_of(product: ProductReader) -> dict[str, str]:
    """The provenance of a product as it holds with `lasting_bands_of` alone."""
    kept = {name: text for name, text in product.tags.items() if name not in {TRUST_TAG, SETS_TAG}}
    return kept | ({TRUST_TAG: FAMILIARITY.name} if product.flags_unfamiliar else {})


def _code_names(path: Path) -> dict[int, tuple[tuple[int, str], ...]]:
    """Attribute tables of the bands behind the first, from the file beside a product; those that cannot be read count as none."""
    try:
        root: Element = fromstring(read_regular(aux_path(path), _MOST_BYTES))
        return {
            int(band.get("band", "0")): tuple(_rows(band))
            for band in root.findall("PAMRasterBand")
            if band.get("band") != "1"
        }
    except (OSError, ParseError, DefusedXmlException, ValueError, TypeError):
        return {}


def _rows(band: Element) -> list[tuple[int, str]]:
    rows = [[cell.text or "" for cell in row.findall("F")] for row in band.iter("Row")]
    return [(int(row[0]), row[1]) for row in rows if len(row) > 1]
