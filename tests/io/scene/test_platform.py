"""Scenes of other satellites are refused by name: their bands are others."""

import json

import numpy as np
import pytest
import rasterio

from lulc.errors import InputError
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import write_raster
from tests.support.stac_items import random_pixels, write_item

VALUES = np.full((4, 20, 30), 1500, np.int16)
NAMES = ("B02", "B03", "B04", "B05")


def scene(folder, name="scene.tif", labels=NAMES, force=None, **tags):
    path = write_raster(folder / name, VALUES, labels)
    with rasterio.open(path, "r+") as made:
        made.update_tags(**tags)
        if force:
            made.update_tags(1, ns="FORCE", Sensor=force)
    return path


@pytest.mark.parametrize(
    ("given", "satellite"),
    [
        ({"SPACECRAFT_NAME": "LANDSAT-8"}, "Landsat"),
        ({"SPACECRAFT_ID": "LANDSAT_9", "SENSOR_ID": "OLI_TIRS"}, "Landsat"),
        ({"force": "LND08"}, "Landsat"),
        ({"name": "HLS.L30.T31TCJ.2021179T105031.v2.0.tif"}, "Landsat"),
        ({"name": "LC08_L2SP_200030_20210628_20210707_02_T1_SR.tif"}, "Landsat"),
        ({"labels": ("Blue", "Green", "Red", "TIRS1")}, "Landsat"),
        ({"platform": "PlanetScope"}, "Planet"),
        ({"labels": ("blue", "green_i", "red", "nir")}, "Planet"),
        ({"instruments": "olci"}, "Sentinel-3"),
    ],
    ids=str,
)
def test_others_are_refused_unless_their_bands_are_named(tmp_path, given, satellite):
    path = scene(tmp_path, **given)
    with pytest.raises(InputError, match=rf"is of {satellite}, not of Sentinel-2"):
        open_scene([path])
    with open_scene([path], bands=("B02", "B03", "B04", "B08")) as opened:
        assert opened.names == ("B02", "B03", "B04", "B08")


@pytest.mark.parametrize(
    ("properties", "collection", "satellite"),
    [
        ({"platform": "landsat-8"}, "", "Landsat"),
        ({"platform": "LANDSAT-8", "instruments": ["oli", "tirs"]}, "HLSL30_2.0", "Landsat"),
        ({"instruments": ["oli", "tirs"]}, "", "Landsat"),
        ({}, "landsat-c2-l2", "Landsat"),
        ({"constellation": "sentinel-3"}, "", "Sentinel-3"),
        ({"constellation": "planetscope"}, "", "Planet"),
        ({"platform": "sentinel-2a", "constellation": "sentinel-2", "instruments": ["msi"]}, "sentinel-2-l2a", None),
        ({"platform": None, "instruments": 5}, None, None),
    ],
    ids=str,
)
def test_items_of_other_satellites_are_refused_too(tmp_path, properties, collection, satellite):
    path = write_item(tmp_path, random_pixels(24), properties=properties)
    document = json.loads(path.read_text()) | {"collection": collection}
    path.write_text(json.dumps(document))
    if satellite is None:
        with open_scene([path]) as opened:
            assert "B8A" in opened.names
        return
    with pytest.raises(InputError, match=rf"is of {satellite}, not of Sentinel-2"):
        open_scene([path])


@pytest.mark.parametrize(
    "given",
    [{}, {"SPACECRAFT_NAME": "Sentinel-2A"}, {"force": "SEN2A"}, {"platform": "sentinel-2b", "instruments": "msi"}],
    ids=str,
)
def test_sentinel_2_is_read(tmp_path, given):
    with open_scene([scene(tmp_path, **given)]) as opened:
        assert opened.names == NAMES


def test_bands_named_in_tags_are_found(tmp_path):
    """openEO writes DESCRIPTION, FORCE Domain."""
    path = write_raster(tmp_path / "openeo.tif", VALUES, names=None)
    force = write_raster(tmp_path / "force.tif", VALUES, names=None)
    with rasterio.open(path, "r+") as one, rasterio.open(force, "r+") as other:
        for number, (name, domain) in enumerate(zip(NAMES, ("GREEN", "RED", "BROADNIR", "NIR"), strict=True), 1):
            one.update_tags(number, DESCRIPTION=name)
            other.update_tags(number, ns="FORCE", Domain=domain)
    with open_scene([path]) as opened:
        assert opened.names == NAMES
    with open_scene([force]) as opened:
        assert opened.names == ("B03", "B04", "B08", "B8A")


def test_a_mask_beside_the_one_band_of_a_file_leaves_it_its_name(tmp_path):
    path = tmp_path / "2019-04-16-00_00_2019-04-16-23_59_Sentinel-2_L2A_B02_(Raw).tiff"
    write_raster(path, VALUES[:2], names=("", "dataMask"))
    with open_scene([path]) as opened:
        assert opened.names == ("B02",)
