"""The place that a raster states: refused where it is none, and the same after it was written and read."""

from itertools import product

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lulc import stack
from lulc.errors import InputError
from lulc.grid import Grid, Shape
from lulc.io.files.gdal import georeference
from lulc.io.files.georeference import check_georeference, same_place
from lulc.io.labels.labels import open_labels
from lulc.io.scene.scene import open_scene
from lulc.legend import load_legend
from lulc.tasks.stack.options import StackOptions
from tests.support.scene_files import write_raster

SHAPE = Shape(40, 60)
METRES, DEGREES = Affine(10, 0, 500_000, 0, -10, 5_800_000), Affine(1e-4, 0, 3, 0, -1e-4, 52)
DRAWING = 'LOCAL_CS["drawing",UNIT["metre",1]]'
DRAWING_WITH_HEIGHTS = f'COMPD_CS["both",{DRAWING},VERT_CS["heights",VERT_DATUM["mean sea",2005],UNIT["metre",1]]]'
ROTATED_POLE = "+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18 +ellps=WGS84 +type=crs"
CORNERS = ((0, 0, 3.0, 52.0), (0, 60, 3.006, 52.0), (40, 0, 3.0, 51.996), (40, 60, 3.006, 51.996))
POINTS = tuple(GroundControlPoint(*corner) for corner in CORNERS)


def written(path, crs, transform, **others):
    planes = np.full((2, SHAPE.height, SHAPE.width), 900, np.uint16)
    return write_raster(path, planes, ("B04", "B08"), crs=crs, transform=transform, **others)


class TestRefused:
    @pytest.mark.parametrize(
        ("crs", "transform", "reason"),
        [
            ("IAU_2015:30100", DEGREES, "not one of the Earth"),
            ("+proj=longlat +R=3396190 +type=crs", DEGREES, "not one of the Earth"),
            ("EPSG:4978", METRES, "geocentric"),
            ("EPSG:5773", METRES, "no axes on the ground"),
            ("EPSG:32631", Affine(10, 0, 5e12, 0, -10, 5e12), "none of its pixels lies on Earth"),
            ("EPSG:4326", Affine(10, 0, 500_000, 0, -10, 5_800_000), "none of its pixels lies on Earth"),
            ("EPSG:32631", Affine(10, 0, np.nan, 0, -10, 0), "no place or size"),
            ("EPSG:32631", Affine(10, 0, 5e5, 10, 0, 5.8e6), "no place or size"),
        ],
    )
    def test_in_a_line_that_says_why(self, tmp_path, crs, transform, reason):
        with pytest.raises(InputError, match=reason) as refused:
            check_georeference(Grid(CRS.from_user_input(crs), transform, SHAPE), tmp_path / "a.tif")
        assert "a.tif" in str(refused.value)

    def test_control_points_without_a_crs(self, tmp_path):
        grid = Grid(None, Affine.identity(), SHAPE, gcps=POINTS)
        with pytest.raises(InputError, match="control points have no CRS"):
            check_georeference(grid, tmp_path / "a.tif")

    def test_scenes_and_labels_alike(self, tmp_path):
        path = written(tmp_path / "moon.tif", CRS.from_user_input("IAU_2015:30100"), DEGREES)
        with pytest.raises(InputError, match="not one of the Earth"):
            open_scene(path)
        with pytest.raises(InputError, match="not one of the Earth"):
            open_labels(path, load_legend("dynamic-world"))

    @pytest.mark.parametrize(
        "crs",
        [None, "EPSG:32631", "EPSG:4979", "EPSG:32631+5773", "ESRI:54004", ROTATED_POLE, DRAWING, DRAWING_WITH_HEIGHTS],
    )
    def test_others_are_not(self, tmp_path, crs):
        known = CRS.from_user_input(crs) if crs else None
        transform = DEGREES if crs in {"EPSG:4979", ROTATED_POLE} else METRES
        check_georeference(Grid(known, transform, SHAPE), tmp_path / "a.tif")


class TestSamePlace:
    def test_names_do_not_count(self):
        grid = Grid(CRS.from_epsg(32631), METRES, SHAPE)
        assert same_place(grid, CRS.from_string("+proj=utm +zone=31 +datum=WGS84 +type=crs"))

    @pytest.mark.parametrize("other", [None, "EPSG:32632", "EPSG:23031"])
    def test_places_do(self, other):
        grid = Grid(CRS.from_epsg(32631), METRES, SHAPE)
        assert not same_place(grid, CRS.from_user_input(other) if other else None)

    def test_of_control_points(self):
        grid = Grid(None, Affine.identity(), SHAPE, gcps=POINTS, gcps_crs=CRS.from_epsg(4326))
        assert same_place(grid, CRS.from_epsg(4326))
        assert not same_place(grid, CRS.from_epsg(32631))


