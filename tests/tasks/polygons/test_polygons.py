import json
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from pyarrow import parquet
from scipy import ndimage

from lulc.errors import InputError, Interrupted, StorageError, UsageError
from lulc.io.product.areas import class_areas
from lulc.io.product.bands import CLOUDS
from lulc.io.product.reader import open_product
from lulc.tasks.polygons.options import PolygonsOptions
from lulc.tasks.polygons.polygons import map_polygons
from tests.support.memory import peak_bytes
from tests.support.point_samples import write_map
from tests.support.product_samples import LEGEND, UTM, grid_of, names, pixels, write

OGRINFO = shutil.which("ogrinfo")
CUTS = (1, 20_000, 1 << 21)


def options(**given):
    return PolygonsOptions(**given)


def read(path):
    """Polygons and their attributes."""
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path, layer="polygons")


def expected(path):
    """Patches of a map by scipy: code, pixels, and mean activation of the class where there are any; in order of the last pixels."""
    with rasterio.open(path) as source:
        planes = source.read()
    rows = []
    for code in range(1, len(LEGEND) + 1):
        label, count = ndimage.label(planes[0] == code)
        for number in range(1, count + 1):
            inside = label == number
            given = planes[code][inside].astype(float) if len(planes) > len(LEGEND) else np.array([np.nan])
            scale = 1 / 250 if planes.dtype == np.uint8 else 1
            rows.append((int(np.flatnonzero(inside)[-1]), code, int(inside.sum()), given.mean() * scale))
    return np.array([row[1:] for row in sorted(rows)])


@pytest.fixture(params=["uint8", "float32", "none"])
def any_map(request, tmp_path):
    write(tmp_path / "map.tif", pixels(90, 130, activations=request.param))
    return tmp_path / "map.tif"


@pytest.fixture
def product(tmp_path):
    write(tmp_path / "map.tif", pixels(90, 130))
    return tmp_path / "map.tif"


