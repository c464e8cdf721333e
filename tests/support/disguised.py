"""Vector files that lead to other files or to addresses, by what GDAL makes of them."""

import json
import shutil
import sqlite3

import numpy as np
import pyogrio
import shapely

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def collection(**members):
    """GeoJSON of one polygon, with more members of the collection."""
    feature = {"type": "Feature", "properties": {"class": "water"}, "geometry": SQUARE}
    return json.dumps({"type": "FeatureCollection", **members, "features": [feature]})


def write_polygon(path, driver, kind="Polygon"):
    """One polygon, or one point, as a whole file."""
    shape = shapely.box(0, 0, 1, 1) if kind == "Polygon" else shapely.Point(0.5, 0.5)
    wkb, water = shapely.to_wkb(np.array([shape])), np.array(["water"], dtype=object)
    pyogrio.raw.write(path, wkb, [water], ["class"], layer="p", driver=driver, geometry_type=kind, crs="EPSG:4326")
    return path


def disguised(folder, url):
    """Files by what is wrong with each; `good.geojson` beside them is what some lead to."""
    good = folder / "good.geojson"
    good.write_text(collection())
    link = {"type": "link", "properties": {"href": url, "type": "ogcwkt"}}
    texts = {
        "link.geojson": collection(crs=link),
        "upper.geojson": collection(CRS=link),
        "escaped.geojson": collection(crs=link).replace('"crs"', r'"\u0063r\u0073"'),
        "commented.geojson": collection(crs=link).replace('"crs"', '"crs" /* */ '),
        "quoted.geojson": collection(crs=link).replace('"crs"', "'crs'"),
        "url.json": collection(crs={"type": "url", "properties": {"url": url}}),
        "name.json": collection(crs={"type": "name", "properties": {"name": url}}),
        "twice.json": collection(crs=link).replace('"crs"', '"crs": null, "crs"'),
        "pipeline.json": json.dumps(
            {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {good} ! write x.gpkg"}
        ),
        "esri.json": json.dumps({"geometryType": "esriGeometryPolygon", "features": [], "spatialReference": {}}),
        "vrt.gpkg": _vrt(good),
        "vrt.geojson": _vrt(good),
        "vrt.shp": _vrt(good),
        "vrt.fgb": _vrt(f"/vsicurl/{url}"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        yield folder / name
    yield _geopackage(folder, "view", "CREATE VIEW v AS SELECT * FROM p")
    yield _geopackage(folder, "asks", "CREATE VIEW v AS SELECT fid, ogr_geocode('x') AS a FROM p")
    yield _geopackage(folder, "virtual", "", f"CREATE VIRTUAL TABLE q USING VirtualOGR('{url}')")
    yield _geopackage(folder, "spatialite", "", "CREATE VIRTUAL TABLE q /* USING rtree( */ USING VirtualShape('x')")


def _vrt(source):
    layer = f'<OGRVRTLayer name="good"><SrcDataSource>{source}</SrcDataSource></OGRVRTLayer>'
    return f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"


def _geopackage(folder, name, statement, virtual=""):
    whole = folder / "whole.gpkg"
    if not whole.exists():
        write_polygon(whole, "GPKG")
    path = folder / f"{name}.gpkg"
    shutil.copy(whole, path)
    base = sqlite3.connect(path)
    if virtual:
        base.execute("PRAGMA writable_schema = ON")
        row = ("table", "q", "q", 0, virtual)
        base.execute("INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES(?, ?, ?, ?, ?)", row)
    else:
        base.execute(statement)
    base.commit()
    base.close()
    return path
