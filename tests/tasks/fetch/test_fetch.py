import csv
import json
import shutil
import signal

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from rasterio.warp import transform_bounds

from lulc.cli.main import cli
from lulc.errors import Interrupted
from lulc.io.scene.scene import open_scene
from lulc.tasks.fetch.fetch import fetch
from lulc.tasks.fetch.options import DEFAULT_BANDS, FetchOptions
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack
from tests.support.stac_items import ORIGIN, random_pixels, real_pixels, write_item
from tests.support.stac_server import served

pytestmark = pytest.mark.usefixtures("impatient")

DATES = "2021-05-01/2021-09-30"
FLAG = "earthsearch:boa_offset_applied"
SHIFTED = {"scale": 0.0001, "offset": -0.1}


def degrees(left, top, width, height):
    """A box `W,S,E,N` that is these metres from the corner of the items, right and down, as an option."""
    west, north = ORIGIN[0] + left, ORIGIN[1] - top
    bounds = transform_bounds("EPSG:32633", "EPSG:4326", west, north - height, west + width, north)
    return ",".join(f"{bound:.7f}" for bound in bounds)


WHOLE = degrees(-200, -200, 3000, 3000)
PART = degrees(500, 700, 800, 600)

ITEMS = {
    "clear": {"date": "2021-06-03T10:05:59Z", "cloud": 1.0, "layout": "earth-search"},
    "hazy": {"date": "2021-07-13T10:05:59Z", "cloud": 12.0, "layout": "planetary-computer"},
    "cloudy": {"date": "2021-08-02T10:05:59Z", "cloud": 90.0, "layout": "stac-1.1"},
    "winter": {"date": "2021-12-02T10:05:59Z", "cloud": 0.0, "layout": "earth-search"},
}
SAID = {
    "clear": {"properties": {FLAG: True, "s2:processing_baseline": "05.00"}, "raster": SHIFTED},
    "hazy": {"properties": {"s2:processing_baseline": "05.10"}},
    "cloudy": {"raster": SHIFTED},
    "winter": {"properties": {"s2:processing_baseline": "03.01"}},
}
SHIFTS = {"hazy": 1000, "cloudy": 1000}


@pytest.fixture(scope="module")
def pixels():
    return {name: random_pixels(seed=number, shift=SHIFTS.get(name, 0)) for number, name in enumerate(ITEMS)}


@pytest.fixture
def catalog(tmp_path, pixels):
    """A static catalogue: four items of one tile, one elsewhere, in two collections."""
    folder = tmp_path / "catalog"
    for name, entry in ITEMS.items():
        write_item(folder / "items", pixels[name], item_id=name, **entry, **SAID[name])
    write_item(folder / "items", pixels["clear"], item_id="elsewhere", origin=(700_000, 4_000_000), **ITEMS["clear"])
    return link(folder)


def link(folder):
    items = sorted((folder / "items").glob("*.json"))
    links = [{"rel": "item", "href": f"./items/{path.name}"} for path in items]
    child = {"type": "Collection", "id": "sentinel-2-l2a", "stac_version": "1.0.0", "links": links}
    (folder / "collection.json").write_text(json.dumps(child))
    root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "of a test"}
    up = [{"rel": "child", "href": "./collection.json"}, {"rel": "self", "href": "catalog.json"}]
    (folder / "catalog.json").write_text(json.dumps(root | {"links": up}))
    return folder / "catalog.json"


def run(*arguments):
    return CliRunner().invoke(cli, ["fetch", *map(str, arguments)])


def fetched(result, code=0):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return json.loads(result.stdout)


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


