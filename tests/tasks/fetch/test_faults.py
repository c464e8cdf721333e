"""`lulc fetch` against items, catalogues and folders that go wrong."""

import csv
import json
import os

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import StorageError
from lulc.io.files.area_of_interest import read_area
from lulc.io.files.http import read_json
from lulc.io.scene.stac import parse_item
from lulc.tasks.fetch import catalog
from lulc.tasks.fetch.catalog import ItemFilter, find_items, parse_period
from lulc.tasks.fetch.fetch import fetch
from lulc.tasks.fetch.options import FetchOptions
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack
from tests.support.fetch_samples import DATES, DEEP, EVERYWHERE, OPTIONS, edited, few_pixels, line, run
from tests.support.stac_items import write_item

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def pixels():
    return few_pixels()


@pytest.fixture
def item(tmp_path, pixels):
    """A static catalogue of one item, which is its own root."""
    return write_item(tmp_path / "c", pixels, item_id="one", layout="planetary-computer")


def planes(path):
    with rasterio.open(path) as raster:
        return dict(zip(raster.descriptions, raster.read(), strict=True))


def rewrite(path, plane, nodata, mask=None):
    """Another asset of the same place; `mask` lies inside the file."""
    with rasterio.open(path) as raster:
        profile = raster.profile | {"nodata": nodata, "dtype": plane.dtype}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as raster:
        raster.write(plane, 1)
        if mask is not None:
            raster.write_mask(mask)