def test_what_a_geotiff_cannot_hold_is_refused():
    with pytest.raises(InputError, match="GeoTIFF cannot hold"):
        georeference(Grid(CRS.from_user_input(ROTATED_POLE), DEGREES, SHAPE))


@pytest.mark.parametrize(
    ("crs", "ending"),
    [
        *product(["EPSG:32631", "EPSG:4979", "EPSG:32631+5773", "ESRI:54004", "EPSG:3035"], [".tif", ".nc", ".zarr"]),
        (ROTATED_POLE, ".nc"),
        (ROTATED_POLE, ".zarr"),
    ],
)
def test_a_stack_lies_where_its_scene_does(tmp_path, crs, ending):
    transform = DEGREES if crs in {"EPSG:4979", ROTATED_POLE} else METRES
    scene = written(tmp_path / "scene.tif", CRS.from_user_input(crs), transform)
    stack([scene], tmp_path / f"stack{ending}", StackOptions(select=("B04", "B08")))
    with open_scene(scene) as read, open_scene(tmp_path / f"stack{ending}") as back:
        assert same_place(read.grid, back.grid.crs)
        np.testing.assert_allclose(tuple(back.grid.transform), tuple(read.grid.transform), rtol=1e-12)


class TestPlacesBesideTheFile:
    """A place in a side-car counts where the file states none; a stray one moves no file that states its own."""

    WORLD = "10\n0\n0\n-10\n500005\n5799995\n"
    PAM = "<PAMDataset><SRS>EPSG:32631</SRS><GeoTransform>5e5,10,0,5.8e6,0,-10</GeoTransform></PAMDataset>"

    @pytest.fixture
    def bare(self, tmp_path):
        return written(tmp_path / "scene.tif", None, None)

    def test_an_aux_xml_places_a_file_without_a_place(self, bare):
        bare.with_name("scene.tif.aux.xml").write_text(self.PAM)
        with open_scene(bare) as scene:
            assert (scene.grid.crs, scene.grid.transform) == (CRS.from_epsg(32631), METRES)

    def test_a_world_file_alone_states_no_crs(self, bare):
        bare.with_name("scene.tfw").write_text(self.WORLD)
        with open_scene(bare) as scene:
            assert (scene.grid.crs, scene.grid.transform) == (None, METRES)

    def test_the_files_own_place_counts(self, tmp_path):
        own = Affine(20, 0, 300_000, 0, -20, 4_900_000)
        path = written(tmp_path / "scene.tif", CRS.from_epsg(32633), own)
        path.with_name("scene.tif.aux.xml").write_text(self.PAM)
        path.with_name("scene.tfw").write_text(self.WORLD)
        with open_scene(path) as scene:
            assert (scene.grid.crs, scene.grid.transform) == (CRS.from_epsg(32633), own)

    @pytest.mark.parametrize(("code", "told"), [("32631", True), ("32633", False)])
    def test_another_crs_beside_the_file_is_told(self, tmp_path, caplog, code, told):
        path = written(tmp_path / "scene.tif", CRS.from_epsg(32633), METRES)
        text = CRS.from_epsg(int(code)).to_wkt().replace('"', "&quot;")
        path.with_name("scene.tif.aux.xml").write_text(f"<PAMDataset><SRS>{text}</SRS></PAMDataset>")
        with open_scene(path) as scene:
            assert scene.grid.crs == CRS.from_epsg(32633)
        assert ("states another CRS, which is left aside" in caplog.text) == told

    def test_another_place_is_another_input(self, bare):
        with open_scene(bare) as scene:
            before = scene.fingerprint()
        bare.with_name("scene.tif.aux.xml").write_text(self.PAM)
        with open_scene(bare) as scene:
            assert scene.fingerprint() != before

    def test_a_jpeg_2000_without_a_place_has_none(self, tmp_path):
        path = tmp_path / "B04.jp2"
        with rasterio.open(path, "w", driver="JP2OpenJPEG", count=1, dtype="uint16", height=40, width=60) as target:
            target.write(np.full((1, 40, 60), 900, np.uint16))
        path.with_name("B04.jp2.aux.xml").unlink(missing_ok=True)
        with open_scene(path) as scene:
            assert (scene.grid.crs, scene.grid.transform) == (None, Affine.identity())
