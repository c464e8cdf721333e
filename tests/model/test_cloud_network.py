import sys

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy import ndimage

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.scene import open_scene
from lulc.model.cloud_network import CloudNetwork

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")


def cloud_shares():
    """How much of each pixel the cloud covers, 0..1, and its texture."""
    rows, cols = np.mgrid[:450, :640]
    rng = np.random.default_rng(0)
    rags, grain = (ndimage.gaussian_filter(rng.normal(size=(450, 640)), sigma) for sigma in (12, 3))
    return np.clip((60 - np.hypot(rows - 200, cols - 300) - 12 * rags / rags.std()) / 30, 0, 1), grain / grain.std()


def cloudy_scene(folder, data, *, bands=BANDS, level="L2A"):
    """A real scene with a cloud drawn on it: white, ragged, darker in the short-wave infrared, some 60 px in radius."""
    with rasterio.open(data / "scenes" / "aquileia_20190416_l2a_12band.tif") as raster:
        pixels = raster.read([raster.descriptions.index(name) + 1 for name in bands])[:, :450, :640].astype(np.float32)
    cloud, grain = cloud_shares()
    tops = np.array([{"B11": 3800, "B12": 3000}.get(name, 6000) for name in bands])[:, None, None]
    pixels = (pixels + cloud * (tops * (1 + 0.1 * grain) - pixels)).clip(1, 10_000)
    profile = {"driver": "GTiff", "count": len(bands), "height": 450, "width": 640, "dtype": "uint16", "nodata": 0}
    path = folder / "cloudy.tif"
    with rasterio.open(path, "w", crs="EPSG:32633", transform=from_origin(6e5, 5e6, 10, 10), **profile) as raster:
        raster.write(pixels.round().astype(np.uint16))
        raster.descriptions = bands
        raster.update_tags(LEVEL=level, REFLECTANCE_SCALE="10000")
    return path


@pytest.mark.whole
def test_a_cloud_is_found_whatever_the_windows(data, tmp_path, monkeypatch):
    """On tiles of which the scene holds two, side by side."""
    pytest.importorskip("ukis_csmask.mask", reason="the extra `cloud` is not installed")
    monkeypatch.setattr("lulc.model.cloud_network._CORE", 192)
    monkeypatch.setattr("lulc.model.cloud_network._MARGIN", 32)
    with open_scene([cloudy_scene(tmp_path, data)]) as scene:
        part = Window(170, 260, 60, 80)
        first = CloudNetwork(scene).read(part)
        network = CloudNetwork(scene)
        across = network.read(Window(7, 500, 400, 120))
        whole = network.read(scene.grid.window)
    np.testing.assert_array_equal(first, whole[part.slices()])
    np.testing.assert_array_equal(across, whole[7:407, 500:620])
    cloud, _ = cloud_shares()
    assert whole[cloud > 0.5].mean() > 0.98
    assert whole[cloud == 0].mean() < 0.04


def test_what_it_needs(data, tmp_path):
    pytest.importorskip("ukis_csmask.mask", reason="the extra `cloud` is not installed")
    colours = cloudy_scene(tmp_path, data, bands=("B02", "B03", "B04"))
    with open_scene([colours]) as scene, pytest.raises(InputError, match="lacks B08"):
        CloudNetwork(scene)
    with open_scene([cloudy_scene(tmp_path, data, level="")]) as scene, pytest.raises(InputError, match="L1C or L2A"):
        CloudNetwork(scene)


def test_without_the_extra_it_says_how_to_get_it(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ukis_csmask.mask", None)
    with open_scene([cloudy_scene(tmp_path, data)]) as scene, pytest.raises(InputError, match=r"lulc\[cloud\]"):
        CloudNetwork(scene)
