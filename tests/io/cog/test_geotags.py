import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from lulc.grid import Shape
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.geotags import BandInfo, geo_tags
from tests.support.cog_samples import planes_of, write_planes
from tests.support.product_samples import UTM, grid_of

THIRD = 1 / 3
ROTATED = Affine(9.55, 2.97, 3e5 + THIRD, 2.97, -9.55, 4.9e6)
GCPS = [
    GroundControlPoint(row, col, 12.5 + col / 7000, 41.9 - row / 9000, 10.0 + row, id=str(number))
    for number, (row, col) in enumerate([(0, 0), (0, 30), (20, 0), (20.5, 30.25)])
]
NUMBERS = [float(number) / 7 for number in range(20)]
RPCS = RPC(
    100.5, 50.25, 41.9, 0.1, NUMBERS, NUMBERS[::-1], 10.5, 20.25, 12.5, 0.2, NUMBERS, NUMBERS, 5.5, 6.25, 0.5, 0.25
)
LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'

GRIDS = {
    "UTM": grid_of(20, 31),
    "degrees": grid_of(20, 31, Affine(THIRD / 1e4, 0, 13.1 + THIRD, 0, -THIRD / 1.3e4, 45.7), "EPSG:4326"),
    "British National Grid": grid_of(20, 31, Affine(10, 0, 255_000 + THIRD, 0, -10, 285_000), "EPSG:27700"),
    "Web Mercator": grid_of(20, 31, crs="EPSG:3857"),
    "south-up": grid_of(20, 31, Affine(10, 0, 3e5, 0, 10, 4.9e6)),
    "rotated": grid_of(20, 31, ROTATED),
    "point": grid_of(20, 31, point=True),
    "point, south-up": grid_of(20, 31, Affine(10, 0, 3e5, 0, 10, 4.9e6), point=True),
    "point, rotated": grid_of(20, 31, ROTATED, point=True),
    "no CRS": grid_of(20, 31, crs=None),
    "nothing": grid_of(20, 31, Affine.identity(), None),
    "GCPs": grid_of(20, 31, Affine.identity(), None, gcps=GCPS, gcps_crs=CRS.from_epsg(4326)),
    "GCPs, point": grid_of(20, 31, Affine.identity(), None, gcps=GCPS, gcps_crs=CRS.from_epsg(4326), point=True),
    "RPCs": grid_of(20, 31, Affine.identity(), None, rpcs=RPCS),
    "RPCs and UTM": grid_of(20, 31, rpcs=RPCS),
    "unnamed CRS": grid_of(20, 31, crs="+proj=laea +lat_0=50.5 +lon_0=8.25 +ellps=bessel +units=m"),
    "engineering CRS": grid_of(20, 31, crs=LOCAL),
}


def georeference(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            points, points_crs = source.gcps
            return {
                "transform": tuple(source.transform),
                "crs": source.crs.to_wkt() if source.crs else None,
                "gcps": [(p.row, p.col, p.x, p.y, p.z) for p in points],
                "gcps_crs": points_crs.to_wkt() if points_crs else None,
                "rpcs": source.rpcs.to_gdal() if source.rpcs else None,
                "point": source.tags().get("AREA_OR_POINT"),
            }


def written_by_rasterio(path, grid):
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 20, "width": 31, "nodata": 255}
    profile |= (
        {"gcps": grid.gcps, "crs": grid.gcps_crs} if grid.gcps else {"crs": grid.crs, "transform": grid.transform}
    )
    if grid.rpcs:
        profile["rpcs"] = grid.rpcs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as target:
            target.write(np.zeros((1, 20, 31), np.uint8))
            if grid.point:
                target.update_tags(AREA_OR_POINT="Point")


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_georeference_equals_that_of_a_file_by_rasterio(tmp_path, name, bigtiff):
    grid = GRIDS[name]
    written_by_rasterio(tmp_path / "theirs.tif", grid)
    layout = CogLayout(Shape(20, 31), 1, bigtiff=bigtiff)
    tags = geo_tags(grid, [BandInfo("class")], dtype="uint8", nodata=255, tags={})
    write_planes(tmp_path / "ours.tif", layout, planes_of(layout), tags)

    ours = georeference(tmp_path / "ours.tif")
    assert ours == georeference(tmp_path / "theirs.tif")
    assert ours["point"] == ("Point" if grid.point else "Area") or name in {"nothing", "RPCs", "no CRS"}
    if not grid.gcps and not grid.point:
        assert ours["transform"] == tuple(grid.transform)
    if grid.point:
        np.testing.assert_allclose(ours["transform"], tuple(grid.transform), rtol=0, atol=1e-8)
    assert (ours["rpcs"] is not None) == (grid.rpcs is not None)


def test_tags_descriptions_scales_and_units_survive(tmp_path):
    bands = [
        BandInfo("class"),
        BandInfo("shrub & <scrub>", 0.004, 0.0, "probability"),
        BandInfo("Äcker", 0.1 + 0.2, -7.5, "m²"),
    ]
    given = {"LULC_B": "zwei\nZeilen & <xml>", "LULC_A": "a  b", "LULC_LONG": "x" * 50_000, "LULC_Ü": "ü"}
    layout = CogLayout(Shape(600, 31), 3)
    tags = geo_tags(grid_of(600, 31), bands, dtype="uint8", nodata=255, tags=given)
    write_planes(tmp_path / "a.tif", layout, planes_of(layout), tags)
    with rasterio.open(tmp_path / "a.tif") as source:
        assert source.descriptions == ("class", "shrub & <scrub>", "Äcker")
        assert source.scales == (1.0, 0.004, 0.1 + 0.2)
        assert source.offsets == (0.0, 0.0, -7.5)
        assert source.units[1:] == ("probability", "m²")
        assert source.tags() == given | {"AREA_OR_POINT": "Area"}


def test_the_order_of_tags_does_not_change_the_bytes():
    first, second = {"LULC_A": "1", "LULC_B": "2"}, {"LULC_B": "2", "LULC_A": "1"}
    made = [geo_tags(grid_of(5, 5), [BandInfo("a")], dtype="uint8", nodata=255, tags=tags) for tags in (first, second)]
    assert made[0] == made[1]


def test_size_plays_no_part():
    made = [
        geo_tags(grid_of(side, side, UTM), [BandInfo("a")], dtype="uint8", nodata=255, tags={}) for side in (1, 999)
    ]
    assert made[0] == made[1]
