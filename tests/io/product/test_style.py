import shutil
import subprocess

import pytest
import rasterio
from defusedxml.ElementTree import fromstring

from lulc.io.product.style import aux_path, aux_xml, polygons_qml, qml, qml_path
from lulc.legend import LandClass, Legend
from tests.support.product_samples import LEGEND, names, pixels, write

ODD = Legend("odd", "Odd", (LandClass(1, "Wälder & <Seen>", "#010203"), LandClass(2, "\"x\" 'y'", "#fffefd")))
GDALINFO = shutil.which("gdalinfo")


@pytest.mark.parametrize("activations", ["uint8", "float32", "none"])
def test_rasterio_finds_our_colours_on_band_one(tmp_path, activations):
    write(tmp_path / "a.tif", pixels(60, 80, activations=activations))
    with rasterio.open(tmp_path / "a.tif") as source:
        table = source.colormap(1)
        assert source.colorinterp[0].name == "palette"
    assert {entry.code: table[entry.code] for entry in LEGEND} == {entry.code: (*entry.rgb, 255) for entry in LEGEND}
    assert table[0][3] == 0


@pytest.mark.skipif(GDALINFO is None, reason="gdalinfo is not installed")
@pytest.mark.process
def test_gdal_finds_names_and_attribute_table(tmp_path):
    write(tmp_path / "a.tif", pixels(60, 80))
    told = subprocess.run([GDALINFO, tmp_path / "a.tif"], capture_output=True, text=True, check=True).stdout
    band = told.split("Band 1 ")[1].split("Band 2 ")[0]
    for entry in LEGEND:
        assert f"{entry.code}: {entry.name}\n" in band
    start, end = band.index("<GDALRaster"), band.index("</GDALRaster")
    table = fromstring(band[start:end] + "</GDALRasterAttributeTable>")
    rows = [[field.text for field in row.findall("F")] for row in table.findall("Row")]
    assert rows == [[str(entry.code), entry.name, *map(str, entry.rgb)] for entry in LEGEND]
    usages = [field.findtext("Usage") for field in table.findall("FieldDefn")]
    assert usages == ["5", "2", "6", "7", "8"]
    assert "GDALRasterAttributeTable" not in told.split("Band 2 ")[1]


def test_names_with_markup_in_them_survive():
    root = fromstring(aux_xml(ODD))
    assert [category.text for category in root.iter("Category")] == [None, *(entry.name for entry in ODD)]
    labels = [entry.get("label") for entry in fromstring(qml(ODD)).iter("paletteEntry")]
    assert labels == [entry.name for entry in ODD]


def test_the_qgis_style_paints_band_one_by_class():
    root = fromstring(qml(LEGEND))
    renderer = root.find("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "1")
    entries = [
        (int(entry.get("value")), entry.get("color"), entry.get("label")) for entry in renderer.iter("paletteEntry")
    ]
    assert entries == [(entry.code, entry.color, entry.name) for entry in LEGEND]


def test_side_cars_stand_where_gdal_and_qgis_look(tmp_path):
    write(tmp_path / "my.map.tif", pixels(20, 20))
    assert names(tmp_path) == ["my.map.qml", "my.map.tif", "my.map.tif.aux.xml"]
    assert aux_path(tmp_path / "my.map.tif").read_bytes() == aux_xml(LEGEND)
    assert qml_path(tmp_path / "my.map.tif").read_bytes() == qml(LEGEND)


def test_style_of_polygons_has_a_category_and_a_fill_for_each_class():
    root = fromstring(polygons_qml(ODD).partition(b"\n")[2].decode())
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "code")
    found = [(each.get("value"), each.get("label"), each.get("symbol")) for each in renderer.iter("category")]
    assert found == [(str(entry.code), entry.name, str(entry.code)) for entry in ODD]
    colors = {
        symbol.get("name"): symbol.find("layer/Option/Option[@name='color']").get("value")
        for symbol in renderer.iter("symbol")
    }
    assert colors == {str(entry.code): ",".join(map(str, (*entry.rgb, 255))) for entry in ODD}