class TestFiles:
    def test_digital_numbers_clipped_to_the_area_on_the_items_own_pixels(self, catalog, tmp_path, pixels):
        report = fetched(run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES, "--max-cloud", 20, "--json"))
        assert [(item["id"], item["state"]) for item in report["items"]] == [("clear", "fetched"), ("hazy", "fetched")]
        with rasterio.open(tmp_path / "out" / "clear.tif") as raster:
            assert raster.descriptions == DEFAULT_BANDS
            assert (raster.dtypes[0], raster.nodata, raster.crs.to_epsg()) == ("uint16", 0, 32633)
            shift = (raster.transform.c - ORIGIN[0]) / 10, (ORIGIN[1] - raster.transform.f) / 10
            assert all(value == int(value) for value in shift)
            col, row = (int(value) for value in shift)
            assert 45 <= col <= 50
            assert 65 <= row <= 70
            assert 80 <= raster.width <= 90
            assert 60 <= raster.height <= 70
            place = np.s_[row : row + raster.height, col : col + raster.width]
            planes = dict(zip(raster.descriptions, raster.read(), strict=True))
        for name in ("B02", "B03", "B04", "B08"):
            np.testing.assert_array_equal(planes[name], pixels["clear"][name][place])
        np.testing.assert_array_equal(planes["SCL"], np.kron(pixels["clear"]["SCL"], np.ones((2, 2)))[place])

    @pytest.mark.parametrize("name", ["clear", "hazy", "cloudy"])
    def test_a_file_gives_the_reflectance_of_its_item(self, catalog, tmp_path, name):
        run(catalog, tmp_path / "out", "--area", WHOLE, "--dates", DATES)
        for number, source in enumerate((catalog.parent / "items" / f"{name}.json", tmp_path / "out" / f"{name}.tif")):
            stack([source], tmp_path / f"{number}.tif", StackOptions(clouds="auto", select=("B04", "B11", "B8A")))
        with rasterio.open(tmp_path / "0.tif") as item, rasterio.open(tmp_path / "1.tif") as file:
            np.testing.assert_array_equal(item.read(), file.read())
            assert item.transform == file.transform
            assert item.tags()["LULC_OFFSET"] == file.tags()["LULC_OFFSET"]

    @pytest.mark.parametrize(
        ("name", "offset", "why"), [("clear", 0, FLAG), ("hazy", -1000, "05.10"), ("cloudy", -1000, "asset")]
    )
    def test_tags_and_table(self, catalog, tmp_path, name, offset, why):
        run(catalog, tmp_path / "out", "--area", WHOLE, "--dates", DATES)
        with open_scene([tmp_path / "out" / f"{name}.tif"]) as scene:
            assert (scene.radiometry.offset, scene.radiometry.quantification) == (offset, 10_000)
            assert why in scene.radiometry.source
            assert scene.info.level == "L2A"
            assert scene.info.acquired == ITEMS[name]["date"]
            assert scene.warnings == ()
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as raster:
            assert raster.tags()["STAC_ID"] == name
            assert raster.tags(1)["BOA_ADD_OFFSET"] == str(offset)
            assert "BOA_ADD_OFFSET" not in raster.tags(raster.count)
        with (tmp_path / "out" / "items.csv").open(newline="") as file:
            rows = {row["id"]: row for row in csv.DictReader(file)}
        assert list(rows) == ["clear", "hazy", "cloudy"]
        assert rows[name]["file"] == f"{name}.tif"
        assert float(rows[name]["offset"]) == offset
        assert why in rows[name]["why"]
        assert (rows[name]["tile"], float(rows[name]["cloud"])) == ("33TUL", ITEMS[name]["cloud"])

    def test_a_wrong_flag_is_told_and_stays_with_the_file(self, tmp_path):
        said = {"properties": {FLAG: True, "s2:processing_baseline": "05.00"}}
        write_item(tmp_path / "c" / "items", random_pixels(shift=1000), item_id="wrong", **said)
        report = fetched(run(link(tmp_path / "c"), tmp_path / "out", "--area", WHOLE, "--dates", DATES, "--json"))
        assert "--offset -1000" in report["items"][0]["why"]
        with open_scene([tmp_path / "out" / "wrong.tif"]) as scene:
            assert "--offset -1000" in scene.warnings[0]

    def test_an_item_that_says_nothing_leaves_the_question_open(self, tmp_path):
        write_item(tmp_path / "c" / "items", random_pixels(shift=1000), item_id="mute", layout="planetary-computer")
        report = fetched(run(link(tmp_path / "c"), tmp_path / "out", "--area", WHOLE, "--dates", DATES, "--json"))
        assert "default; offset 0 was used (default), yet no pixel is darker" in report["items"][0]["why"]
        with rasterio.open(tmp_path / "out" / "mute.tif") as raster:
            assert "BOA_ADD_OFFSET" not in raster.tags(1)


