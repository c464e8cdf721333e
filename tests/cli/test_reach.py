"""No command speaks to an address because a file says so; a typed address is asked only where a STAC Item may be."""

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.transform import from_origin

from lulc.cli.main import cli
from tests.support.disguised import disguised
from tests.support.listener import listening
from tests.support.product_samples import pixels, put_all, writer_of

BANDS = ("B02", "B03", "B04", "B08")
DISGUISED = {
    "fetch": "fetch {catalog} {out} --area {path} --dates 2021-01-01/2021-12-31",
    "prepare": "prepare {scene} {out} --labels {path} --legend dynamic-world --attribute class",
    "evaluate": "evaluate {map} {path} --out {out}",
    "estimate": "evaluate {map} {path} --out {out} --label class",
    "info": "info {path}",
    "stack": "stack {path} {out}.tif",
    "report": "report {path} {out}",
    "sample": "sample {path} {out}.gpkg",
    "polygons": "polygons {path} {out}.gpkg",
}
ADDRESSES = {
    "info": "info {url}.tif",
    "mosaic": "mosaic {map} {out}.tif --crs {url}",
    "stack": "stack {url}.tif {out}.tif",
    "stacked NetCDF": "stack {url}.nc {out}.tif",
    "sample": "sample {url}.tif {out}.gpkg",
    "polygons": "polygons {url}.tif {out}.parquet",
    "report": "report {url} {out}",
    "evaluate": "evaluate {map} {url} --out {out}",
    "evaluate another map": "evaluate {url} {map} --out {out}",
    "area": "fetch {catalog} {out} --area {url}.geojson --dates 2021-01-01/2021-12-31",
    "virtual": "info /vsicurl/{url}.tif",
    "explain": "explain {url}.tif --class water --out {out}",
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A map, a scene and a catalogue to go with what is tried."""
    folder = tmp_path_factory.mktemp("given")
    data = pixels(64, 64)
    with writer_of(folder / "map.tif", data) as writer:
        put_all(writer, data)
    profile = {"crs": "EPSG:32631", "transform": from_origin(300_000, 4_900_020, 10, 10), "count": 4, "dtype": "uint16"}
    with rasterio.open(folder / "scene.tif", "w", driver="GTiff", height=64, width=64, **profile) as scene:
        scene.write(np.random.default_rng(0).integers(200, 3000, (4, 64, 64)).astype(np.uint16))
        scene.descriptions = BANDS
    (folder / "catalog.json").write_text("{}")
    return {
        name: folder / file for name, file in (("map", "map.tif"), ("scene", "scene.tif"), ("catalog", "catalog.json"))
    }


def refused(line, **paths):
    """A command that must be refused in one line."""
    done = CliRunner().invoke(cli, [word.format(**paths) for word in line.split()])
    assert done.exit_code in {2, 3, 4}, (line, paths, done.output, done.exception)
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", DISGUISED)
def test_a_file_that_leads_to_an_address(tmp_path, given, command):
    with listening() as listener:
        for path in disguised(tmp_path, listener.url):
            refused(DISGUISED[command], path=path, out=tmp_path / "out", **given)
    assert listener.asked == []
    assert not (tmp_path / "out").exists()


@pytest.mark.torch
@pytest.mark.parametrize("command", ADDRESSES)
def test_an_address_where_a_file_belongs(tmp_path, given, command):
    with listening() as listener:
        refused(ADDRESSES[command], url=listener.url, out=tmp_path / "out", **given)
    assert listener.asked == []