class TestNoData:
    """A fetched file and its item have data in the same pixels."""

    @pytest.mark.parametrize("name", ["B04", "SCL"])
    def test_an_internal_mask_is_kept(self, item, tmp_path, pixels, name):
        mask = np.ones(pixels[name].shape, bool)
        mask[20:, 7:] = False
        rewrite(item.parent / f"one_{name}.tif", pixels[name], None, mask)
        assert run(item, tmp_path / "out", *OPTIONS).exit_code == 0
        stored = planes(tmp_path / "out" / "one.tif")[name]
        there = np.kron(mask, np.ones((48 // len(mask),) * 2, bool))
        assert not stored[~there].any()
        np.testing.assert_array_equal(stored[there], np.kron(pixels[name], np.ones((48 // len(mask),) * 2))[there])

    @pytest.mark.parametrize("name", ["B04", "B11"])
    def test_a_nodata_value_of_its_own_counts_beside_0(self, item, tmp_path, pixels, name):
        plane = pixels[name].copy()
        plane[-8:, -8:] = 65535
        rewrite(item.parent / f"one_{name}.tif", plane, 65535)
        assert run(item, tmp_path / "out", *OPTIONS).exit_code == 0
        stored = planes(tmp_path / "out" / "one.tif")[name]
        assert stored.max() < 20_000
        assert not stored[-8:, -8:].any()
        assert not stored[:2, :2].any()
        for number, source in enumerate((item, tmp_path / "out" / "one.tif")):
            stack([source], tmp_path / f"{number}.tif", StackOptions(select=("B04", "B11")))
        for band, plane in planes(tmp_path / "0.tif").items():
            np.testing.assert_array_equal(plane, planes(tmp_path / "1.tif")[band])

    def test_a_clip_without_data_is_told_and_not_written(self, item, tmp_path, pixels):
        for name in ("B04", "B11"):
            rewrite(item.parent / f"one_{name}.tif", np.zeros_like(pixels[name]), 0)
        result = run(item, tmp_path / "out", *OPTIONS[:-1])
        assert result.exit_code == 0
        assert "no pixel of the 48 x 48 px has data" in result.stdout
        assert "1 without data" in result.stdout
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["items.csv"]


class TestFolder:
    def test_a_table_of_somebody_else_is_not_touched(self, item, tmp_path):
        table = tmp_path / "out" / "items.csv"
        table.parent.mkdir()
        table.write_text("mine,yours\n1,2\n")
        assert "items.csv is not a table of lulc fetch" in line(run(item, table.parent, *OPTIONS), 5)
        assert [path.name for path in table.parent.iterdir()] == ["items.csv"]
        assert table.read_text().startswith("mine")
        assert run(item, table.parent, *OPTIONS, "--overwrite").exit_code == 0
        assert table.read_text().startswith("id,date")

    @pytest.mark.parametrize("folder", ["/proc/x", "x" * 300, "/dev/null/x"])
    def test_a_folder_that_cannot_be_made(self, item, folder):
        line(run(item, folder, *OPTIONS), 5)

    @pytest.mark.parametrize("asset", ["B04", "preview"])
    def test_an_asset_is_never_replaced(self, item, tmp_path, asset):
        os.link(item.parent / "one_B04.tif", item.parent / "one.tif")

        def change(document):
            document["assets"][asset] = document["assets"]["B04"] | {"href": "./one.tif"}
            document["assets"]["B04"]["href"] = "./one_B04.tif"

        edited(item, change)
        before = (item.parent / "one.tif").read_bytes()
        assert "is an input" in line(run(item, item.parent, *OPTIONS, "--overwrite"), 5)
        assert (item.parent / "one.tif").read_bytes() == before
        output = item.parent / "one_B04.tif"
        result = CliRunner().invoke(cli, ["stack", str(item), str(output), "--overwrite"])
        assert "is an input" in line(result, 2)
        assert output.read_bytes() == before

    def test_a_cut_file_is_fetched_again_and_overwrite_always_does(self, item, tmp_path):
        def state(*more):
            (entry,) = json.loads(run(item, tmp_path / "out", *OPTIONS, *more).stdout)["items"]
            return entry["state"]

        assert (state(), state(), state("--overwrite")) == ("fetched", "kept", "fetched")
        path = tmp_path / "out" / "one.tif"
        whole = path.read_bytes()
        os.truncate(path, len(whole) - 100)
        assert state() == "fetched"
        assert path.read_bytes() == whole

    def test_a_dangling_link_needs_overwrite(self, item, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "one.tif").symlink_to("gone.tif")
        assert "use --overwrite" in line(run(item, tmp_path / "out", *OPTIONS), 5)
        assert (tmp_path / "out" / "one.tif").is_symlink()

    def test_another_process_that_is_faster_has_done_the_work(self, item, tmp_path, monkeypatch):
        def slow(*arguments, **options):
            monkeypatch.undo()
            fetch(str(item), tmp_path / "out", FetchOptions(area=EVERYWHERE, dates=DATES))
            raise StorageError("it exists")

        monkeypatch.setattr("lulc.tasks.fetch.fetch._write", slow)
        report = fetch(str(item), tmp_path / "out", FetchOptions(area=EVERYWHERE, dates=DATES))
        assert [entry.state for entry in report.items] == ["kept"]

    def test_names_that_become_one_are_told_apart(self, tmp_path, pixels):
        links = []
        for number, name in enumerate(("a b", "a?b", "x" * 180)):
            path = write_item(tmp_path / "c" / str(number), pixels, item_id="item")
            edited(path, lambda document, name=name: document.update(id=name))
            links.append({"rel": "item", "href": f"./{number}/item.json"})
        root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links}
        (tmp_path / "c" / "catalog.json").write_text(json.dumps(root))
        assert run(tmp_path / "c" / "catalog.json", tmp_path / "out", *OPTIONS).exit_code == 0
        with (tmp_path / "out" / "items.csv").open(newline="") as file:
            rows = {row["id"]: row["file"] for row in csv.DictReader(file)}
        assert len(rows) == len(set(rows.values())) == 3
        assert all((tmp_path / "out" / name).is_file() and len(name) < 140 for name in rows.values())


class TestPlan:
    @pytest.mark.parametrize("stated", [True, False])
    @pytest.mark.parametrize("bands", ["B11,SCL", "B04,B11"])
    def test_it_says_what_is_written(self, item, tmp_path, pixels, bands, stated):
        rewrite_scl = np.kron(pixels["SCL"], np.ones((4, 4), np.uint8))
        with rasterio.open(item.parent / "one_SCL.tif") as raster:
            profile = raster.profile | {"height": 96, "width": 96}
            profile["transform"] = raster.transform @ rasterio.Affine.scale(0.25) if stated else raster.transform
        if "SCL" in bands and stated:
            with rasterio.open(item.parent / "one_SCL.tif", "w", **profile) as raster:
                raster.write(rewrite_scl, 1)

        def change(document):
            for name, asset in document["assets"].items():
                asset.pop("gsd", None)
                if stated:
                    asset["gsd"] = {"B04": 10, "B11": 20, "SCL": 5}[name]

        edited(item, change)
        (plan,) = json.loads(run(item, tmp_path / "out", *OPTIONS, "--bands", bands, "--plan").stdout)["items"]
        (done,) = json.loads(run(item, tmp_path / "out", *OPTIONS, "--bands", bands).stdout)["items"]
        assert (plan["height"], plan["width"]) == (done["height"], done["width"])


class TestItems:
    @pytest.mark.parametrize(
        "change",
        [
            lambda document: document["properties"].update({"eo:cloud_cover": 10**399}),
            lambda document: document["properties"].update({"eo:cloud_cover": float("nan")}),
        ],
    )
    def test_a_cloud_cover_that_is_none(self, item, tmp_path, change):
        edited(item, change)
        result = run(item, tmp_path / "out", *OPTIONS)
        (entry,) = json.loads(result.stdout, parse_constant=pytest.fail)["items"]
        assert entry["cloud"] is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda document: document["assets"]["B04"].update(href="x" * 5000 + ".tif"),
            lambda document: document["assets"]["B04"].update(href="http://[/a.tif"),
            lambda document: document["assets"]["B04"].update(href="a\0.tif"),
        ],
    )
    def test_one_line_and_the_others_go_on(self, item, tmp_path, pixels, change):
        write_item(item.parent, pixels, item_id="two", layout="planetary-computer")
        edited(item, change)
        links = [{"rel": "item", "href": f"./{name}.json"} for name in ("one", "two", "deep", "x" * 300)]
        root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links}
        (item.parent / "catalog.json").write_text(json.dumps(root))
        (item.parent / "deep.json").write_text(DEEP)
        result = run(item.parent / "catalog.json", tmp_path / "out", *OPTIONS)
        assert result.exit_code == 5, result.output
        assert [entry["id"] for entry in json.loads(result.stdout)["items"]] == ["two"]
        assert len(result.stderr.splitlines()) == 3
        assert max(len(text) for text in result.stderr.splitlines()) < 1000

    @pytest.mark.parametrize("dates", ["9999-12-31", "0001-01-01/9999-12-31T23:59:59Z"])
    def test_the_end_of_time(self, item, tmp_path, dates):
        assert run(item, tmp_path, "--area", EVERYWHERE, "--dates", dates, "--plan").exit_code in (0, 3)

    def test_only_items_that_fit_are_held_and_each_is_parsed_once(self, item, tmp_path, monkeypatch):
        links = [{"rel": "item", "href": "./one.json"}]
        for number in range(5):
            name = f"far{number}.json"
            (item.parent / name).write_text(item.read_text().replace("2021-06-03", "1999-06-03"))
            links.append({"rel": "item", "href": f"./{name}"})
        root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links}
        (item.parent / "catalog.json").write_text(json.dumps(root))
        parsed, read = [], []
        monkeypatch.setattr(catalog, "parse_item", lambda *given: parsed.append(given[1]) or parse_item(*given))
        monkeypatch.setattr(catalog, "read_json", lambda place: read.append(len(parsed)) or read_json(place))
        wanted = ItemFilter(read_area(EVERYWHERE), parse_period(DATES))
        (found,) = find_items(str(item.parent / "catalog.json"), wanted, pytest.fail)
        assert found.id == "one"
        assert len(parsed) == 6
        assert read == [0, 0, 1, 2, 3, 4, 5]  # one is read after the other was parsed