class TestAgain:
    def test_whole_files_are_kept_and_the_missing_one_is_fetched(self, catalog, tmp_path):
        arguments = (catalog, tmp_path / "out", "--area", PART, "--dates", DATES, "--json")
        fetched(run(*arguments))
        before = files(tmp_path / "out")
        (tmp_path / "out" / "hazy.tif").unlink()
        report = fetched(run(*arguments))
        states = {item["id"]: item["state"] for item in report["items"]}
        assert states == {"clear": "kept", "hazy": "fetched", "cloudy": "kept"}
        after = files(tmp_path / "out")
        assert set(after) == set(before)
        assert (after["clear.tif"], after["cloudy.tif"]) == (before["clear.tif"], before["cloudy.tif"])

    @pytest.mark.parametrize("change", [("--area", WHOLE), ("--bands", "B04,SCL")])
    def test_another_area_or_other_bands_are_fetched_when_asked(self, catalog, tmp_path, change):
        arguments = [catalog, tmp_path / "out", "--area", PART, "--dates", "2021-06-03"]
        assert run(*arguments).exit_code == 0
        before = files(tmp_path / "out")["clear.tif"]
        refused = run(*arguments, *change)
        assert refused.exit_code == 5
        assert "use --refresh" in refused.stderr
        assert files(tmp_path / "out")["clear.tif"] == before
        (tmp_path / "again").mkdir()
        shutil.copy2(tmp_path / "out" / "clear.tif", tmp_path / "again")
        report = fetched(run(*arguments, *change, "--overwrite", "--json"))
        assert report["items"][0]["state"] == "fetched"
        assert files(tmp_path / "out")["clear.tif"] != before
        arguments[1] = tmp_path / "again"
        for state in ("fetched", "kept"):
            report = fetched(run(*arguments, *change, "--refresh", "--json"))
            assert report["items"][0]["state"] == state
        assert (tmp_path / "again" / "clear.tif").read_bytes() == (tmp_path / "out" / "clear.tif").read_bytes()

    def test_a_foreign_or_damaged_file_is_not_taken_for_a_scene(self, catalog, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "clear.tif").write_bytes(b"half a file")
        result = run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES)
        assert result.exit_code == 5
        assert "use --overwrite" in result.stderr
        assert run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES, "--refresh").exit_code == 5
        assert (tmp_path / "out" / "clear.tif").read_bytes() == b"half a file"
        assert (tmp_path / "out" / "hazy.tif").is_file()

    def test_the_table_keeps_rows_of_earlier_runs(self, catalog, tmp_path):
        run(catalog, tmp_path / "out", "--area", PART, "--dates", "2021-06-03")
        run(catalog, tmp_path / "out", "--area", PART, "--dates", "2021-07-13")
        rows = (tmp_path / "out" / "items.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows] == ["id", "clear", "hazy"]


class TestChoice:
    @pytest.mark.parametrize(
        ("options", "ids"),
        [
            (["--dates", DATES], ["clear", "hazy", "cloudy"]),
            (["--dates", "2021-01-01/.."], ["winter", "clear", "hazy", "cloudy"]),
            (["--dates", "../2021-06-03"], ["clear"]),
            (["--dates", "2021-07-13T10:00:00Z/2021-07-13T11:00:00Z"], ["hazy"]),
            (["--dates", DATES, "--max-cloud", "12"], ["clear", "hazy"]),
            (["--dates", DATES, "--limit", "1"], ["clear"]),
            (["--dates", DATES, "--collection", "sentinel-2-l2a"], ["clear", "hazy", "cloudy"]),
        ],
    )
    @pytest.mark.parametrize("kind", ["static", "static over http", "api", "api without query"])
    def test_same_answer_from_every_kind_of_catalogue(self, catalog, tmp_path, options, ids, kind):
        with served(catalog.parent) as server:
            if kind == "api without query":
                server.conforms = server.conforms[:2]
            address = {"static": catalog, "static over http": f"{server.root}/files/catalog.json"}.get(
                kind, server.root
            )
            if "api" in kind:
                absolute(catalog.parent, server)
            report = fetched(run(address, tmp_path / "out", "--area", PART, *options, "--plan", "--json"))
        assert [item["id"] for item in report["items"]] == ids
        assert not (tmp_path / "out").exists()

    def test_polygons_in_another_crs(self, catalog, tmp_path):
        west, north = ORIGIN[0] + 500, ORIGIN[1] - 500
        shape = shapely.Polygon([(west, north), (west + 600, north - 300), (west, north - 600)])
        path = tmp_path / "area.gpkg"
        kind = {"geometry_type": "Polygon", "crs": "EPSG:32633", "driver": "GPKG"}
        pyogrio.raw.write(path, np.array([shapely.to_wkb(shape)]), [], [], **kind)
        run(catalog, tmp_path / "out", "--area", path, "--dates", "2021-06-03")
        with rasterio.open(tmp_path / "out" / "clear.tif") as raster:
            assert (raster.width, raster.height) == (60, 60)
            assert (raster.transform.c, raster.transform.f) == (west, north)

    def test_plan_says_the_size(self, catalog, tmp_path):
        result = run(
            catalog, tmp_path / "out", "--area", WHOLE, "--dates", "2021-06-03", "--plan", "--bands", "B04,B11,SCL"
        )
        assert result.exit_code == 0
        assert "240 x 240 px, 3 bands, 0.3 MB" in result.output
        assert "nothing written" in result.output

    @pytest.mark.parametrize(
        ("options", "code", "reason"),
        [
            (["--area", "1,2,3"], 3, "give a file of polygons"),
            (["--area", "170,0,-170,5"], 2, "cut one across the antimeridian"),
            (["--area", "nothing.gpkg"], 3, "is not there"),
            (["--dates", "summer"], 2, "write 2021-05-01/2021-09-30"),
            (["--dates", "2021-09-30/2021-05-01"], 2, "is no period"),
            (["--dates", "1999-01-01"], 3, "no item of"),
            (["--area", "0,0,1,1"], 3, "no item of"),
            (["--bands", "B99"], 2, "B99"),
            (["--bands", "SCL"], 2, "no spectral band"),
            (["--bands", "B09", "--plan"], 5, "has no B09"),
            (["--max-cloud", "101"], 2, "max-cloud"),
        ],
    )
    def test_refusals(self, catalog, tmp_path, options, code, reason):
        result = run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES, *options)
        assert result.exit_code == code, result.output
        assert reason in result.stderr
        assert not (tmp_path / "out").exists()

    def test_what_is_no_catalogue(self, tmp_path):
        (tmp_path / "a.json").write_text("{}")
        for catalog in (tmp_path / "a.json", tmp_path / "none.json"):
            result = run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES)
            assert result.exit_code == 3
            assert len(result.stderr.splitlines()) == 1