class TestAttributes:
    def test_are_those_of_an_oracle(self, any_map, tmp_path):
        map_polygons(any_map, tmp_path / "out.gpkg")
        found, known = read(tmp_path / "out.gpkg"), expected(any_map)
        assert found["code"].tolist() == known[:, 0].tolist()
        assert found["name"].tolist() == [LEGEND.names[int(code) - 1] for code in known[:, 0]]
        assert found["pixels"].tolist() == known[:, 1].tolist()
        assert found["area_ha"].tolist() == (known[:, 1] / 100).tolist()
        assert found["confidence"].to_numpy() == pytest.approx(known[:, 2], nan_ok=True)
        assert "flagged" not in found

    def test_areas_in_the_plane_are_those_of_the_pixels(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.gpkg")
        found = read(tmp_path / "out.gpkg")
        assert found.area.to_numpy() == pytest.approx(found["pixels"].to_numpy() * 100, rel=1e-9)

    def test_the_class_given_need_not_be_the_likeliest(self, tmp_path):
        data = pixels(40, 40)
        data[0, 5:9, 20:24] = 9
        write(tmp_path / "map.tif", data)
        map_polygons(tmp_path / "map.tif", tmp_path / "out.gpkg")
        found = read(tmp_path / "out.gpkg")
        assert found["confidence"].to_numpy() == pytest.approx(expected(tmp_path / "map.tif")[:, 2])

    def test_share_under_clouds(self, tmp_path):
        data = pixels(40, 60)
        sky = np.where(data[0] == 255, 255, np.random.default_rng(1).choice(np.uint8([0, 1, 2]), (40, 60)))
        write(
            tmp_path / "map.tif",
            np.concatenate([data, sky[None].astype(np.uint8)]),
            activations="uint8",
            extra=[CLOUDS],
        )
        map_polygons(tmp_path / "map.tif", tmp_path / "out.gpkg")
        found = read(tmp_path / "out.gpkg")
        assert (found["flagged"] * found["pixels"]).sum() == pytest.approx(np.isin(sky, [1, 2]).sum())
        assert found["flagged"].between(0, 1).all()

    @pytest.mark.parametrize(
        ("crs", "transform"),
        [("EPSG:4326", Affine(1e-3, 0, 13, 0, -1e-3, 46)), ("EPSG:3857", Affine(10, 0, 1.4e6, 0, -10, 5.7e6))],
    )
    def test_ground_where_the_plane_stretches_it(self, tmp_path, crs, transform):
        write(tmp_path / "map.tif", pixels(90, 130), grid=grid_of(90, 130, transform, crs))
        map_polygons(tmp_path / "map.tif", tmp_path / "out.gpkg")
        found = read(tmp_path / "out.gpkg")
        known = {entry.name: entry.hectares for entry in class_areas(tmp_path / "map.tif") if entry.pixels}
        assert found.groupby("name")["area_ha"].sum().to_dict() == pytest.approx(known, rel=1e-9)
        geod = pyproj.Geod(ellps="WGS84")
        on_ground = sum(abs(geod.geometry_area_perimeter(one)[0]) for one in found.geometry.to_crs("EPSG:4326"))
        assert found["area_ha"].sum() * 1e4 == pytest.approx(on_ground, rel=1e-4)

    def test_cells_that_reach_beyond_the_scene_count_with_their_part_inside(self, tmp_path):
        data = np.full((6, 7), 2, np.uint8)
        write_map(tmp_path / "map.tif", data, legend=LEGEND, block=16)
        with rasterio.open(tmp_path / "map.tif", "r+") as target:
            target.update_tags(LULC_EDGE="0.5,0.25")
        map_polygons(tmp_path / "map.tif", tmp_path / "out.gpkg")
        assert read(tmp_path / "out.gpkg")["area_ha"].tolist() == pytest.approx([5.5 * 6.25 / 100])


class TestCuts:
    @pytest.mark.whole
    @pytest.mark.parametrize("simplify", [0, 25])
    def test_files_are_equal_for_all(self, product, tmp_path, simplify):
        found = []
        for cut in CUTS:
            map_polygons(product, tmp_path / f"{cut}.parquet", options(simplify=simplify), strip_px=cut)
            map_polygons(product, tmp_path / f"{cut}.gpkg", options(simplify=simplify), strip_px=cut)
            found.append((tmp_path / f"{cut}.parquet").read_bytes())
            assert read(tmp_path / f"{cut}.gpkg").equals(read(tmp_path / f"{CUTS[0]}.gpkg"))
        assert len(set(found)) == 1

    def test_blocks_of_the_map_do_not_show(self, tmp_path):
        codes = np.random.default_rng(3).choice(np.uint8([1, 2, 255]), (600, 40)).repeat(2, axis=1)
        for name, layout in (("rows", {"tiled": False, "blockysize": 1}), ("tiles", {}), ("high", {"block": 256})):
            write_map(tmp_path / "map.tif", codes, legend=LEGEND, **layout)
            map_polygons(tmp_path / "map.tif", tmp_path / f"{name}.parquet")
        assert len({(tmp_path / f"{name}.parquet").read_bytes() for name in ("rows", "tiles", "high")}) == 1

    def test_both_formats_hold_the_same(self, product, tmp_path):
        for ending in ("gpkg", "parquet"):
            map_polygons(product, tmp_path / f"out.{ending}")
        one, other = read(tmp_path / "out.gpkg"), read(tmp_path / "out.parquet")
        assert one.geometry.to_wkb().equals(other.geometry.to_wkb().rename("geometry"))
        for name in ("code", "name", "area_ha", "pixels", "confidence"):
            assert one[name].tolist() == other[name].tolist()
        assert one.crs == other.crs == pyproj.CRS("EPSG:32631")

    @pytest.mark.whole
    def test_batches(self, product, tmp_path, monkeypatch):
        map_polygons(product, tmp_path / "one.gpkg")
        monkeypatch.setattr("lulc.tasks.polygons.feature_file.BATCH", 7)
        monkeypatch.setattr("lulc.tasks.polygons.job._VERTICES", 50)
        for ending in ("gpkg", "parquet"):
            map_polygons(product, tmp_path / f"many.{ending}")
        known = read(tmp_path / "one.gpkg")
        assert read(tmp_path / "many.gpkg").equals(known)
        assert read(tmp_path / "many.parquet")["pixels"].tolist() == known["pixels"].tolist()
        assert parquet.ParquetFile(tmp_path / "many.parquet").num_row_groups == -(-len(known) // 7)


class TestChoice:
    def test_classes(self, product, tmp_path):
        chosen = ("trees", "water")
        report = map_polygons(product, tmp_path / "out.gpkg", options(classes=chosen))
        found = read(tmp_path / "out.gpkg")
        known = expected(product)
        assert found["pixels"].tolist() == known[np.isin(known[:, 0], [1, 2]), 1].tolist()
        assert [entry.name for entry in report.classes] == ["water", "trees"]

    def test_an_unknown_class_is_answered_with_the_nearest(self, product, tmp_path):
        with pytest.raises(UsageError, match="did you mean 'water'"):
            map_polygons(product, tmp_path / "out.gpkg", options(classes=("watr",)))
        assert names(tmp_path) == ["map.qml", "map.tif", "map.tif.aux.xml"]

    def test_small_polygons_are_left_out_and_counted(self, product, tmp_path):
        whole = map_polygons(product, tmp_path / "whole.gpkg")
        report = map_polygons(product, tmp_path / "out.gpkg", options(min_ha=0.5))
        found, known = read(tmp_path / "out.gpkg"), read(tmp_path / "whole.gpkg")
        assert found.equals(known[known["pixels"] >= 50].reset_index(drop=True))
        assert report.left_out == len(known) - len(found) > 0
        assert report.hectares_left_out == pytest.approx(known["area_ha"].sum() - found["area_ha"].sum())
        assert f"left out: {report.left_out:,} polygons below 0.5 ha" in report.to_text()
        assert "left out" not in whole.to_text()

    def test_no_polygon_is_an_empty_layer_and_a_warning(self, product, tmp_path, caplog):
        for ending in ("gpkg", "parquet"):
            report = map_polygons(product, tmp_path / f"out.{ending}", options(min_ha=1e6))
            found = read(tmp_path / f"out.{ending}")
            assert len(found) == report.polygons == 0
            assert {"code", "name", "area_ha", "pixels", "confidence"} <= {*found.columns}
            assert found.crs == pyproj.CRS("EPSG:32631")
        assert "holds no polygon" in caplog.text

    def test_simplified_borders_are_shared_and_areas_stay(self, product, tmp_path):
        map_polygons(product, tmp_path / "whole.gpkg")
        map_polygons(product, tmp_path / "out.gpkg", options(simplify=20))
        found, known = read(tmp_path / "out.gpkg"), read(tmp_path / "whole.gpkg")
        assert shapely.coverage_is_valid(found.geometry.to_numpy())
        assert found.is_valid.all()
        assert found["area_ha"].tolist() == known["area_ha"].tolist()
        assert shapely.get_num_coordinates(found.geometry.to_numpy()).sum() < len(known.get_coordinates())


class TestGeoPackage:
    def test_what_lies_in_it(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.gpkg", options(min_ha=0.1))
        info = pyogrio.read_info(tmp_path / "out.gpkg", layer="polygons")
        assert (info["geometry_type"], info["capabilities"]["fast_spatial_filter"]) == ("Polygon", True)
        assert info["layer_metadata"]["LULC_INPUT"] == "scène <1> & co.tif"
        assert info["layer_metadata"]["LULC_POLYGONS_OF"] == "map.tif"
        assert info["layer_metadata"]["LULC_POLYGONS_MIN_HA"] == "0.1"
        assert pyogrio.list_layers(tmp_path / "out.gpkg")[:, 0].tolist() == ["polygons", "layer_styles"]
        read(tmp_path / "out.gpkg")
        assert not (tmp_path / "out.gpkg.aux.xml").exists()

    def test_a_window_is_found_by_the_index(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.gpkg")
        window = shapely.box(300_200, 4_899_500, 300_400, 4_899_700)
        found = read(tmp_path / "out.gpkg")
        there = pyogrio.read_dataframe(tmp_path / "out.gpkg", layer="polygons", mask=window)
        assert len(there) == found.intersects(window).sum()

    def test_qgis_finds_the_style(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.gpkg")
        with closing(sqlite3.connect(tmp_path / "out.gpkg")) as base:
            rows = base.execute(
                "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
            ).fetchall()
            geometry = base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        assert [row[:2] for row in rows] == geometry
        assert rows[0][2] == 1
        assert 'attr="code"' in rows[0][3]

    @pytest.mark.skipif(OGRINFO is None, reason="ogrinfo is not installed")
    @pytest.mark.process
    def test_gdal_reads_it(self, product, tmp_path):
        report = map_polygons(product, tmp_path / "out.gpkg")
        asked = [OGRINFO, "-so", tmp_path / "out.gpkg", "polygons"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert f"Feature Count: {report.polygons}\n" in told
        assert "UTM zone 31N" in told
        assert "Geometry: Polygon\n" in told


class TestGeoParquet:
    def test_metadata(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.parquet")
        held = parquet.read_metadata(tmp_path / "out.parquet").metadata
        geo = json.loads(held[b"geo"])
        column = geo["columns"]["geometry"]
        assert (geo["version"], column["encoding"], column["geometry_types"]) == ("1.1.0", "WKB", ["Polygon"])
        assert column["bbox"] == read(tmp_path / "out.parquet").total_bounds.tolist()
        assert held[b"LULC_INPUT"].decode() == "scène <1> & co.tif"

    def test_boxes_serve_a_window(self, product, tmp_path):
        map_polygons(product, tmp_path / "out.parquet")
        box = (300_200, 4_899_500, 300_400, 4_899_700)
        found = read(tmp_path / "out.parquet")
        there = geopandas.read_parquet(tmp_path / "out.parquet", bbox=box)
        bounds = found.bounds
        inside = (bounds.minx <= box[2]) & (bounds.maxx >= box[0]) & (bounds.miny <= box[3]) & (bounds.maxy >= box[1])
        assert len(there) == inside.sum() > 0

    def test_without_pyarrow(self, product, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(UsageError, match=r"pip install 'lulc\[parquet\]'"):
            map_polygons(product, tmp_path / "out.parquet")


class TestRefusals:
    @pytest.mark.parametrize("name", ["out.shp", "out.geojson", "out"])
    def test_other_endings(self, product, tmp_path, name):
        with pytest.raises(UsageError, match=r"end it in \.gpkg or \.parquet"):
            map_polygons(product, tmp_path / name)

    def test_the_map_itself(self, product, tmp_path):
        shutil.copy(product, tmp_path / "map.gpkg")
        with pytest.raises(UsageError, match="is an input"):
            map_polygons(tmp_path / "map.gpkg", tmp_path / "map.gpkg", options(overwrite=True))

    def test_what_exists(self, product, tmp_path):
        (tmp_path / "out.gpkg").write_text("mine")
        with pytest.raises(StorageError, match="--overwrite"):
            map_polygons(product, tmp_path / "out.gpkg")
        assert (tmp_path / "out.gpkg").read_text() == "mine"
        map_polygons(product, tmp_path / "out.gpkg", options(overwrite=True))
        assert len(read(tmp_path / "out.gpkg"))

    @pytest.mark.parametrize("ending", ["gpkg", "parquet"])
    def test_a_map_without_a_place_or_with_a_strange_code(self, tmp_path, ending):
        for value, changes, message in ((2, {"crs": None}, "no CRS"), (99, {}, "class code 99")):
            write_map(tmp_path / "map.tif", np.full((20, 20), value, np.uint8), legend=LEGEND, block=16, **changes)
            with pytest.raises(InputError, match=message):
                map_polygons(tmp_path / "map.tif", tmp_path / f"out.{ending}")
            assert names(tmp_path) == ["map.tif"]

    @pytest.mark.parametrize("ending", ["gpkg", "parquet"])
    def test_an_interrupted_run_leaves_nothing(self, product, tmp_path, ending):
        def stop(done, _total):
            if done > 5000:
                raise Interrupted("stopped")

        before = names(tmp_path)
        with pytest.raises(Interrupted):
            map_polygons(product, tmp_path / f"out.{ending}", progress=stop, strip_px=2000)
        assert names(tmp_path) == before

    @pytest.mark.process
    @pytest.mark.parametrize(("ending", "limit"), [("gpkg", 4_000), ("gpkg", 150_000), ("parquet", 4_000)])
    def test_a_disk_that_takes_no_more_leaves_nothing(self, product, tmp_path, ending, limit):
        before = names(tmp_path)
        command = [sys.executable, "-m", "lulc", "polygons", product, tmp_path / f"out.{ending}", "--simplify", "10"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=lambda: limited(limit))
        assert (done.returncode, done.stdout) == (5, ""), done.stderr
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert names(tmp_path) == before


def limited(size):
    """No file of this process may become larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_tags_of_the_map_and_its_legend_are_whole(product, tmp_path):
    map_polygons(product, tmp_path / "out.parquet")
    held = parquet.read_metadata(tmp_path / "out.parquet").metadata
    with open_product(product) as opened:
        assert {name: held[name.encode()].decode() for name in opened.tags} == opened.tags


_RUN = """
import sys
from lulc.tasks.polygons.options import PolygonsOptions
from lulc.tasks.polygons.polygons import map_polygons
map_polygons(sys.argv[1], sys.argv[2], PolygonsOptions(simplify=20))
"""


@pytest.mark.whole
@pytest.mark.process
def test_memory_does_not_grow_with_the_map(tmp_path):
    peaks = []
    for height in (2048, 8192):
        rng = np.random.default_rng(0)
        codes = rng.choice(np.uint8([1, 2, 3, 255]), (height // 8, 128)).repeat(8, axis=0).repeat(8, axis=1)
        write_map(tmp_path / f"{height}.tif", codes, legend=LEGEND, block=256, transform=UTM, compress="deflate")
        peaks.append(peak_bytes(_RUN, tmp_path / f"{height}.tif", tmp_path / f"{height}.gpkg"))
    assert peaks[1] - peaks[0] < 40e6
