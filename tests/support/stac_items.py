"""STAC Items as Earth Search and Planetary Computer write them, with one small GeoTIFF per band."""

import json

import numpy as np
import rasterio
from rasterio.transform import from_origin

FINE = ("B02", "B03", "B04", "B08")
COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
KEYS = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B11": "swir16",
    "B12": "swir22",
    "SCL": "scl",
}
"""Asset keys of Earth Search v1, which are also its band names."""

ORIGIN = (600_000.0, 5_000_000.0)
SIDE = 240


def random_pixels(side=SIDE, seed=0, shift=0):
    """Digital numbers by band: 10 m bands (side, side), 20 m bands and SCL half that; dark, with a hole of nodata."""
    rng = np.random.default_rng(seed)
    pixels = {}
    for name in (*FINE, *COARSE):
        size = side if name in FINE else side // 2
        plane = (rng.gamma(2.0, 400.0, (size, size)) + 1 + shift).clip(1, 9000).astype(np.uint16)
        plane[: size // 12, : size // 12] = 0
        pixels[name] = plane
    pixels["SCL"] = rng.choice(np.array([4, 5, 6, 8, 9, 3, 11], np.uint8), (side // 2, side // 2))
    return pixels


def real_pixels(path, side=SIDE, row=200, col=300, shift=0):
    """The same from a real scene on disk: its 20 m bands are means of two by two pixels."""
    pixels = {}
    with rasterio.open(path) as raster:
        for number, name in enumerate(raster.descriptions, start=1):
            plane = raster.read(number, window=((row, row + side), (col, col + side))).astype(np.float64) + shift
            if name in COARSE:
                plane = plane.reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))
            if name in (*FINE, *COARSE):
                pixels[name] = plane.round().astype(np.uint16)
    pixels["SCL"] = np.full((side // 2, side // 2), 4, np.uint8)
    return pixels


def write_band(path, plane, resolution, origin=ORIGIN, crs="EPSG:32633"):
    profile = {
        "driver": "GTiff",
        "height": plane.shape[0],
        "width": plane.shape[1],
        "count": 1,
        "dtype": plane.dtype,
        "crs": crs,
        "transform": from_origin(*origin, resolution, resolution),
        "nodata": 0,
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(plane, 1)


def write_item(
    folder,
    pixels,
    *,
    item_id="S2A_33TUL_20210603_0_L2A",
    layout="earth-search",
    properties=None,
    raster=None,
    base="",
    date="2021-06-03T10:05:59Z",
    cloud=3.0,
    origin=ORIGIN,
    crs="EPSG:32633",
):
    """Write bands and `ITEM_ID.json`; hrefs are `base` + file name. Returns the item's path."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = {}
    for name, plane in pixels.items():
        resolution = 10 if name in FINE else 20
        file = f"{item_id}_{name}.tif"
        write_band(folder / file, plane, resolution, origin, crs)
        assets |= _asset(name, f"{base}{file}", resolution, layout, raster)
    item = {
        "type": "Feature",
        "stac_version": "1.1.0" if layout == "stac-1.1" else "1.0.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": "sentinel-2-l2a",
        "properties": {"datetime": date, "eo:cloud_cover": cloud, "grid:code": "MGRS-33TUL", **(properties or {})},
        "links": [],
        "assets": assets,
        **_footprint(origin, pixels["B04"].shape[0] * 10, crs),
    }
    path = folder / f"{item_id}.json"
    path.write_text(json.dumps(item))
    return path


def _asset(name, href, resolution, layout, raster):
    asset = {"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized", "roles": ["data"]}
    bands = [raster | {"nodata": 0, "spatial_resolution": resolution}] if raster else []
    if layout == "planetary-computer":
        named = {} if name == "SCL" else {"eo:bands": [{"name": name, "common_name": "x"}], "gsd": resolution}
        return {name: asset | named | ({"raster:bands": bands} if bands else {})}
    if layout == "stac-1.1":
        stated = {f"raster:{key}": value for key, value in (raster or {}).items()}
        return {f"{name}_{resolution}m": asset | {"bands": [{"name": name} | stated], "gsd": resolution}}
    key = KEYS[name]
    named = {} if name == "SCL" else {"eo:bands": [{"name": key, "common_name": "rededge"}]}
    return {
        key: asset | named | {"raster:bands": bands},
        f"{key}-jp2": asset | named | {"href": "s3://elsewhere/band.jp2", "type": "image/jp2"},
    }


def _footprint(origin, metres, crs):
    from rasterio.warp import transform_bounds, transform_geom

    west, north = origin
    ring = [
        [west, north],
        [west + metres, north],
        [west + metres, north - metres],
        [west, north - metres],
        [west, north],
    ]
    geometry = transform_geom(crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    bbox = list(transform_bounds(crs, "EPSG:4326", west, north - metres, west + metres, north))
    return {
        "geometry": {"type": "Polygon", "coordinates": [[list(point) for point in geometry["coordinates"][0]]]},
        "bbox": bbox,
    }
