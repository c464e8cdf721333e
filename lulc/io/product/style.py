"""Style of a product: side-car files with the colours and names of its classes, for GDAL, rasterio and QGIS.

A TIFF holds a colour table only when it has one band. lulc's table therefore lies in `OUT.aux.xml` (GDAL's persistent
auxiliary metadata: colour table, category names, attribute table). The QGIS style lies in a `.qml` of the same name.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from lulc.legend import Legend

_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
"""Name, GDAL field type (0 integer, 2 string) and usage (5 value, 2 name, 6 red, 7 green, 8 blue)."""

_DOCTYPE = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"

CodeTables = Mapping[int, Sequence[tuple[int, str]]]
"""Codes and their meanings, by band number counted from 1."""


def aux_path(product: Path) -> Path:
    """Path of GDAL's side-car: `out.tif.aux.xml`."""
    return product.with_name(f"{product.name}.aux.xml")


def qml_path(product: Path) -> Path:
    """Path of the style that QGIS finds by itself: `out.qml`."""
    return product.with_suffix(".qml")


def aux_xml(legend: Legend, tables: CodeTables | None = None) -> bytes:
    """GDAL PAM document for band 1: colours, names and attribute table of the classes.

    Code 0 is no class. It and nodata have no colour.

    Args:
        legend: Classes of band 1.
        tables: Codes of other bands, written as attribute tables.
    """
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    ET.SubElement(band, "ColorInterp").text = "Palette"
    colors = ET.SubElement(band, "ColorTable")
    names = ET.SubElement(band, "CategoryNames")
    _color(colors, (0, 0, 0), 0)
    ET.SubElement(names, "Category")
    for entry in legend:
        _color(colors, entry.rgb, 255)
        ET.SubElement(names, "Category").text = entry.name
    band.append(_attribute_table(_COLUMNS, ((entry.code, entry.name, *entry.rgb) for entry in legend)))
    for number, entries in sorted((tables or {}).items()):
        other = ET.SubElement(root, "PAMRasterBand", band=str(number))
        other.append(_attribute_table(_COLUMNS[:2], entries))
    return _document(root)


def _color(table: ET.Element, rgb: tuple[int, int, int], alpha: int) -> None:
    ET.SubElement(table, "Entry", c1=str(rgb[0]), c2=str(rgb[1]), c3=str(rgb[2]), c4=str(alpha))


def _attribute_table(columns: Sequence[tuple[str, int, int]], rows: Iterable[Sequence[int | str]]) -> ET.Element:
    table = ET.Element("GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(columns):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for key, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, key).text = str(value)
    for index, values in enumerate(rows):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in values:
            ET.SubElement(row, "F").text = str(value)
    return table


def qml(legend: Legend) -> bytes:
    """QGIS layer style of band 1: a paletted map with class names; nodata is transparent."""
    root = ET.Element("qgis", version="3.22", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in legend:
        ET.SubElement(palette, "paletteEntry", value=str(entry.code), color=entry.color, alpha="255", label=entry.name)
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(root, "blendMode").text = "0"
    return _DOCTYPE + _document(root)


def polygons_qml(legend: Legend) -> bytes:
    """QGIS layer style of polygons: filled by their column `code`, with class names, without outlines."""
    root = ET.Element("qgis", version="3.22", styleCategories="Symbology")
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="code", symbollevels="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for entry in legend:
        known = {"value": str(entry.code), "type": "long", "label": entry.name, "symbol": str(entry.code)}
        ET.SubElement(categories, "category", known, render="true")
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(entry.code), alpha="1", clip_to_extent="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        options = ET.SubElement(layer, "Option", type="Map")
        color = ",".join(map(str, (*entry.rgb, 255)))
        for name, value in (("color", color), ("style", "solid"), ("outline_style", "no")):
            ET.SubElement(options, "Option", type="QString", name=name, value=value)
    return _DOCTYPE + _document(root)


def _document(root: ET.Element) -> bytes:
    ET.indent(root)
    return ET.tostring(root, encoding="unicode").encode() + b"\n"