def test_a_signal_keeps_what_is_finished(catalog, tmp_path):
    wanted = FetchOptions(area=PART, dates=DATES)
    seen = []

    def stop_in_the_second(done, total):
        seen.append((done, total))
        if len(seen) == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="finished files are kept"):
        fetch(str(catalog), tmp_path / "out", wanted, progress=stop_in_the_second)
    assert set(files(tmp_path / "out")) == {"clear.tif", "items.csv"}
    report = fetch(str(catalog), tmp_path / "out", wanted)
    assert [item.state for item in report.items] == ["kept", "fetched", "fetched"]


def absolute(folder, server):
    """Rewrite the assets of all items as addresses on the server, as APIs state them."""
    for path in (folder / "items").glob("*.json"):
        document = json.loads(path.read_text())
        for asset in document["assets"].values():
            if asset["href"].endswith(".tif") and "://" not in asset["href"]:
                asset["href"] = f"{server.root}/files/items/{asset['href']}"
        document["links"] = [{"rel": "self", "href": f"{server.root}/files/items/{path.name}"}]
        path.write_text(json.dumps(document))


@pytest.fixture
def server(catalog):
    with served(catalog.parent) as server:
        absolute(catalog.parent, server)
        yield server


class TestApi:
    def arguments(self, server, tmp_path, *more):
        return (server.root, tmp_path / "out", "--area", PART, "--dates", DATES, "--json", *more)

    def test_paged_by_post_and_read_by_ranges(self, server, tmp_path, catalog):
        server.page = 1
        report = fetched(run(*self.arguments(server, tmp_path)))
        assert [item["id"] for item in report["items"]] == ["clear", "hazy", "cloudy"]
        assert [body.get("token") for body in server.bodies] == [None, "1", "2"]
        assert server.bodies[0]["collections"] == ["sentinel-2-l2a"]
        for name in ("clear", "hazy"):
            local = tmp_path / "local"
            run(catalog, local, "--area", PART, "--dates", DATES)
            with rasterio.open(tmp_path / "out" / f"{name}.tif") as one, rasterio.open(local / f"{name}.tif") as other:
                np.testing.assert_array_equal(one.read(), other.read())

    def test_an_item_by_its_address_is_a_scene(self, server, tmp_path):
        address = f"{server.root}/files/items/hazy.json"
        with open_scene([address]) as scene:
            assert scene.info.name == "hazy.json"
            assert scene.radiometry.offset == -1000
        result = CliRunner().invoke(cli, ["stack", address, str(tmp_path / "out.tif"), "--clouds", "scl"])
        assert result.exit_code == 0, result.output
        assert CliRunner().invoke(cli, ["info", address]).exit_code == 0

    @pytest.mark.parametrize("path", ["/", "/search", "/files/items/clear_B04.tif", "/files/items/clear_SCL.tif"])
    def test_answers_that_fail_for_a_while_are_asked_again(self, server, tmp_path, path):
        server.faults[path] = [500, 503]
        report = fetched(run(*self.arguments(server, tmp_path)))
        assert [item["state"] for item in report["items"]] == ["fetched"] * 3
        assert server.asked[path] >= 3

    @pytest.mark.parametrize(("status", "most"), [(404, 20), ("cut", 60), (403, 20)])
    def test_a_bad_asset_is_one_line_and_the_others_go_on(self, server, tmp_path, status, most):
        path = "/files/items/clear_B04.tif"
        server.always[path] = status
        result = run(*self.arguments(server, tmp_path))
        report = fetched(result, code=5)
        assert [item["id"] for item in report["items"]] == ["hazy", "cloudy"]
        (line,) = report["failures"]
        assert "clear" in line
        assert "B04" in line or "red" in line
        assert [text for text in result.stderr.splitlines() if "reading again" not in text] == [f"lulc: {line}"]
        assert set(files(tmp_path / "out")) == {"hazy.tif", "cloudy.tif", "items.csv"}
        assert server.asked[path] <= most
        server.always.clear()

    def test_after_a_failure_the_same_command_completes(self, server, tmp_path):
        server.always["/files/items/clear_B04.tif"] = 404
        fetched(run(*self.arguments(server, tmp_path)), code=5)
        before = files(tmp_path / "out")
        server.always.clear()
        shutil.copy(server.folder / "items" / "clear_B04.tif", server.folder / "items" / "clear_B04b.tif")
        document = json.loads((server.folder / "items" / "clear.json").read_text())
        document["assets"]["red"]["href"] = f"{server.root}/files/items/clear_B04b.tif"  # GDAL remembers a 404
        (server.folder / "items" / "clear.json").write_text(json.dumps(document))
        report = fetched(run(*self.arguments(server, tmp_path)))
        assert [item["state"] for item in report["items"]] == ["fetched", "kept", "kept"]
        assert files(tmp_path / "out")["hazy.tif"] == before["hazy.tif"]

    @pytest.mark.parametrize(("path", "status"), [("/", 500), ("/", 404), ("/search", 503), ("/search", 400)])
    def test_a_server_that_stays_down(self, server, tmp_path, path, status):
        server.always[path] = status
        result = run(*self.arguments(server, tmp_path))
        assert result.exit_code in (3, 5)
        assert len(result.stderr.splitlines()) == 1
        assert server.asked[path] <= 6
        assert not (tmp_path / "out").exists()

    def test_no_server(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lulc.io.files.http._TRIES", 1)
        result = run("http://127.0.0.1:9/", tmp_path / "out", "--area", PART, "--dates", DATES)
        assert result.exit_code == 5
        assert len(result.stderr.splitlines()) == 1

    def test_a_broken_item_of_a_static_catalogue(self, catalog, tmp_path):
        (catalog.parent / "items" / "clear.json").write_text("{")
        result = run(catalog, tmp_path / "out", "--area", PART, "--dates", DATES, "--json")
        report = fetched(result, code=5)
        assert [item["id"] for item in report["items"]] == ["hazy", "cloudy"]
        assert "clear.json is not JSON" in report["failures"][0]


def test_real_pixels_from_catalogue_to_indices(data, tmp_path):
    """Aquileia's pixels as an item, fetched, stacked, and compared with numpy."""
    pixels = real_pixels(data / "scenes" / "aquileia_20190416_l2a_12band.tif")
    said = {"date": "2021-06-03T10:05:59Z", "properties": {"s2:processing_baseline": "02.11"}}
    write_item(tmp_path / "c" / "items", pixels, item_id="aquileia", **said)
    assert run(link(tmp_path / "c"), tmp_path / "out", "--area", WHOLE, "--dates", DATES).exit_code == 0
    stack(
        [tmp_path / "out" / "aquileia.tif"], tmp_path / "s.tif", StackOptions(select=("B04", "B08"), indices=("NDVI",))
    )
    red, near = (pixels[name].astype(np.float64) / 1e4 for name in ("B04", "B08"))
    with rasterio.open(tmp_path / "s.tif") as raster:
        np.testing.assert_allclose(raster.read(3), (near - red) / (near + red), atol=1e-6)
