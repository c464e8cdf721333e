"""Scenes as producers write them: names, scale and nodata are read right. The table is in docs/inputs.md."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.io.scene.scene import open_scene

SIDE = 30
HOLE = np.s_[:10, :10]
WKT = CRS.from_epsg(32631).to_wkt()
X, Y = 3e5 + 10 * (np.arange(SIDE) + 0.5), 4.9e6 - 10 * (np.arange(SIDE) + 0.5)
TRUTH = {"B02": 0.05, "B03": 0.08, "B04": 0.06, "B08": 0.3, "B8A": 0.32, "B11": 0.2, "B12": 0.12}
"""Reflectance of each band, the same in all pixels but the hole in the corner."""


def plane(band, scale, marker, dtype, side=SIDE):
    values = np.full((side, side), TRUTH[band] * scale)
    values[: side // 3, : side // 3] = marker
    return values.round(6).astype(dtype) if np.dtype(dtype).kind == "f" else values.round().astype(dtype)


def tiff(path, planes, names=None, nodata=None, size=10.0, scale=None, **tags):
    side = planes.shape[1]
    with rasterio.open(
        path, "w", driver="GTiff", count=len(planes), height=side, width=side, dtype=planes.dtype, nodata=nodata,
        crs="EPSG:32631", transform=from_origin(3e5, 4.9e6, size, size),
    ) as made:  # fmt: skip
        made.write(planes)
        made.update_tags(**tags)
        if names:
            made.descriptions = names
        if scale:
            made.scales = (scale,) * len(planes)
    return path


def force(folder):
    names = {
        "BLUE": "B02",
        "GREEN": "B03",
        "RED": "B04",
        "BROADNIR": "B08",
        "NIR": "B8A",
        "SWIR1": "B11",
        "SWIR2": "B12",
    }
    planes = np.stack([plane(band, 10_000, -9999, np.int16) for band in names.values()])
    path = tiff(folder / "20210628_LEVEL2_SEN2A_BOA.tif", planes, tuple(names), -9999)
    with rasterio.open(path, "r+") as made:
        for number, domain in enumerate(names, 1):
            made.update_tags(number, ns="FORCE", Domain=domain, Scale="10000.000", Sensor="SEN2A")
    return [path]


def hls_s30(folder):
    return [
        tiff(
            folder / f"HLS.S30.T31TCJ.2021179T105031.v2.0.{band}.tif", plane(band, 10_000, -9999, np.int16)[None],
            nodata=-9999, scale=1e-4, SPACECRAFT_NAME="Sentinel-2A",
        )
        for band in TRUTH
    ]  # fmt: skip


def earth_engine(folder):
    """COPERNICUS/S2_SR_HARMONIZED: integers without a declared nodata, QA60 among them."""
    names = {"B2": "B02", "B3": "B03", "B4": "B04", "B8": "B08", "B8A": "B8A", "B11": "B11", "B12": "B12"}
    planes = [plane(band, 10_000, 0, np.uint16) for band in names.values()]
    return [tiff(folder / "export.tif", np.stack([*planes, np.zeros_like(planes[0])]), (*names, "QA60"))]


def earth_engine_floats(folder):
    return [tiff(folder / "export.tif", np.stack([plane(band, 1, 0, np.float32) for band in TRUTH]), tuple(TRUTH))]


def bigearthnet(folder):
    """One file a band of 120, 60 or 20 pixels a side, without nodata: all of a patch has data."""
    for band, reflectance in TRUTH.items():
        size = 20 if band in {"B8A", "B11", "B12"} else 10
        values = np.full((1, 1200 // size, 1200 // size), round(reflectance * 10_000), np.uint16)
        tiff(folder / f"S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57_{band}.tif", values, size=size)
    return [folder]


def cube(folder, variables, coords, **attributes):
    xr.Dataset(variables, coords, attributes).to_netcdf(folder / "cube.nc")
    return [folder / "cube.nc"]


def dea(folder):
    """Digital Earth Australia, loaded with datacube: `nbart_` names, nodata -999 in an attribute."""
    names = {
        "nbart_blue": "B02", "nbart_green": "B03", "nbart_red": "B04", "nbart_nir_1": "B08", "nbart_nir_2": "B8A",
        "nbart_swir_2": "B11", "nbart_swir_3": "B12",
    }  # fmt: skip
    attributes = {"nodata": -999, "units": "1", "grid_mapping": "spatial_ref", "crs": "EPSG:32631"}
    variables = {
        name: (("time", "y", "x"), plane(band, 10_000, -999, np.int16)[None], attributes)
        for name, band in names.items()
    }
    times = [np.datetime64("2021-06-28T10:50:31")]
    return cube(
        folder, variables, {"time": times, "y": Y, "x": X, "spatial_ref": xr.DataArray(32631, attrs={"crs_wkt": WKT})}
    )


def odc_stac(folder):
    """odc.stac.load of Earth Search: common names, nodata 0 in an attribute, CRS in spatial_ref."""
    names = {
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "nir": "B08",
        "nir08": "B8A",
        "swir16": "B11",
        "swir22": "B12",
    }
    attributes = {"nodata": 0, "grid_mapping": "spatial_ref"}
    variables = {
        name: (("time", "y", "x"), plane(band, 10_000, 0, np.uint16)[None], attributes) for name, band in names.items()
    }
    place = xr.DataArray(32631, attrs={"spatial_ref": WKT, "GeoTransform": "300000 10 0 4900000 0 -10"})
    return cube(folder, variables, {"time": [np.datetime64("2021-06-28")], "y": Y, "x": X, "spatial_ref": place})


def stackstac(folder):
    """stackstac.stack: one variable with a band axis, floats with NaN, the CRS in a coordinate `epsg`."""
    values = np.stack([plane(band, 10_000, np.nan, np.float64) for band in TRUTH])[None]
    coords = {"time": [np.datetime64("2021-06-28")], "band": list(TRUTH), "y": Y, "x": X, "epsg": 32631}
    attributes = {"quantification": 10_000}  # its floats do not say it
    return cube(folder, {"stack": (("time", "band", "y", "x"), values)}, coords, **attributes)


def openeo(folder):
    variables = {
        band: (
            ("t", "y", "x"),
            plane(band, 10_000, -32768, np.int16)[None],
            {"grid_mapping": "crs", "_FillValue": np.int16(-32768)},
        )
        for band in TRUTH
    }
    place = xr.DataArray("", attrs={"crs_wkt": WKT, "GeoTransform": "300000 10 0 4900000 0 -10"})
    return cube(folder, variables, {"t": [np.datetime64("2021-06-28")], "y": Y, "x": X, "crs": place})


def xee(folder):
    """Xee: columns first, reflectance as floats."""
    variables = {band: (("time", "X", "Y"), plane(band, 1, np.nan, np.float32).T[None]) for band in TRUTH}
    return cube(folder, variables, {"time": [np.datetime64("2021-06-28")], "X": X, "Y": Y}, crs="EPSG:32631")


@pytest.mark.parametrize(
    "producer",
    [force, hls_s30, earth_engine, earth_engine_floats, dea, odc_stac, stackstac, openeo, xee],
    ids=lambda producer: producer.__name__,
)
def test_a_scene_of(producer, tmp_path):
    with open_scene(producer(tmp_path)) as scene:
        assert set(scene.names) == set(TRUTH)
        assert scene.grid.crs == CRS.from_epsg(32631)
        assert (scene.grid.transform.c, scene.grid.transform.f) == (3e5, 4.9e6)
        found = scene.reflectance(list(TRUTH), scene.grid.window)
        scene.check_reflectance()
    assert np.isnan(found[:, *HOLE]).all()
    found[:, *HOLE] = np.array([*TRUTH.values()])[:, None, None]
    np.testing.assert_allclose(
        found, np.broadcast_to(np.array([*TRUTH.values()])[:, None, None], found.shape), atol=1e-5
    )


def test_a_patch_of_bigearthnet(tmp_path):
    with open_scene(bigearthnet(tmp_path)) as scene:
        assert set(scene.names) == set(TRUTH)
        found = scene.reflectance(list(TRUTH), scene.grid.window)
    np.testing.assert_allclose(
        found, np.broadcast_to(np.array([*TRUTH.values()])[:, None, None], (7, 120, 120)), atol=1e-5
    )


def with_scl(folder, tagged):
    """A classification, and bands whose scale and offset GDAL states; names in tags, as openEO writes them, or nowhere."""
    planes = np.stack([np.full((SIDE, SIDE), 4), *(np.full((SIDE, SIDE), 1800) for _ in TRUTH)]).astype(np.uint16)
    path = tiff(folder / "scene.tif", planes)
    with rasterio.open(path, "r+") as made:
        made.scales, made.offsets = (1.0, *[1e-4] * len(TRUTH)), (0.0, *[-0.1] * len(TRUTH))
        for index, name in enumerate(("SCL", *TRUTH), 1) if tagged else ():
            made.update_tags(index, DESCRIPTION=name)
    return path


@pytest.mark.parametrize("tagged", [True, False], ids=["tags", "--bands"])
def test_scale_and_offset_are_those_of_the_spectral_bands(tmp_path, tagged):
    path = with_scl(tmp_path, tagged)
    with open_scene(path, bands=None if tagged else ("-", *TRUTH)) as scene:
        found = scene.reflectance(list(TRUTH), scene.grid.window)
    np.testing.assert_allclose(found, 0.08, rtol=1e-5)


def test_an_offset_stated_beside_a_quantification_counts(tmp_path):
    path = tiff(
        tmp_path / "scene.tif", np.full((1, SIDE, SIDE), 1800, np.uint16), ("B04",), QUANTIFICATION_VALUE="10000"
    )
    with rasterio.open(path, "r+") as made:
        made.scales, made.offsets = (1e-4,), (-0.1,)
    with open_scene(path) as scene:
        np.testing.assert_allclose(scene.reflectance(["B04"], scene.grid.window), 0.08, rtol=1e-5)


@pytest.mark.parametrize(("scale", "offset"), [(-1e-4, 0.0), (np.nan, 0.0), (1e-4, np.inf)])
def test_a_scale_that_gives_no_reflectance_is_refused(tmp_path, scale, offset):
    path = tiff(tmp_path / "scene.tif", np.full((1, SIDE, SIDE), 1800, np.uint16), ("B04",))
    with rasterio.open(path, "r+") as made:
        made.scales, made.offsets = (scale,), (offset,)
    with pytest.raises(InputError, match="give no reflectance"):
        open_scene(path)
